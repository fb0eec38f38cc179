"""Walks along indexes: how a question becomes pages without sorting or counting.

In one log `recorded_at` never decreases, so order of time is order of `seq`, and a bound on time becomes a bound on
`seq` by binary search. A question is answered by *walks*: each follows one index on one value (or the words' index, or
the records themselves) in order of `seq`, tests the other conditions on the way and stops after a page. Values that
are alternatives, and logs, are separate walks whose results are merged. Which condition leads is decided by asking
each candidate's index for at most a few thousand entries: the rarest leads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, exists, func, literal, or_, select

from counterfoil.core.encoding import parse_time_us
from counterfoil.core.filter import ANY, Filter
from counterfoil.store.bulk import select_each
from counterfoil.trails import fulltext
from counterfoil.trails.query import Cursor, Query
from counterfoil.trails.tables import (
    STATUS_ERROR,
    STATUS_OK,
    derived,
    interactions,
    names,
    record_id,
    records,
    seq_of,
    traces,
)

ESTIMATE = 2_000
"""Entries of an index that are counted when candidates to lead are compared."""

PROBE_COST = 20
"""Asking the words' index about one record costs this many times a step of a walk (measured: 50 us and 2 us)."""

_STATUS = {"ok": STATUS_OK, "error": STATUS_ERROR}
_COLUMNS = {
    "kind": ("kind",),
    "agent": ("agent", "agent_id"),
    "decision_type": ("decision_type",),
    "outcome": ("outcome",),
    "risk": ("risk",),
    "autonomy": ("autonomy",),
    "region": ("region",),
    "fallback": ("fallback",),
    "handoff": ("handoff_state", "handoff_reason"),
    "oversight": ("oversight",),
    "subject": ("subject",),
    "writer": ("writer",),
    "producer": ("producer",),
}
_INDEXED = frozenset(
    (
        *("kind", "agent", "agent_id", "interaction", "trace", "decision_type", "outcome", "risk", "fallback"),
        *("handoff_state", "handoff_reason", "oversight", "subject"),
    )
)


CONCLUDED = {
    "fallback": ("fallback", False),
    "handoff": ("handoff", False),
    "oversight": ("oversight", False),
    "decision_type": ("decision", False),
    "outcome": ("decision", True),
}
"""With `derived`, these filters ask for conclusions: of which kind, and whether for its second value (tables.py)."""


@dataclass(frozen=True, slots=True)
class IndexedLog:
    """A log as far as the index has read it."""

    id: int
    name: str
    origin: str
    size: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A record that the index selects."""

    us: int
    log_id: int
    seq: int


Alternatives = list[tuple[str, tuple[int, ...]]]
"""One condition: a column and the numbers it may hold; several entries are alternatives of one another."""


@dataclass(slots=True)
class _Plan:
    """A question to one log, in numbers."""

    log: IndexedLog
    low: int
    high: int
    conditions: list[Alternatives] = field(default_factory=list)
    words: str | None = None
    derived: bool = False
    concluded: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = field(default_factory=list)
    """With `derived`: (kind of conclusion, first values, second values), any where empty."""
    rules: tuple[str, ...] = ()
    started: tuple[int | None, int | None] = (None, None)


def walk(connection: Connection, log: IndexedLog, query: Query, effective: Filter) -> list[Hit]:
    """The next records of one log, in the page's order, at most one more than the page holds.

    `effective` is the query's filter with identifiers replaced by their pseudonyms in this log.
    """
    plan = _plan(connection, log, query, effective)
    if plan is None or plan.low >= plan.high:
        return []
    lead = _lead(connection, plan)
    newest = query.page.order == "newest"
    hits: dict[int, Hit] = {}
    for statement, place in _statements(plan, lead):
        # Ordered by the very column that is walked, so that nothing is sorted.
        ordered = statement.order_by(place.desc() if newest else place).limit(query.page.limit + 1)
        for identifier, us in connection.execute(ordered):
            hits[identifier] = Hit(us, log.id, seq_of(identifier))
    chosen = sorted(hits, reverse=newest)[: query.page.limit + 1]
    return [hits[identifier] for identifier in chosen]


def first_at(connection: Connection, log: IndexedLog, us: int) -> int:
    """The first `seq` recorded at or after `us`; the log's size where there is none. About 20 look-ups at a million."""
    low, high = 0, log.size
    while low < high:
        middle = (low + high) // 2
        recorded_us = _recorded_us(connection, log.id, middle, high)
        if recorded_us is not None and recorded_us < us:
            low = middle + 1
        else:
            high = middle
    return low


def _recorded_us(connection: Connection, log_id: int, seq: int, end: int) -> int | None:
    """When the record at `seq` was recorded; where somebody took it out of the index, the next before `end`."""
    found = select_each(connection, records, ("id",), ("recorded_us",), [(record_id(log_id, seq),)])[0]
    if found is not None:
        return int(found[0])
    between = records.c.id.between(record_id(log_id, seq), record_id(log_id, end) - 1)
    following = select(records.c.recorded_us).where(between).order_by(records.c.id).limit(1)
    return connection.execute(following).scalar()


def _plan(connection: Connection, log: IndexedLog, query: Query, effective: Filter) -> _Plan | None:
    """The question in the numbers of this log; None where nothing of it can match."""
    low, high = 0, log.size
    terms = dict(effective.terms)
    if "from" in terms:
        low = first_at(connection, log, parse_time_us(terms["from"][0]))
    if "to" in terms:
        high = first_at(connection, log, parse_time_us(terms["to"][0]))
    if query.page.cursor is not None:
        low, high = _after(connection, log, query, low, high)
    plan = _Plan(log, low, high, derived=query.derived, started=(query.started_from_us, query.started_to_us))
    plan.rules = query.rules
    if query.q is not None:
        plan.words = fulltext.parse_words(query.q)
    for name, values in terms.items():
        if name in ("from", "to", "log"):
            continue
        if name in CONCLUDED and query.derived:
            kind, is_second = CONCLUDED[name]
            asked = () if ANY in values else tuple(values)
            plan.concluded.append((kind, () if is_second else asked, asked if is_second else ()))
            continue
        alternatives = _resolve(connection, log.id, name, values)
        if not alternatives:
            return None
        plan.conditions.append(alternatives)
    return plan


def _after(connection: Connection, log: IndexedLog, query: Query, low: int, high: int) -> tuple[int, int]:
    """The bounds that leave out what earlier pages have shown. Ties of time are ordered by log, then by seq."""
    cursor = query.page.cursor
    assert cursor is not None  # noqa: S101 - the caller looked
    if query.page.order == "newest":
        if log.id == cursor.log_id:
            return low, min(high, cursor.seq)
        return low, min(high, first_at(connection, log, cursor.us + (1 if log.id < cursor.log_id else 0)))
    if log.id == cursor.log_id:
        return max(low, cursor.seq + 1), high
    return max(low, first_at(connection, log, cursor.us + (1 if log.id < cursor.log_id else 0))), high


def _resolve(connection: Connection, log_id: int, name: str, values: Sequence[str]) -> Alternatives:
    """Which numbers a filter's values have in this log; empty where it has none of them."""
    if name == "status":
        return [("status", tuple(_STATUS[value] for value in values))]
    if name == "interaction":
        keys = [(log_id, value, False) for value in values]
        rows = select_each(connection, interactions, ("log_id", "id", "derived"), ("number",), keys)
        return _alternative("interaction", rows)
    if name == "trace_id":
        rows = select_each(
            connection,
            traces,
            ("log_id", "trace_id"),
            ("number",),
            [(log_id, bytes.fromhex(value)) for value in values],
        )
        return _alternative("trace", rows)
    found: Alternatives = []
    if ANY in values and name in ("fallback", "handoff", "oversight"):
        found += _alternative("kind", codes(connection, log_id, [name]))
    rows = codes(connection, log_id, [value for value in values if value != ANY or name not in _COLUMNS])
    for column in _COLUMNS[name]:
        found += _alternative(column, rows)
    return found


def codes(connection: Connection, log_id: int, texts: Sequence[str]) -> list[tuple[Any, ...] | None]:
    """The code of each text in a log, as rows."""
    return select_each(connection, names, ("log_id", "text"), ("code",), [(log_id, text) for text in texts])


def _alternative(column: str, rows: Sequence[tuple[Any, ...] | None]) -> Alternatives:
    numbers = tuple(row[0] for row in rows if row is not None)
    return [(column, numbers)] if numbers else []


_Lead = Alternatives | str | None
"""What is walked: the values of one condition, "words", "derived", or (None) the records themselves."""


def _lead(connection: Connection, plan: _Plan) -> _Lead:
    """The rarest condition that has an index."""
    if plan.derived:
        return "derived"
    candidates: list[_Lead] = [alternatives for alternatives in plan.conditions if _has_index(alternatives)]
    if plan.words is not None:
        candidates.append("words")
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    return min(candidates, key=lambda lead: _cost(connection, plan, lead))


def _has_index(alternatives: Alternatives) -> bool:
    return all(
        column in _INDEXED or (column == "status" and numbers == (STATUS_ERROR,)) for column, numbers in alternatives
    )


def _cost(connection: Connection, plan: _Plan, lead: _Lead) -> int:
    """How many records the candidate would walk over (counted to ESTIMATE), weighed by what each of them costs."""
    base = record_id(plan.log.id, 0)
    if isinstance(lead, str):
        text = fulltext.table(plan.log.id)
        words = fulltext.matches(plan.log.id, plan.words or "")
        walks: list[Select[Any]] = [select(text.c.rowid).where(words, _seq_between(text, plan))]
    else:
        between = records.c.id.between(base + plan.low, base + plan.high - 1)
        walks = _along(select(records.c.id).where(between), lead or [])
    total = 0
    for some in walks:
        counted = select(func.count()).select_from(some.limit(ESTIMATE).subquery())
        total += connection.execute(counted).scalar_one()
    return total * (PROBE_COST if plan.words is not None and not isinstance(lead, str) else 1)


def _statements(plan: _Plan, lead: _Lead) -> list[tuple[Select[Any], ColumnElement[Any]]]:
    """One statement for each walk, and the column that it walks along."""
    base = record_id(plan.log.id, 0)
    start: Select[Any]
    others = [_condition(alternatives) for alternatives in plan.conditions if alternatives is not lead]
    if plan.started[0] is not None:
        others.append(records.c.started_us >= plan.started[0])
    if plan.started[1] is not None:
        others.append(records.c.started_us < plan.started[1])
    if plan.words is not None and lead != "words":
        text = fulltext.table(plan.log.id)
        others.append(
            exists(literal(1))
            .select_from(text)
            .where(fulltext.matches(plan.log.id, plan.words), text.c.rowid == records.c.id - base)
        )
    if lead == "words":
        text = fulltext.table(plan.log.id)
        # The join is one row by its key: records are only asked for what the words have selected.
        joined = text.join(records, records.c.id == text.c.rowid + base)
        start = _selected().select_from(joined)
        found = start.where(fulltext.matches(plan.log.id, plan.words or ""), _seq_between(text, plan))
        return [(found.where(*others), text.c.rowid)]
    if lead == "derived":
        return _concluded(plan, others)
    start = _bounded(plan).where(*others)
    if lead is None:
        return [(start, records.c.id)]
    return [(found, records.c.id) for found in _along(start, [] if isinstance(lead, str) else lead)]


def _concluded(plan: _Plan, others: Sequence[ColumnElement[bool]]) -> list[tuple[Select[Any], ColumnElement[Any]]]:
    """Records about which something was concluded, each at the first of its conclusions that is asked for.

    The first condition leads along its index; further ones are tested on any conclusion of the record.
    """
    base = record_id(plan.log.id, 0)
    between = derived.c.id.between(base + plan.low, base + plan.high - 1)
    start = select(derived.c.id, records.c.recorded_us).select_from(derived.join(records, records.c.id == derived.c.id))
    lead, *further = plan.concluded or [("", (), ())]
    also = [_on_any(derived.alias(f"also_{number}"), asked) for number, asked in enumerate(further)]
    walks: list[tuple[Select[Any], ColumnElement[Any]]] = []
    for rule in plan.rules or ("",):
        if not lead[0] and not rule:
            first = [derived.c.number == 0]
        else:
            earlier = derived.alias("earlier")
            before = exists(literal(1)).where(
                earlier.c.id == derived.c.id, earlier.c.number < derived.c.number, *_asked(earlier, lead, rule)
            )
            first = [*_asked(derived, lead, rule), ~before]
        walks.append((start.where(between, *first, *also, *others), derived.c.id))
    return walks


def _asked(table: Any, asked: tuple[str, tuple[str, ...], tuple[str, ...]], rule: str) -> list[ColumnElement[bool]]:
    kind, first, second = asked
    conditions = [table.c.kind == kind] if kind else []
    if rule:
        # Where a kind leads, its index is walked.
        conditions.append((table.c.rule + "" if kind else table.c.rule) == rule)
    if first:
        conditions.append(table.c.value.in_(first))
    if second:
        conditions.append(table.c.detail.in_(second))
    return conditions


def _on_any(table: Any, asked: tuple[str, tuple[str, ...], tuple[str, ...]]) -> ColumnElement[bool]:
    return exists(literal(1)).where(table.c.id == derived.c.id, *_asked(table, asked, ""))


def _along(start: Select[Any], lead: Alternatives) -> list[Select[Any]]:
    """The statement once for each value of the condition, along that value's index."""
    return [start.where(_equals(column, number)) for column, numbers in lead for number in numbers]


def _bounded(plan: _Plan) -> Select[Any]:
    base = record_id(plan.log.id, 0)
    between = records.c.id.between(base + plan.low, base + plan.high - 1)
    return _selected().where(between)


def _selected() -> Select[Any]:
    return select(records.c.id, records.c.recorded_us)


def _seq_between(text: Any, plan: _Plan) -> ColumnElement[bool]:
    between: ColumnElement[bool] = text.c.rowid.between(plan.low, plan.high - 1)
    return between


def _equals(column: str, number: int) -> ColumnElement[bool]:
    if column == "status":
        # A partial index is only chosen where its own condition is spelled out.
        return records.c.status == literal(STATUS_ERROR, literal_execute=True)
    return records.c[column] == number


def _condition(alternatives: Alternatives) -> ColumnElement[bool]:
    """A condition that is tested on the way. `+ 0` keeps the database from walking its index instead of the lead's."""
    return or_(*((records.c[column] + 0).in_(numbers) for column, numbers in alternatives))


def merge(walks: Sequence[Sequence[Hit]], query: Query) -> tuple[list[Hit], Cursor | None]:
    """One page of several walks, and the cursor of the next (None where this is the last)."""
    hits = [hit for found in walks for hit in found]
    hits.sort(key=lambda hit: (hit.us, hit.log_id, hit.seq), reverse=query.page.order == "newest")
    page = hits[: query.page.limit]
    if len(hits) <= query.page.limit:
        return page, None
    last = page[-1]
    return page, Cursor(last.us, last.log_id, last.seq)
