"""The index, and what people read through it: search, interactions, the trail of one interaction.

Everything here is derived from the log and may be thrown away: `reindex` makes it again, `check_index` derives it again
and compares. Facts shown to a reader come from the leaf, never from the index: the index only says *which* leaves.

    tables facts fulltext        what a row holds
    block projector reindex      the log into the index
    check_index                  the index against the log
    query walk search            questions and pages
    interactions trail steps     one conversation as a story
    derive                       what is concluded and never written to the log
    story                        a trail as text for a terminal
"""
