"""Parcels that wait: who goes first, what memory holds, and that many of them cost no more than a few."""

from __future__ import annotations

import time
from pathlib import Path

from counterfoil.sdk.backlog import Backlog
from counterfoil.sdk.durable import new_waiter
from counterfoil.sdk.parcel import Parcel


def parcel(n: int, *, awaited: bool = False, body: bytes | None = b"request") -> Parcel:
    path = None if body is not None else Path(f"{n}.parcel")
    return Parcel("py-aaaaaaaaaaaa", n, n, body, [(n, new_waiter())] if awaited else [], path=path)


def order(backlog: Backlog) -> list[int]:
    """The numbers as they are handed out, each settled at once."""
    found = []
    while (one := backlog.next(0)) is not None:
        found.append(one.first)
        backlog.done()
    return found


def test_parcels_go_in_order_but_those_that_someone_waits_for_go_first() -> None:
    backlog = Backlog()
    for n in range(6):
        backlog.add(parcel(n, awaited=n in (3, 4)))
    assert order(backlog) == [3, 4, 0, 1, 2, 5]
    assert backlog.is_empty()


def test_one_that_was_tried_in_vain_is_sent_again_before_the_others_and_waits_as_they_do() -> None:
    backlog = Backlog()
    for n in range(3):
        backlog.add(parcel(n, awaited=n == 1))
    first = backlog.next(0)
    assert first is not None
    backlog.put_back()
    backlog.hold(60, firm=False)
    assert backlog.next(0) is None
    backlog.hurry()
    assert order(backlog) == [1, 0, 2]


def test_a_hold_that_the_service_asked_for_is_kept_for_those_that_someone_waits_for_too() -> None:
    backlog = Backlog()
    backlog.hold(60, firm=True)
    backlog.add(parcel(0, awaited=True))
    backlog.hurry()
    assert backlog.next(0) is None
    backlog.hold(60, firm=False)
    assert order(backlog) == [0]


def test_memory_counts_what_only_memory_has() -> None:
    backlog = Backlog()
    in_memory, spooled, sent = parcel(0), parcel(1, body=None), parcel(2, awaited=True)
    for one in (in_memory, spooled, sent):
        backlog.add(one)
    assert backlog.memory_bytes() == 2 * len(b"request")
    assert backlog.next(0) is sent
    backlog.done()
    assert backlog.in_memory() == [in_memory]
    in_memory.body = None
    assert backlog.memory_bytes() == 0
    assert [one.first for one in backlog.parcels()] == [0, 1]


def test_a_hundred_thousand_spooled_parcels_do_not_slow_anybody_down() -> None:
    """A day without a service, one record a second. What looks at all of them at every step takes minutes for this."""
    backlog = Backlog()
    started = time.process_time()
    for n in range(100_000):
        backlog.add(parcel(n, body=None))
        if n % 100 == 0:
            assert backlog.memory_bytes() == 0
    for _ in range(100_000):
        assert backlog.next(0) is not None
        backlog.done()
    assert time.process_time() - started < 10
