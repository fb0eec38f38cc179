"""One block of records as rows of the index: numbers given out, interactions counted, everything written at once.

The rows are a function of the records alone, in order; where one block ends and the next begins leaves no trace in
them. Look-ups go out once a block, not once a record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select

from counterfoil.store.bulk import insert_rows
from counterfoil.trails import derive, fulltext
from counterfoil.trails.census import (
    Census,
    Links,
    Trace,
    count,
    interaction_of,
    look_up,
    trace_of,
    write_interactions,
    write_traces,
)
from counterfoil.trails.facts import Facts, parse_leaf, read_facts, words_of
from counterfoil.trails.numbers import Counters, NameCodes
from counterfoil.trails.tables import CODED, derived, record_id, records, seq_of

MAX_DERIVED_OVER = 512
"""Records of one trace (its first) that rules are applied to when they are indexed."""

ReadLeaf = Callable[[int], bytes]
ContentWords = Callable[[Sequence[tuple[int, dict[str, Any]]]], dict[int, str]]

_RECORD_COLUMNS = ("id", "recorded_us", "started_us", "interaction", "trace", "status", *CODED)


def write_block(
    connection: Connection,
    log_id: int,
    first_seq: int,
    leaves: Sequence[bytes],
    counters: Counters,
    codes_of: NameCodes,
    read_leaf: ReadLeaf,
    content_words: ContentWords | None,
) -> None:
    """Write the rows of the records `first_seq`… in the transaction of `connection`.

    `read_leaf` reads another record of the same log (for rules over a whole trace); `content_words` gives the words of
    opened content, None where the log opens none.
    """
    block = [read_facts(leaf) for leaf in leaves]
    codes = codes_of.assign(connection, _texts(block), counters)
    found = look_up(connection, log_id, block)
    links: Links = set()
    rows = []
    superseded = []
    untraced: list[dict[str, Any]] = []
    for offset, facts in enumerate(block):
        seq = first_seq + offset
        trace = trace_of(found, facts, counters)
        interaction = interaction_of(found, facts, trace, seq, counters)
        if interaction is not None:
            count(interaction, facts, seq, codes, links, log_id)
        rows.append(
            (
                record_id(log_id, seq),
                facts.recorded_us,
                facts.started_us,
                None if interaction is None else interaction.number,
                None if trace is None else trace.number,
                facts.status,
                *[codes[text] for text in facts.coded],
            )
        )
        if facts.supersedes is not None:
            superseded.append((seq, record_id(log_id, facts.supersedes)))
        if derive.is_call(facts.leaf):
            _note_call(facts.leaf, trace, untraced)
    insert_rows(connection, records, _RECORD_COLUMNS, rows)
    _mark_superseded(connection, superseded)
    write_traces(connection, log_id, found)
    write_interactions(connection, log_id, found, links)
    _write_words(connection, log_id, first_seq, block, content_words)
    _write_derived(connection, log_id, first_seq, block, found, untraced, read_leaf)


def _texts(block: Sequence[Facts]) -> dict[str, None]:
    """Every text of the block that needs a code, in order of first appearance."""
    texts: dict[str, None] = {}
    for facts in block:
        for text in facts.coded:
            if text is not None:
                texts[text] = None
        interaction = facts.leaf.get("interaction")
        if interaction is not None:
            for key in ("channel", "type", "language"):
                if key in interaction:
                    texts[interaction[key]] = None
    return texts


def _note_call(leaf: dict[str, Any], trace: Trace | None, untraced: list[dict[str, Any]]) -> None:
    """Remember what rules have to look at: traces with a call in this block, and calls without a trace."""
    if trace is None:
        untraced.append(leaf)
        return
    trace.called = True
    if not trace.curious and derive.is_of_interest(leaf):
        trace.curious = trace.changed = True


_SUPERSEDED = records.update().where(records.c.id == bindparam("record")).values(superseded_by=bindparam("by"))
_STALE = derived.delete().where(derived.c.id == bindparam("record"))


def _mark_superseded(connection: Connection, superseded: Sequence[tuple[int, int]]) -> None:
    if superseded:
        connection.execute(_SUPERSEDED, [{"by": seq, "record": identifier} for seq, identifier in superseded])


def _write_words(
    connection: Connection, log_id: int, first_seq: int, block: Sequence[Facts], content_words: ContentWords | None
) -> None:
    opened: dict[int, str] = {}
    if content_words is not None:
        opened = content_words([(first_seq + offset, facts.leaf) for offset, facts in enumerate(block)])
    fulltext.insert(
        connection,
        log_id,
        [
            (first_seq + offset, words_of(facts.leaf), opened.get(first_seq + offset, ""))
            for offset, facts in enumerate(block)
        ],
    )


def _write_derived(
    connection: Connection,
    log_id: int,
    first_seq: int,
    block: Sequence[Facts],
    found: Census,
    untraced: Sequence[dict[str, Any]],
    read_leaf: ReadLeaf,
) -> None:
    """Apply the rules again to every trace that got a call, where one of its calls failed now or before."""
    steps = derive.fallbacks(untraced)
    stale: list[dict[str, int]] = []
    for trace in found.traces.values():
        if not (trace.called and trace.curious):
            continue
        between = records.c.id.between(record_id(log_id, 0), record_id(log_id + 1, 0) - 1)
        first = select(records.c.id).where(records.c.trace == trace.number, between)
        rows = connection.execute(first.order_by(records.c.id).limit(MAX_DERIVED_OVER)).all()
        leaves = []
        for (identifier,) in rows:
            seq = seq_of(identifier)
            leaves.append(block[seq - first_seq].leaf if seq >= first_seq else parse_leaf(read_leaf(seq)))
            stale.append({"record": identifier})
        steps += derive.fallbacks(leaves)
    conclusions: dict[int, list[derive.Fallback]] = {}
    for step in steps:
        conclusions.setdefault(step.seq, []).append(step)
    if stale:
        connection.execute(_STALE, stale)
    insert_rows(
        connection,
        derived,
        ("id", "rules", "trigger"),
        [
            (record_id(log_id, seq), " ".join(sorted({step.rule for step in of})), of[0].trigger)
            for seq, of in sorted(conclusions.items())
        ],
    )
