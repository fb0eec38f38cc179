"""Content values as plain values and as words a person reads. Tolerant: what is not understood stays what it is.

A content value that came over OTLP as a string is that string (often JSON inside); anything else from OTLP is an
AnyValue object. Messages are read by messages.py.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import orjson

MAX_DEPTH = 32
_WIDE_NUMBER = re.compile(r"[0-9]{19}").search
_INTEGER = re.compile(r"-?[0-9]{1,19}").fullmatch
_SCALARS = {"stringValue": str, "boolValue": bool, "doubleValue": float, "bytesValue": str}


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
