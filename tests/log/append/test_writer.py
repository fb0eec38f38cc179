"""The writer: group commit from many threads, a bounded queue, an orderly end."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from counterfoil.core.errors import Fault
from counterfoil.log.batch import Appended, Batch
from counterfoil.log.errors import Busy, Closing
from counterfoil.log.prepare import Prepared
from counterfoil.log.writer import MAX_GROUP_RECORDS, MAX_QUEUED_BYTES, MAX_QUEUED_RECORDS, LogWriter
from counterfoil.store.errors import StorageError, UnknownOutcome
from tests.log.append.making import WRITER, Made, check_every_log, firsts, open_with, send, span


def prepared(records: int, size: int = 0) -> Prepared:
    return Prepared([], {}, WRITER, records, size)


def answer() -> Appended:
    return Appended([], None, 0, 0)


class Gate:
    """An `append` that waits until it is let through, and says which groups it got."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, group: object) -> list[Appended]:
        assert isinstance(group, list)
        self.groups.append([one.record_count for one in group])
        self.entered.set()
        assert self.open.wait(30)
        return [answer() for _ in group]


def test_many_threads_share_commits_and_every_batch_is_answered_with_its_own_numbers(made: Made) -> None:
    def one(number: int) -> list[int]:
        items = [span(number * 10 + n, interaction=f"conv-{number % 7}") for n in range(5)]
        return [given.first for given in send(made.logs, made.log, *items).seqs]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(one, range(1, 161)))
    assert all(given == list(range(given[0], given[0] + 5)) for given in answers)
    assert sorted(seq for given in answers for seq in given) == list(range(2, 802))
    assert made.logs.counters.groups < 160
    assert check_every_log(made.path)[made.log.id] == 802


def test_batches_that_wait_go_into_one_group_up_to_its_size() -> None:
    gate = Gate()
    writer = LogWriter("test", gate, lambda: None)
    waiters = [writer.submit(prepared(1))]
    assert gate.entered.wait(30)
    half = MAX_GROUP_RECORDS // 2
    waiters += [writer.submit(prepared(count)) for count in (half, half, 1, 2)]
    gate.open.set()
    for waiter in waiters:
        waiter.result(30)
    writer.close()
    assert gate.groups == [[1], [half, half], [1, 2]]


@pytest.mark.parametrize(
    ("first", "second"),
    [((MAX_QUEUED_RECORDS, 0), (1, 0)), ((1, MAX_QUEUED_BYTES), (1, 1))],
    ids=["records", "bytes"],
)
def test_beyond_the_bound_a_batch_is_refused_at_once(first: tuple[int, int], second: tuple[int, int]) -> None:
    gate = Gate()
    writer = LogWriter("test", gate, lambda: None)
    running = writer.submit(prepared(1))
    assert gate.entered.wait(30)
    queued = writer.submit(prepared(*first))
    with pytest.raises(Busy) as caught:
        writer.submit(prepared(*second))
    assert caught.value.code == "busy"
    gate.open.set()
    running.result(30)
    queued.result(30)
    writer.submit(prepared(*second)).result(30)  # there is room again
    writer.close()


def test_a_batch_larger_than_the_bound_is_taken_when_nothing_waits() -> None:
    gate = Gate()
    gate.open.set()
    writer = LogWriter("test", gate, lambda: None)
    writer.submit(prepared(MAX_QUEUED_RECORDS + 1)).result(30)
    writer.close()
    assert gate.groups == [[MAX_QUEUED_RECORDS + 1]]


def test_closing_writes_what_is_queued_and_takes_nothing_more(made: Made) -> None:
    started = threading.Event()
    go_on = threading.Event()

    def reached(step: str) -> None:
        if step == "transaction_begun":
            started.set()
            assert go_on.wait(30)

    logs = open_with(made, reached=reached)
    waiting = [logs.append(made.log.id, Batch(WRITER, [span(1)]))]
    assert started.wait(30)
    waiting += [logs.append(made.log.id, Batch(WRITER, [span(number)])) for number in range(2, 6)]
    go_on.set()
    logs.close()
    assert [firsts(one.result(0)) for one in waiting] == [[2], [3], [4], [5], [6]]
    with pytest.raises(Fault):
        send(logs, made.log, span(9))
    writer = LogWriter("test", lambda _: [], lambda: None)
    writer.close()
    with pytest.raises(Closing):
        writer.submit(prepared(1))


def test_after_an_unknown_outcome_nothing_is_taken_until_the_head_can_be_read() -> None:
    readable = threading.Event()
    read = threading.Event()

    def append(group: object) -> list[Appended]:
        if not readable.is_set():
            raise UnknownOutcome("the disk went away")
        return [answer()]

    def read_head() -> None:
        read.set()
        if not readable.is_set():
            raise StorageError("still away")

    writer = LogWriter("test", append, read_head)
    with pytest.raises(UnknownOutcome):
        writer.submit(prepared(1)).result(30)
    assert read.wait(30)
    with pytest.raises(Closing, match="read again"):
        writer.submit(prepared(1))
    readable.set()
    done: Future[Appended] | None = None
    while done is None:
        try:
            done = writer.submit(prepared(1))
        except Closing:
            continue
    assert done.result(30) == answer()
    writer.close()


def test_a_mistake_of_ours_fails_its_group_alone() -> None:
    calls: list[int] = []

    def append(group: object) -> list[Appended]:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError
        return [answer()]

    writer = LogWriter("test", append, lambda: None)
    with pytest.raises(Fault, match="ZeroDivisionError"):
        writer.submit(prepared(1)).result(30)
    assert writer.submit(prepared(1)).result(30) == answer()
    writer.close()


def test_nobody_can_cancel_what_was_queued() -> None:
    gate = Gate()
    writer = LogWriter("test", gate, lambda: None)
    waiter = writer.submit(prepared(1))
    assert not waiter.cancel()
    gate.open.set()
    assert waiter.result(30) == answer()
    writer.close()
