"""Every step of writing fails once as not persisted and once as persisted-but-failed; then the log is checked whole.

A failure is injected through the seams that the code has: the hook at each named step, and a database whose begin or
commit fails. Nothing of ours is replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from counterfoil.core.errors import Fault
from counterfoil.log.append import append_within
from counterfoil.log.batch import Appended, Batch, Given
from counterfoil.log.errors import Closing, HeadContradicted
from counterfoil.log.prepare import prepare
from counterfoil.store.database import Database, open_keystore
from counterfoil.store.errors import StorageError, UnknownOutcome
from tests.log.append.making import WRITER, Made, check_every_log, open_with, send, span

STEPS = (
    "planned",
    "keys_committed",
    "sealed",
    "transaction_begun",
    "head_read",
    "arrivals_checked",
    "records_inserted",
    "contents_inserted",
    "arrivals_inserted",
    "head_moved",
    "committed",
)


class Broken(Fault):
    """What the hook raises."""


def broken_at(step: str) -> Callable[[str], None]:
    def reached(now: str) -> None:
        if now == step:
            raise Broken(f"stopped at {step}")

    return reached


class FailingDatabase(Database):
    """Fails `when`: "begin", or at the commit "before" or "after" it took place; once, when armed."""

    def __init__(self, url: str, when: str) -> None:
        super().__init__(url)
        self.when = when
        self.armed = False

    def begin(self, connection: Connection) -> None:
        self._fail("begin")
        super().begin(connection)

    def commit(self, connection: Connection) -> None:
        self._fail("before")
        super().commit(connection)
        self._fail("after")

    def _fail(self, when: str) -> None:
        if self.armed and self.when == when:
            self.armed = False
            raise OperationalError("COMMIT", None, OSError("disk I/O error"))


def test_the_steps_are_these_and_in_this_order(made: Made) -> None:
    seen: list[str] = []
    logs = open_with(made, reached=seen.append)
    send(logs, made.log, span(1))
    logs.close()
    assert tuple(seen) == STEPS


@pytest.mark.parametrize("step", STEPS)
def test_a_failure_at_a_step_leaves_all_or_nothing_and_a_retry_makes_one_record(made: Made, step: str) -> None:
    send(made.logs, made.log, span(7))
    logs = open_with(made, reached=broken_at(step))
    with pytest.raises(Fault, match="stopped"):
        send(logs, made.log, span(1), span(2, subject="cust-1"))
    logs.close()
    persisted = step == "committed"
    assert check_every_log(made.path)[made.log.id] == (5 if persisted else 3)
    answer = send(made.logs, made.log, span(1), span(2, subject="cust-1"))
    assert answer.seqs == [Given(3, 3, not persisted), Given(4, 4, not persisted)]


@pytest.mark.parametrize("when", ["begin", "before", "after"])
def test_a_failing_keystore_appends_nothing_and_the_retry_works(made: Made, when: str) -> None:
    failing: list[FailingDatabase] = []

    def opened(url: str) -> Database:
        failing.append(FailingDatabase(url, when))
        return failing[0]

    logs = open_with(made, keystore=opened)
    send(logs, made.log, span(1))
    failing[0].armed = True
    with pytest.raises(StorageError):
        send(logs, made.log, span(2, interaction="another"))
    assert check_every_log(made.path)[made.log.id] == 3
    assert send(logs, made.log, span(2, interaction="another")).seqs == [Given(3, 3, True)]
    logs.close()


@pytest.mark.parametrize(("when", "persisted"), [("begin", False), ("before", False), ("after", True)])
def test_a_failing_commit_is_never_acknowledged_and_the_writer_reads_the_head_before_it_goes_on(
    made: Made, when: str, persisted: bool
) -> None:
    failing: list[FailingDatabase] = []

    def opened(url: str) -> Database:
        failing.append(FailingDatabase(url, when))
        return failing[0]

    logs = open_with(made, ledger=opened)
    send(logs, made.log, span(1))
    failing[0].armed = True
    with pytest.raises(StorageError) as caught:
        send(logs, made.log, span(2))
    assert isinstance(caught.value, UnknownOutcome) == (when != "begin")
    answer = None
    while answer is None:
        try:
            answer = send(logs, made.log, span(2))
        except Closing:
            continue  # the head is being read again
    assert answer.seqs == [Given(3, 3, not persisted)]
    logs.close()


def test_an_unknown_outcome_fails_everybody_who_waits(made: Made) -> None:
    failing: list[FailingDatabase] = []

    def opened(url: str) -> Database:
        failing.append(FailingDatabase(url, "after"))
        return failing[0]

    waiting: list[Future[Appended]] = []

    def reached(step: str) -> None:
        # While the first group is being committed, others queue up behind it.
        if step == "head_moved" and not waiting:
            failing[0].armed = True
            waiting.extend(logs.append(made.log.id, Batch(WRITER, [span(number)])) for number in range(10, 13))

    logs = open_with(made, ledger=opened, reached=reached)
    first = logs.append(made.log.id, Batch(WRITER, [span(1)]))
    with pytest.raises(UnknownOutcome):
        first.result(30)
    for one in waiting:
        with pytest.raises(UnknownOutcome):
            one.result(30)
    logs.close()
    assert check_every_log(made.path)[made.log.id] == 3  # the first is there, though nobody was told


def test_a_keystore_that_is_gone_is_a_fault_that_says_so(made: Made, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other") / "empty.db"
    with pytest.raises(StorageError, match="no such table"):
        send(open_with(made, keystore=lambda _: open_keystore(f"sqlite:///{other}")), made.log, span(1))


def test_a_second_record_at_an_index_is_refused_by_the_database(made: Made) -> None:
    """The head row set back by hand: the primary key refuses what would be a fork."""
    send(made.logs, made.log, span(1))
    with made.logs.ledger.write() as connection:
        before = connection.exec_driver_sql("SELECT size, leaf_hash FROM heads WHERE log_id = ?", (made.log.id,)).one()
        connection.exec_driver_sql("UPDATE heads SET size = 2 WHERE log_id = ?", (made.log.id,))
    with pytest.raises(StorageError, match="UNIQUE"):
        send(made.logs, made.log, span(2))
    with made.logs.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE heads SET size = ? WHERE log_id = ?", (before[0], made.log.id))
    assert send(made.logs, made.log, span(2)).seqs == [Given(3, 3, True)]


def test_a_head_that_moves_under_the_transaction_is_refused(made: Made) -> None:
    """Compare-and-swap: the row is changed by somebody inside our own transaction; nothing of it stays."""
    prepared = prepare(made.log, Batch(WRITER, [span(1)]), made.logs.keystore, made.clock, recognise=False)
    connections: list[Connection] = []

    def reached(step: str) -> None:
        if step == "arrivals_inserted":
            connections[0].exec_driver_sql("UPDATE heads SET leaf_hash = x'00' WHERE log_id = ?", (made.log.id,))

    logs = open_with(made, reached=reached)

    def append() -> None:
        with logs.ledger.write() as connection:
            connections.append(connection)
            append_within(logs.appender(made.log.id), connection, [prepared])

    with pytest.raises(HeadContradicted):
        append()
    logs.close()
    assert check_every_log(made.path)[made.log.id] == 2
