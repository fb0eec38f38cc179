"""What spans and log events have in common on their way to a draft."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from counterfoil.core.encoding import format_time_ns
from counterfoil.mapping.context import Context
from counterfoil.mapping.conventions.own import OWN_FIELDS
from counterfoil.mapping.draft import Draft, Source
from counterfoil.mapping.limits import SPAN_ID_BYTES, TRACE_ID_BYTES
from counterfoil.mapping.reading import Reading

NO_TRACE_ID = bytes(TRACE_ID_BYTES)
NO_SPAN_ID = bytes(SPAN_ID_BYTES)


@lru_cache(4_096)
def _second(seconds: int) -> str:
    return format_time_ns(seconds * 1_000_000_000)[:20]


def time_text(ns: int) -> str:
    """`core.encoding.format_time_ns`, remembering the second: the spans of a batch share few."""
    seconds, fraction = divmod(ns, 1_000_000_000)
    return f"{_second(seconds)}{fraction:09d}Z"


def name_agent(reading: Reading, context: Context) -> None:
    """Where the item names no agent, its service is the agent (CONVENTIONS 3)."""
    agent = reading.facts.get("agent")
    if agent is None:
        if context.agent_name is None:
            return
        agent = reading.facts["agent"] = {"name": context.agent_name}
    elif "name" not in agent and "id" not in agent and context.agent_name is not None:
        agent["name"] = context.agent_name
    if "version" not in agent and context.agent_version is not None:
        agent["version"] = context.agent_version


def _handoff_context(reading: Reading) -> None:
    """`handoff.context`: the names of the fields that were handed over."""
    given = [name for name in OWN_FIELDS["handoff"] if name in reading.fields]
    if given:
        reading.facts.setdefault("handoff", {}).setdefault("context", given)


def make_draft(source: Source, reading: Reading, fields: list[tuple[str, Any]]) -> Draft:
    """The draft of a reading; `fields` are those that hold the item."""
    if reading.kind == "handoff":
        _handoff_context(reading)
    if reading.fields:
        fields.extend(reading.fields.items())
    return Draft(
        reading.kind, source, reading.facts, fields, reading.interaction_id, reading.subject_id, reading.persons
    )


def number_of(facts: dict[str, Any]) -> tuple[str, int] | None:
    """The number of an item; what the leaf says of its producer gets `part` 0."""
    producer = facts.setdefault("producer", {})
    producer["part"] = 0
    return (producer["id"], producer["n"]) if "n" in producer else None
