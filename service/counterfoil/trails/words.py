"""Content values as plain values and as words a person reads. Tolerant: what is not understood stays what it is.

A content value that came over OTLP as a string is that string (often JSON inside); anything else from OTLP is an
AnyValue object. Messages follow the GenAI conventions: a list of {role, parts}, or {role, content}.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

MAX_DEPTH = 32
_WIDE_NUMBER = re.compile(r"[0-9]{19}").search
_INTEGER = re.compile(r"-?[0-9]{1,19}").fullmatch
_SCALARS = {"stringValue": str, "boolValue": bool, "doubleValue": float, "bytesValue": str}
_SPOKEN = ("text", "content", "message")
_THOUGHT = ("reasoning", "thinking")


@dataclass(frozen=True, slots=True)
class Said:
    """Something said in the conversation: by `user`, `assistant`, ..."""

    role: str
    text: str


def plain(value: Any, depth: int = 0) -> Any:
    """An AnyValue as the value it stands for; anything else as it is."""
    if depth > MAX_DEPTH or not isinstance(value, dict) or len(value) != 1:
        if isinstance(value, list) and depth <= MAX_DEPTH:
            return [plain(item, depth + 1) for item in value]
        return value
    ((name, inner),) = value.items()
    if name in _SCALARS:
        return inner
    if name == "intValue":
        return int(inner) if isinstance(inner, str) and _INTEGER(inner) is not None else inner
    # What stands in a string of the producer's own may only look like an AnyValue: then it is what it is.
    values = inner.get("values", []) if isinstance(inner, dict) else None
    if name == "arrayValue" and isinstance(values, list):
        return [plain(item, depth + 1) for item in values]
    if name == "kvlistValue" and isinstance(values, list):
        return {
            str(pair.get("key")): plain(pair.get("value", {}), depth + 1) for pair in values if isinstance(pair, dict)
        }
    return value


def unpacked(value: Any) -> Any:
    """The same, and a string that holds a JSON list or object as that."""
    value = plain(value)
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            # orjson makes a float of an integer of more than 64 bits; but what it refuses (NaN, Infinity, halves of a
            # surrogate pair) could not be answered with either.
            found = orjson.loads(value)
            return found if _WIDE_NUMBER(value) is None else json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def parsed(value: Any) -> Any:
    """The same for those who look for tokens and texts only: faster, and integers of more than 64 bits are floats."""
    value = plain(value)
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def as_text(value: Any) -> str:
    """A value as one text: strings as they are, the rest as JSON."""
    value = plain(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def spoken(value: Any) -> list[Said]:
    """What was said in a value of messages, in order. Plain text that is no message says nothing about who spoke."""
    return [Said(role, text) for role, kind, text in _parts(value) if kind in _SPOKEN]


def thoughts(value: Any) -> str | None:
    """The reasoning parts of messages, joined; None where there are none."""
    found = [text for _, kind, text in _parts(value) if kind in _THOUGHT]
    return "\n".join(found) or None


def _parts(value: Any) -> Iterator[tuple[str, str, str]]:
    """(role, type of part, text) of every part that has text."""
    messages = unpacked(value)
    if isinstance(messages, dict):
        messages = messages.get("messages", [messages])
    if not isinstance(messages, list):
        return
    for message in messages:
        message = unpacked(message)
        if not isinstance(message, dict):
            continue
        role = message.get("role")
        parts = message.get("parts", message.get("content"))
        if isinstance(parts, str):
            parts = [{"type": "text", "content": parts}]
        for part in parts if isinstance(parts, list) else []:
            if not isinstance(part, dict):
                continue
            text = next((part[key] for key in ("content", "text", *_THOUGHT) if isinstance(part.get(key), str)), None)
            if text and text.strip():
                yield str(role or "unknown"), str(part.get("type", "text")), text.strip()
