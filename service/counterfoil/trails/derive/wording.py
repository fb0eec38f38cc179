"""The words themselves, found again when a trail is shown: beside a call, in its arguments, in its result.

A Reading (reading.py) says only where words stand. Tolerant and pure, as everything that reads content.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from counterfoil.trails.derive.names import is_transfer, transfer_target
from counterfoil.trails.messages import CALL, RESPONSE, TEXT, THOUGHT, Part, pairs_of, parts_of
from counterfoil.trails.words import parsed, plain

_REASONS = ("reason", "message", "handoff_message", "rationale", "justification")
_ERROR_WORDS = frozenset(("error", "failed", "failure", "exception"))


def output_parts(value: Any) -> list[Part]:
    """The parts of an output; plain text is what the assistant said."""
    found = parts_of(value)
    text = plain(value)
    if not found and isinstance(text, str) and text.strip() and text.lstrip()[:1] not in ("{", "["):
        return [Part(0, "assistant", TEXT, text.strip())]
    return found


def rationale_of(values: Mapping[str, Any], call_id: str, name: str) -> str | None:
    """The words that a Reading points to: those beside the call with this id (or name), else beside the answer.

    Of a handoff the name is that of who takes over: the call of the tool that hands over to it.
    """
    said = [part for part in output_parts(values.get("output")) if part.role in ("assistant", "unknown", "model", "ai")]
    calls = [part for part in said if part.sort == CALL]
    call = next((part for part in calls if call_id and part.call_id == call_id), None)
    call = call or next((part for part in calls if name and name in (part.name, transfer_target(part.name))), None)
    message = call.message if call is not None else said[-1].message if said else -1
    beside = [part for part in said if part.message == message]
    thought = [part.text for part in beside if part.sort == THOUGHT and part.text]
    if thought:
        return "\n".join(thought)
    if call is None:
        return None
    before = beside[: next(at for at, part in enumerate(beside) if part is call)]
    words = [part.text for part in before if part.sort == TEXT and part.text]
    if words:
        return "\n".join(words)
    return reason_in(call.arguments) if is_transfer(call.name) and isinstance(call.arguments, dict) else None


def answer_of(values: Mapping[str, Any], call_id: str) -> str | None:
    """The words that answer a call in an input: what a person or another system said in place of a result."""
    answers = [part for part in parts_of(values.get("input")) if part.sort == RESPONSE and part.call_id == call_id]
    return answers[-1].text if answers else None


def argument_map(value: Any) -> dict[str, Any]:
    """A call's arguments, whatever form they have; empty where they are no map."""
    value = parsed(value)
    if isinstance(value, list) and value and isinstance(value[0], dict) and "attributes" in value[0]:
        pairs = pairs_of(value[0]["attributes"])
        value = parsed(pairs.get("content", pairs.get("message")))
    return value if isinstance(value, dict) else {}


def reason_in(arguments: Mapping[str, Any]) -> str | None:
    """The reason that the arguments of a handoff give."""
    found = next((arguments[key] for key in _REASONS if isinstance(arguments.get(key), str)), None)
    return found.strip() or None if found is not None else None


def said_error(result: Any) -> str | None:
    """What a tool's result says went wrong, whatever its status says."""
    result = parsed(result)
    if isinstance(result, list) and result and isinstance(result[0], dict) and "attributes" in result[0]:
        result = argument_map(result) or result
    if isinstance(result, str) and result[:1] == "{":
        try:
            result = json.loads(result)
        except (ValueError, RecursionError):
            return None
    if not isinstance(result, dict):
        return None
    status = result.get("status")
    if isinstance(status, str) and status.lower() in _ERROR_WORDS:
        return f"status {status.lower()}"
    if isinstance(result.get("error"), str | dict) and result["error"]:
        return "an error object"
    if result.get("isError") is True or result.get("is_error") is True:
        return "isError"
    return None
