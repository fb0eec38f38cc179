"""Waiting for promises: in a thread, or in an event loop without blocking it."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Sequence

from counterfoil.sdk.not_recorded import NotRecorded
from counterfoil.sdk.record import Delivered


def new_waiter() -> Delivered:
    """To be resolved by the courier; nobody can cancel it."""
    waiter = Delivered()
    waiter.set_running_or_notify_cancel()
    return waiter


def in_event_loop() -> bool:
    """Whether asyncio runs in this thread now."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def wait_promised(waiters: Sequence[Delivered], timeout_s: float) -> bytes:
    """The promise of the first, once all are promised. NotRecorded."""
    concurrent.futures.wait(waiters, timeout_s)
    return _promise(waiters, timeout_s)


async def wait_promised_async(waiters: Sequence[Delivered], timeout_s: float) -> bytes:
    """The same in an event loop."""
    if waiters:
        await asyncio.wait([asyncio.wrap_future(waiter) for waiter in waiters], timeout=timeout_s)
    return _promise(waiters, timeout_s)


def _promise(waiters: Sequence[Delivered], timeout_s: float) -> bytes:
    if not waiters:
        raise NotRecorded("nothing was recorded")
    for waiter in waiters:
        if not waiter.done():
            raise NotRecorded(f"no promise within {timeout_s:g} s")
        if (error := waiter.exception()) is not None:
            # A new one for each who waits: an exception that is raised twice collects both tracebacks.
            raise NotRecorded(error.reason if isinstance(error, NotRecorded) else type(error).__name__)
    return waiters[0].result()
