"""Bulk inserts and look-ups: the driver's way and the portable way say the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, select

from counterfoil.log.tables import arrivals, records
from counterfoil.store.bulk import ROWS_A_STATEMENT, add_rows, insert_rows, select_each, select_spans
from counterfoil.store.database import Database
from counterfoil.store.errors import Refused, StorageError

Use = Callable[[Database], object]
COLUMNS = ("log_id", "trace_id", "span_id", "mac", "seq", "parts")
ROWS = [(1, b"t", bytes([span]), bytes([mac]) * 2, span * 10 + mac, 1) for span in range(4) for mac in range(5)]


@contextmanager
def named(connection: Connection, dialect: str) -> Iterator[None]:
    """Let the connection pass for one of another database: that is how the portable way is taken."""
    own = connection.dialect.name
    connection.dialect.name = dialect
    try:
        yield
    finally:
        connection.dialect.name = own


@pytest.mark.parametrize("dialect", ["sqlite", "any other"])
def test_rows_go_in_and_come_out_in_the_order_they_are_asked_for(ledger: Database, dialect: str) -> None:
    with ledger.write() as connection, named(connection, dialect):
        insert_rows(connection, arrivals, COLUMNS, ROWS)
        insert_rows(connection, arrivals, COLUMNS, [])
    keys = [(1, b"t", b"\x03", b"\x04\x04"), (1, b"t", b"\x09", b"\x04\x04"), (1, b"t", b"\x00", b"\x01\x01")]
    with ledger.read() as connection, named(connection, dialect):
        names = ("log_id", "trace_id", "span_id", "mac")
        found = select_each(connection, arrivals, names, ("seq", "parts"), keys)
    assert found == [(34, 1), None, (1, 1)]


@pytest.mark.parametrize(
    "count", [1, ROWS_A_STATEMENT - 1, ROWS_A_STATEMENT, ROWS_A_STATEMENT + 1, 3 * ROWS_A_STATEMENT]
)
def test_every_row_goes_in_however_many_fit_into_a_statement(ledger: Database, count: int) -> None:
    rows = [(7, seq, b"%d" % seq) for seq in range(count)]
    with ledger.write() as connection:
        insert_rows(connection, records, ("log_id", "seq", "leaf"), rows)
    with ledger.read() as connection:
        stored = connection.execute(select(records).where(records.c.log_id == 7).order_by(records.c.seq)).all()
    assert [tuple(row) for row in stored] == rows


@pytest.mark.parametrize("at", [0, ROWS_A_STATEMENT, 2 * ROWS_A_STATEMENT + 3])
def test_one_refused_row_fails_all_of_them(ledger: Database, at: int) -> None:
    rows = [(8, seq, b"leaf") for seq in range(2 * ROWS_A_STATEMENT + 5)]
    with pytest.raises(Refused), ledger.write() as connection:
        insert_rows(connection, records, ("log_id", "seq", "leaf"), [*rows, rows[at]])
    with ledger.read() as connection:
        assert connection.execute(select(records).where(records.c.log_id == 8)).first() is None


@pytest.mark.parametrize("dialect", ["sqlite", "any other"])
def test_a_set_takes_what_it_does_not_have(ledger: Database, dialect: str) -> None:
    columns = ("log_id", "seq", "leaf")
    first = [(9, seq, b"first") for seq in range(0, 2 * ROWS_A_STATEMENT, 2)]
    every = [(9, seq, b"first") for seq in range(2 * ROWS_A_STATEMENT)]
    with ledger.write() as connection, named(connection, dialect):
        add_rows(connection, records, columns, first)
        add_rows(connection, records, columns, every)
        add_rows(connection, records, columns, [])
    with ledger.read() as connection:
        stored = connection.execute(select(records).where(records.c.log_id == 9).order_by(records.c.seq)).all()
    assert [tuple(row) for row in stored] == every


@pytest.mark.parametrize("dialect", ["sqlite", "any other"])
def test_a_stretch_of_the_key_is_read_up_to_the_limit(ledger: Database, dialect: str) -> None:
    with ledger.write() as connection:
        insert_rows(connection, arrivals, COLUMNS, ROWS)
    names = ("log_id", "trace_id", "span_id")
    keys = [
        (1, b"t", b"\x02", b"\x01", b"\x03\xff"),
        (1, b"t", b"\x02", b"\x07", b"\x08"),
        (2, b"t", b"\x02", b"", b"\xff"),
    ]
    with ledger.read() as connection, named(connection, dialect):
        every = select_spans(connection, arrivals, names, "mac", ("seq",), keys, 64)
        few = select_spans(connection, arrivals, names, "mac", ("seq",), keys, 2)
    assert every == [[(21,), (22,), (23,)], [], []]
    assert [len(rows) for rows in few] == [2, 0, 0]


def test_a_refused_row_fails_the_whole_transaction(ledger: Database) -> None:
    with pytest.raises(Refused), ledger.write() as connection:
        insert_rows(connection, records, ("log_id", "seq", "leaf"), [(1, 0, b"a"), (1, 1, b"b"), (1, 0, b"c")])
    with ledger.read() as connection:
        assert select_each(connection, records, ("log_id", "seq"), ("leaf",), [(1, 0), (1, 1)]) == [None, None]


def test_a_look_up_that_fails_is_a_storage_error(ledger: Database) -> None:
    with ledger.write() as connection:
        connection.exec_driver_sql("DROP TABLE tiles")
        connection.exec_driver_sql("DROP TABLE arrivals")
    with pytest.raises(StorageError, match="arrivals"), ledger.read() as connection:
        select_each(connection, arrivals, ("log_id",), ("seq",), [(1,)])
