"""Traces and interactions of a block: what the index knows of them already, and what the block adds.

A record belongs to the interaction that it reports; one that reports none belongs to the interaction derived from its
trace. A derived interaction learns (`reported_in`) when another record of its trace reports one. What a record adds to
counts does not depend on where blocks begin and end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam

from counterfoil.store.bulk import insert_rows, select_each
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
_COUNTS = {"decision": "decisions", "fallback": "fallbacks", "handoff": "handoffs", "oversight": "oversights"}

_ABOUT = ("channel", "region", "type", "language")

Links = set[tuple[int, int, int, int]]
"""Rows of `interaction_facts`."""


@dataclass(slots=True)
class Trace:
    number: int
    reported: int | None
    derived: int | None
    curious: bool = False
    changed: bool = False
    new: bool = False
    called: bool = False
    """A call of this trace is in this block."""


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
    reported: dict[str, Interaction] = field(default_factory=dict)
    by_number: dict[int, Interaction] = field(default_factory=dict)


def look_up(connection: Connection, log_id: int, block: Sequence[Facts]) -> Census:
    found = Census()
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
            found.traces[trace_id] = Trace(*row)
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
            interaction = Interaction(*row)
            found.reported[interaction.id] = found.by_number[interaction.number] = interaction
    numbers = list(dict.fromkeys(trace.derived for trace in found.traces.values() if trace.derived is not None))
    for row in select_each(
        connection,
        interactions,
        ("log_id", "number"),
        _COLUMNS[1:],
        ((log_id, number) for number in numbers),
    ):
        if row is not None:
            interaction = Interaction(*row)
            found.by_number[interaction.number] = interaction
    return found


def trace_of(found: Census, facts: Facts, counters: Counters) -> Trace | None:
    if facts.trace_id is None:
        return None
    trace = found.traces.get(facts.trace_id)
    if trace is None:
        counters.traces += 1
        trace = found.traces[facts.trace_id] = Trace(counters.traces, None, None, new=True)
    return trace


def interaction_of(
    found: Census, facts: Facts, trace: Trace | None, seq: int, counters: Counters
) -> Interaction | None:
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
    found.by_number[interaction.number] = interaction
    return interaction


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


_CHANGED_TRACE = (
    traces.update()
    .where(traces.c.log_id == bindparam("of_log"), traces.c.trace_id == bindparam("of_trace"))
    .values(reported=bindparam("reported_now"), derived=bindparam("derived_now"), curious=bindparam("curious_now"))
)
_CHANGED_INTERACTION = interactions.delete().where(
    interactions.c.log_id == bindparam("of_log"), interactions.c.number == bindparam("of_number")
)


def write_traces(connection: Connection, log_id: int, found: Census) -> None:
    """Insert the traces that are new, update those that learned something."""
    new, changed = [], []
    for trace_id, trace in found.traces.items():
        if trace.new:
            new.append((log_id, trace_id, trace.number, trace.reported, trace.derived, trace.curious))
        elif trace.changed:
            changed.append(
                {
                    "of_log": log_id,
                    "of_trace": trace_id,
                    "reported_now": trace.reported,
                    "derived_now": trace.derived,
                    "curious_now": trace.curious,
                }
            )
    insert_rows(connection, traces, ("log_id", "trace_id", "number", "reported", "derived", "curious"), new)
    if changed:
        connection.execute(_CHANGED_TRACE, changed)


def write_interactions(connection: Connection, log_id: int, found: Census, links: Links) -> None:
    """Write the interactions that were counted, or learned whose part they are, and what they can be found by."""
    changed = [interaction for interaction in found.by_number.values() if interaction.changed]
    known = [{"of_log": log_id, "of_number": interaction.number} for interaction in changed if not interaction.new]
    if known:
        connection.execute(_CHANGED_INTERACTION, known)
    insert_rows(connection, interactions, _COLUMNS, [interaction.row(log_id) for interaction in changed])
    keys = ("log_id", "field", "code", "number")
    wanted = sorted(links)
    present = select_each(connection, interaction_facts, keys, ("number",), wanted)
    new_links = [link for link, row in zip(wanted, present, strict=True) if row is None]
    insert_rows(connection, interaction_facts, keys, new_links)
