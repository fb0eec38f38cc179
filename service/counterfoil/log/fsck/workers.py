"""Worker processes for the ranges, and no processes where the store is small.

Jobs are handed out a few ahead and taken back in order, so what waits in memory does not depend on the log. A worker is
*spawned*, not forked: it opens its own connections and shares nothing. The master key reaches it through the pipe.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from os import cpu_count
from types import TracebackType

from sqlalchemy.exc import DatabaseError

from counterfoil.log.finding import Finding
from counterfoil.log.fsck.arrivals import check_arrivals
from counterfoil.log.fsck.chain import check_range
from counterfoil.log.fsck.job import ArrivalsJob, Counts, Job, RangeJob, Result, Sources
from counterfoil.log.keystore import Keystore
from counterfoil.store.database import Database, open_keystore
from counterfoil.store.errors import StorageError

INLINE_RECORDS = 20_000
"""Below this many records starting processes takes longer than the check."""

AHEAD = 2
"""Jobs in flight for each worker."""


class _Stores:
    """The connections of one process."""

    def __init__(self, sources: Sources) -> None:
        self.ledger = Database(sources.ledger_url)
        self.keystore_database: Database | None = None
        self.keystore: Keystore | None = None
        if sources.keystore_url is not None and sources.master_key is not None:
            self.keystore_database = open_keystore(sources.keystore_url)
            self.keystore = Keystore(self.keystore_database, sources.master_key)

    def run(self, job: Job) -> Result:
        try:
            match job:
                case RangeJob():
                    return check_range(job, self.ledger, self.keystore)
                case ArrivalsJob():
                    return check_arrivals(job, self.ledger)
        except (TypeError, ValueError, AttributeError) as error:
            # Values of a type that nothing of ours ever writes: damage, which must be named and hide nothing else.
            return _unreadable(job, "row_type", f"a row holds a value of a type that is never stored there: {error}")
        except (StorageError, DatabaseError) as error:
            # A page that is no page any more, say. The other ranges may be whole.
            return _unreadable(job, "store_unreadable", f"the database cannot be read here: {error}")

    def dispose(self) -> None:
        self.ledger.dispose()
        if self.keystore_database is not None:
            self.keystore_database.dispose()


class Workers:
    """Runs jobs, in this process or in several."""

    def __init__(self, sources: Sources, workers: int | None, records: int) -> None:
        """`workers` None: one for each core, none below `INLINE_RECORDS` records; 0: none."""
        if workers is None:
            workers = 0 if records < INLINE_RECORDS else (cpu_count() or 1)
        self._workers = workers
        self._stores = _Stores(sources) if workers == 0 else None
        self._pool = (
            None
            if workers == 0
            else ProcessPoolExecutor(workers, get_context("spawn"), initializer=_open_stores, initargs=(sources,))
        )

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        if self._stores is not None:
            self._stores.dispose()

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Result]]:
        """Yield each job with its result, in the order of the jobs."""
        if self._stores is not None:
            for job in jobs:
                yield job, self._stores.run(job)
            return
        assert self._pool is not None  # noqa: S101 - one of the two is always there
        waiting: deque[tuple[Job, Future[Result]]] = deque()
        for job in jobs:
            waiting.append((job, self._pool.submit(_run, job)))
            if len(waiting) >= AHEAD * self._workers:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()


def _unreadable(job: Job, check: str, message: str) -> Result:
    """The finding of a part that could not be checked, on one line."""
    if isinstance(job, RangeJob):
        where = f"records {job.first} to {job.end - 1}, and every root above them, were not checked"
    else:
        where = "some arrivals were not checked"
    text = f"{where}: {' '.join(message.split())}"
    return Result([Finding(check, job.log.origin, None, text, 1)], Counts(), complete=False)


_stores: _Stores | None = None


def _open_stores(sources: Sources) -> None:
    global _stores  # noqa: PLW0603 - one per worker process, set once when it starts
    _stores = _Stores(sources)


def _run(job: Job) -> Result:
    assert _stores is not None  # noqa: S101 - the initializer ran before any job
    return _stores.run(job)
