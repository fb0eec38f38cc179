"""Content values as text that a person reads: lists as lines, objects as `key: value`, messages as who said what.

    [{"option": "approve", "score": 0.35, "rejected_because": "outside the window"}, {"option": "deny", "score": 0.65}]

    - option: approve · score: 0.35 · rejected because: outside the window
    - option: deny · score: 0.65

Agents often report a list or object as a string of JSON; it is read as what it says. OTLP's typed values lose their
wrapping here. This is a view for report.html; the exact value stands in disclosures.ndjson.
"""

from __future__ import annotations

from typing import Any

import orjson

from counterfoil.evidence.canonical import to_text

MAX_DEPTH = 6
MAX_ITEMS = 50
MAX_PARSED_CHARS = 200_000

_ANY_VALUES = frozenset(("stringValue", "boolValue", "intValue", "doubleValue", "bytesValue"))


def prose_of(value: Any) -> str:
    """The value as readable text."""
    return _text(_unwrap(value), MAX_DEPTH)


def _unwrap(value: Any, depth: int = MAX_DEPTH) -> Any:
    """The value without OTLP's wrapping, and without the string around JSON."""
    if depth == 0:
        return value
    if isinstance(value, str):
        if value[:1] in "[{" and len(value) <= MAX_PARSED_CHARS:
            try:
                return _unwrap(orjson.loads(value), depth - 1)
            except orjson.JSONDecodeError:
                return value
        return value
    if isinstance(value, list):
        return [_unwrap(item, depth - 1) for item in value]
    if isinstance(value, dict):
        if len(value) == 1:
            ((key, inner),) = value.items()
            if key in _ANY_VALUES:
                return inner
            if key in ("arrayValue", "kvlistValue") and isinstance(inner, dict):
                return _unwrap(inner.get("values", []), depth - 1)
        if value.keys() == {"key", "value"} and isinstance(value["key"], str):
            return {value["key"]: _unwrap(value["value"], depth - 1)}
        return {key: _unwrap(inner, depth - 1) for key, inner in value.items()}
    return value


def _text(value: Any, depth: int) -> str:
    if isinstance(value, str):
        return value
    if depth == 0 or not isinstance(value, list | dict):
        return to_text(value)
    if isinstance(value, dict):
        return _message(value, depth) or " · ".join(
            f"{key.replace('_', ' ')}: {_text(inner, depth - 1)}" for key, inner in list(value.items())[:MAX_ITEMS]
        )
    lines = [f"- {_text(item, depth - 1)}" for item in value[:MAX_ITEMS]]
    if len(value) > MAX_ITEMS:
        lines.append(f"- … and {len(value) - MAX_ITEMS} more")
    return "\n".join(lines)


def _message(value: dict[str, Any], depth: int) -> str | None:
    """A chat message as "role: what it says", where that is what the object is."""
    role = value.get("role")
    said = value.get("parts", value.get("content"))
    if not isinstance(role, str) or said is None:
        return None
    parts = said if isinstance(said, list) else [said]
    return f"{role}: " + " ".join(_part(part, depth - 1) for part in parts[:MAX_ITEMS])


def _part(part: Any, depth: int) -> str:
    if isinstance(part, dict):
        for key in ("content", "text"):
            if isinstance(part.get(key), str):
                return str(part[key])
    return _text(part, depth)
