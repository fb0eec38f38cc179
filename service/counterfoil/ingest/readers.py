"""Turns at reading gRPC messages. gRPC tells nobody how long a message will be, so each counts as one of the largest.

`total` are read at once, `each` of them for one writer: a writer on a slow line does not keep the others waiting. First
come, first served among the calls of a writer, and among writers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Readers:
    """For one event loop."""

    def __init__(self, total: int, each: int) -> None:
        self._all = asyncio.Semaphore(total)
        self._each = each
        self._writers: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def take(self, writer: str, wait_s: float) -> AsyncIterator[None]:
        """Wait for a turn, `wait_s` at most (TimeoutError), and hold it for the length of the block."""
        own, users = self._writers.get(writer, (asyncio.Semaphore(self._each), 0))
        self._writers[writer] = own, users + 1
        try:
            async with asyncio.timeout(wait_s):
                await own.acquire()
                try:
                    await self._all.acquire()
                except BaseException:
                    own.release()
                    raise
            try:
                yield
            finally:
                self._all.release()
                own.release()
        finally:
            own, users = self._writers[writer]
            if users == 1:
                del self._writers[writer]
            else:
                self._writers[writer] = own, users - 1
