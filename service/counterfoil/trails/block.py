"""One block of records as rows of the index: numbers given out, interactions counted, everything written at once.

The rows are a function of the records alone, in order; where one block ends and the next begins leaves no trace in
them. Numbers of texts, traces and interactions are given out in order of first appearance. Look-ups go out once a
block, not once a record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from counterfoil.store.bulk import insert_rows, select_each
from counterfoil.trails import derive, fulltext
from counterfoil.trails.facts import Facts, parse_leaf, read_facts, words_of
from counterfoil.trails.tables import (
    ANY_CODE,
    CODED,
    FACT_FIELDS,
    MAX_AGENTS_SHOWN,
    STATUS_ERROR,
    derived,
    interactions,
    names,
    record_id,
    records,
    seq_of,
    traces,
)

MAX_CACHED_NAMES = 65_536
MAX_DERIVED_OVER = 512
"""Records of one trace (its first) that rules are applied to when they are indexed."""

ReadLeaf = Callable[[int], bytes]
ContentWords = Callable[[Sequence[tuple[int, dict[str, Any]]]], dict[int, str]]

_RECORD_COLUMNS = ("id", "recorded_us", "started_us", "interaction", "trace", "status", *CODED)
_INTERACTION_COLUMNS = tuple(column.name for column in interactions.columns)
_COUNTS = {"decision": "decisions", "fallback": "fallbacks", "handoff": "handoffs", "oversight": "oversights"}


@dataclass(slots=True)
class Counters:
    """How many numbers of each sort a log has given out; 0 is never a number."""

    names: int = 0
    traces: int = 0
    interactions: int = 0


@dataclass(slots=True)
class _Trace:
    number: int
    reported: int | None
    derived: int | None
    curious: bool = False
    changed: bool = False
    new: bool = False
    called: bool = False
    """A call of this trace is in this block."""


@dataclass(slots=True)
class _Interaction:
    """A row of `interactions` while it is being counted; members are its columns."""

    number: int
    id: str
    derived: bool
    reported_in: int | None
    first_seq: int
    last_seq: int
    first_us: int
    last_us: int
    records: int = 0
    decisions: int = 0
    fallbacks: int = 0
    handoffs: int = 0
    oversights: int = 0
    errors: int = 0
    ended: bool = False
    channel: int | None = None
    region: int | None = None
    type: int | None = None
    language: int | None = None
    subject: int | None = None
    outcome: int | None = None
    agents: str = "[]"
    new: bool = False
    changed: bool = False

    def row(self, log_id: int) -> tuple[object, ...]:
        """The row, in the order of the columns."""
        return (log_id, *(getattr(self, name) for name in _INTERACTION_COLUMNS[1:]))


@dataclass(slots=True)
class _Found:
    """What the index knows already about the things that a block mentions."""

    traces: dict[bytes, _Trace] = field(default_factory=dict)
    reported: dict[str, _Interaction] = field(default_factory=dict)
    by_number: dict[int, _Interaction] = field(default_factory=dict)


class NameCodes:
    """Codes of one log's texts, kept between blocks. Forget them (a new object) when a transaction fails."""

    __slots__ = ("_known", "_log_id")

    def __init__(self, log_id: int) -> None:
        self._log_id = log_id
        self._known: dict[str | None, int | None] = {None: None}

    def assign(
        self, connection: Connection, wanted: dict[str, None], counters: Counters
    ) -> dict[str | None, int | None]:
        """Codes of all texts in `wanted` (in order of first appearance), new ones written; None stands for None."""
        known = self._known
        if len(known) > MAX_CACHED_NAMES:
            known = self._known = {None: None}
        unknown = [text for text in wanted if text not in known]
        if not unknown:
            return known
        found = select_each(
            connection, names, ("log_id", "text"), ("code",), ((self._log_id, text) for text in unknown)
        )
        new = []
        for text, row in zip(unknown, found, strict=True):
            if row is None:
                counters.names += 1
                known[text] = counters.names
                new.append((self._log_id, text, counters.names))
            else:
                known[text] = row[0]
        insert_rows(connection, names, ("log_id", "text", "code"), new)
        return known


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
    found = _look_up(connection, log_id, block)
    links: set[tuple[int, int, int, int]] = set()
    rows = []
    superseded = []
    untraced: list[dict[str, Any]] = []
    for offset, facts in enumerate(block):
        seq = first_seq + offset
        trace = _trace_of(found, facts, counters)
        interaction = _interaction_of(found, facts, trace, seq, counters)
        if interaction is not None:
            _count(interaction, facts, seq, codes, links, log_id)
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
        if facts.leaf["kind"] in derive.CALLS:
            _note_call(facts.leaf, trace, untraced)
    insert_rows(connection, records, _RECORD_COLUMNS, rows)
    _mark_superseded(connection, superseded)
    _write_traces(connection, log_id, found)
    _write_interactions(connection, log_id, found, links)
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


def _look_up(connection: Connection, log_id: int, block: Sequence[Facts]) -> _Found:
    found = _Found()
    trace_ids = list(dict.fromkeys(facts.trace_id for facts in block if facts.trace_id is not None))
    rows = select_each(
        connection,
        traces,
        ("log_id", "trace_id"),
        ("number", "reported", "derived", "curious"),
        ((log_id, trace_id) for trace_id in trace_ids),
    )
    for trace_id, row in zip(trace_ids, rows, strict=True):
        if row is not None:
            found.traces[trace_id] = _Trace(*row)
    ids = list(dict.fromkeys(facts.interaction for facts in block if facts.interaction is not None))
    keys = select_each(
        connection,
        interactions,
        ("log_id", "id", "derived"),
        _INTERACTION_COLUMNS[1:],
        ((log_id, identifier, False) for identifier in ids),
    )
    for row in keys:
        if row is not None:
            interaction = _Interaction(*row)
            found.reported[interaction.id] = found.by_number[interaction.number] = interaction
    numbers = list(dict.fromkeys(trace.derived for trace in found.traces.values() if trace.derived is not None))
    for row in select_each(
        connection,
        interactions,
        ("log_id", "number"),
        _INTERACTION_COLUMNS[1:],
        ((log_id, number) for number in numbers),
    ):
        if row is not None:
            interaction = _Interaction(*row)
            found.by_number[interaction.number] = interaction
    return found


def _trace_of(found: _Found, facts: Facts, counters: Counters) -> _Trace | None:
    if facts.trace_id is None:
        return None
    trace = found.traces.get(facts.trace_id)
    if trace is None:
        counters.traces += 1
        trace = found.traces[facts.trace_id] = _Trace(counters.traces, None, None, new=True)
    return trace


def _interaction_of(
    found: _Found, facts: Facts, trace: _Trace | None, seq: int, counters: Counters
) -> _Interaction | None:
    """The interaction that the record reports; else the one derived from its trace; else none."""
    if facts.interaction is not None:
        interaction = found.reported.get(facts.interaction)
        if interaction is None:
            interaction = _begin(found, facts.interaction, facts, seq, counters, is_derived=False)
            found.reported[facts.interaction] = interaction
        if trace is not None and trace.reported is None:
            trace.reported, trace.changed = interaction.number, True
            if trace.derived is not None:
                folded = found.by_number[trace.derived]
                folded.reported_in, folded.changed = interaction.number, True
        return interaction
    if trace is None or facts.trace_id is None:
        return None
    if trace.derived is None:
        interaction = _begin(found, facts.trace_id.hex(), facts, seq, counters, is_derived=True)
        interaction.reported_in = trace.reported
        trace.derived, trace.changed = interaction.number, True
    return found.by_number[trace.derived]


def _begin(
    found: _Found, identifier: str, facts: Facts, seq: int, counters: Counters, *, is_derived: bool
) -> _Interaction:
    counters.interactions += 1
    interaction = _Interaction(
        counters.interactions,
        identifier,
        is_derived,
        None,
        seq,
        seq,
        facts.recorded_us,
        facts.recorded_us,
        new=True,
    )
    found.by_number[interaction.number] = interaction
    return interaction


def _count(
    interaction: _Interaction,
    facts: Facts,
    seq: int,
    codes: dict[str | None, int | None],
    links: set[tuple[int, int, int, int]],
    log_id: int,
) -> None:
    """Count the record in its interaction and remember what the interaction can be found by."""
    leaf = facts.leaf
    kind = leaf["kind"]
    number = interaction.number
    interaction.last_seq, interaction.last_us = seq, facts.recorded_us
    interaction.records += 1
    interaction.changed = True
    counted = _COUNTS.get(kind)
    if counted is not None:
        setattr(interaction, counted, getattr(interaction, counted) + 1)
        if kind != "decision":
            links.add((log_id, FACT_FIELDS[kind], ANY_CODE, number))
            for text in _found_by(kind, leaf.get(kind, {})):
                code = codes.get(text)
                if code is not None:
                    links.add((log_id, FACT_FIELDS[kind], code, number))
        elif (outcome := leaf.get("decision", {}).get("outcome")) is not None:
            interaction.outcome = codes[outcome]
            links.add((log_id, FACT_FIELDS["outcome"], codes[outcome] or 0, number))
    if facts.status == STATUS_ERROR:
        interaction.errors += 1
    about = leaf.get("interaction")
    if about is not None:
        for key in ("channel", "region", "type", "language"):
            text = about.get(key)
            if text is not None and getattr(interaction, key) is None:
                setattr(interaction, key, codes[text])
                if key in FACT_FIELDS:
                    links.add((log_id, FACT_FIELDS[key], codes[text] or 0, number))
        if kind == "interaction" and about.get("phase") == "end":
            interaction.ended = True
    if interaction.subject is None and "subject" in leaf:
        interaction.subject = codes[leaf["subject"]]
    agent = leaf.get("agent")
    if agent is not None:
        for key in ("name", "id"):
            if key in agent:
                links.add((log_id, FACT_FIELDS["agent"], codes[agent[key]] or 0, number))
        shown = agent.get("name") or agent.get("id")
        if shown is not None and f'"{shown}"' not in interaction.agents:
            agents = json.loads(interaction.agents)
            if len(agents) < MAX_AGENTS_SHOWN:
                interaction.agents = json.dumps([*agents, shown], separators=(",", ":"))


def _found_by(kind: str, own: dict[str, str]) -> list[str]:
    """What the interactions list finds an interaction by, of a fallback, handoff or oversight."""
    keys = {"fallback": ("trigger",), "handoff": ("state", "reason"), "oversight": ("verdict",)}[kind]
    return [own[key] for key in keys if key in own]


def _note_call(leaf: dict[str, Any], trace: _Trace | None, untraced: list[dict[str, Any]]) -> None:
    """Remember what rules have to look at: traces with a call in this block, and calls without a trace."""
    if trace is None:
        untraced.append(leaf)
        return
    trace.called = True
    if not trace.curious and derive.is_of_interest(leaf):
        trace.curious = trace.changed = True


def _mark_superseded(connection: Connection, superseded: Sequence[tuple[int, int]]) -> None:
    if superseded:
        connection.exec_driver_sql("UPDATE records SET superseded_by = ? WHERE id = ?", list(superseded))


def _write_traces(connection: Connection, log_id: int, found: _Found) -> None:
    new, changed = [], []
    for trace_id, trace in found.traces.items():
        if trace.new:
            new.append((log_id, trace_id, trace.number, trace.reported, trace.derived, trace.curious))
        elif trace.changed:
            changed.append((trace.reported, trace.derived, trace.curious, log_id, trace_id))
    insert_rows(connection, traces, ("log_id", "trace_id", "number", "reported", "derived", "curious"), new)
    if changed:
        connection.exec_driver_sql(
            "UPDATE traces SET reported = ?, derived = ?, curious = ? WHERE log_id = ? AND trace_id = ?",
            changed,
        )


_UPSERT = (
    f"INSERT OR REPLACE INTO interactions ({', '.join(_INTERACTION_COLUMNS)}) "  # noqa: S608 - our own names
    f"VALUES ({', '.join('?' * len(_INTERACTION_COLUMNS))})"
)


def _write_interactions(
    connection: Connection, log_id: int, found: _Found, links: set[tuple[int, int, int, int]]
) -> None:
    changed = [interaction for interaction in found.by_number.values() if interaction.changed]
    new = [interaction.row(log_id) for interaction in changed if interaction.new]
    old = [interaction.row(log_id) for interaction in changed if not interaction.new]
    insert_rows(connection, interactions, _INTERACTION_COLUMNS, new)
    if old:
        connection.exec_driver_sql(_UPSERT, old)
    if links:
        connection.exec_driver_sql(
            "INSERT OR IGNORE INTO interaction_facts (log_id, field, code, number) VALUES (?, ?, ?, ?)",
            sorted(links),
        )


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
    found: _Found,
    untraced: Sequence[dict[str, Any]],
    read_leaf: ReadLeaf,
) -> None:
    """Apply the rules again to every trace that got a call, where one of its calls failed now or before."""
    steps = derive.fallbacks(untraced)
    stale: list[tuple[int]] = []
    for trace in found.traces.values():
        if not (trace.called and trace.curious):
            continue
        rows = connection.exec_driver_sql(
            "SELECT id FROM records WHERE trace = ? AND id BETWEEN ? AND ? ORDER BY id LIMIT ?",
            (trace.number, record_id(log_id, 0), record_id(log_id + 1, 0) - 1, MAX_DERIVED_OVER),
        ).fetchall()
        leaves = []
        for (identifier,) in rows:
            seq = seq_of(identifier)
            leaves.append(block[seq - first_seq].leaf if seq >= first_seq else parse_leaf(read_leaf(seq)))
            stale.append((identifier,))
        steps += derive.fallbacks(leaves)
    conclusions: dict[int, list[derive.Fallback]] = {}
    for step in steps:
        conclusions.setdefault(step.seq, []).append(step)
    if stale:
        connection.exec_driver_sql("DELETE FROM derived WHERE id = ?", stale)
    insert_rows(
        connection,
        derived,
        ("id", "rules", "trigger"),
        [
            (record_id(log_id, seq), " ".join(sorted({step.rule for step in of})), of[0].trigger)
            for seq, of in sorted(conclusions.items())
        ],
    )
