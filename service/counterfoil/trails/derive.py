"""What is concluded from the records of one trail, and never written to the log.

Each rule is a pure function over records in any order; a conclusion names its rule, so that a reader can tell it from
what an agent reported, and the rules may change without touching a single record.

    model_fallback        a failed model call, then a call of another model under the same parent (or around it)
    model_retry           a failed model call, then the same model again
    tool_retry            a failed tool call, then the same tool again under the same parent
    alternative_tool      a failed tool call, then at once another tool under the same parent
    other_model_answered  the response came from another model than the one requested (a dated release of the same
                          model, `gpt-5` answered as `gpt-5-2026-01-01`, is the same model)
    tool_said_error       a tool call without error status whose result says that it failed
    parent_missing        a parent span that never arrived
    no_result             a tool call that neither failed nor has a result
    cut_by_sdk            the producer's SDK dropped attributes, events or links before sending

The first five need leaves alone: the projector keeps them for search. The others are for the trail.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Leaf = Mapping[str, Any]

CALLS = ("model_call", "tool_call")
_ERROR_WORDS = frozenset(("error", "failed", "failure", "exception"))
_DROPPED = ("droppedAttributesCount", "droppedEventsCount", "droppedLinksCount")


@dataclass(frozen=True, slots=True)
class Fallback:
    """A fallback step that nobody reported: at `seq` the call `failed_seq` (itself, if they are equal) was replaced."""

    rule: str
    seq: int
    failed_seq: int
    trigger: str
    origin: str | None
    to: str | None
    attempt: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that should be there and is not."""

    rule: str
    seq: int
    message: str


def is_call(leaf: Leaf) -> bool:
    """Whether a record is a call of a model or a tool (some frameworks emit attempts as spans of no known kind)."""
    return leaf["kind"] in CALLS or (leaf["kind"] == "operation" and "requested" in leaf.get("model", {}))


def has_failed(leaf: Leaf) -> bool:
    """Whether the call says itself that it failed."""
    return leaf.get("status") == "error" or "error_type" in leaf


def is_of_interest(leaf: Leaf) -> bool:
    """Whether a record can start a derived fallback: a failed call, or one that another model answered."""
    return is_call(leaf) and (has_failed(leaf) or other_model(leaf) is not None)


def fallbacks(leaves: Iterable[Leaf]) -> list[Fallback]:
    """Every derived fallback step among the records, in order of `seq`."""
    calls = sorted(filter(is_call, leaves), key=_started)
    found = [*replaced_calls(calls), *nested_attempts(calls), *substituted_models(calls)]
    return sorted(found, key=lambda step: (step.seq, step.failed_seq, step.rule))


def replaced_calls(calls: Sequence[Leaf]) -> list[Fallback]:
    """A failed call followed, under the same parent, by the call that replaces it."""
    found = []
    siblings: dict[tuple[str, str, str], list[Leaf]] = {}
    for call in calls:
        trace_id, parent = call.get("trace_id"), call.get("parent_span_id")
        if trace_id is not None and parent is not None and call["kind"] in CALLS:
            siblings.setdefault((call["kind"], trace_id, parent), []).append(call)
    for (kind, _, _), group in siblings.items():
        attempt = 1
        for failed, following in pairwise(group):
            if not has_failed(failed):
                attempt = 1
                continue
            attempt += 1
            origin, to = _what(failed), _what(following)
            same = origin == to
            if kind == "model_call":
                rule = "model_retry" if same else "model_fallback"
            else:
                rule = "tool_retry" if same else "alternative_tool"
            found.append(Fallback(rule, following["seq"], failed["seq"], _trigger(failed), origin, to, attempt))
    return found


def nested_attempts(calls: Sequence[Leaf]) -> list[Fallback]:
    """A failed model call inside a model call that went well under another model's name."""
    spans = {(call.get("trace_id"), call.get("span_id")): call for call in calls if call["kind"] == "model_call"}
    found = []
    for call in calls:
        if call["kind"] == "tool_call" or not has_failed(call) or "parent_span_id" not in call:
            continue
        outer = spans.get((call.get("trace_id"), call["parent_span_id"]))
        if outer is None or has_failed(outer) or _what(outer) == _what(call):
            continue
        found.append(
            Fallback("model_fallback", outer["seq"], call["seq"], _trigger(call), _what(call), _what(outer), 2)
        )
    return found


def other_model(leaf: Leaf) -> str | None:
    """The model that answered, where it is another than the one requested."""
    model = leaf.get("model", {})
    requested, name = model.get("requested"), model.get("name")
    if requested is None or name is None or requested == name:
        return None
    # `openai/gpt-5` and `gpt-5` are one model, and so are `gpt-5` and the release `gpt-5-2026-01-01` of it.
    short, answered = requested.rpartition("/")[2], name.rpartition("/")[2]
    rest = answered[len(short) :] if answered.startswith(short) else None
    if rest is not None and (not rest or (rest[0] in "-@:" and rest[1:2].isdigit()) or rest == "-latest"):
        return None
    return str(name)


def substituted_models(calls: Sequence[Leaf]) -> list[Fallback]:
    """A response from another model than the one requested."""
    return [
        Fallback("other_model_answered", call["seq"], call["seq"], "other", call["model"]["requested"], answered, 1)
        for call in calls
        if call["kind"] == "model_call" and not has_failed(call) and (answered := other_model(call)) is not None
    ]


def missing_parents(leaves: Sequence[Leaf]) -> list[Gap]:
    """Parent spans that never arrived, once each, at the first record that names one."""
    present = {(leaf.get("trace_id"), leaf.get("span_id")) for leaf in leaves if "span_id" in leaf}
    found: dict[tuple[str, str], Gap] = {}
    for leaf in leaves:
        parent = leaf.get("parent_span_id")
        trace_id = leaf.get("trace_id")
        if parent is None or trace_id is None or (trace_id, parent) in present or (trace_id, parent) in found:
            continue
        found[trace_id, parent] = Gap("parent_missing", leaf["seq"], f"parent span {parent} never arrived")
    return list(found.values())


def missing_results(leaves: Iterable[Leaf]) -> list[Gap]:
    """Tool calls that neither failed nor have a result, though what was sent with them was recorded."""
    return [
        Gap("no_result", leaf["seq"], f"the call of {_what(leaf) or 'a tool'} has no result and no error")
        for leaf in leaves
        if leaf["kind"] == "tool_call"
        and not has_failed(leaf)
        and "arguments" in leaf.get("content", {})
        and not {"result", "output", "error"} & leaf["content"].keys()
        and not {"result", "output"} & leaf.get("absent", {}).keys()
    ]


def cut_by_sdk(seq: int, content: Mapping[str, Any]) -> list[Gap]:
    """What the producer's SDK says that it dropped before sending."""
    span = content.get("span")
    if not isinstance(span, dict):
        return []
    counts = {name: span[name] for name in _DROPPED if isinstance(span.get(name), int) and span[name] > 0}
    if not counts:
        return []
    parts = (f"{count} {name.removeprefix('dropped').removesuffix('Count').lower()}" for name, count in counts.items())
    return [Gap("cut_by_sdk", seq, f"the producer's SDK dropped {', '.join(parts)} before sending")]


def said_error(leaf: Leaf, content: Mapping[str, Any]) -> str | None:
    """What a tool's result says went wrong, where its status does not (a status often lies)."""
    if leaf["kind"] != "tool_call" or has_failed(leaf):
        return None
    result = content.get("result", content.get("output"))
    if isinstance(result, str) and result[:1] == "{":
        try:
            result = json.loads(result)
        except (ValueError, RecursionError):
            return None
    if not isinstance(result, dict):
        return None
    status = result.get("status")
    if isinstance(status, str) and status.lower() in _ERROR_WORDS:
        return f"status {status}"
    if isinstance(result.get("error"), str | dict) and result["error"]:
        return "an error object"
    if result.get("isError") is True:
        return "isError"
    return None


def _what(call: Leaf) -> str | None:
    if call["kind"] == "tool_call":
        tool: dict[str, str] = call.get("tool", {})
        return tool.get("name")
    model: dict[str, str] = call.get("model", {})
    return model.get("requested") or model.get("name")


def _trigger(call: Leaf) -> str:
    """The trigger of RECORD 3 that the error type stands for."""
    error = str(call.get("error_type", "")).lower()
    if "timeout" in error or "deadline" in error or error in ("408", "504"):
        return "timeout"
    if "unavailable" in error or "connection" in error or error in ("502", "503"):
        return "unavailable"
    if "ratelimit" in error.replace("_", "") or "quota" in error or error == "429":
        return "budget"
    return "error"


def _started(call: Leaf) -> tuple[str, int]:
    return call.get("started_at", ""), call["seq"]
