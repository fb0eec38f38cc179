"""What the words of one record say, as tokens: which call was chosen, who approved it, whether a result says *error*.

Rules that need words work on a `Reading`, never on the words: it holds tokens, enumerations and yes or no, so that what
is concluded from it may stand in the index, and the words stay where they can be erased. A token here keeps the rule of
RECORD 1 (no run of seven digits, no spaces); what is none is left out.

    Reading(calls=(Chosen("c1", "lookup_order"),), answers=False, rationale="reasoning_part", ...)

Sentences by which frameworks report that a person refused are data (REFUSED): they are fixed texts of the frameworks'
own source, not anybody's words.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from counterfoil.core.rules import is_token
from counterfoil.trails.derive.agents import named_agent
from counterfoil.trails.derive.names import INTERRUPTS, is_transfer, transfer_target
from counterfoil.trails.derive.wording import argument_map, output_parts, reason_in, said_error
from counterfoil.trails.messages import (
    CALL,
    REFUSAL,
    REQUESTED,
    RESPONSE,
    TEXT,
    THOUGHT,
    VERDICT,
    Part,
    parts_of,
)
from counterfoil.trails.words import parsed, plain

Leaf = Mapping[str, Any]

READ_KINDS = frozenset(("model_call", "agent_run", "tool_call", "handoff", "guardrail"))
"""Kinds whose content is read for rules; of the others only what failed."""
READ_FIELDS = frozenset(("input", "output", "arguments", "result", "error", "span", "rationale"))
"""Content fields that are read for rules."""

_RUN_FIELDS = READ_FIELDS | {"attributes"}
"""Of an agent's run also what names the agent, where its leaf cannot."""

STATED = "rationale"
"""Where a producer put the rationale into a field of its own."""
MAX_TOKENS = 64
"""Calls, verdicts and answers of one record that are remembered."""

_TARGETS = (
    "agent_name",
    "to_agent",
    "target_agent",
    "agent",
    "recipient",
    "assistant",
    "to",
    "target",
    "queue",
    "skill",
)

REFUSED = {
    "Tool execution was not approved.": "openai-agents",
    "Tool call invocation was rejected by user.": "Microsoft Agent Framework",
    "Error: Tool call invocation was rejected by user.": "Microsoft Agent Framework",
    "The tool call was denied.": "pydantic-ai",
    "User rejected the tool call": "LangChain human in the loop",
}
"""Answers that a framework gives to its model in place of a result, where a person refused the call."""

_TRIPPED = ("tripwire triggered", "tripwiretriggered", "guardrail triggered", "blocked by guardrail")
_FALLING_BACK = frozenset(("RunnableWithFallbacks", "FallbackModel"))
_INTERRUPTING_FINISH = "interrupt"
_RESUMED = {"approve": True, "accept": True, "approved": True, "reject": False, "rejected": False, "deny": False}
_REFUSING_FINISH = frozenset(("content_filter", "refusal", "safety", "SAFETY", "guardrail_intervened"))


@dataclass(frozen=True, slots=True)
class Chosen:
    """A call that a model chose. Empty where nobody said, or where it is no token."""

    call_id: str
    name: str
    to: str = ""
    """Where it is a transfer: to whom."""
    reasoned: str = ""
    """Where its rationale stands: `rationale`, `reasoning_part`, `text_before_call`, `handoff_arguments`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one record's words say."""

    calls: tuple[Chosen, ...] = ()
    answers: bool = False
    """The output has words for whoever asked, and no call."""
    asks: bool = False
    """Those words end in a question mark."""
    reasoned: str = ""
    """Where the rationale of the answer stands."""
    refuses: bool = False
    requested: tuple[tuple[str, str, str], ...] = ()
    """Approvals that were asked for: (call id, tool, id of the request)."""
    verdicts: tuple[tuple[str, str, str, bool], ...] = ()
    """Approvals that were given or not: (call id, tool, id of the request, approved)."""
    not_approved: tuple[tuple[str, str], ...] = ()
    """Calls that a framework's own sentence says a person refused: (call id, framework)."""
    answered: tuple[str, ...] = ()
    """Call ids that the last message of the input answers."""
    said_error: str = ""
    """How a tool's result says that it failed."""
    tripped: bool = False
    interrupted: bool = False
    to: str = ""
    """A handoff's target, as its arguments or its span's name give it."""
    gave_reason: bool = False
    failed: tuple[str, ...] = ()
    """Tools that a run's output says failed, where they have no record of their own."""
    falls_back: bool = False
    """The span is a framework's own fallback: what runs in it after a failure is one."""
    agent: str = ""
    """The agent's name where it is no token (agents.py). Not a token: it never stands in the index."""


NOTHING = Reading()

_log = logging.getLogger("counterfoil.trails")


def is_read(leaf: Leaf) -> bool:
    """Whether a record's content is read for rules."""
    fields = leaf.get("content")
    if not fields:
        return False
    if leaf["kind"] in READ_KINDS:
        return not fields_read(leaf).isdisjoint(fields)
    if leaf["kind"] == "operation" and "parent_span_id" not in leaf and "input" in fields:
        return True  # what a graph was started, or goes on, with
    return leaf.get("status") == "error" and "error" in fields


def fields_read(leaf: Leaf) -> frozenset[str]:
    """The content fields of a record that rules read."""
    return _RUN_FIELDS if leaf["kind"] == "agent_run" else READ_FIELDS


def read_words(leaf: Leaf, values: Mapping[str, Any]) -> Reading:
    """The reading of a record whose disclosed content is `values`; NOTHING where it has a form that we stumble over.

    A producer writes these values, and everybody's index waits for the next record.
    """
    try:
        reading = _read(leaf, values)
        named = named_agent(leaf["kind"], values) if "attributes" in values else ""
        return replace(reading, agent=named) if named else reading
    except (TypeError, ValueError, AttributeError, LookupError, RecursionError) as error:
        # Its text may hold words of the content, which belong into no log of ours.
        reason = type(error).__name__
        _log.warning("record %s: its content was not understood (%s); no rule reads it", leaf.get("seq"), reason)
        return NOTHING


def _read(leaf: Leaf, values: Mapping[str, Any]) -> Reading:
    kind = leaf["kind"]
    error = _error_text(values)
    tripped = any(words in error for words in _TRIPPED)
    interrupted = any(name.lower() in error for name in INTERRUPTS)
    if kind in ("tool_call", "handoff"):
        return _read_call(leaf, values, tripped=tripped, interrupted=interrupted)
    if kind in ("model_call", "agent_run"):
        return _read_turn(values, tripped=tripped, interrupted=interrupted)
    if kind == "operation":
        return Reading(
            verdicts=_resumed(values.get("input")),
            tripped=tripped,
            interrupted=interrupted,
            falls_back=_span_name(values) in _FALLING_BACK,
        )
    return Reading(tripped=tripped, interrupted=interrupted)


def _read_call(leaf: Leaf, values: Mapping[str, Any], *, tripped: bool, interrupted: bool) -> Reading:
    name = leaf.get("tool", {}).get("name", "")
    arguments = argument_map(values.get("arguments", values.get("input")))
    result = values.get("result", values.get("output"))
    refused = tuple(("", framework) for text, framework in REFUSED.items() if text == _plain_text(result))
    return Reading(
        said_error=said_error(result) or "",
        tripped=tripped,
        interrupted=interrupted,
        to=_target(name, arguments) if leaf["kind"] == "handoff" or is_transfer(name) else "",
        gave_reason=reason_in(arguments) is not None,
        not_approved=refused,
    )


def _read_turn(values: Mapping[str, Any], *, tripped: bool, interrupted: bool) -> Reading:
    given, made = parts_of(values.get("input")), output_parts(values.get("output"))
    said = [part for part in made if part.role in ("assistant", "unknown", "model", "ai")]
    last_said = said[-1].message if said else -1
    # A run's output may hold all of its turns: what it answers with is the last of them.
    closing = [part for part in said if part.message == last_said]
    answer = [part for part in closing if part.sort == TEXT and part.text]
    calling = any(part.sort == CALL for part in closing)
    last_given = given[-1].message if given else -1
    return Reading(
        calls=_calls(said, stated="rationale" in values),
        answers=bool(answer) and not calling,
        asks=bool(answer) and not calling and answer[-1].text.rstrip().endswith(("?", "？", "؟")),
        reasoned="" if calling else _where_answered(closing, stated="rationale" in values),
        refuses=any(part.sort == REFUSAL or part.finish in _REFUSING_FINISH for part in closing),
        requested=tuple(
            dict.fromkeys((_id(p.call_id), _tool(p.name), _id(p.request_id)) for p in made if p.sort == REQUESTED)
        )[:MAX_TOKENS],
        verdicts=tuple(
            dict.fromkeys(
                (_id(p.call_id), _tool(p.name), _id(p.request_id), p.approved)
                for p in given
                if p.sort == VERDICT and p.approved is not None
            )
        )[:MAX_TOKENS]
        or _resumed(values.get("input")),
        not_approved=tuple(
            dict.fromkeys(
                (_id(p.call_id), REFUSED[p.text]) for p in (*given, *made) if p.sort == RESPONSE and p.text in REFUSED
            )
        )[:MAX_TOKENS],
        answered=tuple(_id(p.call_id) for p in given if p.message == last_given and p.sort == RESPONSE and p.call_id)[
            :MAX_TOKENS
        ],
        tripped=tripped,
        failed=_failures(values.get("output")),
        interrupted=interrupted or any(part.finish == _INTERRUPTING_FINISH for part in closing),
    )


def _resumed(value: Any) -> tuple[tuple[str, str, str, bool], ...]:
    """The verdict with which a graph goes on: `{"resume": {"approved": false}}`, `{"resume": {"type": "reject"}}`."""
    value = parsed(value)
    resume = parsed(value.get("resume")) if isinstance(value, dict) else None
    if isinstance(resume, dict) and isinstance(resume.get("decisions"), list) and resume["decisions"]:
        resume = resume["decisions"][0]
    if isinstance(resume, bool):
        return (("", "", "", resume),)
    if isinstance(resume, dict):
        said = resume.get("approved", resume.get("type", resume.get("action", resume.get("decision"))))
        verdict = said if isinstance(said, bool) else _RESUMED.get(said.lower()) if isinstance(said, str) else None
        return () if verdict is None else (("", "", "", verdict),)
    verdict = _RESUMED.get(resume.lower()) if isinstance(resume, str) else None
    return () if verdict is None else (("", "", "", verdict),)


def _failures(value: Any) -> tuple[str, ...]:
    """The failures that CrewAI lists in what a task gave."""
    value = parsed(value)
    listed = value.get("tool_failures") if isinstance(value, dict) else None
    names = (one.get("tool_name") for one in listed or () if isinstance(one, dict)) if isinstance(listed, list) else ()
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str) and _tool(name)))[:MAX_TOKENS]


def _span_name(values: Mapping[str, Any]) -> str:
    span = values.get("span")
    name = span.get("name") if isinstance(span, dict) else None
    return name if isinstance(name, str) else ""


def _where_answered(closing: list[Part], *, stated: bool) -> str:
    """The rationale of an answer: a field of its own, else the model's reasoning in the same message."""
    if stated:
        return STATED
    return "reasoning_part" if any(part.sort == THOUGHT for part in closing) else ""


def _calls(said: list[Part], *, stated: bool) -> tuple[Chosen, ...]:
    """The calls that were chosen, at most MAX_TOKENS, each with where its rationale stands.

    That is the model's reasoning, else words before the call in its message, else its arguments.
    """
    found: dict[Chosen, None] = {}
    for _, message in groupby(said, key=lambda part: part.message):
        beside = list(message)
        thought = any(part.sort == THOUGHT and part.text for part in beside)
        spoken = False
        for part in beside:
            spoken = spoken or bool(part.sort == TEXT and part.text)
            if part.sort != CALL:
                continue
            name = _tool(part.name)
            arguments = part.arguments if isinstance(part.arguments, dict) else {}
            reasoned = "handoff_arguments" if is_transfer(name) and reason_in(arguments) is not None else ""
            reasoned = "reasoning_part" if thought else "text_before_call" if spoken else reasoned
            to = _target(name, arguments) if is_transfer(name) else ""
            found[Chosen(_id(part.call_id), name, to, STATED if stated else reasoned)] = None
            if len(found) == MAX_TOKENS:
                return tuple(found)
    return tuple(found)


def _target(name: str, arguments: Mapping[str, Any]) -> str:
    """To whom a transfer goes: as the tool's name says, else as its arguments do.

    Where the name says that it goes to people, arguments may hold the name of a person: that is nobody's agent.
    """
    if named := transfer_target(name):
        return named
    target = next((arguments[key] for key in _TARGETS if isinstance(arguments.get(key), str)), "")
    return _tool(target)


def _error_text(values: Mapping[str, Any]) -> str:
    text = _plain_text(values.get("error"))
    span = values.get("span")
    status = span.get("status") if isinstance(span, dict) else None
    if isinstance(status, dict) and isinstance(status.get("message"), str):
        text += " " + status["message"]
    return text.lower()[:65_536]


def _plain_text(value: Any) -> str:
    value = plain(value)
    return value.strip() if isinstance(value, str) else ""


def _id(text: str) -> str:
    return text if is_token(text) else ""


def _tool(text: str) -> str:
    return text if is_token(text) else ""
