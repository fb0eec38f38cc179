"""One event on its way: what was said, when and where, copied from the host and not yet encoded or redacted."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final, NamedTuple

Fact = str | int | float | bool
Delivered = Future[bytes]
"""Resolved with the promise (a signed note) once the service has it on disk; NotRecorded where it never will."""

RECORD_BYTES: Final = 600
"""What a record weighs in the queue beside its content."""


# Tuples, since a host pays for each of them: a frozen dataclass of this size takes three times as long to make.


class Record(NamedTuple):
    """An event before it is numbered. `subject` is our object (`decision`), `facts` and `fields` are its keys."""

    subject: str
    time_ns: int
    trace_id: int
    span_id: int
    flags: int
    common: Mapping[str, Fact]
    """Whole attributes: interaction, subject, agent."""
    facts: Mapping[str, Fact]
    """Keys of the object: `outcome` becomes `counterfoil.decision.outcome`."""
    fields: Mapping[str, Any]
    """Content, as plain values."""
    absent: Mapping[str, str]
    """Fields that are left out, and why: redacted, unavailable, not_recorded."""
    more: Mapping[str, Fact]
    """Attributes of other conventions: `error.type`."""
    size: int
    """Bytes, about."""


class Numbered(NamedTuple):
    """A record with its producer's number, and who waits for it."""

    n: int
    record: Record
    waiter: Delivered | None = None
    declares: tuple[int, int] | None = None
    """The range of numbers that this record declares lost."""
