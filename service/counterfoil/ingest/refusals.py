"""What was refused for good is itself in the log: one `refusal` record a request (CONVENTIONS 5, RECORD 9).

The leaf says signal, code, how many and the number of the limit; the items with their reasons are sealed content
(`detail`), because a path or a reason may quote what a producer sent. `code` is the items' code where all share one,
else `several`.

    {"kind": "refusal", "refusal": {"code": "bad_trace_id", "count": 2, "signal": "traces"}, ...}
    detail = {"writer": "k-refunds", "request_bytes": 7310, "items": [{"item": "resourceSpans[0]…", "code": …}]}

**Garbage cannot fill the log.** A request of which nothing is kept (undecodable, too large, or every item refused)
counts against its credential: at most `MAX_REFUSAL_RECORDS` such records in `REFUSAL_WINDOW_S`. Further ones are
counted, and the next record of that credential says how many and of which codes (`earlier`); it is written with the
first request of any kind after the window, or when the service stops. Counts held by a service that is killed are lost;
the answer to each such request was given all the same.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from counterfoil.ingest.limits import MAX_ITEM_CHARS, MAX_REASON_CHARS
from counterfoil.ingest.signal import Signal
from counterfoil.ingest.status import shorten
from counterfoil.mapping.draft import Draft, Item, Refused

REFUSAL_WINDOW_S: Final = 60.0
MAX_REFUSAL_RECORDS: Final = 6
MAX_DETAILED_ITEMS: Final = 1_000
"""Items named in `detail`; the rest is a number."""
MAX_CREDENTIALS: Final = 10_000
"""Credentials whose windows are remembered; beyond it the longest silent is forgotten, unless it holds a count."""

_IDENTITY: Final = b"counterfoil/refusal/v1\n"


@dataclass(frozen=True, slots=True)
class Rejection:
    """What one request has refused: the items, or the whole of it as a single entry whose item is `request`."""

    signal: Signal
    writer: str
    items: Sequence[Refused]
    request_bytes: int
    request_digest: bytes
    """SHA-256 of the body as received: the same request sent again makes no second record."""


@dataclass(slots=True)
class _Window:
    started_s: float
    records: int = 0
    held: Counter[str] = field(default_factory=Counter)


class RefusalBook:
    """The windows of every credential. Safe to share between threads; `now_s` is a monotonic clock."""

    def __init__(self, now_s: Callable[[], float], random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._now_s = now_s
        self._random_bytes = random_bytes
        self._lock = threading.Lock()
        self._windows: OrderedDict[tuple[int, str], _Window] = OrderedDict()

    def refuse_some(self, log_id: int, rejection: Rejection) -> Item:
        """The record of a request of which the rest is kept. Not bounded: what is kept is a record as well."""
        with self._lock:
            held = self._take_held(log_id, rejection.writer)
        return self._item(rejection, held)

    def refuse_all(self, log_id: int, rejection: Rejection) -> Item | None:
        """The record of a request of which nothing is kept; None where the window is full (then it is counted)."""
        with self._lock:
            window = self._window(log_id, rejection.writer)
            if window.records >= MAX_REFUSAL_RECORDS:
                window.held[code_of(rejection.items)] += 1
                return None
            window.records += 1
            held = self._take_held(log_id, rejection.writer)
        return self._item(rejection, held)

    def overdue(self, log_id: int, writer: str, signal: Signal) -> Item | None:
        """A record of what was only counted, once its window is over. Mostly None, and cheap: every request asks."""
        if (log_id, writer) not in self._windows:
            return None
        with self._lock:
            window = self._window(log_id, writer)
            if not window.held or window.records >= MAX_REFUSAL_RECORDS:
                return None
            window.records += 1
            held = self._take_held(log_id, writer)
        return self._item(Rejection(signal, writer, (), 0, b""), held)

    def give_back(self, log_id: int, writer: str, item: Item) -> None:
        """The log could not take `item`: count again what only it would have told."""
        detail = dict(item.drafts[0].fields)["detail"]
        with self._lock:
            self._window(log_id, writer).held.update(detail.get("earlier", {}))

    def count(self, log_id: int, rejection: Rejection) -> None:
        """Count `rejection` for the next record."""
        with self._lock:
            self._window(log_id, rejection.writer).held[code_of(rejection.items)] += 1

    def close(self) -> list[tuple[int, Item]]:
        """Every count still held, as records for the logs they belong to."""
        with self._lock:
            held = [(key, window.held) for key, window in self._windows.items() if window.held]
            self._windows.clear()
        return [
            (log_id, self._item(Rejection(Signal.TRACES, writer, (), 0, b""), counts))
            for (log_id, writer), counts in held
        ]

    def _window(self, log_id: int, writer: str) -> _Window:
        key = (log_id, writer)
        now_s = self._now_s()
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = _Window(now_s)
            self._forget()
        elif now_s - window.started_s >= REFUSAL_WINDOW_S:
            window.started_s = now_s
            window.records = 0
        self._windows.move_to_end(key)
        return window

    def _forget(self) -> None:
        if len(self._windows) > MAX_CREDENTIALS:
            silent = next((key for key, window in self._windows.items() if not window.held), None)
            if silent is not None:
                del self._windows[silent]

    def _take_held(self, log_id: int, writer: str) -> Counter[str]:
        window = self._windows.get((log_id, writer))
        if window is None:
            return Counter()
        held, window.held = window.held, Counter()
        return held

    def _item(self, rejection: Rejection, held: Counter[str]) -> Item:
        # A request sent again is the same record; one that also carries counts is a new fact each time.
        unique = self._random_bytes(32) if held or not rejection.request_digest else b""
        listed = hashlib.sha256(repr([(one.item, one.code) for one in rejection.items]).encode()).digest()
        return Item(
            signal=rejection.signal.value,
            trace_id=b"",
            span_id=b"",
            producer=None,
            identity=_IDENTITY + rejection.request_digest + listed + unique,
            ordinal=0,
            drafts=[draft_of(rejection, held)],
        )


def code_of(items: Sequence[Refused]) -> str:
    """The one code that all items share, else `several`."""
    codes = {one.code for one in items}
    return codes.pop() if len(codes) == 1 else "several"


def draft_of(rejection: Rejection, held: Counter[str]) -> Draft:
    """The record of a rejection, with what was only counted before it."""
    items = rejection.items
    facts: dict[str, Any] = {
        "signal": rejection.signal.value,
        "code": code_of(items) if items else code_of_counts(held),
        "count": len(items) + held.total(),
    }
    limit = next((number for one in items if (number := limit_number(one.limit)) is not None), None)
    if limit is not None:
        facts["limit"] = limit
    detail: dict[str, Any] = {"writer": rejection.writer}
    if items:
        detail["request_bytes"] = rejection.request_bytes
        detail["items"] = [_detail_of(one) for one in items[:MAX_DETAILED_ITEMS]]
    if len(items) > MAX_DETAILED_ITEMS:
        detail["more"] = len(items) - MAX_DETAILED_ITEMS
    if held:
        detail["earlier"] = dict(sorted(held.items()))
    return Draft(kind="refusal", source="service", facts={"refusal": facts}, fields=[("detail", detail)])


def code_of_counts(held: Counter[str]) -> str:
    """As `code_of`, for counts."""
    return next(iter(held)) if len(held) == 1 else "several"


def limit_number(limit: str | None) -> int | None:
    """The number in `name=value`; a leaf says the number, its code says which limit it is."""
    value = (limit or "").rpartition("=")[2]
    return int(value) if value.isascii() and value.isdigit() else None


def _detail_of(one: Refused) -> dict[str, str]:
    entry = {
        "item": shorten(one.item, MAX_ITEM_CHARS),
        "code": one.code,
        "message": shorten(one.message, MAX_REASON_CHARS),
    }
    return entry | {"limit": one.limit} if one.limit else entry
