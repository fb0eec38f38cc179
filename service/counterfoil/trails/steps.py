"""One record of a trail as a step: what, who, why, what else, and what is not known.

A step says only what was reported: the leaf's facts and the words of its content, under names a person understands.
What nobody reported is listed in `absent`, with the producer's own reason where it gave one. What is concluded instead
(`basis: derived`) is a step or a mark of its own, with the name of the rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from counterfoil.core.encoding import format_time_us, parse_time_ns, parse_time_us
from counterfoil.core.state import ContentState
from counterfoil.log.contents import Content
from counterfoil.trails.derive.agents import named_agent, named_service
from counterfoil.trails.derive.wording import argument_map
from counterfoil.trails.messages import parts_of
from counterfoil.trails.said import asked_of_run, said_in_call, thoughts_in
from counterfoil.trails.words import Said, as_text, unpacked

NOT_REPORTED = "not reported"

# What a reader of each kind will look for, as (name of the step's part, leaf key or content field).
_EXPECTED: dict[str, tuple[str, ...]] = {
    "decision": ("type", "outcome", "rationale", "alternatives", "confidence", "policy", "risk", "autonomy"),
    "fallback": ("trigger", "from", "to", "reason"),
    "handoff": ("state", "to", "reason", "summary"),
    "oversight": ("verdict", "person", "reason"),
    "outcome": ("status", "effect"),
}
_FOLDED_KINDS = ("operation",)
_WHAT = {
    "agent_run": "agent run",
    "model_call": "model call",
    "tool_call": "tool call",
    "operation": "operation",
    "retrieval": "retrieval",
    "guardrail": "guardrail",
    "evaluation": "evaluation",
}


@dataclass(slots=True)
class Who:
    """Who acted, as far as it was reported. `person` is a pseudonym."""

    agent: str | None = None
    agent_id: str | None = None
    agent_version: str | None = None
    model: str | None = None
    model_requested: str | None = None
    provider: str | None = None
    tool: str | None = None
    person: str | None = None
    role: str | None = None


@dataclass(slots=True)
class Why:
    """A rationale: the words, where they come from, and in which state they are for this reader."""

    rationale: str | None
    source: str | None
    captured: str | None
    state: str
    basis: str = "reported"


@dataclass(slots=True)
class Alternative:
    """An option that was considered."""

    option: str
    score: str | None = None
    rejected_because: str | None = None


@dataclass(slots=True)
class Step:
    """One step of a trail. Members that do not apply, or that nobody reported, are None or empty."""

    log: str
    seq: int
    kind: str
    basis: str
    at: str
    at_us: int
    recorded_at: str
    what: str
    who: Who = field(default_factory=Who)
    until: str | None = None
    duration_ms: int | None = None
    status: str | None = None
    error: str | None = None
    error_type: str | None = None
    why: Why | None = None
    what_else: list[Alternative] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    words: dict[str, Any] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    rule: str | None = None
    failed_seq: int | None = None
    from_seqs: list[int] = field(default_factory=list)
    concluded: dict[str, dict[str, str]] = field(default_factory=dict)
    """What a rule adds to a reported step: name of the fact to value and rule."""
    reported_by: int | None = None
    gaps: list[dict[str, str]] = field(default_factory=list)
    folded: bool = False
    linked: str | None = None
    superseded_by: int | None = None
    supersedes: int | None = None
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None


def step_of(log: str, leaf: Mapping[str, Any], content: Mapping[str, Content]) -> Step:
    """The step of one record. `content` holds every content field of the record with its state for this reader."""
    kind = leaf["kind"]
    own = leaf.get(kind)
    own = dict(own) if isinstance(own, dict) else {}
    started = leaf.get("started_at")
    at_us = _us(started) if started is not None else _recorded_us(leaf)
    values = {name: found.value for name, found in content.items() if found.state is ContentState.DISCLOSED}
    step = Step(
        log=log,
        seq=leaf["seq"],
        kind=kind,
        basis="reported",
        at=format_time_us(at_us),
        at_us=at_us,
        recorded_at=leaf["recorded_at"],
        what=named_agent(kind, values) or _what(leaf, own) if kind == "agent_run" else _what(leaf, own),
        who=_who(leaf, own, values),
        status=leaf.get("status"),
        error_type=leaf.get("error_type"),
        facts=own,
        states={name: str(found.state) for name, found in content.items()},
        supersedes=leaf.get("supersedes"),
        trace_id=leaf.get("trace_id"),
        span_id=leaf.get("span_id"),
        parent_span_id=leaf.get("parent_span_id"),
    )
    if started is not None and (ended := leaf.get("ended_at")) is not None:
        step.until = format_time_us(_us(ended))
        step.duration_ms = (_us(ended) - at_us) // 1000
    step.error = _error(leaf, values)
    step.why = _why(leaf, own, content)
    step.what_else = alternatives_of(values.get("alternatives"))
    step.words = _words(kind, values)
    if kind == "model_call":
        step.said = said_in_call(values)
        step.facts = dict(leaf.get("usage", {}))
    elif kind == "agent_run" and "parent_span_id" not in leaf:
        step.said = asked_of_run(values)
    step.absent = _absent(leaf, own)
    step.folded = kind in _FOLDED_KINDS and leaf.get("status") != "error"
    return step


def _us(text: str) -> int:
    return parse_time_ns(text) // 1000


def _recorded_us(leaf: Mapping[str, Any]) -> int:

    return parse_time_us(leaf["recorded_at"])


def _what(leaf: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """The step in a few words of our own and tokens of the leaf."""
    kind = leaf["kind"]
    match kind:
        case "decision":
            return f"{own.get('type', 'decision')}: {own.get('outcome', 'outcome ' + NOT_REPORTED)}"
        case "fallback":
            return f"{own.get('from', '?')} to {own.get('to', '?')} ({own.get('trigger', 'trigger ' + NOT_REPORTED)})"
        case "handoff":
            to = own.get("to") or own.get("to_kind") or "?"
            return f"{own.get('state', 'handoff')} to {to} ({own.get('reason', 'reason ' + NOT_REPORTED)})"
        case "oversight":
            return f"{own.get('act', 'oversight')}: {own.get('verdict', 'verdict ' + NOT_REPORTED)}"
        case "outcome":
            return str(own.get("status", "outcome"))
        case "notice":
            return str(own.get("type", "notice"))
        case "interaction":
            return f"conversation {own.get('phase', 'mentioned')}"
        case "tool_call":
            return str(leaf.get("tool", {}).get("name") or leaf.get("name") or _WHAT[kind])
        case "model_call":
            model = leaf.get("model", {})
            return str(model.get("name") or model.get("requested") or leaf.get("name") or _WHAT[kind])
        case "agent_run":
            agent = leaf.get("agent", {})
            return str(agent.get("name") or agent.get("id") or leaf.get("name") or _WHAT[kind])
        case _:
            name = leaf.get("name") or leaf.get("tool", {}).get("name") or leaf.get("model", {}).get("requested")
            return str(name or _WHAT.get(kind, kind))


def _who(leaf: Mapping[str, Any], own: Mapping[str, Any], values: Mapping[str, Any]) -> Who:
    agent, model = leaf.get("agent", {}), leaf.get("model", {})
    named = named_agent(leaf["kind"], values)
    return Who(
        agent=named or agent.get("name") or agent.get("id") or named_service(values) or None,
        agent_id=agent.get("id"),
        agent_version=agent.get("version"),
        model=model.get("name") or model.get("requested"),
        model_requested=model.get("requested"),
        provider=model.get("provider"),
        tool=leaf.get("tool", {}).get("name"),
        person=own.get("person"),
        role=own.get("role") if leaf["kind"] == "oversight" else None,
    )


def _error(leaf: Mapping[str, Any], values: Mapping[str, Any]) -> str | None:
    """What was said about the failure; None where nothing failed or nothing was said."""
    if leaf.get("status") != "error" and "error_type" not in leaf:
        return None
    if "error" in values:
        return as_text(values["error"])
    status = values.get("span", {}).get("status") if isinstance(values.get("span"), dict) else None
    if isinstance(status, dict) and isinstance(status.get("message"), str):
        return str(status["message"])
    return None


def _why(leaf: Mapping[str, Any], own: Mapping[str, Any], content: Mapping[str, Content]) -> Why | None:
    """The rationale beside a decision, the reason of a fallback, handoff or oversight, a model's reasoning."""
    kind = leaf["kind"]
    if kind == "model_call":
        found = content.get("output")
        thought = None if found is None or found.state is not ContentState.DISCLOSED else thoughts_in(found.value)
        return None if thought is None else Why(thought, "reasoning_part", None, str(ContentState.DISCLOSED), "derived")
    name = {"decision": "rationale", "fallback": "reason", "oversight": "reason"}.get(kind)
    if name is None:
        return None
    source, captured = own.get("rationale_source"), own.get("rationale_captured")
    found = content.get(name)
    if found is None:
        return Why(None, source, captured, leaf.get("absent", {}).get(name, NOT_REPORTED))
    text = as_text(found.value) if found.state is ContentState.DISCLOSED else None
    return Why(text, source, captured, str(found.state))


def alternatives_of(value: Any) -> list[Alternative]:
    """What else was considered; from an AnyValue list, a JSON string or plain JSON."""
    options = unpacked(value)
    if not isinstance(options, list):
        return []
    found = []
    for option in options:
        option = unpacked(option)
        if isinstance(option, dict):
            name = option.get("option", option.get("name", option.get("label")))
            score, because = option.get("score"), option.get("rejected_because", option.get("because"))
            found.append(
                Alternative(
                    as_text(option if name is None else name),
                    None if score is None else as_text(score),
                    None if because is None else as_text(because),
                )
            )
        else:
            found.append(Alternative(as_text(option)))
    return found


# Words shown with a step of each kind, beside rationale, alternatives and what was said.
_SHOWN = {
    "decision": ("inputs", "output"),
    "handoff": (
        *("summary", "intent", "sentiment", "attempted", "verified_identity", "promises", "open_questions"),
        "next_step",
    ),
    "oversight": ("shown",),
    "outcome": ("effect",),
    "notice": ("text",),
    "tool_call": ("arguments", "result"),
    "retrieval": ("input", "output"),
    "guardrail": ("input", "output", "result"),
    "evaluation": ("input", "output"),
    "operation": ("body",),
}


def _words(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _shown(values[name]) for name in _SHOWN.get(kind, ()) if name in values}


def _shown(value: Any) -> Any:
    """A value as a person reads it: of span events (`gen_ai.tool.message`, `gen_ai.choice`) what they say."""
    value = unpacked(value)
    if isinstance(value, list) and value and all(isinstance(item, dict) and "attributes" in item for item in value):
        said = [argument_map([event]) or [part.text for part in parts_of([event]) if part.text] for event in value]
        return said[0] if len(said) == 1 else said
    return value


def _absent(leaf: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, str]:
    """What a reader looks for and nobody reported, and what the producer itself declared absent."""
    fields = leaf.get("content", {})
    declared = dict(leaf.get("absent", {}))
    for name in _EXPECTED.get(leaf["kind"], ()):
        if name not in own and name not in fields and name not in declared:
            declared[name] = NOT_REPORTED
    if leaf["kind"] == "decision" and "agent" not in leaf:
        declared["agent"] = NOT_REPORTED
    return declared
