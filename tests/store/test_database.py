"""Units of work: one snapshot to read, one transaction to write, and errors that say what is known."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import OperationalError

from counterfoil.log.tables import records
from counterfoil.store import database as module
from counterfoil.store.columns import as_bytes
from counterfoil.store.database import Database, open_index, open_keystore, open_ledger
from counterfoil.store.errors import Refused, StorageError, UnknownOutcome

ROW = {"log_id": 1, "seq": 0, "leaf": b"leaf"}


def count(database: Database) -> int:
    with database.read() as connection:
        return len(connection.execute(select(records.c.seq)).fetchall())


def test_what_was_written_is_there_after_the_block_and_not_before(ledger: Database) -> None:
    with ledger.write() as connection:
        connection.execute(records.insert().values(ROW))
        assert count(ledger) == 0
    assert count(ledger) == 1


def test_a_block_that_raises_leaves_nothing(ledger: Database) -> None:
    def fail() -> None:
        with ledger.write() as connection:
            connection.execute(records.insert().values(ROW))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert count(ledger) == 0


def test_nothing_written_in_a_read_block_survives(ledger: Database) -> None:
    with ledger.read() as connection:
        connection.execute(records.insert().values(ROW))
    assert count(ledger) == 0


def test_a_read_block_sees_one_snapshot(ledger: Database) -> None:
    with ledger.read() as reader:
        assert reader.execute(select(records.c.seq)).fetchall() == []
        with ledger.write() as connection:
            connection.execute(records.insert().values(ROW))
        assert reader.execute(select(records.c.seq)).fetchall() == []
    assert count(ledger) == 1


def test_a_second_row_at_one_key_is_refused_and_nothing_of_its_transaction_stays(ledger: Database) -> None:
    with ledger.write() as connection:
        connection.execute(records.insert().values(ROW))

    def insert_again() -> None:
        with ledger.write() as connection:
            connection.execute(records.insert().values({**ROW, "seq": 1}))
            connection.execute(records.insert().values(ROW))

    with pytest.raises(Refused, match="UNIQUE") as caught:
        insert_again()
    assert caught.value.code == "refused_by_store"
    assert count(ledger) == 1


def test_writers_wait_for_each_other(ledger: Database) -> None:
    order: list[str] = []
    inside = threading.Event()

    def second() -> None:
        inside.wait(10)
        with ledger.write() as connection:
            order.append("second")
            connection.execute(records.insert().values({**ROW, "seq": 1}))

    thread = threading.Thread(target=second)
    thread.start()
    with ledger.write() as connection:
        inside.set()
        connection.execute(records.insert().values(ROW))
        thread.join(0.2)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert count(ledger) == 2


def test_a_writer_that_waits_too_long_is_told_that_nothing_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ledger: Database
) -> None:
    monkeypatch.setattr(module, "BUSY_TIMEOUT_MS", 50)
    impatient = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with ledger.write(), pytest.raises(StorageError, match="locked") as caught, impatient.write():
        pass
    assert not isinstance(caught.value, UnknownOutcome)
    assert caught.value.code == "storage_unavailable"
    impatient.dispose()


class Failing(Database):
    """Fails the commit before or after it took place."""

    after = False

    def commit(self, connection: Connection) -> None:
        if self.after:
            super().commit(connection)
        raise OperationalError("COMMIT", None, OSError("disk I/O error"))


@pytest.mark.parametrize("after", [False, True])
def test_a_failing_commit_is_an_unknown_outcome(ledger: Database, after: bool) -> None:
    failing = Failing(ledger.engine)
    failing.after = after
    with pytest.raises(UnknownOutcome), failing.write() as connection:
        connection.execute(records.insert().values(ROW))
    assert count(ledger) == int(after)
    with ledger.write() as connection:  # and the pool hands out sound connections
        connection.execute(records.insert().values({**ROW, "seq": 7}))


def test_every_connection_is_durable_and_waits(tmp_path: Path) -> None:
    wanted = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "recursive_triggers": 1,
        "busy_timeout": 10_000,
    }
    for opened, synchronous in ((open_ledger, 2), (open_keystore, 2), (open_index, 1)):
        database = opened(f"sqlite:///{tmp_path / opened.__name__}.db")
        with database.read() as connection:
            for name, value in {**wanted, "synchronous": synchronous}.items():
                assert connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() == value
        database.dispose()


def test_what_is_deleted_in_the_keystore_is_overwritten(tmp_path: Path) -> None:
    keystore = open_keystore(f"sqlite:///{tmp_path / 'keystore.db'}")
    with keystore.read() as connection:
        assert connection.exec_driver_sql("PRAGMA secure_delete").scalar_one() == 1
    keystore.dispose()


def test_a_store_that_cannot_be_opened_or_read_is_a_storage_error(tmp_path: Path) -> None:
    missing = open_ledger(f"sqlite:///{tmp_path / 'no' / 'such' / 'directory.db'}")
    with pytest.raises(StorageError, match="cannot be opened"), missing.write():
        pass
    with pytest.raises(StorageError), missing.read():
        pass
    empty = open_ledger(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(StorageError, match="no such table"), empty.read() as connection:
        connection.execute(select(records.c.seq))


def test_text_where_bytes_belong_comes_out_as_the_bytes_on_the_disk(tmp_path: Path, ledger: Database) -> None:
    raw = sqlite3.connect(tmp_path / "ledger.db")
    values: list[object] = ["plain text", 17, 2.5]
    for seq, value in enumerate(values):
        raw.execute("INSERT INTO records VALUES (1, ?, ?)", (seq, value))
    raw.execute("INSERT INTO records VALUES (1, 3, CAST(x'ff00fe80' AS TEXT))")
    raw.commit()
    raw.close()
    with ledger.read() as connection:
        found = connection.execute(select(records.c.leaf).order_by(records.c.seq)).scalars().all()
    assert found == [b"plain text", b"17", b"2.5", b"\xff\x00\xfe\x80"]
    assert as_bytes(None) is None
    assert as_bytes(bytearray(b"x")) == b"x"


def test_a_write_that_may_as_well_not_happen_waits_for_nobody_and_the_next_one_waits_again(tmp_path: Path) -> None:
    database = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE t (n INTEGER)")
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError), database.try_write() as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")
    release = threading.Timer(0.3, other.execute, ["ROLLBACK"])
    release.start()
    with database.write() as connection:  # the same connection of the pool: it waits as ever
        connection.exec_driver_sql("INSERT INTO t VALUES (2)")
    release.join()
    with database.try_write() as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES (3)")
    with pytest.raises(StorageError), database.try_write() as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES (4), ('not a', 'row')")
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT n FROM t ORDER BY n").scalars().all() == [2, 3]
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == module.BUSY_TIMEOUT_MS
    other.close()
    database.dispose()
