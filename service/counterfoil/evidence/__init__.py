"""Populations' facts, the bundle writer, and export jobs: what an auditor takes away (EVIDENCE 1 and 3).

A bundle is read from one snapshot of the ledger at one published checkpoint, written as it is read, checked with the
verifier that the auditor has too, and only then released.
"""
