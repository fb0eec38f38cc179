"""Many rows at once, at the speed of the driver.

SQLAlchemy's own inserts cost 10 to 20 us a row; a span has three rows. Here rows go to the driver as they are, inside
the transaction of the connection: on SQLite many rows a statement, because the driver lets go of the interpreter lock
for each statement and has to wait for it again. For any other database the same calls go through SQLAlchemy Core, until
that database has its own way (COPY, arrays) here.

A row is a tuple in the order of `columns`. Look-ups answer in the order of their keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table, and_, select

from counterfoil.store.errors import StorageError

Row = tuple[Any, ...]

ROWS_A_STATEMENT = 64
"""SQLite takes 32,766 values a statement; a row here has at most a few dozen."""


def insert_rows(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Insert `rows`. Raises what the transaction's owner maps: a refused row fails the whole transaction."""
    if connection.dialect.name == "sqlite":
        _insert(connection, _insert_sql, table.name, columns, rows)
    elif rows:
        connection.execute(table.insert(), [dict(zip(columns, row, strict=True)) for row in rows])


def add_rows(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Insert those of `rows` that are not there yet. For tables that are sets: every column is in the primary key."""
    if connection.dialect.name == "sqlite":
        _insert(connection, _add_sql, table.name, columns, rows)
        return
    present = select_each(connection, table, columns, columns[:1], rows)
    insert_rows(connection, table, columns, [row for row, found in zip(rows, present, strict=True) if found is None])


def _insert(
    connection: Connection, sql: Callable[[str, Row, int], str], table: str, columns: Sequence[str], rows: Sequence[Row]
) -> None:
    names = tuple(columns)
    whole = len(rows) - len(rows) % ROWS_A_STATEMENT
    for first in range(0, whole, ROWS_A_STATEMENT):
        values = tuple(chain.from_iterable(rows[first : first + ROWS_A_STATEMENT]))
        connection.exec_driver_sql(sql(table, names, ROWS_A_STATEMENT), values)
    if whole < len(rows):
        connection.exec_driver_sql(sql(table, names, 1), list(rows[whole:]))


def select_each(
    connection: Connection, table: Table, keys: Sequence[str], result: Sequence[str], wanted: Iterable[Row]
) -> list[Row | None]:
    """For every key in `wanted` (values of the columns `keys`, a whole primary key) its row, or None."""
    if connection.dialect.name == "sqlite":
        sql = _select_sql(table.name, tuple(keys), tuple(result))
        return [found[0] if found else None for found in _each(connection, sql, wanted)]
    statement = select(*(table.c[name] for name in result))
    answers: list[Row | None] = []
    for key in wanted:
        where = and_(*(table.c[name] == value for name, value in zip(keys, key, strict=True)))
        found = connection.execute(statement.where(where)).first()
        answers.append(tuple(found) if found is not None else None)
    return answers


def select_spans(
    connection: Connection,
    table: Table,
    keys: Sequence[str],
    between: str,
    result: Sequence[str],
    wanted: Iterable[Row],
    limit: int,
) -> list[list[Row]]:
    """For every key in `wanted` its rows with `low <= between <= high`, at most `limit` of them.

    A key is the values of the columns `keys`, then low and high. `keys` and `between` begin the primary key, so each
    look-up walks one short stretch of it and can never be made to read more than `limit` rows.
    """
    if connection.dialect.name == "sqlite":
        sql = _select_span_sql(table.name, tuple(keys), between, tuple(result), limit)
        return list(_each(connection, sql, wanted))
    answers: list[list[Row]] = []
    for key in wanted:
        where = [table.c[name] == value for name, value in zip(keys, key, strict=False)]
        where.append(table.c[between].between(key[-2], key[-1]))
        found = connection.execute(select(*(table.c[name] for name in result)).where(*where).limit(limit))
        answers.append([tuple(row) for row in found])
    return answers


def explain(connection: Connection, sql: str, key: Row) -> str:
    """How SQLite runs `sql` (EXPLAIN QUERY PLAN), for tests that a look-up uses its index."""
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", key)
    return "\n".join(str(row[3]) for row in rows)


def _each(connection: Connection, sql: str, wanted: Iterable[Row]) -> Iterator[list[Row]]:
    driver_error = connection.dialect.dbapi.Error if connection.dialect.dbapi else Exception
    cursor = connection.connection.cursor()
    try:
        execute = cursor.execute
        fetch = cursor.fetchall
        for key in wanted:
            execute(sql, key)
            yield list(fetch())
    except driver_error as error:
        raise StorageError(f"the store cannot be read: {error}") from error
    finally:
        cursor.close()


@lru_cache(maxsize=256)
def _insert_sql(table: str, columns: tuple[str, ...], count: int) -> str:
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * count)}"  # noqa: S608 - names come from our own tables


@lru_cache(maxsize=256)
def _add_sql(table: str, columns: tuple[str, ...], count: int) -> str:
    return f"{_insert_sql(table, columns, count)} ON CONFLICT DO NOTHING"


@lru_cache(maxsize=256)
def _select_sql(table: str, keys: tuple[str, ...], result: tuple[str, ...]) -> str:
    where = " AND ".join(f"{name} = ?" for name in keys)
    return f"SELECT {', '.join(result)} FROM {table} WHERE {where}"  # noqa: S608 - names come from our own tables


@lru_cache(maxsize=256)
def _select_span_sql(table: str, keys: tuple[str, ...], between: str, result: tuple[str, ...], limit: int) -> str:
    return f"{_select_sql(table, keys, result)} AND {between} BETWEEN ? AND ? LIMIT {limit}"
