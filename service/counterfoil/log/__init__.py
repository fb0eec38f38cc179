"""The log: the only room that writes records, and the room that proves them.

Writing: `prepare` (steps 1 and 2 of ARCHITECTURE 3), `append` (step 3), `writer` (group commit), behind the facade
`logs`. Proving: `checkpoints` (step 5), `heads`, `signing`, `tree`, `receipts`, `fsck`. Content is sealed apart from
the leaf that commits to it: `seal`, `keystore`, `contents`.
"""
