"""Parcels that wait for the courier, oldest first; those that someone waits for go before the others."""

from __future__ import annotations

import threading
import time
from collections import deque

from counterfoil.sdk.parcel import Parcel


class Backlog:
    """Handed from the packer to the courier. A parcel stays in here, as current, until it is done or put back."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._urgent: deque[Parcel] = deque()
        self._waiting: deque[Parcel] = deque()
        self._in_memory: list[Parcel] = []
        """Those whose body may be here still: after hours without a service the others are many."""
        self._current: Parcel | None = None
        self._not_before = 0.0
        self._firm = False
        self._stopped = False

    def add(self, parcel: Parcel) -> None:
        """A new parcel, behind the others."""
        with self._changed:
            (self._urgent if parcel.waiters else self._waiting).append(parcel)
            self._in_memory.append(parcel)
            self._changed.notify_all()

    def hold(self, seconds: float, *, firm: bool) -> None:
        """Hand nothing out for so long. `firm`: also not to those that someone waits for (the service said so)."""
        with self._changed:
            self._not_before, self._firm = time.monotonic() + seconds, firm

    def hurry(self) -> None:
        """End a hold that was our own idea."""
        with self._changed:
            if not self._firm:
                self._not_before = 0.0
            self._changed.notify_all()

    def next(self, idle_s: float) -> Parcel | None:
        """The next parcel when its time has come; None after `idle_s`, or when stopped."""
        end = time.monotonic() + idle_s
        with self._changed:
            while not self._stopped:
                now = time.monotonic()
                held = now < self._not_before
                queue = self._urgent or (None if held else self._waiting)
                if queue and not (held and self._firm):
                    self._current = queue.popleft()
                    return self._current
                ripe = max(self._not_before, now) if self._waiting or self._urgent else end
                if now >= end:
                    return None
                self._changed.wait(max(0.0, min(ripe, end) - now) or 0.05)
        return None

    def done(self) -> None:
        """The current parcel is settled."""
        with self._changed:
            if self._current is not None:
                self._current.settled = True
            self._current = None
            self._changed.notify_all()

    def put_back(self) -> None:
        """The current parcel is to be sent again, before all others but those that someone waits for."""
        with self._changed:
            if self._current is not None:
                self._waiting.appendleft(self._current)
                self._current = None

    def stop(self) -> None:
        """Hand nothing out any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def parcels(self) -> list[Parcel]:
        """All, the current one first."""
        with self._changed:
            return [*([self._current] if self._current is not None else ()), *self._urgent, *self._waiting]

    def is_empty(self) -> bool:
        """Whether there is none."""
        return self._current is None and not self._urgent and not self._waiting

    def in_memory(self) -> list[Parcel]:
        """Those that only memory has."""
        with self._changed:
            self._in_memory = [parcel for parcel in self._in_memory if parcel.body is not None and not parcel.settled]
            return list(self._in_memory)

    def memory_bytes(self) -> int:
        """Bytes of requests that are in memory."""
        return sum(len(body) for parcel in self.in_memory() if (body := parcel.body) is not None)

    def is_held(self) -> bool:
        """Whether nothing is handed out now: the service was found away."""
        return self.held_s() > 0

    def held_s(self) -> float:
        """For how many seconds more."""
        return max(0.0, self._not_before - time.monotonic())

    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped
