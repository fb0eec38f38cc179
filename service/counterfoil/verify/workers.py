"""Work done here or in worker processes, results in the order of the log, a few units under way at a time.

Where this process has one thread, workers are forked: they start in milliseconds, so that small bundles gain too. Where
it has more they are spawned, since a lock that another thread holds would stay held in a fork for ever.
"""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Self, TypeVar

from counterfoil.verify.blame import Failure, Stopped
from counterfoil.verify.unit import Frame, Result, Unit, check_unit

Answer = TypeVar("Answer")


def start_method() -> str:
    """How worker processes of this process are started."""
    return "fork" if sys.platform == "linux" and threading.active_count() == 1 else "spawn"


def _begin(niceness: int) -> None:  # pragma: no cover - runs in workers alone; tested by killing their parent
    """In a new worker: leave the cores to whoever needs them more, and end with the process that started it."""
    if niceness:
        os.nice(niceness)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:  # pragma: no cover - as above
    """A fork holds the other end of its own queue, so it would wait for ever for a parent that was killed."""
    parent.join()
    os._exit(1)


def _or_failure(units: Iterator[Unit]) -> Iterator[Unit | Failure]:
    """The units, and at the end why there are no more: what was read before is still checked, and blamed, first."""
    try:
        yield from units
    except Stopped as stopped:
        yield stopped.failure


class Workers:
    """Up to `count` processes; with a count of 1 everything is done here, when its result is asked for."""

    def __init__(self, count: int, *, niceness: int = 0) -> None:
        """`niceness` lowers the priority of the processes (POSIX `nice`)."""
        self.count = count
        self._pool: ProcessPoolExecutor | None = None
        if count > 1:
            context = get_context(start_method())
            self._pool = ProcessPoolExecutor(count, context, initializer=_begin, initargs=(niceness,))
            # Forks are made now, while there is one thread; nobody knows what is started later.
            self._pool.submit(int)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def begin(self, work: Callable[..., Answer], *given: Any) -> Callable[[], Answer]:
        """Begin `work`, if there are workers; call what is returned for its result."""
        if self._pool is None:
            return lambda: work(*given)
        return self._pool.submit(work, *given).result

    def run_units(self, frame: Frame, units: Iterator[Unit]) -> Iterator[Result]:
        """The result of each unit, in order."""
        if self._pool is None:
            for unit in _or_failure(units):
                yield Result(failure=unit) if isinstance(unit, Failure) else check_unit(frame, unit)
            return
        under_way: deque[Future[Result]] = deque()
        for unit in _or_failure(units):
            if isinstance(unit, Failure):
                stopped: Future[Result] = Future()
                stopped.set_result(Result(failure=unit))
                under_way.append(stopped)
            else:
                under_way.append(self._pool.submit(check_unit, frame, unit))
            if len(under_way) > 2 * self.count:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
