"""The queue: every number is queued, taken or lost, once, whatever the order of calls."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.sdk.not_recorded import NotRecorded
from counterfoil.sdk.outbox import DECLARED_AGAIN, Loss, Outbox
from counterfoil.sdk.record import Delivered, Record


def record(size: int = 10) -> Record:
    return Record("decision", 1, 0, 0, 0, {}, {}, {}, {}, {}, size)


def outbox(items: int = 10, size: int = 1 << 40, batch: int = 4) -> Outbox:
    return Outbox(items, size, batch)


steps = st.lists(st.sampled_from(["put", "put", "put", "take", "lose", "declare"]), max_size=60)


@given(steps, st.integers(1, 5))
def test_numbers_are_delivered_or_declared_lost_and_never_both(calls: list[str], room: int) -> None:
    box = outbox(items=room)
    delivered: list[int] = []
    declared: list[int] = []

    def make(loss: Loss) -> Record:
        declared.extend(range(loss.first, loss.last + 1))
        return record()

    def take() -> None:
        batch = box.take(1_000)
        delivered.extend(item.n for item in batch)
        assert [item.n for item in batch] == list(range(batch[0].n, batch[-1].n + 1)) if batch else True
        if batch:
            box.settle(batch[0].n, batch[-1].n)

    for call in calls:
        if call == "put":
            box.put(record())
        elif call == "take":
            take()
        elif call == "lose" and (batch := box.take(1_000)):
            box.lose(batch[0].n, batch[-1].n, "refused")
            for item in batch:
                if item.declares is not None:
                    box.lose(*item.declares, DECLARED_AGAIN)
            box.settle(batch[0].n, batch[-1].n)
        elif call == "declare":
            box.declare(make)
    while box.queued() or box.lost() > len(set(declared)):
        box.declare(make)
        while box.queued():
            take()
    assert sorted({*delivered, *declared}) == list(range(box.next_number))
    assert not set(delivered) & set(declared)
    assert len(set(delivered)) == len(delivered)
    assert box.wait_settled(box.next_number, 0)


def test_neighbouring_losses_of_one_reason_are_one_declaration() -> None:
    box = outbox(items=2)
    for _ in range(50):
        box.put(record())
    said: list[Loss] = []
    box.declare(lambda loss: said.append(loss) or record())
    assert said == [Loss(2, 49, "queue_full")]
    assert box.lost() == 48


def test_the_bound_in_bytes_holds_too() -> None:
    box = outbox(items=1_000, size=5_000)
    for _ in range(10):
        box.put(record(size=1_000))
    assert box.queued() == 3
    assert box.lost() == 7


def test_one_who_waits_for_a_record_without_room_hears_at_once() -> None:
    box = outbox(items=1)
    box.put(record())
    waiter = Delivered()
    box.put(record(), waiter)
    assert isinstance(waiter.exception(0), NotRecorded)


def test_after_the_last_record_nothing_is_taken() -> None:
    box = outbox()
    box.put(record())
    assert box.close(lambda _: record()) == 2
    assert box.close(lambda _: record()) == 2
    waiter = Delivered()
    assert box.put(record(), waiter) == -1
    assert isinstance(waiter.exception(0), NotRecorded)


def test_many_threads_get_each_number_once() -> None:
    box = outbox(items=100_000, batch=512)
    numbers: list[int] = []

    def put() -> None:
        numbers.extend(box.put(record()) for _ in range(500))

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(4_000))
    taken = [item.n for _ in range(8) for item in box.take(10_000_000)]
    assert taken == list(range(4_000))


def test_a_signal_handler_that_records_while_a_record_is_queued_does_not_hang() -> None:
    box = outbox(items=1_000_000)
    handled: list[int] = []

    def handle(number: int, frame: Any) -> None:
        handled.append(box.put(record()))

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0005)
    try:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            box.put(record())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert handled
    assert box.queued() == box.next_number


def test_a_batch_ends_at_its_bounds_and_at_a_gap() -> None:
    box = outbox(items=3, batch=10)
    for _ in range(5):
        box.put(record())
    assert [item.n for item in box.take(1_000)] == [0, 1, 2]
    box.put(record(size=600))
    box.put(record(size=600))
    assert [item.n for item in box.take(1_000)] == [5]
    assert [item.n for item in box.take(1_000)] == [6]
    assert not box.wait_settled(7, 0.01)


@pytest.mark.parametrize("poke", [True, False])
def test_waiting_ends_when_poked_or_when_time_is_up(poke: bool) -> None:
    box = outbox()
    if poke:
        threading.Timer(0.05, box.poke).start()
    started = time.monotonic()
    box.wait(5.0 if poke else 0.05, 60)
    assert time.monotonic() - started < 4
