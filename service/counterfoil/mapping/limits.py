"""The limits that mapping keeps (RECORD 9), by name. An item over one is refused alone; a request over one, whole.

Nesting counts values inside values: the value of an attribute is level 1, a value in an array or map inside it level 2.
"""

from __future__ import annotations

MAX_ITEMS = 10_000
"""Spans or log records in one request."""
MAX_NESTING = 32
"""Levels of AnyValue in one attribute or body."""
MAX_PARTS = 128
"""Span events of one span that become records of their own (an SDK's default limit on events). Others stay content."""
TRACE_ID_BYTES = 16
SPAN_ID_BYTES = 8


class ItemError(Exception):
    """This item cannot be accepted as it is. Raised inside the room only: it becomes a `Refused`."""

    def __init__(self, code: str, message: str, limit: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.limit = limit


def nesting_error() -> ItemError:
    """A value nested over the limit."""
    return ItemError(
        "nesting_too_deep",
        f"a value is nested over the limit of {MAX_NESTING} levels",
        f"nesting={MAX_NESTING}",
    )
