"""Accounts of producers in the index. As every row of it a function of the log's records, in order (trails/tables.py).

What depends on time (`open`, `silent`, gaps that may still be under way) is never stored, only what it is judged from.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, String, Table, text

from counterfoil.trails.tables import index_metadata

_ONE_TREE: dict[str, Any] = {"sqlite_with_rowid": False}


def _number(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


producers = Table(
    "producers",
    index_metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("writer", String(128), primary_key=True),
    Column("producer", String(128), primary_key=True),
    *(_number(name) for name in ("number", "first_seq", "first_us", "heard_seq", "heard_us", "items")),
    _number("started_us", nullable=True),
    Column("coverage", String(128), nullable=True),
    _number("heartbeats"),
    *(_number(name, nullable=True) for name in ("heartbeat_us", "last", "closed_us")),
    *(_number(name) for name in ("claimed", "unlocated", "untracked")),
    Column("twice_closed", Boolean, nullable=False),
    *(_number(name) for name in ("highest", "highest_us", "mark", "mark_us", "before_mark")),
    *(_number(name) for name in ("delivered", "lost", "conflicts")),
    *(_number(name) for name in ("missing", "missing_at_mark", "missing_before", "heartbeat_s")),
    *(_number(name, nullable=True) for name in ("alarm_seq", "alarm_us", "spoke_seq")),
    # Follows from the others; beside them for what asks for it in SQL.
    Column("numbered", Boolean, nullable=False),
    Column("contradictory", Boolean, nullable=False),
    _number("due_us", nullable=True),
    Index("ix_producers_number", "log_id", "number", unique=True),
    Index("ix_producers_due", "log_id", "due_us", sqlite_where=text("due_us IS NOT NULL")),
    Index("ix_producers_spoke", "log_id", "spoke_seq", sqlite_where=text("spoke_seq IS NOT NULL")),
    **_ONE_TREE,
)
"""One producer of one log (account.Account says what each column is). An empty `producer` stands for what the writer
sent without numbers. `due_us` is when silence begins, NULL where none can."""

DELIVERED, LOST, CONFLICTING = 1, 2, 3

producer_ranges = Table(
    "producer_ranges",
    index_metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("sort", BigInteger, primary_key=True, autoincrement=False),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    **_ONE_TREE,
)
"""Numbers of a producer as ranges that rise and never touch; `sort` says which set."""

cadences = Table(
    "cadences",
    index_metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("recorded_us", BigInteger, nullable=False),
    Column("heartbeat_s", BigInteger, nullable=False),
    **_ONE_TREE,
)
"""Every `configuration` record that set the cadence of a log."""

TABLES = (producers, producer_ranges, cadences)
