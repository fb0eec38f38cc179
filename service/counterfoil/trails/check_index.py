"""Is the index what the log says? Attack 3: hide a record from search, change an outcome, add a row, edit the words.

The rows of an index are a function of the log alone (tables.py). So the check derives them again with the projector
itself, into a scratch file, and compares table by table, row by row, column by column, and the words posting by
posting. Nothing is held in memory but a block of each side. The service may go on running: the index is read in one
snapshot and derived exactly as far as that has read.

Findings, all but the first evidence of attack 3 (or of an accident to the index):

    index_version  index_schema_differs  index_damaged  index_position_differs
    index_row_missing  index_row_extra  index_row_differs          a record
    index_<table>_missing, _extra, _differs                        name, trace, open_end, interaction,
                                                                   interaction_fact, derived
    index_text_differs                                             words by which a record is found, or is not
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, inspect, select

from counterfoil.log.finding import Finding
from counterfoil.store.database import Database, open_index
from counterfoil.trails import fulltext
from counterfoil.trails.completeness.check import PREFIXES as COMPLETENESS
from counterfoil.trails.completeness.check import check_configuration
from counterfoil.trails.prepare import found_version
from counterfoil.trails.projector import Progress, Projector
from counterfoil.trails.stores import Stores
from counterfoil.trails.tables import (
    INDEX_VERSION,
    SEQ_BITS,
    derived,
    interaction_facts,
    interactions,
    names,
    open_ends,
    positions,
    record_id,
    records,
    seq_of,
    traces,
)

ATTACK = 3
MAX_FINDINGS = 1_000
"""Findings of one table of one log that are listed; the rest is counted."""

_BLOCK = 4_096
_PREFIXES = {
    records.name: "index_row",
    names.name: "index_name",
    traces.name: "index_trace",
    interactions.name: "index_interaction",
    interaction_facts.name: "index_interaction_fact",
    derived.name: "index_derived",
    open_ends.name: "index_open_end",
    **{table.name: prefix for table, prefix in COMPLETENESS.items()},
}
_BY_ID = (records, derived)
_BY_LOG = (names, traces, interactions, interaction_facts, *COMPLETENESS)

Row = tuple[Any, ...]


def check_index(stores: Stores, scratch: Path | None = None, progress: Progress | None = None) -> Iterator[Finding]:
    """Every difference between the index and what the log says, streamed.

    `scratch` is a directory with room for a second index (250 bytes a record); the system's temporary one by default.
    """
    with tempfile.TemporaryDirectory(prefix="counterfoil-index-", dir=scratch) as made:
        fresh = open_index(f"sqlite:///{Path(made) / 'index.db'}")
        try:
            with stores.index.read() as found:
                version = found_version(found)
                if version is None and not inspect(found).get_table_names():
                    return  # never built, or thrown away: nothing that could mislead anybody
                if version != INDEX_VERSION:
                    message = f"the index has version {version}, not {INDEX_VERSION}: run `counterfoil reindex`"
                    yield Finding("index_version", "", None, message)
                    return
                yield from _check(stores, found, fresh, progress)
        finally:
            fresh.dispose()


def _check(stores: Stores, found: Connection, fresh: Database, progress: Progress | None) -> Iterator[Finding]:
    sizes: dict[int, int] = {row[0]: row[1] for row in found.execute(select(positions.c.log_id, positions.c.size))}
    projector = Projector(stores.ledger, stores.keystore, fresh)
    projector.run_once(progress=progress, sizes=sizes)
    origins = {log.id: log.origin for log in projector.followed()}
    yield from _check_damage(found)
    with fresh.read() as wanted:
        yield from _check_schema(found, wanted)
        yield from _check_strangers(found, origins)
        for log_id, origin in origins.items():
            yield from _check_log(found, wanted, log_id, origin)
            yield from check_configuration(stores.ledger, wanted, log_id, origin)


def _check_damage(found: Connection) -> Iterator[Finding]:
    """Rows against their own indexes: a row that no index names is hidden from every search."""
    if found.dialect.name != "sqlite":
        return
    for (message,) in found.exec_driver_sql(f"PRAGMA integrity_check({MAX_FINDINGS})"):
        if message != "ok":
            yield _finding("index_damaged", "", None, str(message))


def _check_schema(found: Connection, wanted: Connection) -> Iterator[Finding]:
    """The same tables, indexes and nothing else: no trigger, no view that stands for a table."""
    if found.dialect.name != "sqlite":
        return
    query = "SELECT type, name, coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
    mine = {(row[0], row[1]): row[2] for row in found.exec_driver_sql(query)}
    theirs = {(row[0], row[1]): row[2] for row in wanted.exec_driver_sql(query)}
    for kind, name in sorted(mine.keys() | theirs.keys()):
        if mine.get((kind, name)) != theirs.get((kind, name)):
            where = "missing" if (kind, name) not in mine else "not ours" if (kind, name) not in theirs else "different"
            yield _finding("index_schema_differs", "", None, f"{kind} {name} is {where}")


def _check_strangers(found: Connection, origins: dict[int, str]) -> Iterator[Finding]:
    """Rows of logs that do not exist."""
    for table in (*_BY_LOG, positions):
        for log_id in found.execute(select(table.c.log_id).distinct()).scalars():
            if log_id not in origins:
                yield _finding(f"{_PREFIXES.get(table.name, 'index_position')}_extra", "", None, f"of log {log_id}")
    for table in _BY_ID:
        at = -(2**63)
        while True:  # one step for each log that has rows
            first = found.execute(select(table.c.id).where(table.c.id >= at).order_by(table.c.id).limit(1)).scalar()
            if first is None:
                break
            log_id = first >> SEQ_BITS
            if log_id not in origins:
                yield _finding(f"{_PREFIXES[table.name]}_extra", "", None, f"of log {log_id}, which does not exist")
            at = record_id(log_id + 1, 0)


def _check_log(found: Connection, wanted: Connection, log_id: int, origin: str) -> Iterator[Finding]:
    query = select(positions).where(positions.c.log_id == log_id)
    mine, theirs = found.execute(query).first(), wanted.execute(query).first()
    if mine != theirs:
        size = None if mine is None else mine.size
        yield _finding(
            "index_position_differs", origin, None, f"the index says it has read {size} records of this history"
        )
    for table in (*_BY_LOG, *_BY_ID):
        yield from _limited(_compare(found, wanted, table, log_id, origin), _PREFIXES[table.name], origin)
    yield from _limited(_compare_text(found, wanted, log_id, origin), "index_text", origin)


def _limited(findings: Iterator[Finding], prefix: str, origin: str) -> Iterator[Finding]:
    """At most MAX_FINDINGS, and one that counts the rest."""
    more = 0
    for number, finding in enumerate(findings):
        if number < MAX_FINDINGS:
            yield finding
        else:
            more += 1
    if more:
        yield _finding(f"{prefix}_differs", origin, None, f"and {more} more like these")


def _compare(found: Connection, wanted: Connection, table: Table, log_id: int, origin: str) -> Iterator[Finding]:
    """Both sides of one table in the order of its primary key."""
    prefix = _PREFIXES[table.name]
    key_size = len(table.primary_key.columns)
    columns = [column.name for column in table.columns]
    mine, theirs = _rows(found, table, log_id), _rows(wanted, table, log_id)
    for sort, row, other in _differences(mine, theirs, key_size):
        key = (row or other or ())[:key_size]
        seq = seq_of(key[0]) if table in _BY_ID else None
        where = "" if seq is not None else f"{_text(key[1:])}: "
        match sort:
            case "missing":
                yield _finding(f"{prefix}_missing", origin, seq, f"{where}the log has it, the index does not")
            case "extra":
                yield _finding(f"{prefix}_extra", origin, seq, f"{where}the index has it, the log does not")
            case _:
                assert row is not None  # noqa: S101 - both sides are there
                assert other is not None  # noqa: S101 - as above
                wrong = [name for name, a, b in zip(columns, row, other, strict=True) if a != b]
                yield _finding(f"{prefix}_differs", origin, seq, f"{where}not as in the log: {', '.join(wrong)}")


def _rows(connection: Connection, table: Table, log_id: int) -> Iterator[list[Row]]:
    """The table's rows of one log in the order of the primary key, in blocks."""
    mine: ColumnElement[bool]
    if table in _BY_ID:
        mine = table.c.id.between(record_id(log_id, 0), record_id(log_id + 1, 0) - 1)
    else:
        mine = table.c.log_id == log_id
    query = select(table).where(mine).order_by(*table.primary_key.columns).execution_options(yield_per=_BLOCK)
    for block in connection.execute(query).partitions():
        yield [tuple(row) for row in block]


def _differences(
    mine: Iterator[list[Row]], theirs: Iterator[list[Row]], key_size: int
) -> Iterator[tuple[str, Row | None, Row | None]]:
    """("missing", None, theirs), ("extra", mine, None) or ("differs", mine, theirs), in the order of keys.

    Equal blocks are compared as a whole, which costs next to nothing; only where they differ are rows looked at.
    """
    left: list[Row] = []
    right: list[Row] = []
    while True:
        left = left or next(mine, [])
        right = right or next(theirs, [])
        if not left and not right:
            return
        if left == right:
            left, right = [], []
            continue
        at, other_at = 0, 0
        while at < len(left) and other_at < len(right):
            row, other = left[at], right[other_at]
            key, other_key = row[:key_size], other[:key_size]
            if key == other_key:
                if row != other:
                    yield "differs", row, other
                at, other_at = at + 1, other_at + 1
            elif key < other_key:
                yield "extra", row, None
                at += 1
            else:
                yield "missing", None, other
                other_at += 1
        left, right = left[at:], right[other_at:]
        if not left and (left := next(mine, [])) == []:
            yield from (("missing", None, other) for other in right)
            right = []
        if not right and (right := next(theirs, [])) == []:
            yield from (("extra", row, None) for row in left)
            left = []


def _compare_text(found: Connection, wanted: Connection, log_id: int, origin: str) -> Iterator[Finding]:
    """Every posting of the words' index. One finding a record, however many of its words differ."""
    tables = inspect(wanted).get_table_names()
    if fulltext.table_name(log_id) not in tables:
        return
    if fulltext.table_name(log_id) not in inspect(found).get_table_names():
        yield _finding("index_text_differs", origin, None, "the words of this log are missing")
        return
    if fulltext.same_postings(found, wanted, log_id):
        return
    wrong: set[int] = set()
    mine, theirs = (fulltext.postings(side, log_id) for side in (found, wanted))
    for _, row, other in _differences(mine, theirs, 4):
        seq = (row or other or (0, 0))[1]
        if seq not in wrong and len(wrong) <= MAX_FINDINGS:
            wrong.add(seq)
            where = "has a word that the record does not have" if other is None else "lacks a word of the record"
            yield _finding("index_text_differs", origin, seq, f"the words' index {where}")


def _text(key: Sequence[Any]) -> str:
    return " ".join(part.hex() if isinstance(part, bytes) else str(part) for part in key)


def _finding(check: str, log: str, seq: int | None, message: str) -> Finding:
    return Finding(check, log, seq, message, ATTACK)
