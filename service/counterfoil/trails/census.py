"""Traces and interactions of a block: what the index knows of them already, and what the block adds.

A record belongs to the interaction that it reports; one that reports none belongs to the interaction derived from its
trace. A derived interaction learns (`reported_in`) when another record of its trace reports one. What a record adds to
counts does not depend on where blocks begin and end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam

from counterfoil.core.errors import Fault
from counterfoil.store.bulk import add_rows, insert_rows, select_each
from counterfoil.trails.facts import Facts
from counterfoil.trails.numbers import Counters
from counterfoil.trails.tables import (
    ANY_CODE,
    FACT_FIELDS,
    MAX_AGENTS_SHOWN,
    STATUS_ERROR,
    interaction_facts,
    interactions,
    traces,
)

_COLUMNS = tuple(column.name for column in interactions.columns)
_TRACE_COLUMNS = tuple(column.name for column in traces.columns)[1:]
_COUNTS = {"decision": "decisions", "fallback": "fallbacks", "handoff": "handoffs", "oversight": "oversights"}

_ABOUT = ("channel", "region", "type", "language")

Links = set[tuple[int, int, int, int]]
"""Rows of `interaction_facts`."""


@dataclass(slots=True)
class Trace:
    """A row of `traces` while it is being changed; members are its columns."""

    trace_id: bytes
    number: int
    joined: int | None = None
    members: int = 1
    anchor: int | None = None
    derived: int | None = None
    agent: int | None = None
    traits: int = 0
    new: bool = False
    changed: bool = False
    touched: bool = False
    """A record of this trace is in this block."""
    traits_before: int = 0
    """What was known of it before this block."""

    def row(self, log_id: int) -> tuple[object, ...]:
        """The row, in the order of the columns."""
        return (log_id, *(getattr(self, name) for name in _TRACE_COLUMNS))


@dataclass(slots=True)
class Interaction:
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
    described: bool = False
    last_agent: dict[str, str] | None = None

    def row(self, log_id: int) -> tuple[object, ...]:
        """The row, in the order of the columns."""
        return (log_id, *(getattr(self, name) for name in _COLUMNS[1:]))


@dataclass(slots=True)
class Census:
    """What the index knows already about the things that a block mentions."""

    traces: dict[bytes, Trace] = field(default_factory=dict)
    by_trace_number: dict[int, Trace] = field(default_factory=dict)
    reported: dict[str, Interaction] = field(default_factory=dict)
    by_number: dict[int, Interaction] = field(default_factory=dict)
    parts: dict[int, list[Interaction]] = field(default_factory=dict)
    """By number of an interaction: those in memory that are part of it."""
    refolded: list[tuple[int, int]] = field(default_factory=list)
    """Interactions whose parts, in the index, become parts of another: (old, new)."""

    def add_trace(self, trace: Trace) -> Trace:
        """Know this trace from now on."""
        self.traces[trace.trace_id] = self.by_trace_number[trace.number] = trace
        return trace

    def add_interaction(self, interaction: Interaction) -> Interaction:
        """Know this interaction from now on."""
        self.by_number[interaction.number] = interaction
        if interaction.reported_in is not None:
            self.parts.setdefault(interaction.reported_in, []).append(interaction)
        if not interaction.derived:
            self.reported[interaction.id] = interaction
        return interaction


def look_up(connection: Connection, log_id: int, block: Sequence[Facts], linked: Sequence[bytes] = ()) -> Census:
    """What the index knows of the traces and interactions of a block, and of the traces it links to."""
    found = Census()
    mentioned = (*(facts.trace_id for facts in block if facts.trace_id is not None), *linked)
    wanted = dict.fromkeys(mentioned)
    rows = select_each(
        connection, traces, ("log_id", "trace_id"), _TRACE_COLUMNS, ((log_id, trace_id) for trace_id in wanted)
    )
    _add_traces(found, rows)
    look_up_joined(connection, log_id, found)
    ids = list(dict.fromkeys(facts.interaction for facts in block if facts.interaction is not None))
    keys = select_each(
        connection,
        interactions,
        ("log_id", "id", "derived"),
        _COLUMNS[1:],
        ((log_id, identifier, False) for identifier in ids),
    )
    for row in keys:
        if row is not None:
            found.add_interaction(Interaction(*row))
    look_up_anchors(connection, log_id, found)
    return found


def look_up_traces(connection: Connection, log_id: int, found: Census, numbers: Sequence[int]) -> None:
    """The traces with these numbers, those that speak for them, and their interactions."""
    missing = [number for number in dict.fromkeys(numbers) if number not in found.by_trace_number]
    if missing:
        keys = ((log_id, number) for number in missing)
        _add_traces(found, select_each(connection, traces, ("log_id", "number"), _TRACE_COLUMNS, keys))
        look_up_joined(connection, log_id, found)
        look_up_anchors(connection, log_id, found)


def _add_traces(found: Census, rows: Sequence[tuple[Any, ...] | None]) -> None:
    for row in rows:
        if row is not None and row[0] not in found.traces:
            trace = found.add_trace(Trace(*row))
            trace.traits_before = trace.traits


def look_up_joined(connection: Connection, log_id: int, found: Census) -> None:
    """The traces that speak for those that are known, step by step (paths are short: joins.find)."""
    while True:
        numbers = (trace.joined for trace in found.traces.values() if trace.joined is not None)
        missing = [number for number in dict.fromkeys(numbers) if number not in found.by_trace_number]
        if not missing:
            return
        keys = [(log_id, number) for number in missing]
        rows = select_each(connection, traces, ("log_id", "number"), _TRACE_COLUMNS, keys)
        if None in rows:
            raise Fault(f"log {log_id}: the index names a trace that it does not have; run `counterfoil reindex`")
        _add_traces(found, rows)


def look_up_anchors(connection: Connection, log_id: int, found: Census) -> None:
    """The interactions that the known traces name by number."""
    named = (number for trace in found.traces.values() for number in (trace.anchor, trace.derived))
    missing = [number for number in dict.fromkeys(named) if number is not None and number not in found.by_number]
    keys = [(log_id, number) for number in missing]
    for row in select_each(connection, interactions, ("log_id", "number"), _COLUMNS[1:], keys):
        if row is not None:
            found.add_interaction(Interaction(*row))


def trace_of(found: Census, trace_id: bytes | None, counters: Counters) -> Trace | None:
    """The trace with this id, a new one if need be; None for a record without one."""
    if trace_id is None:
        return None
    trace = found.traces.get(trace_id)
    if trace is None:
        counters.traces += 1
        trace = found.add_trace(Trace(trace_id, counters.traces, new=True))
    return trace


def interaction_of(
    found: Census, facts: Facts, trace: Trace | None, group: Trace | None, seq: int, counters: Counters
) -> Interaction | None:
    """The interaction that the record reports; else the one derived from its trace; else none.

    `group` is the trace that speaks for the record's own.
    """
    if facts.interaction is not None:
        interaction = found.reported.get(facts.interaction)
        if interaction is None:
            interaction = _begin(found, facts.interaction, facts, seq, counters, is_derived=False)
        if group is not None:
            anchor = None if group.anchor is None else found.by_number[group.anchor]
            if anchor is None or anchor.derived:
                group.anchor, group.changed = interaction.number, True
                if anchor is not None:
                    fold(found, anchor, interaction)
        return interaction
    if trace is None or group is None:
        return None
    if trace.derived is None:
        interaction = _begin(found, trace.trace_id.hex(), facts, seq, counters, is_derived=True)
        trace.derived, trace.changed = interaction.number, True
        if group.anchor is None:
            group.anchor, group.changed = interaction.number, True
        else:
            _become_part(found, interaction, group.anchor)
    return found.by_number[trace.derived]


def fold(found: Census, folded: Interaction, into: Interaction) -> None:
    """Make a derived interaction, and all that is part of it, part of another."""
    for part in (folded, *found.parts.pop(folded.number, ())):
        _become_part(found, part, into.number)
    if not folded.new:
        found.refolded.append((folded.number, into.number))


def _become_part(found: Census, part: Interaction, number: int) -> None:
    part.reported_in, part.changed = number, True
    found.parts.setdefault(number, []).append(part)


def _begin(
    found: Census, identifier: str, facts: Facts, seq: int, counters: Counters, *, is_derived: bool
) -> Interaction:
    counters.interactions += 1
    interaction = Interaction(
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
    return found.add_interaction(interaction)


def count(
    interaction: Interaction,
    facts: Facts,
    seq: int,
    codes: dict[str | None, int | None],
    links: Links,
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
        if not interaction.described:
            _describe(interaction, about, codes, links, log_id)
        if kind == "interaction" and about.get("phase") == "end":
            interaction.ended = True
    if interaction.subject is None and "subject" in leaf:
        interaction.subject = codes[leaf["subject"]]
    agent = leaf.get("agent")
    if agent is not None and agent != interaction.last_agent:  # most records are by the agent of the one before
        interaction.last_agent = agent
        _add_agent(interaction, agent, codes, links, log_id)


def _describe(
    interaction: Interaction, about: dict[str, str], codes: dict[str | None, int | None], links: Links, log_id: int
) -> None:
    """Take channel, region, type and language from the first record that reports each."""
    for key in _ABOUT:
        text = about.get(key)
        if text is not None and getattr(interaction, key) is None:
            setattr(interaction, key, codes[text])
            if key in FACT_FIELDS:
                links.add((log_id, FACT_FIELDS[key], codes[text] or 0, interaction.number))
    interaction.described = all(getattr(interaction, key) is not None for key in _ABOUT)


def _add_agent(
    interaction: Interaction, agent: dict[str, str], codes: dict[str | None, int | None], links: Links, log_id: int
) -> None:
    for key in ("name", "id"):
        if key in agent:
            links.add((log_id, FACT_FIELDS["agent"], codes[agent[key]] or 0, interaction.number))
    shown = agent.get("name") or agent.get("id")
    if shown is not None and f'"{shown}"' not in interaction.agents:
        agents = json.loads(interaction.agents)
        if len(agents) < MAX_AGENTS_SHOWN:
            interaction.agents = json.dumps([*agents, shown], separators=(",", ":"))


def _found_by(kind: str, own: dict[str, str]) -> list[str]:
    """What the interactions list finds an interaction by, of a fallback, handoff or oversight."""
    keys = {"fallback": ("trigger",), "handoff": ("state", "reason"), "oversight": ("verdict",)}[kind]
    return [own[key] for key in keys if key in own]


_CHANGED_TRACE = traces.delete().where(
    traces.c.log_id == bindparam("of_log"), traces.c.trace_id == bindparam("of_trace")
)
_CHANGED_INTERACTION = interactions.delete().where(
    interactions.c.log_id == bindparam("of_log"), interactions.c.number == bindparam("of_number")
)
_REFOLDED = (
    interactions.update()
    .where(interactions.c.log_id == bindparam("of_log"), interactions.c.reported_in == bindparam("old"))
    .values(reported_in=bindparam("new"))
)


def write_traces(connection: Connection, log_id: int, found: Census) -> None:
    """Write the traces that are new or learned something."""
    changed = [trace for trace in found.traces.values() if trace.new or trace.changed]
    known = [{"of_log": log_id, "of_trace": trace.trace_id} for trace in changed if not trace.new]
    if known:
        connection.execute(_CHANGED_TRACE, known)
    insert_rows(connection, traces, ("log_id", *_TRACE_COLUMNS), [trace.row(log_id) for trace in changed])


def write_interactions(connection: Connection, log_id: int, found: Census, links: Links) -> None:
    """Write the interactions that were counted, or learned whose part they are, and what they can be found by."""
    for old, new in found.refolded:
        connection.execute(_REFOLDED, {"of_log": log_id, "old": old, "new": new})
    changed = [interaction for interaction in found.by_number.values() if interaction.changed]
    known = [{"of_log": log_id, "of_number": interaction.number} for interaction in changed if not interaction.new]
    if known:
        connection.execute(_CHANGED_INTERACTION, known)
    insert_rows(connection, interactions, _COLUMNS, [interaction.row(log_id) for interaction in changed])
    keys = ("log_id", "field", "code", "number")
    add_rows(connection, interaction_facts, keys, sorted(links))
