"""Events that are words of their item (`tables.EVENT_ROWS`): before 1.37 the GenAI conventions sent messages so.

A span event `gen_ai.user.message` moves to the field `input`, a list of OTLP/JSON events, and leaves
`{"promoted": "input"}` in `events`. Of an event with several meanings (`gen_ai.client.inference.operation.details`)
single attributes are fields, and leave `{"key": k, "promoted": "input"}` in the event. A field that an attribute of the
span fills already is not added to: the event then stays what it is. Of a log event the body is the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from counterfoil.mapping.conventions.rows import EventRow
from counterfoil.mapping.tables import EVENT_ROWS


def _by_name() -> Mapping[str, tuple[EventRow, ...]]:
    rows: dict[str, tuple[EventRow, ...]] = {}
    for row in EVENT_ROWS:
        rows[row.event] = (*rows.get(row.event, ()), row)
    return rows


_ROWS: Final = _by_name()


class Moved:
    """Moves the events of one span to the fields of its reading."""

    __slots__ = ("_events", "_fields", "_kind")

    def __init__(self, kind: str, fields: dict[str, Any]) -> None:
        self._kind = kind
        self._fields = fields
        self._events: dict[str, list[Any]] = {}

    def take(self, name: str, event: dict[str, Any]) -> dict[str, Any] | None:
        """What is left of an event (as OTLP/JSON) in `events`; None where the tables do not name it."""
        rows = [row for row in _ROWS.get(name, ()) if not row.kinds or self._kind in row.kinds]
        if not rows:
            return None
        whole = next((row for row in rows if not row.attribute), None)
        if whole is None:
            self._take_attributes(rows, event)
            return event
        if (moved := self._events.get(whole.field)) is None:
            if whole.field in self._fields:
                return event
            moved = self._fields[whole.field] = self._events[whole.field] = []
        moved.append(event)
        return {"promoted": whole.field}

    def _take_attributes(self, rows: list[EventRow], event: dict[str, Any]) -> None:
        pairs = event.get("attributes", [])
        for place, pair in enumerate(pairs):
            row = next((row for row in rows if row.attribute == pair["key"]), None)
            value = _content(pair)
            if row is not None and value is not None and row.field not in self._fields:
                self._fields[row.field] = value
                pairs[place] = {"key": pair["key"], "promoted": row.field}


def _content(pair: dict[str, Any]) -> Any:
    """The value of a pair as a content value; None where it says nothing, or is named by an index."""
    value = pair.get("value")
    if not value or "keyStrindex" in pair or value.get("stringValue") == "":
        return None
    return value.get("stringValue", value)


def body_field(name: str, kind: str, fields: Mapping[str, Any]) -> str | None:
    """The field that the body of a log event with this name is; None where it stays the body."""
    for row in _ROWS.get(name, ()):
        if not row.attribute and (not row.kinds or kind in row.kinds):
            return None if row.field in fields else row.field
    return None
