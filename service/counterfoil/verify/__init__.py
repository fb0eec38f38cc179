"""The offline verifier: a bundle, a policy and a time go in, a report comes out. No network, no clock, no state.

The steps are those of EVIDENCE 4 and carry the same numbers in code, tests and report. The rule: nothing that the
bundle says about itself is believed before a step has shown it, and what may be trusted comes from the policy alone.
"""
