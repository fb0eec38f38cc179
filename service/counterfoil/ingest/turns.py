"""Turns at the CPU work, weighed by size: many ordinary batches at once, but large requests one after the other.

Decoded and mapped, a request takes about thirteen times its bytes until the log has prepared it (measured: 15 MiB of
spans, 195 MiB). Threads share one interpreter lock, so two large requests at once take twice the memory and finish no
sooner. First come, first served: a large request is not overtaken for ever by small ones.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from counterfoil.ingest.limits import Limits

_GZIP_TRAILER_BYTES = 4
_USUAL_RATIO = 20
"""Spans as text compress to a tenth, with zstd to less."""


class Turns:
    """A counter of bytes at work. For one event loop; a request that is alone always gets its turn."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._at_work = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def take(self, weight: int) -> AsyncIterator[None]:
        """Wait for a turn of `weight` bytes and hold it for the length of the block."""
        if self._waiting or not self._fits(weight):
            await self._wait(weight)
        else:
            self._at_work += weight
        try:
            yield
        finally:
            self._at_work -= weight
            self._call_next()

    async def _wait(self, weight: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((weight, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._at_work -= weight  # it was called in the same moment
            self._call_next()
            raise

    def _call_next(self) -> None:
        while self._waiting:
            weight, turn = self._waiting[0]
            if not turn.cancelled():
                if not self._fits(weight):
                    return
                self._at_work += weight
                turn.set_result(None)
            self._waiting.popleft()

    def _fits(self, weight: int) -> bool:
        return not self._at_work or self._at_work + weight <= self._most


def weight_of(body: bytes, coding: str, limits: Limits) -> int:
    """Bytes of the body once it is decompressed, as far as one can tell without doing it.

    The trailer of gzip says it (RFC 1952, ISIZE), of the last member. Where a body turns out to be larger, it is let go
    of and waits for a turn of the most that it can be (`Ingest`).
    """
    if coding == "identity":
        return len(body)
    guess = len(body) * _USUAL_RATIO
    if coding == "gzip" and len(body) > _GZIP_TRAILER_BYTES:
        guess = int.from_bytes(body[-_GZIP_TRAILER_BYTES:], "little")
    return max(len(body), min(guess, limits.inflated_bytes))
