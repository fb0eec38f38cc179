"""What the service, the offline verifier and a stranger share: pure functions over bytes.

Records, the RFC 9162 tree, C2SP notes, checkpoints, tiles and proofs, RFC 9901 disclosures, leaf filters. Standard
library only (and `cryptography`, for keys). No clock, no files, no network: time and randomness are arguments. Each
module's docstring is the specification of its format.
"""
