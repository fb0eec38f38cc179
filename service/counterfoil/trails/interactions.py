"""Interactions: finding one, listing them.

An interaction stands in the index once for each log in which records report it, and once (derived) for each trace whose
records report none. A derived one whose trace does name an interaction elsewhere is part of that and not listed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, or_, select

from counterfoil.core.encoding import format_time_us
from counterfoil.core.errors import InputError
from counterfoil.core.filter import ANY, parse_filter
from counterfoil.store.bulk import select_spans
from counterfoil.trails.query import FIRST_PAGE, Cursor, Page, parse_page, parse_time
from counterfoil.trails.stores import AsOf, ReadableLog, Stores, as_of, choose_log, indexed_logs
from counterfoil.trails.tables import ANY_CODE, FACT_FIELDS, MAX_AGENTS_SHOWN, interaction_facts, interactions, names
from counterfoil.trails.walk import IndexedLog, codes

_COUNTED = ("records", "decisions", "fallbacks", "handoffs", "oversights", "errors")
_NAMED = ("channel", "region", "type", "language", "subject", "outcome")
FILTERS = ("log", *FACT_FIELDS)
MAX_VALUES = 16
MAX_PARTS = 10_000
"""Traces of one interaction whose unnamed records are counted in."""


class _Part(NamedTuple):
    """A derived interaction that is part of another: what a summary takes from it."""

    log_id: int
    number: int
    first_seq: int
    last_seq: int
    first_us: int
    last_us: int
    records: int
    decisions: int
    fallbacks: int
    handoffs: int
    oversights: int
    errors: int
    ended: bool
    agents: str
    channel: int | None
    region: int | None
    type: int | None
    language: int | None
    subject: int | None
    outcome: int | None


@dataclass(slots=True)
class Summary:
    """One interaction in a list, and at the head of its trail. `derived`: from a trace, because nobody reported it."""

    log: str
    id: str
    derived: bool
    first_seq: int
    last_seq: int
    first_at: str
    last_at: str
    records: int
    decisions: int
    fallbacks: int
    handoffs: int
    oversights: int
    errors: int
    ended: bool
    agents: list[str]
    channel: str | None = None
    region: str | None = None
    type: str | None = None
    language: str | None = None
    subject: str | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class InteractionQuery:
    """What the list is asked for: filter name to values, a range of time, paging."""

    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    from_us: int | None = None
    to_us: int | None = None
    page: Page = FIRST_PAGE

    def text(self) -> str:
        """What was asked, for the access log."""
        pairs = [f"{name}={value}" for name, values in sorted(self.filters.items()) for value in values]
        times = {"from_us": self.from_us, "to_us": self.to_us}
        return "&".join([*pairs, *(f"{name}={value}" for name, value in times.items() if value is not None)])


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of interactions."""

    items: list[Summary]
    next: str | None
    as_of: list[AsOf]


def parse_interaction_query(parameters: Iterable[tuple[str, str]]) -> InteractionQuery:
    """The query of a query string's pairs: `log agent region channel outcome fallback handoff oversight from to`."""
    filters: dict[str, list[str]] = {}
    single: dict[str, str] = {}
    for name, value in parameters:
        if name in ("from", "to", "limit", "cursor", "order"):
            if name in single:
                raise InputError("bad_filter_value", f"{name} is given twice", item=name)
            single[name] = value
        elif name in FILTERS:
            filters.setdefault(name, []).append(value)
        else:
            raise InputError("unknown_filter", f"there is no filter {name!r} for interactions", item=name)
    for name, values in filters.items():
        if len(values) > MAX_VALUES:
            raise InputError("bad_filter_value", f"filter {name}: takes at most {MAX_VALUES} values", item=name)
        if name not in ("log", "channel"):
            parse_filter({name: values})  # the same values as in a search, refused in the same words
    return InteractionQuery(
        {name: tuple(dict.fromkeys(values)) for name, values in filters.items()},
        None if "from" not in single else parse_time("from", single["from"]),
        None if "to" not in single else parse_time("to", single["to"]),
        parse_page(single.get("limit"), single.get("cursor"), single.get("order")),
    )


def find_interaction(
    stores: Stores, index: Connection, indexed: Sequence[IndexedLog], identifier: str
) -> list[Row[Any]]:
    """The rows (one a log) of the interaction that an id, a raw identifier or a trace id names; reported ones first."""
    for is_derived in (False, True):
        found: list[Row[Any]] = []
        for log in indexed:
            ids = [identifier]
            if not is_derived and (token := stores.keystore.find_pseudonym(log.id, identifier)) is not None:
                ids.append(token)
            found += index.execute(
                select(interactions).where(
                    interactions.c.log_id == log.id,
                    interactions.c.id.in_(ids),
                    interactions.c.derived == is_derived,
                )
            ).all()
        if found:
            return found if not is_derived else [_outermost(index, row) for row in found]
    return []


def _outermost(index: Connection, row: Row[Any]) -> Row[Any]:
    """Where a derived interaction is part of a reported one, that one."""
    if row.reported_in is None:
        return row
    query = select(interactions).where(interactions.c.log_id == row.log_id, interactions.c.number == row.reported_in)
    return index.execute(query).one()


def summary_of_rows(index: Connection, rows: Sequence[Row[Any]], log_names: Mapping[int, str]) -> Summary:
    """One summary of an interaction that stands in one or more logs."""
    first, *others = summaries(index, rows, log_names)
    for other in others:
        counts = {name: getattr(first, name) + getattr(other, name) for name in _COUNTED}
        first = replace(
            first,
            first_at=min(first.first_at, other.first_at),
            last_at=max(first.last_at, other.last_at),
            ended=first.ended or other.ended,
            agents=list(dict.fromkeys([*first.agents, *other.agents])),
            **{name: getattr(first, name) or getattr(other, name) for name in _NAMED},
            **counts,
        )
    return first


def summaries(index: Connection, rows: Sequence[Row[Any]], log_names: Mapping[int, str]) -> list[Summary]:
    """Rows as people read them: texts for numbers, and the traces that are part of them taken in."""
    folded = _folded(index, rows)
    texts = _texts(index, [*rows, *(part for parts in folded.values() for part in parts)])
    found = []
    for row in rows:
        whole = [row, *folded.get((row.log_id, row.number), ())]
        counts: dict[str, Any] = {name: sum(getattr(part, name) for part in whole) for name in _COUNTED}
        named: dict[str, Any] = {
            name: next((texts[row.log_id, code] for part in whole if (code := getattr(part, name)) is not None), None)
            for name in _NAMED
        }
        agents = dict.fromkeys(agent for part in whole for agent in json.loads(part.agents))
        found.append(
            Summary(
                log=log_names[row.log_id],
                id=row.id,
                derived=row.derived,
                first_seq=min(part.first_seq for part in whole),
                last_seq=max(part.last_seq for part in whole),
                first_at=format_time_us(min(part.first_us for part in whole)),
                last_at=format_time_us(max(part.last_us for part in whole)),
                ended=any(part.ended for part in whole),
                agents=list(agents)[:MAX_AGENTS_SHOWN],
                **named,
                **counts,
            )
        )
    return found


def _texts(index: Connection, rows: Sequence[Row[Any] | _Part]) -> dict[tuple[int, int | None], str]:
    wanted: dict[int, set[int]] = {}
    for row in rows:
        wanted.setdefault(row.log_id, set()).update(code for name in _NAMED if (code := getattr(row, name)) is not None)
    found: dict[tuple[int, int | None], str] = {}
    for log_id, numbers in wanted.items():
        query = select(names.c.code, names.c.text).where(names.c.log_id == log_id, names.c.code.in_(sorted(numbers)))
        found.update({(log_id, code): text for code, text in index.execute(query)})
    return found


def _folded(index: Connection, rows: Sequence[Row[Any]]) -> dict[tuple[int, int], list[_Part]]:
    """The derived interactions that are part of these."""
    keys = [(row.log_id, row.number) for row in rows]
    wanted = [(log_id, number, number) for log_id, number in keys]
    parts = select_spans(index, interactions, ("log_id",), "reported_in", _Part._fields, wanted, MAX_PARTS)
    return {
        key: sorted((_Part(*part) for part in of_key), key=lambda part: part.number)
        for key, of_key in zip(keys, parts, strict=True)
        if of_key
    }


def list_interactions(stores: Stores, readable: Sequence[ReadableLog], query: InteractionQuery) -> Listed:
    """One page of interactions, by the time of their first record. `from` and `to`: those alive within the range."""
    if "log" in query.filters:
        chosen = {log.id: log for log in (choose_log(readable, name) for name in query.filters["log"])}
        readable = list(chosen.values())
    with stores.index.read() as index:
        indexed = indexed_logs(index, readable)
        rows = [row for log in indexed for row in _walk(index, log, query)]
        newest = query.page.order == "newest"
        rows.sort(key=lambda row: (row.first_us, row.log_id, row.number), reverse=newest)
        page = rows[: query.page.limit]
        items = summaries(index, page, {log.id: log.name for log in indexed})
    following = None
    if len(rows) > query.page.limit:
        following = Cursor(page[-1].first_us, page[-1].log_id, page[-1].number).text()
    return Listed(items, following, as_of(indexed))


def _walk(index: Connection, log: IndexedLog, query: InteractionQuery) -> Sequence[Row[Any]]:
    """The next interactions of one log: along the primary key, or along one filter's numbers."""
    conditions = [interactions.c.log_id == log.id, interactions.c.reported_in.is_(None)]
    if query.from_us is not None:
        conditions.append(interactions.c.last_us >= query.from_us)
    if query.to_us is not None:
        conditions.append(interactions.c.first_us < query.to_us)
    conditions += _beyond(log, query)
    for name, values in query.filters.items():
        if name == "log":
            continue
        numbers = [
            row[0] for row in codes(index, log.id, [value for value in values if value != ANY]) if row is not None
        ]
        if ANY in values:
            numbers.append(ANY_CODE)
        if not numbers:
            return []
        conditions.append(_has(log.id, FACT_FIELDS[name], numbers))
    place = interactions.c.number
    order = place.desc() if query.page.order == "newest" else place
    return index.execute(select(interactions).where(*conditions).order_by(order).limit(query.page.limit + 1)).all()


def _has(log_id: int, field_number: int, numbers: Sequence[int]) -> Any:
    """Interactions with one of these facts, themselves or in a trace that is part of them."""
    facts = interaction_facts.c
    mine = and_(facts.log_id == log_id, facts.field == field_number, facts.code.in_(numbers))
    part = interactions.alias("part")
    of_parts = (
        select(part.c.reported_in)
        .join(interaction_facts, and_(facts.log_id == part.c.log_id, facts.number == part.c.number))
        .where(mine, part.c.reported_in.is_not(None))
    )
    return or_(interactions.c.number.in_(select(facts.number).where(mine)), interactions.c.number.in_(of_parts))


def _beyond(log: IndexedLog, query: InteractionQuery) -> list[Any]:
    """What leaves out earlier pages. Numbers follow first_us; ties between logs are ordered by log."""
    cursor = query.page.cursor
    if cursor is None:
        return []
    newest = query.page.order == "newest"
    if log.id == cursor.log_id:
        return [interactions.c.number < cursor.seq if newest else interactions.c.number > cursor.seq]
    if newest:
        bound = interactions.c.first_us
        return [bound <= cursor.us if log.id < cursor.log_id else bound < cursor.us]
    bound = interactions.c.first_us
    return [bound > cursor.us if log.id < cursor.log_id else bound >= cursor.us]
