"""Units checked here or in worker processes, their results in the order of the log, a few under way at a time."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context

from counterfoil.verify.blame import Failure, Stopped
from counterfoil.verify.unit import Frame, Result, Unit, check_unit


def _or_failure(units: Iterator[Unit]) -> Iterator[Unit | Failure]:
    """The units, and at the end why there are no more: what was read before is still checked, and blamed, first."""
    try:
        yield from units
    except Stopped as stopped:
        yield stopped.failure


def run_units(frame: Frame, units: Iterator[Unit], workers: int) -> Iterator[Result]:
    """The result of each unit, in order; with `workers` above 1 a few are under way at a time."""
    if workers <= 1:
        for unit in _or_failure(units):
            yield Result(failure=unit) if isinstance(unit, Failure) else check_unit(frame, unit)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        under_way: deque[Future[Result]] = deque()
        for unit in _or_failure(units):
            if isinstance(unit, Failure):
                stopped: Future[Result] = Future()
                stopped.set_result(Result(failure=unit))
                under_way.append(stopped)
            else:
                under_way.append(pool.submit(check_unit, frame, unit))
            if len(under_way) > 2 * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
