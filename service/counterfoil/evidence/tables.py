"""The table of export jobs.

It is operational: a job moves from `queued` to `released` or `failed`, so its row is updated, and nothing in it is
evidence. What an auditor may rely on is the `export` record in the log and the bundle itself.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

from counterfoil.store.metadata import ledger_metadata

exports = Table(
    "exports",
    ledger_metadata,
    Column("id", Text, primary_key=True),
    Column("tenant_id", BigInteger, nullable=False),
    Column("log_id", BigInteger, nullable=False),
    Column("form", Text, nullable=False),
    Column("filter_text", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("request_digest", LargeBinary, nullable=False),
    Column("idempotency_key", Text),
    Column("purpose", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_role", Text, nullable=False),
    Column("requested_us", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("error", Text),
    Column("step", BigInteger),
    Column("path", Text),
    Column("digest", LargeBinary),
    Column("size", BigInteger),
    Column("tree_size", BigInteger),
    Column("root", LargeBinary),
    Column("matched", BigInteger),
    Column("started_us", BigInteger),
    Column("finished_us", BigInteger),
    # One key, one job, for each credential that sends it: a repeated POST finds the job that the first one made.
    Index("uq_exports_requested_by_idempotency_key", "requested_by", "idempotency_key", unique=True),
    Index("ix_exports_tenant_id_requested_us", "tenant_id", "requested_us", "id"),
    Index("ix_exports_status_requested_us", "status", "requested_us"),
)
