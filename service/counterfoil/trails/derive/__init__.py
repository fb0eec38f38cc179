"""What is concluded from the records of a trail, and never written to the log.

Each rule is a pure function over records in any order; a conclusion names its rule, so that a reader can tell it from
what an agent reported, and the rules may change without touching a single record. The table of rules is in
conclusion.py, and printed into docs/trails.md.

    conclusion                      a conclusion, the table of rules
    reading names agents            what words and names say, as tokens; agents whose name is none
    wording                         the words themselves, found again
    tree                            records as parents, runs and siblings
    fallbacks decisions handoffs oversights others      the rules, by what they conclude
    conclude                        all of them
"""
