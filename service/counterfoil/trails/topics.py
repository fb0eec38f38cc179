"""What a trail knows of each thing that a reader asks for, and how: reported, derived (by which rule), or absent.

    agents decisions rationale fallbacks handoffs oversight guardrails outcomes

`reported` is what the producer said in a leaf or content field; `derived` is what a rule concluded; `absent` is what
neither says. A topic is never blank.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from counterfoil.trails.steps import NOT_REPORTED, Step

Basis = Literal["reported", "derived", "absent"]
MAX_ITEMS = 256
"""Items of one topic that are listed; the steps have all of them."""

TOPICS = ("agents", "decisions", "rationale", "fallbacks", "handoffs", "oversight", "guardrails", "outcomes")
_KINDS = {
    "decisions": "decision",
    "fallbacks": "fallback",
    "handoffs": "handoff",
    "oversight": "oversight",
    "guardrails": "guardrail",
    "outcomes": "outcome",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is known, at a record. `rule` where it is derived; `says` in tokens and names of agents."""

    basis: Basis
    log: str
    seq: int
    says: str
    rule: str | None = None


@dataclass(slots=True)
class Topic:
    """What is known of one topic. `basis` is that of the strongest item."""

    topic: str
    basis: Basis
    items: list[Item] = field(default_factory=list)


def topics_of(steps: Sequence[Step]) -> list[Topic]:
    """Every topic, in the order of TOPICS."""
    return [_topic(name, list(_items(name, steps))) for name in TOPICS]


def _topic(name: str, items: list[Item]) -> Topic:
    found = {item.basis for item in items}
    basis: Basis = "reported" if "reported" in found else "derived" if "derived" in found else "absent"
    return Topic(name, basis, items[:MAX_ITEMS])


def _items(name: str, steps: Sequence[Step]) -> Iterator[Item]:
    if name == "agents":
        yield from _agents(steps)
    elif name == "rationale":
        for step in steps:
            if step.kind == "decision" and step.why is not None and step.why.state != NOT_REPORTED:
                source = step.why.source or "source not reported"
                yield Item(_basis(step.why.basis), step.log, step.seq, source, step.rule)
    else:
        for step in steps:
            if step.kind == _KINDS[name] and step.reported_by is None and not _says_nothing(step):
                yield Item(_basis(step.basis), step.log, step.seq, step.what, step.rule)
                yield from _added(step)
            elif name == "outcomes":
                yield from (
                    Item("derived", step.log, step.seq, gap["message"], gap["rule"])
                    for gap in step.gaps
                    if gap["rule"] == "tool_said_error"
                )


def _says_nothing(step: Step) -> bool:
    """A guardrail's record without a verdict says that it ran, not what it found."""
    return step.kind == "guardrail" and step.basis == "reported" and "result" not in step.words


def _added(step: Step) -> Iterator[Item]:
    for name, added in step.concluded.items():
        yield Item("derived", step.log, step.seq, f"{name}: {added['value']}", added["rule"])


def _agents(steps: Sequence[Step]) -> Iterator[Item]:
    seen: set[Any] = set()
    for step in steps:
        acts = step.kind == "agent_run" and not step.folded
        if acts and step.who.agent is not None and step.who.agent not in seen:
            seen.add(step.who.agent)
            yield Item("reported", step.log, step.seq, step.who.agent)
    for step in steps:
        if not seen and step.basis == "reported" and step.who.agent is not None:
            seen.add(step.who.agent)
            yield Item("reported", step.log, step.seq, step.who.agent)


def _basis(text: str) -> Basis:
    return "derived" if text == "derived" else "reported"
