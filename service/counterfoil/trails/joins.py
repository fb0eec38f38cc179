"""Which traces are one story: joined by span links, by an approval that one asked for and another took up, by an agent
that was made in one and ran in another (CONVENTIONS 4: interaction id first, then call id, then links, then trace id).

Traces that are joined are a group; the one with the lowest number speaks for it (union by `joined`, paths shortened on
the way). A group has one *anchor*: the interaction that one of its records reports, else the one derived from its first
trace. Every derived interaction of the group is part of the anchor. Two conversations that are both reported are never
made one: who named them apart meant it.

    open end            left by                               taken up by
    approval            a run that asks a person about a call  the answer to it, or the call itself, in a later trace
    agent made          a span `create_agent X` on its own     the first run of X by the same writer

An open end is a digest of writer, scope and id, and is gone once it is taken up. The ids of calls may be as short as
`c1`: what two traces have both left open joins nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from counterfoil.trails.census import Census, Interaction, Trace, fold
from counterfoil.trails.derive.names import CREATION
from counterfoil.trails.derive.reading import NOTHING, Reading
from counterfoil.trails.facts import Facts

MAX_MEMBERS = 4_096
"""Traces of one group. One that would grow beyond stays apart: a link is a word of its producer, and costs nothing."""

MAX_OPEN_ENDS = 64
"""Open ends that one record leaves or takes up."""

DECIDED, FAILED, CALLED, RUN, OTHER_AGENT, TELLING, MADE, ACTIVE = (1 << bit for bit in range(8))
"""Traits: a decision is reported; a call failed or another model answered; tools or models were called; an agent ran;
a second agent ran; the words of a record say something that rules use; an agent was made; anything but that."""


def is_curious(traits: int) -> bool:
    """Whether rules can conclude something about a trace."""
    if traits & (FAILED | OTHER_AGENT | TELLING):
        return True
    return bool(traits & (CALLED | RUN)) and not traits & DECIDED


def find(found: Census, trace: Trace) -> Trace:
    """The trace that speaks for the group of this one."""
    path = []
    while trace.joined is not None:
        path.append(trace)
        trace = found.by_trace_number[trace.joined]
    for passed in path[:-1]:
        if passed.joined != trace.number:
            passed.joined, passed.changed = trace.number, True
    return trace


def unite(found: Census, one: Trace, other: Trace) -> None:
    """Make two groups one, unless both are reported conversations of their own, or too large."""
    first, second = sorted((find(found, one), find(found, other)), key=lambda trace: trace.number)
    if first is second or first.members + second.members > MAX_MEMBERS:
        return
    anchor, folded = _anchor_of(found, first), _anchor_of(found, second)
    if anchor is not None and folded is not None and not anchor.derived and not folded.derived:
        return
    second.joined, second.changed = first.number, True
    first.members += second.members
    first.changed = True
    if anchor is None or (folded is not None and anchor.derived and not folded.derived):
        anchor, folded = folded, anchor
    if anchor is not None:
        first.anchor = anchor.number
        if folded is not None and folded is not anchor:
            fold(found, folded, anchor)


def _anchor_of(found: Census, trace: Trace) -> Interaction | None:
    return None if trace.anchor is None else found.by_number[trace.anchor]


def linked_traces(leaf: Mapping[str, Any]) -> list[bytes]:
    """The ids of the traces that a record links to."""
    return [
        bytes.fromhex(link["trace_id"]) for link in leaf.get("links", ()) if link["trace_id"] != leaf.get("trace_id")
    ]


def left_open(facts: Facts, reading: Reading) -> list[bytes]:
    """The keys of the ends that a record leaves open."""
    leaf = facts.leaf
    if leaf["kind"] == "operation" and leaf.get("name") == CREATION and _agent(leaf):
        return [made_key(facts)]
    return [
        _approval(leaf, call_id, request_id) for call_id, _, request_id in reading.requested if request_id or call_id
    ]


def taken_up(facts: Facts, reading: Reading) -> list[bytes]:
    """The keys of open ends that a record takes up, where some trace has left them."""
    leaf = facts.leaf
    kind = leaf["kind"]
    keys = []
    if kind == "agent_run" and _agent(leaf):
        keys.append(made_key(facts))
    if reading is not NOTHING:
        keys += [_approval(leaf, call_id, request_id) for call_id, _, request_id, _ in reading.verdicts]
        keys += [_approval(leaf, call_id, "") for call_id in reading.answered if call_id]
    return keys[:MAX_OPEN_ENDS]


def traits_of(facts: Facts, reading: Reading, *, failed: bool) -> int:
    """What one record adds to the traits of its trace."""
    leaf = facts.leaf
    kind = leaf["kind"]
    if kind == "decision":
        return DECIDED | ACTIVE
    traits = FAILED if failed else 0
    if kind in ("tool_call", "model_call"):
        traits |= CALLED
    elif kind in ("agent_run", "handoff"):
        traits |= RUN
    elif kind == "guardrail" and leaf.get("status") == "error":
        traits |= TELLING
    elif kind == "operation" and leaf.get("name") == CREATION:
        return traits | MADE
    if reading is not NOTHING and _tells(reading):
        traits |= TELLING
    return traits | ACTIVE


def _tells(reading: Reading) -> bool:
    return bool(
        reading.requested
        or reading.verdicts
        or reading.not_approved
        or reading.answered
        or reading.said_error
        or reading.tripped
        or reading.interrupted
        or reading.refuses
    )


def made_key(facts: Facts) -> bytes:
    """The key of the agent that a record makes or runs."""
    return _key("agent", facts.leaf, _agent(facts.leaf))


def _agent(leaf: Mapping[str, Any]) -> str:
    agent: Mapping[str, str] = leaf.get("agent", {})
    return agent.get("name") or agent.get("id") or ""


def _approval(leaf: Mapping[str, Any], call_id: str, request_id: str) -> bytes:
    """An approval's own id is unique; a call's id is so within a conversation, or with luck within an agent's work."""
    if request_id:
        return _key("request", leaf, request_id)
    conversation = leaf.get("interaction", {}).get("id")
    return _key("call", leaf, conversation or _agent(leaf), call_id)


def _key(sort: str, leaf: Mapping[str, Any], *parts: str) -> bytes:
    return sha256("\x00".join((sort, leaf.get("writer", ""), *parts)).encode()).digest()[:16]


def all_keys(block: Iterable[tuple[Facts, Reading]]) -> dict[bytes, None]:
    """Every key that a block leaves open or could take up, for one look-up."""
    return {key: None for facts, reading in block for key in (*left_open(facts, reading), *taken_up(facts, reading))}
