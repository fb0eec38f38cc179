"""What the database itself refuses: triggers on the tables that nobody may change.

    records, arrivals, tiles, checkpoints, removals     UPDATE and DELETE refused
    contents, blobs                                     UPDATE refused; DELETE only where a row of `removals` covers it

On PostgreSQL also TRUNCATE, and grants say the same once more. A database owner can drop a trigger: that is caught by
the chain and the signatures, not here; these triggers stop mistakes and injected SQL.

The statements are part of migration 0001: a released revision never changes, so add functions, do not edit them.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, text

IMMUTABLE_TABLES = ("records", "arrivals", "tiles", "checkpoints", "removals")
REMOVABLE_TABLES = ("contents", "blobs")

_COVERED = "SELECT 1 FROM removals r WHERE r.log_id = OLD.log_id AND OLD.seq BETWEEN r.first_seq AND r.last_seq"


def refuse_changes(table: str, dialect: str) -> Iterator[str]:
    """Statements after which `table` takes only INSERT."""
    if dialect == "sqlite":
        yield _sqlite_trigger(table, "update", None)
        yield _sqlite_trigger(table, "delete", None)
    else:
        yield from _postgresql_triggers(table, removable=False)


def refuse_changes_unless_removed(table: str, dialect: str) -> Iterator[str]:
    """The same, but a row may be deleted where `removals` names the erasure or expiry that covers it."""
    if dialect == "sqlite":
        yield _sqlite_trigger(table, "update", None)
        yield _sqlite_trigger(table, "delete", f"NOT EXISTS ({_COVERED})")
    else:
        yield from _postgresql_triggers(table, removable=True)


def drop_triggers(table: str, dialect: str) -> Iterator[str]:
    """Undo both (for a downgrade)."""
    if dialect == "sqlite":
        for what in ("update", "delete"):
            yield f"DROP TRIGGER IF EXISTS {table}_refuse_{what}"
    else:
        yield f"DROP TRIGGER IF EXISTS {table}_refuse_change ON {table}"
        yield f"DROP TRIGGER IF EXISTS {table}_refuse_truncate ON {table}"
        yield f"DROP FUNCTION IF EXISTS {table}_refuse()"


def missing_triggers(connection: Connection) -> list[str]:
    """Names of the triggers that should be there and are not: somebody took them away."""
    tables = (*IMMUTABLE_TABLES, *REMOVABLE_TABLES)
    if connection.dialect.name == "sqlite":
        wanted = [f"{table}_refuse_{what}" for table in tables for what in ("update", "delete")]
        present = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars()
    else:
        wanted = [f"{table}_refuse_{what}" for table in tables for what in ("change", "truncate")]
        present = connection.execute(text("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")).scalars()
    there = set(present)
    return [name for name in wanted if name not in there]


def _sqlite_trigger(table: str, what: str, when: str | None) -> str:
    condition = f"WHEN {when} " if when else ""
    return (
        f"CREATE TRIGGER {table}_refuse_{what} BEFORE {what.upper()} ON {table} {condition}"
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: {what} refused'); END"
    )


def _postgresql_triggers(table: str, *, removable: bool) -> Iterator[str]:
    allow = f"IF TG_OP = 'DELETE' AND EXISTS ({_COVERED}) THEN RETURN OLD; END IF; " if removable else ""
    yield (
        f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {allow}"
        f"RAISE EXCEPTION '{table} is append-only: % refused', lower(TG_OP); END $$"
    )
    yield (
        f"CREATE TRIGGER {table}_refuse_change BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_refuse()"
    )
    yield (
        f"CREATE TRIGGER {table}_refuse_truncate BEFORE TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()"
    )
