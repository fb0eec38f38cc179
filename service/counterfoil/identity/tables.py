"""Tables of identity. Mutable, and trusted for nothing: what happened to a credential is a record in the access log."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, String, Table

from counterfoil.store.columns import Bytes
from counterfoil.store.metadata import ledger_metadata

tenants = Table(
    "tenants",
    ledger_metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String(64), nullable=False, unique=True),
    Column("created_us", BigInteger, nullable=False),
)

credentials = Table(
    "credentials",
    ledger_metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant_id", BigInteger, ForeignKey("tenants.id"), nullable=False),
    Column("log_id", BigInteger, ForeignKey("logs.id"), nullable=True),
    Column("role", String(32), nullable=False),
    Column("name", String(200), nullable=False),
    Column("secret_hash", Bytes(32), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=True),
    Column("revoked_us", BigInteger, nullable=True),
    Column("last_used_us", BigInteger, nullable=True),
    Index(None, "tenant_id", "created_us", "id"),
)
