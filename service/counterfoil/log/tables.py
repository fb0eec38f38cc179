"""Tables of the log (ledger) and of the keystore.

Every ledger table of a log leads with `log_id`, so that a log can live anywhere as a whole. The hot tables have no
foreign keys and no secondary index: a row costs one walk of one tree. What may change is said once, here:

    records arrivals tiles checkpoints removals     never (triggers, store/immutable.py)
    contents blobs                                  a row may go where `removals` covers it
    heads                                           moves by compare-and-swap only (append.py)
    logs deployment configurations                  mutable, and trusted for nothing
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from counterfoil.store.columns import Bytes
from counterfoil.store.metadata import keystore_metadata, ledger_metadata

# SQLite keeps these in one tree ordered by the primary key, without a row id beside it.
_ONE_TREE: dict[str, Any] = {"sqlite_with_rowid": False}

deployment = Table(
    "deployment",
    ledger_metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("origin", String(255), nullable=False),
    Column("bundle_vkey", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)
"""One row: the base of every origin ("acme.example/audit") and the public key that signs bundles."""

logs = Table(
    "logs",
    ledger_metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant_id", BigInteger, ForeignKey("tenants.id"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("origin", String(255), nullable=False, unique=True),
    Column("purpose", String(16), nullable=False),
    Column("region", String(64), nullable=True),
    Column("vkey", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("closed_us", BigInteger, nullable=True),
    Column("fulltext_fields", Text, nullable=False),
    UniqueConstraint("tenant_id", "name"),
)

heads = Table(
    "heads",
    ledger_metadata,
    Column("log_id", BigInteger, ForeignKey("logs.id"), primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("leaf_hash", Bytes(32), nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
)
"""Where the log ends: number of records, leaf hash of the last (32 zero bytes at 0) and its `recorded_at`."""

records = Table(
    "records",
    ledger_metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("leaf", Bytes, nullable=False),
)
"""Measured on SQLite: rows that only ever grow at the end are 8 % smaller with a row id than in one tree."""

contents = Table(
    "contents",
    ledger_metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("key_id", Bytes(16), primary_key=True),
    Column("sealed", Bytes, nullable=False),
)

blobs = Table(
    "blobs",
    ledger_metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("field", String(128), primary_key=True),
    Column("part", BigInteger, primary_key=True, autoincrement=False),
    Column("key_id", Bytes(16), primary_key=True),
    Column("sealed", Bytes, nullable=False),
)
"""Values over the inline limit, in parts of at most 1 MiB, each sealed under the key of its record."""

arrivals = Table(
    "arrivals",
    ledger_metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("trace_id", Bytes(16), primary_key=True),
    Column("span_id", Bytes(8), primary_key=True),
    Column("mac", Bytes(20), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("parts", BigInteger, nullable=False),
    **_ONE_TREE,
)
"""What was received, so that a retry makes no second record (arrivals.py says what `mac` is).
`seq` is the first of the `parts` records that the item became."""

tiles = Table(
    "tiles",
    ledger_metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("level", BigInteger, primary_key=True, autoincrement=False),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("hashes", Bytes, nullable=False),
    Column("root", Bytes(32), nullable=False),
)
"""Full tiles only: 256 hashes of 32 bytes, and the root of the tile; partial tiles are computed."""

checkpoints = Table(
    "checkpoints",
    ledger_metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("issued_us", BigInteger, primary_key=True, autoincrement=False),
    Column("note", Bytes, nullable=False),
    **_ONE_TREE,
)

configurations = Table(
    "configurations",
    ledger_metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("setting", String(64), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    **_ONE_TREE,
)
"""Which `configuration` record of a log holds the value in force of a setting (configuration.py). It says where to
look; what counts is the record."""

removals = Table(
    "removals",
    ledger_metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("first_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("last_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("by_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("fields", Text, nullable=True),
    CheckConstraint("first_seq <= last_seq", name="range"),
    CheckConstraint("kind IN ('erasure', 'expiry')", name="kind"),
)
"""Which erasure or expiry (the record `by_seq`) covers which records, and which fields (JSON list; NULL: all)."""

data_keys = Table(
    "data_keys",
    keystore_metadata,
    Column("key_id", Bytes(16), primary_key=True),
    Column("log_id", BigInteger, nullable=False),
    Column("selector", Bytes(32), nullable=False, unique=True),
    Column("month", BigInteger, nullable=False),
    Column("wrapped", Bytes, nullable=False),
    **_ONE_TREE,
)
"""One key for each (interaction or trace, retention class, month); `selector` is a keyed hash of those."""

subject_keys = Table(
    "subject_keys",
    keystore_metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("subject", String(128), primary_key=True),
    Column("key_id", Bytes(16), primary_key=True),
    **_ONE_TREE,
)
"""Which keys hold content about which subject (its pseudonym); any number of subjects for a key, also later."""

pseudonyms = Table(
    "pseudonyms",
    keystore_metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", Bytes(32), primary_key=True),
    Column("token", String(64), nullable=False),
    Index(None, "log_id", "token", unique=True),
    **_ONE_TREE,
)
"""Keyed hash of an identifier to the random token that stands for it in leaves."""

arrival_keys = Table(
    "arrival_keys",
    keystore_metadata,
    Column("month", BigInteger, primary_key=True, autoincrement=False),
    Column("wrapped", Bytes, nullable=False),
)

keystore_state = Table(
    "keystore_state",
    keystore_metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("generation", BigInteger, nullable=False),
    Column("probe", Bytes, nullable=False),
)
"""One row: `generation` rises whenever a key is destroyed, so that every process drops what it keeps in memory;
`probe` is a known text sealed by the master key, so that a wrong master key is noticed before it is used."""
