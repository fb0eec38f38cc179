"""One log as a whole: its ranges put together in order, then every root that was signed."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from counterfoil.core.encoding import format_time_us
from counterfoil.core.merkle import EMPTY_ROOT
from counterfoil.log.finding import Finding
from counterfoil.log.fsck.arrivals import split_traces
from counterfoil.log.fsck.collector import Collector
from counterfoil.log.fsck.heads import LogState
from counterfoil.log.fsck.job import RANGE_LEAVES, ArrivalsJob, Counts, Depth, Job, RangeJob, Result
from counterfoil.log.fsck.tiles import UpperTree
from counterfoil.log.fsck.workers import Workers
from counterfoil.store.database import Database

ARRIVALS_PER_JOB = 100_000


@dataclass(slots=True)
class Step:
    """What one more part of a log came to."""

    findings: list[Finding]
    counts: Counts = field(default_factory=Counts)


def check_log(ledger: Database, pool: Workers, state: LogState, depth: Depth) -> Iterator[Step]:
    """Check one log; a step for each range, then for each part of its arrivals."""
    facts = state.facts
    yield Step(state.findings)
    found = Collector(facts.origin)
    tree = UpperTree(facts, found)
    total = Counts()
    last: Result | None = None
    whole = True
    for job, result in pool.run(_jobs(state, depth)):
        whole = whole and result.complete
        if whole and isinstance(job, RangeJob):
            _compare_roots(tree, state, job, result, found)
            with ledger.read() as conn:
                tree.extend(conn, result.tile_roots)
            last = result
        total.add(result.counts)
        yield Step([*result.findings, *found.drain()], result.counts)
    if whole:
        _compare_head_row(state, last, depth, found)
    if whole and depth.arrivals and depth.parse and total.arrivals < total.arriving:
        missing = total.arriving - total.arrivals
        message = f"{missing} records from producers have no arrival: sent again, they would be recorded twice"
        found.add("arrivals_missing", message, attack=13)
    yield Step(list(found.drain()), Counts(tiles=tree.compared))


def _jobs(state: LogState, depth: Depth) -> Iterator[Job]:
    facts = state.facts
    wanted = {state.head.size} if state.head else set()
    if state.declared is not None:
        wanted.add(state.declared.size)
    for first in range(0, facts.size, RANGE_LEAVES):
        end = min(first + RANGE_LEAVES, facts.size)
        yield RangeJob(facts, first, end, tuple(size for size in wanted if first < size <= end), depth)
    if depth.arrivals:
        parts = max(1, min(64, facts.size // ARRIVALS_PER_JOB))
        for low, high in split_traces(parts):
            yield ArrivalsJob(facts, low, high)


def _compare_roots(tree: UpperTree, state: LogState, job: RangeJob, result: Result, found: Collector) -> None:
    """Compare what was signed over trees that end in this range with the trees that the leaves give."""
    roots = {size: tree.root_at(fold) for size, fold in result.folds.items()}
    roots[0] = EMPTY_ROOT
    for size, signed in result.signed_roots:
        if roots[size] != signed:
            message = f"the checkpoint of size {size} was signed over another root than its leaves give"
            found.add("checkpoint_root", message, attack=7)
    head, declared = state.head, state.declared
    if head is not None and job.first < head.size <= job.end and roots[head.size] != head.root:
        message = f"the head store was signed at size {head.size} over another root than the leaves give"
        found.add("head_store_root", message, attack=7)
    if declared is not None and job.first < declared.size <= job.end and roots[declared.size] != declared.root:
        message = f"{declared.successor} declares that this log was left at size {declared.size} with another root"
        found.add("restore_contradicted", message, attack=6)


def _compare_head_row(state: LogState, last: Result | None, depth: Depth, found: Collector) -> None:
    """Compare the head row with the last record: appending starts from it."""
    if state.head_row is None or last is None or state.head_row[0] != state.facts.size:
        return  # a finding already, or nothing to compare with
    _, leaf_hash, recorded_us = state.head_row
    if leaf_hash != last.last_hash:
        message = "the head row does not hold the hash of the last record: it was changed, or the row"
        found.add("head_row", message, seq=state.facts.size - 1, attack=1)
    if depth.parse and last.last_recorded_at and format_time_us(recorded_us) != last.last_recorded_at:
        found.add("head_row", "the head row does not hold the time of the last record", attack=12)
