"""What the database itself refuses, table by table."""

from __future__ import annotations

import pytest
from sqlalchemy import Table, text

from counterfoil.log.tables import arrivals, blobs, checkpoints, contents, records, removals, tiles
from counterfoil.store.database import Database
from counterfoil.store.errors import Refused
from counterfoil.store.immutable import (
    IMMUTABLE_TABLES,
    REMOVABLE_TABLES,
    missing_triggers,
    refuse_changes,
    refuse_changes_unless_removed,
)

ROWS: dict[str, dict[str, object]] = {
    "records": {"log_id": 1, "seq": 5, "leaf": b"leaf"},
    "arrivals": {"log_id": 1, "trace_id": b"t", "span_id": b"s", "mac": b"m", "seq": 5, "parts": 1},
    "tiles": {"log_id": 1, "level": 0, "n": 0, "hashes": b"h", "root": b"r"},
    "checkpoints": {"log_id": 1, "size": 6, "issued_us": 1, "note": b"n"},
    "removals": {"log_id": 1, "first_seq": 100, "last_seq": 200, "by_seq": 300, "kind": "erasure"},
    "contents": {"log_id": 1, "seq": 5, "key_id": b"k", "sealed": b"x"},
    "blobs": {"log_id": 1, "seq": 5, "field": "input", "part": 0, "key_id": b"k", "sealed": b"x"},
}
TABLES: dict[str, Table] = {
    table.name: table for table in (records, arrivals, tiles, checkpoints, removals, contents, blobs)
}


@pytest.fixture
def filled(ledger: Database) -> Database:
    with ledger.write() as connection:
        for name, row in ROWS.items():
            connection.execute(TABLES[name].insert().values(row))
    return ledger


def snapshot(database: Database, name: str) -> list[tuple[object, ...]]:
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(TABLES[name].select())]


@pytest.mark.parametrize("name", [*IMMUTABLE_TABLES, *REMOVABLE_TABLES])
@pytest.mark.parametrize("deed", ["update", "update in place", "delete", "replace"])
def test_what_is_written_is_not_changed_or_deleted(filled: Database, name: str, deed: str) -> None:
    before = snapshot(filled, name)
    row = ROWS[name]
    last = list(row)[-1]
    columns = ", ".join(row)
    statements = {
        "update": f"UPDATE {name} SET log_id = 2",
        "update in place": f"UPDATE {name} SET {last} = {last}",
        "delete": f"DELETE FROM {name}",
        "replace": f"INSERT OR REPLACE INTO {name} ({columns}) SELECT {columns} FROM {name}",
    }
    with pytest.raises(Refused, match=f"{name} is append-only"), filled.write() as connection:
        connection.execute(text(statements[deed]))
    assert snapshot(filled, name) == before


@pytest.mark.parametrize("name", REMOVABLE_TABLES)
@pytest.mark.parametrize(
    ("log_id", "first", "last", "goes"),
    [(1, 5, 5, True), (1, 0, 9, True), (1, 6, 9, False), (1, 0, 4, False), (2, 5, 5, False)],
)
def test_content_goes_only_where_a_removal_covers_it(
    filled: Database, name: str, log_id: int, first: int, last: int, goes: bool
) -> None:
    with filled.write() as connection:
        row = {"log_id": log_id, "first_seq": first, "last_seq": last, "by_seq": 300, "kind": "expiry"}
        connection.execute(removals.insert().values(row))
    if goes:
        with filled.write() as connection:
            connection.execute(TABLES[name].delete())
        assert snapshot(filled, name) == []
    else:
        with pytest.raises(Refused, match="append-only"), filled.write() as connection:
            connection.execute(TABLES[name].delete())


@pytest.mark.parametrize("row", [{"first_seq": 9, "last_seq": 8}, {"kind": "whim"}])
def test_a_removal_has_a_range_and_a_known_kind(ledger: Database, row: dict[str, object]) -> None:
    with pytest.raises(Refused, match="CHECK"), ledger.write() as connection:
        connection.execute(removals.insert().values({**ROWS["removals"], **row}))


def test_a_trigger_that_was_taken_away_is_named(ledger: Database) -> None:
    with ledger.read() as connection:
        assert missing_triggers(connection) == []
    with ledger.write() as connection:
        connection.execute(text("DROP TRIGGER records_refuse_update"))
        connection.execute(text("DROP TRIGGER blobs_refuse_delete"))
    with ledger.read() as connection:
        assert missing_triggers(connection) == ["records_refuse_update", "blobs_refuse_delete"]


def test_on_postgresql_truncate_is_refused_too() -> None:
    whole = "\n".join(
        [*refuse_changes("records", "postgresql"), *refuse_changes_unless_removed("contents", "postgresql")]
    )
    for table in ("records", "contents"):
        assert f"BEFORE UPDATE OR DELETE ON {table}" in whole
        assert f"BEFORE TRUNCATE ON {table}" in whole
    assert "FROM removals" not in whole.partition("CREATE FUNCTION contents_refuse")[0]
    assert "TG_OP = 'DELETE' AND EXISTS" in whole
