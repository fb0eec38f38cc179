"""Counterfoil: the audit-ready record of what AI agents decide.

Rooms, from the ground up (imports go one way, and a linter says so): `core` pure formats and proofs, `mapping`
OpenTelemetry to records and back, `verify` the offline verifier, `store` engines, `identity` who may do what, `log`
the only writer, `ingest` OTLP, `trails` the index, `evidence` bundles, `demo` lifelike traffic, then `app` and `cli`.
"""

__version__ = "0.1.0"
