"""How much may be under way at once: bytes of bodies in memory, and items between decoding and commit (THREATS 27).

What does not fit is refused with 429 before memory grows: where Content-Length tells, before the body is read. A
request that is alone is always admitted, so no lawful request is refused for ever. One writer has two thirds of the
bytes at most: who sends large bodies over a slow line does not keep all the others out.
"""

from __future__ import annotations

import threading
from collections import Counter
from fractions import Fraction
from types import TracebackType
from typing import Final

from counterfoil.ingest.limits import Limits
from counterfoil.ingest.status import ExportError

WRITER_SHARE: Final = Fraction(2, 3)


class Admission:
    """The account of what is under way. Safe to share between the event loop and threads."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._bytes = 0
        self._items = 0
        self._of_writer: Counter[str] = Counter()

    @property
    def in_flight(self) -> tuple[int, int]:
        """Bytes and items under way."""
        with self._lock:
            return self._bytes, self._items

    def request(self, writer: str) -> Ticket:
        """A ticket for one request of `writer`; leaving its `with` block gives everything back."""
        return Ticket(self, writer)

    def take_bytes(self, writer: str, more: int) -> None:
        """Count `more` bytes in, or refuse: 429 busy."""
        most, own = self._limits.in_flight_bytes, self._of_writer
        with self._lock:
            if self._bytes and self._bytes + more > most:
                raise ExportError(
                    429,
                    "busy",
                    f"{self._bytes} bytes of requests are under way",
                    limit=_named(self._limits, "in_flight_bytes"),
                )
            if own[writer] and own[writer] + more > most * WRITER_SHARE:
                message = f"{own[writer]} bytes of requests of this key are under way"
                raise ExportError(429, "busy", message, limit=_named(self._limits, "in_flight_bytes"))
            self._bytes += more
            own[writer] += more

    def take_items(self, more: int, own: int = 0) -> None:
        """Count `more` items in beside `own` of the same request, or refuse: 429 busy."""
        with self._lock:
            if self._items > own and self._items + more > self._limits.in_flight_items:
                raise ExportError(
                    429, "busy", f"{self._items} items wait for the disk", limit=_named(self._limits, "in_flight_items")
                )
            self._items += more

    def give_back(self, writer: str, size: int, items: int) -> None:
        """Count `size` bytes and `items` items out."""
        with self._lock:
            self._bytes -= size
            self._items -= items
            self._of_writer[writer] -= size
            if not self._of_writer[writer]:
                del self._of_writer[writer]


class Ticket:
    """What one request has been admitted for so far."""

    __slots__ = ("_admission", "_items", "_size", "_writer")

    def __init__(self, admission: Admission, writer: str) -> None:
        self._admission = admission
        self._writer = writer
        self._size = 0
        self._items = 0

    def __enter__(self) -> Ticket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admission.give_back(self._writer, self._size, self._items)

    def grow(self, size: int) -> None:
        """The body has `size` bytes so far, or will have."""
        if size > self._size:
            self._admission.take_bytes(self._writer, size - self._size)
            self._size = size

    def add_items(self, count: int) -> None:
        """The request has `count` items."""
        self._admission.take_items(count, self._items)
        self._items += count

    def items_done(self, count: int) -> None:
        """`count` of its items are on disk, while others of the request are still to come."""
        self._admission.give_back(self._writer, 0, count)
        self._items -= count

    def body_done(self) -> None:
        """The body is decoded and dropped."""
        self._admission.give_back(self._writer, self._size, 0)
        self._size = 0


def _named(limits: Limits, name: str) -> str:
    return f"{name}={getattr(limits, name)}"
