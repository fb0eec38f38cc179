"""A batch on its way: one serialised OTLP request, the numbers in it, and who waits for it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from counterfoil.sdk.not_recorded import NotRecorded
from counterfoil.sdk.record import Delivered


@dataclass(slots=True, eq=False)
class Parcel:
    """Numbers `first` to `last` of `producer`; `body` is None while only the spool has it."""

    producer: str
    first: int
    last: int
    body: bytes | None
    waiters: list[tuple[int, Delivered]] = field(default_factory=list)
    declares: list[tuple[int, int, int]] = field(default_factory=list)
    """(n, first, last): record n in here declares a range lost; lost itself, it must be declared again."""
    path: Path | None = None
    settled: bool = False
    """Delivered or given up: not to be written any more."""
    made_at: float = field(default_factory=time.monotonic)

    @property
    def count(self) -> int:
        """Numbers in the parcel."""
        return self.last - self.first + 1

    def failed(self, reason: str) -> None:
        """Nobody will hear of it in time."""
        for _, waiter in self.waiters:
            if not waiter.done():
                waiter.set_exception(NotRecorded(reason))
        self.waiters.clear()
