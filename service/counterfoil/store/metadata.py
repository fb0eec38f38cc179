"""The two sets of tables that outlive a process, and the names their constraints get.

`ledger_metadata` is built by Alembic (migrate.py), `keystore_metadata` by `create_all` (it has one version and a few
tables). The index keeps its own metadata in its own room, because it is rebuilt and never migrated.

Types: all bytes are BLOB or BYTEA, never text or JSON columns; all numbers are big integers; times are microseconds
since the epoch in columns that end in `_us`.
"""

from __future__ import annotations

from sqlalchemy import MetaData

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

ledger_metadata = MetaData(naming_convention=NAMING_CONVENTION)
keystore_metadata = MetaData(naming_convention=NAMING_CONVENTION)
