"""Conclusions as steps of a trail, beside the records that they are about; with their words, where the reader may.

A conclusion about a reported step that only adds to it (to whom a handoff went, that a result says *error*) stands on
that step. Everything else is a step of its own, `basis: derived`, with the rule's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from counterfoil.core.state import ContentState
from counterfoil.log.contents import Content
from counterfoil.trails.derive.conclusion import Conclusion
from counterfoil.trails.derive.reading import STATED
from counterfoil.trails.derive.wording import answer_of, argument_map, rationale_of, reason_in
from counterfoil.trails.said import answer_of_run
from counterfoil.trails.steps import NOT_REPORTED, Step, Who, Why
from counterfoil.trails.words import as_text

Contents = Mapping[int, Mapping[str, Content]]
"""By seq: content fields with their states for this reader."""

_AFTER = frozenset(
    ("chose_tool", "answered", "transfer_tool", "agent_as_tool", "approval_requested", "guardrail_tripped")
)
"""Rules whose step stands behind the record that shows it; the others stand before it."""

_AT_END = frozenset(
    (
        *("answered", "chose_tool", "approval_requested"),
        *("answered_after_failure", "asked_back_after_failure", "aborted_after_failure"),
    )
)
"""Rules about what an agent's run ended with."""

_FIELDS = {
    "reasoning_part": "output",
    "text_before_call": "output",
    "handoff_arguments": "arguments",
    "answer": "input",
    STATED: STATED,
}
"""The content field that holds the words."""


def place(steps: Sequence[Step], concluded: Iterable[Step]) -> list[Step]:
    """All steps in order: each derived one before or behind the record that it stands for.

    What a run ended with stands where the run ends, behind everything that happened in it.
    """
    reported = {(step.log, step.seq): step for step in steps}
    before: dict[tuple[str, int], list[Step]] = {}
    behind: dict[tuple[str, int], list[Step]] = {}
    ending: list[tuple[str, Step]] = []
    for step in concluded:
        shown = reported[step.log, step.seq]
        if shown.kind == "agent_run" and step.rule in _AT_END and shown.until is not None:
            step.at = shown.until
            ending.append((shown.until, step))
        else:
            side = behind if step.rule in _AFTER else before
            side.setdefault((step.log, step.seq), []).append(step)
    ending.sort(key=lambda entry: entry[0], reverse=True)
    order: list[Step] = []
    for step in steps:
        while ending and ending[-1][0] < step.at:
            order.append(ending.pop()[1])
        key = (step.log, step.seq)
        order += [*before.get(key, ()), step, *behind.get(key, ())]
    return [*order, *(step for _, step in reversed(ending))]


def step_of_conclusion(found: Conclusion, shown: Step, contents: Contents, reported_by: int | None) -> Step:
    """A derived step at the record `shown`."""
    facts = dict(found.facts)
    step = Step(
        log=shown.log,
        seq=found.seq,
        kind=found.kind,
        basis="derived",
        at=shown.at,
        at_us=shown.at_us,
        recorded_at=shown.recorded_at,
        what=_what(found),
        who=Who(agent=found.agent or shown.who.agent),
        facts=facts,
        rule=found.rule,
        from_seqs=list(found.from_seqs),
        reported_by=reported_by,
        linked=shown.linked,
        trace_id=shown.trace_id,
    )
    if found.rule == "answered" and shown.kind == "agent_run":
        output = contents.get(found.seq, {}).get("output")
        if output is not None and output.state is ContentState.DISCLOSED:
            step.said = answer_of_run(output.value)
    if found.kind == "fallback":
        step.failed_seq = found.from_seqs[0] if found.from_seqs else found.seq
    if found.kind in ("decision", "handoff", "oversight"):
        step.why = why_of(found, contents)
        for name in _ABSENT[found.kind]:
            if name not in facts:
                step.absent[name] = NOT_REPORTED
        if step.why.state == NOT_REPORTED:
            step.absent["rationale" if found.kind == "decision" else "reason"] = NOT_REPORTED
    return step


_ABSENT = {"decision": ("outcome",), "handoff": ("to",), "oversight": ("verdict", "person")}


def _what(found: Conclusion) -> str:
    facts = found.facts
    match found.kind:
        case "fallback":
            return f"{facts.get('from', '?')} to {facts.get('to', '?')} ({facts.get('trigger', '?')})"
        case "decision":
            return f"{str(facts['type']).replace('_', ' ')}: {facts.get('outcome', '?')}"
        case "handoff":
            return f"{facts.get('state', 'handoff')} to {facts.get('to', '?')}"
        case "oversight":
            return f"{facts.get('act', 'oversight')}: {facts.get('verdict', 'verdict ' + NOT_REPORTED)}"
        case _:
            return f"{found.kind}: {facts.get('verdict', facts.get('status', '?'))}"


def why_of(found: Conclusion, contents: Contents) -> Why:
    """The words beside what was concluded, in their state for this reader."""
    if found.words_seq is None:
        return Why(None, None, None, NOT_REPORTED, "derived")
    fields = contents.get(found.words_seq, {})
    name = _FIELDS[found.words_in]
    if name not in fields and found.words_in == "handoff_arguments":
        name = "output"
    content = fields.get(name)
    if content is None:
        return Why(None, found.words_in, None, NOT_REPORTED, "derived")
    if content.state is not ContentState.DISCLOSED:
        return Why(None, found.words_in, None, str(content.state), "derived")
    words = _words(found, {key: one.value for key, one in fields.items() if one.state is ContentState.DISCLOSED})
    state = str(ContentState.DISCLOSED) if words is not None else NOT_REPORTED
    return Why(words, found.words_in, None, state, "derived")


def _words(found: Conclusion, values: Mapping[str, Any]) -> str | None:
    call_id = str(found.facts.get("call_id", found.facts.get("of", "")))
    if found.words_in == STATED:
        return as_text(values[STATED])
    if found.words_in == "answer":
        return answer_of(values, call_id)
    if found.words_in == "handoff_arguments" and "arguments" in values:
        return reason_in(argument_map(values["arguments"]))
    return rationale_of(values, call_id, str(found.facts.get("tool", found.facts.get("outcome", ""))))
