"""For each row of the tables an item that has its attribute, with a value that fits, in a record of its kind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from counterfoil.mapping.conventions.own import INTERACTION, OWN_OBJECTS, SUBJECT
from counterfoil.mapping.conventions.rows import PartRow, Row
from counterfoil.mapping.draft import Draft, Item
from counterfoil.mapping.tables import PART_ROWS, SPECIAL, rule_at
from tests.mapping.making import Attributes, map_log, map_span

KIND_ATTRIBUTES: dict[str, Attributes] = {
    "model_call": {"gen_ai.operation.name": "chat"},
    "agent_run": {"gen_ai.operation.name": "invoke_agent"},
    "tool_call": {"gen_ai.operation.name": "execute_tool"},
    "retrieval": {"gen_ai.operation.name": "retrieval"},
    "guardrail": {"gen_ai.operation.name": "apply_guardrail"},
    "evaluation": {"openinference.span.kind": "EVALUATOR"},
    "handoff": {"traceloop.span.kind": "handoff"},
    "decision": {"openinference.span.kind": "DECISION"},
    "operation": {},
}
"""Attributes that make a span one of this kind."""

VALUES: dict[str, Any] = {
    "token": "tok-1",
    "integer": 7,
    "boolean": True,
    "decimal": "0.5",
    "time_ns": "2026-11-22T10:48:39.000123000Z",
    "list": ["summary", "intent"],
    "trace_id": "ab" * 16,
    "span_id": "cd" * 8,
    "either": "tok-2",
}
"""A value for each type of rule."""

COMPANIONS: dict[str, Attributes] = {
    ".of.trace_id": {".of.span_id": "cd" * 8},
    ".of.span_id": {".of.trace_id": "ab" * 16},
}
"""What half a fact needs beside it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An attribute with its value, the attributes that must stand beside it, and what it must become."""

    key: str
    given: Any
    beside: Attributes
    kind: str
    expected: Any


def sample_of(row: Row) -> Sample:
    """A sample of a row: in a record of the first kind that it names."""
    kind = row.kinds[0] if row.kinds else "operation"
    key = row.attribute.replace(".N.", ".0.").removesuffix("*") + ("role" if row.attribute.endswith("*") else "")
    given, expected = _value(row, kind)
    beside = dict(KIND_ATTRIBUTES.get(kind, {}))
    part = part_of(key)
    if part is not None and part.chosen_by:
        beside = {
            part.chosen_by.replace(".N.", ".0."): next(value for value, named in part.kinds.items() if named == kind)
        }
    for suffix, more in COMPANIONS.items():
        if key.endswith(suffix):
            beside |= {key.removesuffix(suffix) + name: value for name, value in more.items()}
    if row.target == "producer.id":
        beside["counterfoil.producer.n"] = 1
    elif row.target.startswith("producer."):
        beside |= {"counterfoil.producer.id": "p-1", "counterfoil.producer.event": "start", "counterfoil.producer.n": 1}
        beside.pop(key, None)
    if row.target == "handoff.to":
        beside["counterfoil.handoff.to_kind"] = "agent"
    if row.attribute.endswith("*"):
        expected = [{"key": key, "value": {"stringValue": given}}]
    return Sample(key, given, beside, kind, expected)


def part_of(key: str) -> PartRow | None:
    """The part that a key belongs to."""
    return next(
        (row for row in PART_ROWS if key.startswith(tuple(p.replace(".N.", ".0.") for p in row.prefixes))), None
    )


def _value(row: Row, kind: str) -> tuple[Any, Any]:
    """A value that fits, and what it becomes."""
    if row.values:
        theirs, ours = next(iter(row.values.items()))
        return theirs.upper(), ours
    if row.means:
        return "anything", row.means
    value = _fitting(row, kind)
    if row.inside:
        return json.dumps({"other": 1, row.inside: value}), value
    if row.target == "decision.alternatives":
        return ["one", "two"], 2
    return value, value


def _fitting(row: Row, kind: str) -> Any:
    if row.target.startswith("content:"):
        return "words of a person"
    if row.target in SPECIAL:
        return "tok-3"
    rule = rule_at(row.target, kind)
    return rule.values[0] if rule.values else VALUES[rule.name]


def item_of(sample: Sample, *, scope: tuple[str, str] = ("", ""), name: str = "work") -> Item:
    """The span, or the log event of one of our own kinds, that a sample stands in."""
    attributes = {**sample.beside, sample.key: sample.given}
    own = sample.kind in OWN_OBJECTS or sample.kind == "producer"
    if own and sample.kind not in KIND_ATTRIBUTES and part_of(sample.key) is None:
        return map_log(f"counterfoil.{sample.kind}", attributes)
    return map_span(attributes, scope=scope, name=name)


def found(draft: Draft, target: str) -> Any:
    """What stands at a target of a row, or None."""
    if target.startswith("content:"):
        return dict(draft.fields).get(target.removeprefix("content:"))
    if target == INTERACTION:
        return draft.interaction_id
    if target == SUBJECT:
        return draft.subject_id
    for path, person in draft.persons:
        if path == target:
            return person
    value: Any = draft.facts
    for key in target.split("."):
        value = value.get(key, {})
    return value if value != {} else None
