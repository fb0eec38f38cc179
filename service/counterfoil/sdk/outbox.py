"""The bounded queue between the host's threads and the background, which numbers what goes through it.

The rule (RECORD 7): every record gets the producer's next number, from 0, also one that finds no room; what is lost is
kept as ranges of numbers and declared in a record of its own as soon as one can be sent. `put` takes a lock, appends
and returns; it never waits for room. The lock is reentrant: a signal handler or a finaliser may record too.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from counterfoil.sdk.complaints import complaints
from counterfoil.sdk.not_recorded import NotRecorded
from counterfoil.sdk.record import RECORD_BYTES, Delivered, Numbered, Record

DECLARED_AGAIN: Final = "declared_again"
"""The reason of a loss whose first declaration was lost itself."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Numbers `first` to `last` will not be sent."""

    first: int
    last: int
    reason: str


class Outbox:
    """Numbered records of one producer, oldest first."""

    def __init__(self, max_items: int, max_bytes: int, batch_items: int) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._batch_items = batch_items
        self._changed = threading.Condition(threading.RLock())
        self._queue: deque[Numbered] = deque()
        self._bytes = 0
        self._next = 0
        self._oldest_at = 0.0
        self._urgent = False
        self._poked = False
        self._closed = False
        self._losses: list[Loss] = []
        self._declared = 0
        self._open: set[tuple[int, int]] = set()
        """Ranges taken and not settled yet."""

    @property
    def next_number(self) -> int:
        """The number of the next record; so many were produced."""
        return self._next

    def put(
        self,
        record: Record,
        waiter: Delivered | None = None,
        *,
        room: bool = False,
        declares: tuple[int, int] | None = None,
    ) -> int:
        """Number and queue; without room (unless `room` is granted) the number is lost. The number; -1 once closed."""
        lost = False
        with self._changed:
            if self._closed:
                if waiter is not None:
                    waiter.set_exception(NotRecorded("the SDK is shut down"))
                return -1
            n = self._next
            self._next = n + 1
            size = record.size + RECORD_BYTES
            queue = self._queue
            if not room and (len(queue) >= self._max_items or self._bytes + size > self._max_bytes):
                lost = True
                self._lose(n, n, "queue_full")
            else:
                queue.append(Numbered(n, record, waiter, declares))
                self._bytes += size
                if len(queue) == 1:
                    self._oldest_at = time.monotonic()
                if waiter is not None:
                    self._urgent = True
                if waiter is not None or len(queue) == 1 or len(queue) == self._batch_items:
                    self._changed.notify_all()
        if lost:
            complaints.note("queue_full", "the queue is full: records are dropped, counted and declared as lost")
            if waiter is not None:
                waiter.set_exception(NotRecorded("the queue is full"))
        return n

    def wait(self, idle_s: float, delay_s: float) -> None:
        """Until there is a batch, or a record has waited for `delay_s`, or someone waits for one; `idle_s` at most."""
        end = time.monotonic() + idle_s
        with self._changed:
            while not self._poked:
                now = time.monotonic()
                ripe = end
                if self._queue:
                    if self._urgent or len(self._queue) >= self._batch_items:
                        break
                    ripe = min(end, self._oldest_at + delay_s)
                if now >= ripe:
                    break
                self._changed.wait(ripe - now)
            self._poked = False

    def poke(self) -> None:
        """End a `wait` now."""
        with self._changed:
            self._poked = True
            self._changed.notify_all()

    def take(self, max_bytes: int) -> list[Numbered]:
        """The oldest records with numbers in a row, a batch at most; the caller settles them as one range."""
        taken: list[Numbered] = []
        with self._changed:
            total = 0
            while self._queue and len(taken) < self._batch_items:
                item = self._queue[0]
                total += item.record.size
                if taken and (total > max_bytes or item.n != taken[-1].n + 1):
                    break
                taken.append(self._queue.popleft())
                self._bytes -= item.record.size + RECORD_BYTES
            if taken:
                self._open.add((taken[0].n, taken[-1].n))
            self._oldest_at = time.monotonic()
            if not self._queue:
                self._urgent = False
        return taken

    def settle(self, first: int, last: int) -> None:
        """A range that was taken is acknowledged, or its losses are known."""
        with self._changed:
            self._open.discard((first, last))
            self._changed.notify_all()

    def lose(self, first: int, last: int, reason: str) -> None:
        """Numbers that will never be sent; to be declared."""
        with self._changed:
            self._lose(first, last, reason)

    def _lose(self, first: int, last: int, reason: str) -> None:
        before = self._losses[-1] if self._losses else None
        if before is not None and before.reason == reason and before.last + 1 == first:
            self._losses[-1] = Loss(before.first, last, reason)
        else:
            self._losses.append(Loss(first, last, reason))

    def declare(self, make: Callable[[Loss], Record]) -> None:
        """Queue a declaration for each loss not declared yet, whatever room there is."""
        if not self._losses:
            return
        with self._changed:
            losses, self._losses = sorted(self._losses, key=lambda loss: (loss.reason, loss.first)), []
            for loss in losses:
                self._lose(loss.first, loss.last, loss.reason)
            losses, self._losses = self._losses, []
            for loss in losses:
                self._declared += 0 if loss.reason == DECLARED_AGAIN else loss.last - loss.first + 1
                self.put(make(loss), room=True, declares=(loss.first, loss.last))

    def close(self, make_last: Callable[[int], Record]) -> int:
        """Queue the last record, made with its own number; nothing is taken after it. How many numbers there are."""
        with self._changed:
            if not self._closed:
                self.put(make_last(self._next), room=True)
                self._closed = True
            self._poked = True
            self._changed.notify_all()
            return self._next

    def wait_settled(self, number: int, timeout_s: float) -> bool:
        """Until every number below `number` is acknowledged or lost; False where time ran out."""
        end = time.monotonic() + timeout_s
        with self._changed:
            while self._lowest_open() < number:
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def _lowest_open(self) -> int:
        lowest = self._queue[0].n if self._queue else self._next
        return min((first for first, _ in self._open), default=lowest) if self._open else lowest

    def queued(self) -> int:
        """Records in the queue."""
        return len(self._queue)

    def lost(self) -> int:
        """Numbers lost so far, declared or not."""
        with self._changed:
            waiting = (loss for loss in self._losses if loss.reason != DECLARED_AGAIN)
            return self._declared + sum(loss.last - loss.first + 1 for loss in waiting)
