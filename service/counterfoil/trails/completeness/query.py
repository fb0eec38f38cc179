"""Questions to the accounts: which producers, one page of them, and the sums over all of them.

The verdict depends on the time, so a question carries one for each log: the service's clock where the index has read
all of the log, else the time of the last record that it has read. Nobody is silent whose word only waits to be read.
Likewise nobody is silent who could not be heard: `listening_since_us`.

`verdict_sql` says in SQL what `verdict.verdicts` says of a Standing, for filters and sums over any number of producers;
a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, literal, literal_column, or_, select

from counterfoil.core.errors import InputError
from counterfoil.core.filter import parse_filter
from counterfoil.store.bulk import select_spans
from counterfoil.trails.completeness.account import Account, Numbers
from counterfoil.trails.completeness.ranges import MAX_RANGES
from counterfoil.trails.completeness.rows import account_of, numbers_of
from counterfoil.trails.completeness.tables import CONFLICTING, DELIVERED, producer_ranges, producers
from counterfoil.trails.completeness.verdict import SILENT_AFTER_BEATS, US_PER_SECOND, Verdict
from counterfoil.trails.query import FIRST_PAGE, Cursor, Page, parse_flag, parse_page, parse_time

FILTERS = ("log", "writer", "producer", "verdict")
MAX_VALUES = 16
_SINGLE = ("from", "to", "limit", "cursor", "dropped")

_ACCOUNT = tuple(column for column in producers.columns if column.name not in ("numbered", "contradictory", "due_us"))
_KEY = ("log_id", "writer", "producer")


@dataclass(frozen=True, slots=True)
class CompletenessQuery:
    """What is asked for: filter name to values, a range of time in which a producer was heard of, paging."""

    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    from_us: int | None = None
    to_us: int | None = None
    page: Page = FIRST_PAGE
    dropped: bool = False
    """Whether to count what plain SDKs say that they dropped."""

    def text(self) -> str:
        """What was asked, for the access log."""
        pairs = [f"{name}={value}" for name, values in sorted(self.filters.items()) for value in values]
        times = {"from_us": self.from_us, "to_us": self.to_us, "dropped": "true" if self.dropped else None}
        return "&".join([*pairs, *(f"{name}={value}" for name, value in times.items() if value is not None)])


@dataclass(frozen=True, slots=True)
class LogTime:
    """One log, and the time at which its producers are judged."""

    id: int
    now_us: int
    listening_since_us: int


@dataclass(slots=True)
class Sums:
    """Over all producers that a question selects."""

    by_verdict: dict[str, int] = field(default_factory=lambda: dict.fromkeys(map(str, Verdict), 0))
    delivered: int = 0
    lost: int = 0
    unlocated: int = 0
    missing: int = 0
    unnumbered_items: int = 0

    @property
    def producers(self) -> int:
        return sum(self.by_verdict.values())


def parse_completeness_query(parameters: Iterable[tuple[str, str]]) -> CompletenessQuery:
    """The query of a query string's pairs: `log writer producer verdict from to dropped limit cursor`. InputError."""
    filters: dict[str, list[str]] = {}
    single: dict[str, str] = {}
    for name, value in parameters:
        if name in _SINGLE:
            if name in single:
                raise InputError("bad_filter_value", f"{name} is given twice", item=name)
            single[name] = value
        elif name in FILTERS:
            filters.setdefault(name, []).append(value)
        else:
            raise InputError("unknown_filter", f"there is no filter {name[:64]!r} for producers", item=name[:64])
    for name, values in filters.items():
        if len(values) > MAX_VALUES:
            raise InputError("bad_filter_value", f"filter {name}: takes at most {MAX_VALUES} values", item=name)
        if name in ("writer", "producer"):
            parse_filter({name: values})  # the same values as in a search, refused in the same words
    known = set(map(str, Verdict))
    for value in filters.get("verdict", ()):
        if value not in known:
            raise InputError("bad_filter_value", f"verdict is one of {', '.join(sorted(known))}", item="verdict")
    return CompletenessQuery(
        {name: tuple(dict.fromkeys(values)) for name, values in filters.items()},
        None if "from" not in single else parse_time("from", single["from"]),
        None if "to" not in single else parse_time("to", single["to"]),
        parse_page(single.get("limit"), single.get("cursor")),
        parse_flag("dropped", single.get("dropped")),
    )


def find_producers(index: Connection, logs: Sequence[LogTime], query: CompletenessQuery) -> list[Account]:
    """The next accounts, the newest producer first; one more than the page holds where there are more."""
    limit = query.page.limit + 1
    found = []
    for log in logs:
        where = [*_conditions(log, query), *_after(log.id, query.page.cursor)]
        rows = index.execute(select(*_ACCOUNT).where(*where).order_by(producers.c.number.desc()).limit(limit))
        found.append([_account(dict(row)) for row in rows.mappings()])
    return list(merge(*found, key=_order, reverse=True))[:limit]


def read_numbers(index: Connection, accounts: Sequence[Account]) -> list[Numbers]:
    """The sets of each producer."""
    wanted = [(account.log_id, account.number, DELIVERED, CONFLICTING) for account in accounts]
    columns = ("sort", "first", "last")
    limit = 3 * MAX_RANGES
    rows = select_spans(index, producer_ranges, ("log_id", "number"), "sort", columns, wanted, limit)
    return [numbers_of(found) for found in rows]


def sum_up(index: Connection, logs: Sequence[LogTime], query: CompletenessQuery) -> Sums:
    """Counts by verdict (the gravest of each producer) and of numbers, over every page."""
    sums = Sums()
    names = ("delivered", "lost", "unlocated", "missing")
    for log in logs:
        verdict = verdict_sql(log.now_us, log.listening_since_us).label("verdict")
        items = case((producers.c.numbered, 0), else_=producers.c["items"])
        columns = [_split_sum(producers.c[name]) for name in names] + [_split_sum(items)]
        statement = select(verdict, func.count(), *(part for column in columns for part in column))
        for row in index.execute(statement.where(*_conditions(log, query)).group_by(literal_column("verdict"))):
            sums.by_verdict[row[0]] += row[1]
            totals = [(high << _HALF) + low for high, low in zip(row[2::2], row[3::2], strict=True)]
            for name, total in zip((*names, "unnumbered_items"), totals, strict=True):
                setattr(sums, name, getattr(sums, name) + total)
    return sums


def silent_producers(index: Connection, log: LogTime, limit: int, *, without_alarm: bool = False) -> list[Account]:
    """Producers of a log that are silent now, those that have been silent longest first."""
    where = [
        producers.c.log_id == log.id,
        producers.c.due_us <= log.now_us,
        _overdue(log.now_us, log.listening_since_us),
    ]
    if without_alarm:
        where.append(or_(producers.c.alarm_seq.is_(None), producers.c.alarm_seq < producers.c.heard_seq))
    query = select(*_ACCOUNT).where(*where).order_by(producers.c.due_us, producers.c.number).limit(limit)
    return [_account(dict(row)) for row in index.execute(query).mappings()]


def count_silent(index: Connection, log: LogTime) -> int:
    """How many there are."""
    overdue = _overdue(log.now_us, log.listening_since_us)
    where = (producers.c.log_id == log.id, producers.c.due_us <= log.now_us, overdue)
    return int(index.execute(select(func.count()).select_from(producers).where(*where)).scalar_one())


# -- as SQL -----------------------------------------------------------------------------------------------------------


def verdict_sql(now_us: int, listening_since_us: int) -> ColumnElement[str]:
    """The gravest verdict of a row, as `verdict.verdicts` has it."""
    columns = producers.c
    return case(
        (columns.numbered.is_(False), literal(str(Verdict.UNACCOUNTED))),
        (columns.contradictory.is_(True), literal(str(Verdict.CONFLICT))),
        (_has_gaps(now_us), literal(str(Verdict.GAPS))),
        (_is_silent(now_us, listening_since_us), literal(str(Verdict.SILENT))),
        (columns.last.is_(None), literal(str(Verdict.OPEN))),
        else_=literal(str(Verdict.COMPLETE)),
    )


def holds_sql(verdict: Verdict, now_us: int, listening_since_us: int) -> ColumnElement[bool]:
    """Whether a verdict holds, be it the gravest or not."""
    columns = producers.c
    match verdict:
        case Verdict.CONFLICT:
            return and_(columns.numbered.is_(True), columns.contradictory.is_(True))
        case Verdict.GAPS:
            return and_(columns.numbered.is_(True), _has_gaps(now_us))
        case Verdict.SILENT:
            return _is_silent(now_us, listening_since_us)
    return verdict_sql(now_us, listening_since_us) == str(verdict)


def _has_gaps(now_us: int) -> ColumnElement[bool]:
    columns = producers.c
    cadence_us = columns.heartbeat_s * US_PER_SECOND
    settled = case(
        (or_(columns.last.is_not(None), now_us - columns.highest_us >= cadence_us), columns.missing),
        (now_us - columns.mark_us >= cadence_us, columns.missing_at_mark),
        else_=columns.missing_before,
    )
    return or_(settled > columns.unlocated, and_(columns.last.is_not(None), columns.untracked > 0))


def _is_silent(now_us: int, listening_since_us: int) -> ColumnElement[bool]:
    due = producers.c.due_us
    return and_(due.is_not(None), due <= now_us, _overdue(now_us, listening_since_us))


def _overdue(now_us: int, listening_since_us: int) -> ColumnElement[bool]:
    """Whether we have listened long enough to say so."""
    wait_us = SILENT_AFTER_BEATS * US_PER_SECOND
    return literal(listening_since_us) + producers.c.heartbeat_s * wait_us <= now_us


_HALF = 31


def _split_sum(column: ColumnElement[Any]) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """A sum in two halves: what producers claim may be 2^53 each, and a database adds up to 2^63."""
    return func.sum(column.op(">>")(_HALF)), func.sum(column.op("&")((1 << _HALF) - 1))


def _conditions(log: LogTime, query: CompletenessQuery) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [producers.c.log_id == log.id]
    where += [producers.c[name].in_(query.filters[name]) for name in ("writer", "producer") if name in query.filters]
    if "verdict" in query.filters:
        wanted = (Verdict(value) for value in query.filters["verdict"])
        where.append(or_(*(holds_sql(one, log.now_us, log.listening_since_us) for one in wanted)))
    if query.from_us is not None:
        where.append(producers.c.heard_us >= query.from_us)
    if query.to_us is not None:
        where.append(producers.c.first_us < query.to_us)
    return where


def _after(log_id: int, cursor: Cursor | None) -> list[ColumnElement[bool]]:
    """What comes after the cursor: (first_us, log, number) falls."""
    if cursor is None:
        return []
    columns = producers.c
    if log_id > cursor.log_id:
        return [columns.first_us < cursor.us]
    if log_id < cursor.log_id:
        return [columns.first_us <= cursor.us]
    return [
        or_(columns.first_us < cursor.us, and_(columns.first_us == cursor.us, columns.number < cursor.seq)),
    ]


def _order(account: Account) -> tuple[int, int, int]:
    return (account.first_us, account.log_id, account.number)


def _account(row: dict[str, Any]) -> Account:
    log_id, writer, producer = (row.pop(name) for name in _KEY)
    return account_of(log_id, writer, producer, row)
