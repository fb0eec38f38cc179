"""The writer of one log: a thread, a bounded queue, group commit.

Batches from all connections that wait for the same log go into one transaction: while one group is being committed, the
next one gathers. A batch is answered when its group is on disk, and never before.

**Bounded.** Beyond `MAX_QUEUED_RECORDS` or `MAX_QUEUED_BYTES` a batch is refused at once (`Busy`): memory does not grow
with the load.

**An unknown outcome stops the writer.** If the commit itself fails, nobody knows whether the group is on disk: every
waiter is told so, and nothing more is appended until the head has been read again.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from counterfoil.core.errors import CounterfoilError, Fault
from counterfoil.log.batch import Appended
from counterfoil.log.errors import Busy, Closing
from counterfoil.log.prepare import Prepared
from counterfoil.store.errors import StorageError, UnknownOutcome

MAX_QUEUED_RECORDS = 20_000
MAX_QUEUED_BYTES = 96 * 1024 * 1024
MAX_GROUP_RECORDS = 8_192
"""Records of one transaction; a single batch may be larger."""

RECOVERY_WAIT_S = 0.5
"""How long to wait before the head is read again after an unknown outcome."""

_logger = logging.getLogger("counterfoil.log")

AppendGroup = Callable[[Sequence[Prepared]], list[Appended]]
ReadHead = Callable[[], object]


class LogWriter:
    """Group commit for one log. `append` writes a group, `read_head` reads the head (after an unknown outcome)."""

    def __init__(self, name: str, append: AppendGroup, read_head: ReadHead) -> None:
        self._append = append
        self._read_head = read_head
        self._queue: deque[tuple[Prepared, Future[Appended]]] = deque()
        self._records = 0
        self._bytes = 0
        self._closing = False
        self._stopped_by: Fault | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"append {name}", daemon=True)
        self._thread.start()

    def submit(self, batch: Prepared) -> Future[Appended]:
        """Queue a batch; the future is done when it is on disk. `Busy` when the queue is full."""
        waiter: Future[Appended] = Future()
        waiter.set_running_or_notify_cancel()  # from here on nobody can cancel it: it will be answered
        with self._changed:
            if self._closing:
                raise Closing("the service is stopping: send again")
            if self._stopped_by is not None:
                raise Closing(f"the log is being read again after a failed write: {self._stopped_by}")
            full = (
                self._records + batch.record_count > MAX_QUEUED_RECORDS or self._bytes + batch.size > MAX_QUEUED_BYTES
            )
            if full and self._queue:
                raise Busy(f"{self._records} records wait to be written: send again in a second")
            self._queue.append((batch, waiter))
            self._records += batch.record_count
            self._bytes += batch.size
            self._changed.notify()
        return waiter

    def close(self, timeout_s: float = 30.0) -> None:
        """Write what is queued, then stop."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            group = self._next_group()
            if group is None:
                return
            self._write(group)

    def _next_group(self) -> list[tuple[Prepared, Future[Appended]]] | None:
        """Everything that waits, up to the size of a group; None when the writer is to end."""
        with self._changed:
            while not self._queue:
                if self._closing:
                    return None
                self._changed.wait()
            group = [self._queue.popleft()]
            count = group[0][0].record_count
            while self._queue and count + self._queue[0][0].record_count <= MAX_GROUP_RECORDS:
                group.append(self._queue.popleft())
                count += group[-1][0].record_count
            self._records -= count
            self._bytes -= sum(batch.size for batch, _ in group)
            return group

    def _write(self, group: list[tuple[Prepared, Future[Appended]]]) -> None:
        try:
            answers = self._append([batch for batch, _ in group])
        except UnknownOutcome as error:
            self._fail(group, error)
            self._recover(error)
        except CounterfoilError as error:
            self._fail(group, error)
        except Exception as error:  # the outermost edge of the thread: its waiters must hear of it
            _logger.exception("appending failed")
            self._fail(group, Fault(f"appending failed: {type(error).__name__}"))
        else:
            for (_, waiter), answer in zip(group, answers, strict=True):
                waiter.set_result(answer)

    def _fail(self, group: list[tuple[Prepared, Future[Appended]]], error: CounterfoilError) -> None:
        for _, waiter in group:
            waiter.set_exception(error)

    def _recover(self, error: UnknownOutcome) -> None:
        """Fail everybody who waits, then take nothing more until the head can be read again."""
        with self._changed:
            self._stopped_by = error
            waiting = list(self._queue)
            self._queue.clear()
            self._records = self._bytes = 0
        self._fail(waiting, error)
        _logger.critical("the outcome of a write is not known; reading the head again: %s", error)
        while True:
            try:
                self._read_head()
                break
            except StorageError as failure:
                _logger.critical("the head cannot be read: %s", failure)
            with self._changed:
                if self._closing:
                    return
                self._changed.wait(RECOVERY_WAIT_S)
        with self._changed:
            self._stopped_by = None
