"""Search: which records match, newest first, as they stand in the log.

The index says which records; what is shown is read from the log, and every leaf is tested again with the filter that
populations and verifiers use. So an edited index may hide a record (fsck says so), but can never make one look like
something else. Search shows facts only; words are what it may look for, never what it answers with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select

from counterfoil.core.filter import Filter, parse_filter
from counterfoil.log.tables import records as ledger_records
from counterfoil.store.bulk import select_each
from counterfoil.trails.facts import parse_leaf
from counterfoil.trails.query import Query
from counterfoil.trails.stores import AsOf, ReadableLog, Stores, as_of, choose_log, indexed_logs
from counterfoil.trails.tables import derived, record_id, records
from counterfoil.trails.walk import CONCLUDED, Hit, IndexedLog, merge, walk

_REPLACED = ("interaction", "subject")
"""Filters whose values people give as raw identifiers, and leaves hold as pseudonyms."""


@dataclass(frozen=True, slots=True)
class Item:
    """A record that was found: its leaf, and what the index knows beside it."""

    log: str
    seq: int
    leaf: dict[str, Any]
    superseded_by: int | None
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Results:
    """One page."""

    items: list[Item]
    next: str | None
    as_of: list[AsOf]


def search(stores: Stores, readable: Sequence[ReadableLog], query: Query) -> Results:
    """One page of the records that match, of the logs that may be read."""
    chosen, query = _choose_logs(readable, query)
    with stores.index.read() as index:
        indexed = indexed_logs(index, chosen)
        filters = {log.id: effective_filter(stores, log.id, query.filter) for log in indexed}
        page, following = merge([walk(index, log, query, filters[log.id]) for log in indexed], query)
        marks = _marks(index, page)
    checks = {log_id: _checkable(found, query) for log_id, found in filters.items()}
    with stores.ledger.read() as ledger:
        items = _items(ledger, indexed, page, marks, checks)
    return Results(items, None if following is None else following.text(), as_of(indexed))


def _choose_logs(readable: Sequence[ReadableLog], query: Query) -> tuple[Sequence[ReadableLog], Query]:
    """The logs that the filter names (by short name or origin), and the query with their origins."""
    terms = dict(query.filter.terms)
    if "log" not in terms:
        return readable, query
    chosen = {log.id: log for log in (choose_log(readable, name) for name in terms["log"])}
    named = parse_filter({**query.filter.parsed(), "log": [log.origin for log in chosen.values()]})
    return list(chosen.values()), replace(query, filter=named)


def effective_filter(stores: Stores, log_id: int, given: Filter) -> Filter:
    """The filter with the pseudonyms, in this log, of the identifiers that people know."""
    if not any(name in _REPLACED for name, _ in given.terms):
        return given
    terms = []
    for name, values in given.terms:
        if name in _REPLACED:
            tokens = (stores.keystore.find_pseudonym(log_id, value) for value in values)
            values = tuple(sorted({*values, *(token for token in tokens if token is not None)}))
        terms.append((name, values))
    return Filter(tuple(terms))


def _checkable(effective: Filter, query: Query) -> Filter:
    """What the leaf itself can be tested for: with `derived`, these filters ask for what no leaf reports."""
    if not query.derived:
        return effective
    return Filter(tuple(term for term in effective.terms if term[0] not in CONCLUDED))


def _marks(index: Connection, page: Sequence[Hit]) -> dict[int, tuple[int | None, tuple[str, ...]]]:
    """What the index knows of each record beside its leaf: superseded by whom, concluded by which rules."""
    keys = [(record_id(hit.log_id, hit.seq),) for hit in page]
    superseded = select_each(index, records, ("id",), ("superseded_by",), keys)
    rules: dict[int, list[str]] = {key[0]: [] for key in keys}
    concluded = select(derived.c.id, derived.c.rule).where(derived.c.id.in_(list(rules)))
    for identifier, rule in index.execute(concluded.order_by(derived.c.id, derived.c.number)):
        rules[identifier].append(rule)
    return {
        key[0]: (None if row is None else row[0], tuple(sorted(set(rules[key[0]]))))
        for key, row in zip(keys, superseded, strict=True)
    }


def _items(
    ledger: Connection,
    indexed: Sequence[IndexedLog],
    page: Sequence[Hit],
    marks: dict[int, tuple[int | None, tuple[str, ...]]],
    checks: dict[int, Filter],
) -> list[Item]:
    names = {log.id: log.name for log in indexed}
    rows = select_each(ledger, ledger_records, ("log_id", "seq"), ("leaf",), [(hit.log_id, hit.seq) for hit in page])
    items = []
    for hit, row in zip(page, rows, strict=True):
        if row is None:  # the ledger was rolled back under the index; the projector will notice
            continue
        leaf = parse_leaf(row[0])
        if checks[hit.log_id].matches(leaf):
            superseded_by, rules = marks[record_id(hit.log_id, hit.seq)]
            items.append(Item(names[hit.log_id], hit.seq, leaf, superseded_by, rules))
    return items
