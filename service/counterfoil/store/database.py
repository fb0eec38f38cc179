"""A database and its units of work.

    with database.read() as connection: ...     one snapshot, nothing is written
    with database.write() as connection: ...    one transaction: all of it is on disk at the end, or none of it

SQLite: WAL, `synchronous=FULL` (a commit is an fsync), `BEGIN IMMEDIATE` for a write, so that two writers queue up
instead of failing half way. The transaction is begun and ended here and nowhere else; the driver's own handling of
transactions is switched off.

Errors: a body that fails is rolled back. `StorageError` = nothing was written. `UnknownOutcome` = the commit itself
failed, so whether it is on disk is not known until the head is read again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from counterfoil.store.columns import TEXT_ERRORS
from counterfoil.store.errors import Refused, StorageError, UnknownOutcome

BUSY_TIMEOUT_MS = 10_000
"""How long a writer waits for another process to end its transaction before `StorageError`."""

POOL_SIZE = 16
POOL_OVERFLOW = 48
"""Connections kept, and how many more there may be: above the 40 threads of the web server and our own."""

PAGE_SIZE = 8192
"""Bytes of a SQLite page: a leaf and its sealed content each fit a page, so neither needs overflow pages."""

CACHE_KIB = 8 * 1024
"""Page cache of one connection; what does not fit comes from the cache of the operating system."""

WAL_PAGES = 4000
"""Pages in the WAL before SQLite copies them into the database (about 32 MB)."""

WAL_LIMIT_BYTES = 64 * 1024 * 1024
"""A WAL that a long reader let grow beyond this is cut when it is used again."""

_BEGIN = "counterfoil_begin"


class Database:
    """An engine with the two units of work. Safe to share between threads."""

    def __init__(self, source: str | Engine, *, synchronous: str = "FULL", overwrite_deleted: bool = False) -> None:
        if isinstance(source, str):
            source = create_engine_for(source, synchronous, overwrite_deleted=overwrite_deleted)
        self.engine: Engine = source

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One snapshot. Nothing written in it survives."""
        try:
            with self.engine.connect() as connection:
                connection = connection.execution_options(**{_BEGIN: "DEFERRED"})
                try:
                    yield connection
                finally:
                    connection.rollback()
        except OperationalError as error:
            raise StorageError(f"the store cannot be read: {error.orig}") from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, committed (with fsync) when the block ends and rolled back when it raises."""
        with self._connect() as connection, self._transaction(connection):
            yield connection

    @contextmanager
    def try_write(self) -> Iterator[Connection]:
        """`write` for what may as well not happen: StorageError at once where somebody else is writing."""
        with self._connect() as connection:
            _wait_for_locks(connection, 0)
            try:
                with self._transaction(connection):
                    yield connection
            finally:
                if not connection.invalidated:
                    _wait_for_locks(connection, BUSY_TIMEOUT_MS)

    @contextmanager
    def _transaction(self, connection: Connection) -> Iterator[None]:
        connection = connection.execution_options(**{_BEGIN: "IMMEDIATE"})
        try:
            # Crash up to here and anywhere in the block: nothing is on disk.
            self.begin(connection)
            yield
        except IntegrityError as error:
            _rollback(connection)
            raise Refused(f"the store refused it: {error.orig}") from error
        except (OperationalError, DBAPIError) as error:
            _rollback(connection)
            raise StorageError(f"the store cannot be written: {error.orig}") from error
        except BaseException:
            _rollback(connection)
            raise
        try:
            self.commit(connection)
        except SQLAlchemyError as error:
            _rollback(connection)
            connection.invalidate()
            raise UnknownOutcome(f"it is not known whether the write happened: {error}") from error

    def begin(self, connection: Connection) -> None:
        """Begin the transaction of `write`. On SQLite this takes the write lock; a named step, so tests can fail it."""
        connection.begin()

    def commit(self, connection: Connection) -> None:
        """Make it durable. A named step, so that tests can fail it before and after."""
        connection.commit()

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        try:
            connection = self.engine.connect()
        except (OperationalError, DBAPIError) as error:
            raise StorageError(f"the store cannot be opened: {error.orig}") from error
        with connection:
            yield connection

    def scrub(self) -> None:
        """After something was destroyed: copy the WAL into the database and cut it, so that no old page stays there.

        Rows of the keystore are overwritten when they are deleted (`secure_delete`); its WAL may still hold them.
        """
        if self.dialect == "sqlite":
            with self._connect() as connection:
                connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def dispose(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _wait_for_locks(connection: Connection, milliseconds: int) -> None:
    """How long a transaction of this connection waits for others. PostgreSQL has row locks only, and none of ours."""
    if connection.dialect.name == "sqlite":
        connection.connection.cursor().execute(f"PRAGMA busy_timeout={milliseconds}").close()


def _rollback(connection: Connection) -> None:
    try:
        connection.rollback()
    except SQLAlchemyError:
        # The connection is beyond use; dropping it makes the database roll back.
        connection.invalidate()


def create_engine_for(url: str, synchronous: str, *, overwrite_deleted: bool = False) -> Engine:
    """An engine for `url`, with what the embedded database needs set on every connection."""
    engine = create_engine(url, pool_size=POOL_SIZE, max_overflow=POOL_OVERFLOW, pool_timeout=30)
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine, synchronous, overwrite_deleted)
    return engine


def _prepare_sqlite(engine: Engine, synchronous: str, overwrite_deleted: bool) -> None:
    pragmas = (
        f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
        f"PRAGMA page_size={PAGE_SIZE}",
        "PRAGMA journal_mode=WAL",
        f"PRAGMA synchronous={synchronous}",
        "PRAGMA foreign_keys=ON",
        # Without this, INSERT OR REPLACE deletes the old row past the trigger that refuses deletion.
        "PRAGMA recursive_triggers=ON",
        f"PRAGMA cache_size=-{CACHE_KIB}",
        f"PRAGMA wal_autocheckpoint={WAL_PAGES}",
        "PRAGMA temp_store=MEMORY",
        f"PRAGMA secure_delete={'ON' if overwrite_deleted else 'FAST'}",
        f"PRAGMA journal_size_limit={WAL_LIMIT_BYTES}",
    )

    @event.listens_for(engine, "connect")
    def _connect(driver_connection: Any, _record: Any) -> None:
        driver_connection.isolation_level = None  # no transactions but ours
        driver_connection.text_factory = _text
        cursor = driver_connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get(_BEGIN, 'DEFERRED')}")


_text = partial(str, encoding="utf-8", errors=TEXT_ERRORS)
"""Text as it lies on the disk, also where it is no UTF-8: whoever reads says what is wrong with it (columns.py)."""


def open_ledger(url: str) -> Database:
    """The ledger: leaves, sealed content, arrivals, tiles, checkpoints, identities."""
    return Database(url)


def open_keystore(url: str) -> Database:
    """The keystore: wrapped keys and pseudonyms, in a store of its own. What is deleted there is overwritten."""
    return Database(url, overwrite_deleted=True)


def open_index(url: str) -> Database:
    """The index. Every byte of it can be derived again, so a commit need not wait for the disk."""
    return Database(url, synchronous="NORMAL")
