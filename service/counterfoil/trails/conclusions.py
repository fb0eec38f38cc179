"""What rules conclude about the traces of a block, as rows of `derived`; and the words that they need, read.

A trace is looked at as a whole, up to its first MAX_DERIVED_OVER records, whenever a block brings a record of it that
rules can care about. What was concluded before goes, what follows now comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select

from counterfoil.core.state import ContentState
from counterfoil.log.contents import Content
from counterfoil.store.bulk import insert_rows
from counterfoil.trails import joins
from counterfoil.trails.census import Census, Trace
from counterfoil.trails.derive.conclude import for_index
from counterfoil.trails.derive.conclusion import Conclusion
from counterfoil.trails.derive.fallbacks import is_of_interest
from counterfoil.trails.derive.reading import NOTHING, Reading, is_read, read_words
from counterfoil.trails.derive.tree import Told
from counterfoil.trails.facts import Facts, parse_leaf
from counterfoil.trails.tables import derived, record_id, records, seq_of

MAX_DERIVED_OVER = 512
"""Records of one trace (its first) that rules are applied to when they are indexed."""

ReadLeaf = Callable[[int], bytes]
ReadWords = Callable[[Sequence[tuple[int, dict[str, Any]]]], dict[int, Reading]]
"""From (seq, leaf) to what the words of each record say."""


class TraceRecords(NamedTuple):
    """A trace, and where its records stand in the block."""

    trace: Trace
    offsets: list[int]


def read_content(leaf: Mapping[str, Any], content: Mapping[str, Content]) -> Reading:
    """What the disclosed words of a record say."""
    values = {name: found.value for name, found in content.items() if found.state is ContentState.DISCLOSED}
    return read_words(leaf, values) if values else NOTHING


def read_block(block: Sequence[Facts], first_seq: int, found: Census, read: ReadWords) -> dict[int, Reading]:
    """The readings of a block's records, of those that rules read. Which those are follows from the records alone."""
    decided = {trace_id for trace_id, trace in found.traces.items() if trace.traits & joins.DECIDED}
    wanted = []
    for offset, facts in enumerate(block):
        if facts.leaf["kind"] == "decision":
            decided.add(facts.trace_id or b"")
        elif facts.trace_id is not None and facts.trace_id not in decided and is_read(facts.leaf):
            wanted.append((first_seq + offset, facts.leaf))
    return read(wanted) if wanted else {}


def write_conclusions(
    connection: Connection,
    log_id: int,
    first_seq: int,
    block: Sequence[Facts],
    readings: Mapping[int, Reading],
    told: Mapping[int, TraceRecords],
    read_leaf: ReadLeaf,
    read: ReadWords,
) -> None:
    """Apply the rules to every trace that got a record in this block and may show something."""
    steps: list[Conclusion] = []
    stale: list[dict[str, int]] = []
    for facts in block:
        if facts.trace_id is None and is_of_interest(facts.leaf):
            steps += for_index([Told(facts.leaf)])
    for trace, offsets in told.values():
        if not (joins.is_curious(trace.traits) or joins.is_curious(trace.traits_before)):
            continue
        mine = [(first_seq + offset, block[offset].leaf) for offset in offsets]
        if not trace.new:
            earlier = _earlier(connection, log_id, trace.number, first_seq)
            if len(earlier) >= MAX_DERIVED_OVER:
                continue
            stale += [{"record": record_id(log_id, seq)} for seq in earlier]
            before = [(seq, parse_leaf(read_leaf(seq))) for seq in earlier]
            readings = {**readings, **_readings(before, read)}
            mine = before + mine
        steps += for_index(Told(leaf, readings.get(seq, NOTHING)) for seq, leaf in mine[:MAX_DERIVED_OVER])
    if stale:
        connection.execute(_STALE, stale)
    insert_rows(connection, derived, ("id", "number", "rule", "kind", "value", "detail"), list(_rows(log_id, steps)))


_STALE = derived.delete().where(derived.c.id == bindparam("record"))


def _earlier(connection: Connection, log_id: int, number: int, first_seq: int) -> list[int]:
    """The trace's first records, of those before this block."""
    between = records.c.id.between(record_id(log_id, 0), record_id(log_id, first_seq) - 1)
    query = select(records.c.id).where(records.c.trace == number, between).order_by(records.c.id)
    return [seq_of(row[0]) for row in connection.execute(query.limit(MAX_DERIVED_OVER))]


def _readings(rows: Sequence[tuple[int, dict[str, Any]]], read: ReadWords) -> dict[int, Reading]:
    """The readings of a trace's earlier records: of those before its first reported decision."""
    wanted = []
    for seq, leaf in rows:
        if leaf["kind"] == "decision":
            break
        if is_read(leaf):
            wanted.append((seq, leaf))
    return read(wanted) if wanted else {}


def _rows(log_id: int, steps: Iterable[Conclusion]) -> Iterable[tuple[Any, ...]]:
    numbers: dict[int, int] = {}
    for step in sorted(steps, key=lambda step: step.seq):
        number = numbers[step.seq] = numbers.get(step.seq, -1) + 1
        yield record_id(log_id, step.seq), number, step.rule, step.kind, step.value, step.detail
