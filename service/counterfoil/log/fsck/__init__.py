"""The check of a whole store: every byte is read again, everything is computed again, every difference is named.

    chain        every leaf, strictly: format, place, link to the leaf before, time, `supersedes`
    contents     every sealed content opens and matches the digests in its leaf; what is absent is explained
    tiles        the tree over the leaves, and every stored tile of every level
    checkpoints  every published checkpoint and every signed head: signature, and the root at that size
    arrivals     every arrival points to the record that it says it became
    heads        the head row of each log, and the head store: signed, known, neither ahead nor behind

The head store is read *before* the one snapshot that says how far each log goes, so a store that is being written to is
checked as it stood then. Ranges of 65,536 leaves go to worker processes, each with a connection of its own: rows below
the size of the snapshot never change, so their snapshots agree with it. Memory does not grow with the log.

The index is checked elsewhere (`trails.check_index`); the command line puts both together.
"""

from collections.abc import Callable, Iterator

from counterfoil.log.finding import Finding
from counterfoil.log.fsck.heads import take_snapshot
from counterfoil.log.fsck.job import Depth, Sources
from counterfoil.log.fsck.report import Report, format_report
from counterfoil.log.fsck.whole import check_log
from counterfoil.log.fsck.workers import Workers
from counterfoil.store.database import Database

__all__ = ["Depth", "Progress", "Report", "Sources", "check_ledger", "format_report"]

Progress = Callable[[int, int], None]
"""Called with (records checked so far, records in all)."""


def check_ledger(
    sources: Sources,
    *,
    depth: Depth | None = None,
    workers: int | None = None,
    progress: Progress = lambda _done, _total: None,
    report: Report | None = None,
) -> Iterator[Finding]:
    """Yield every finding, as it is made; nothing for a clean store.

    `workers`: processes to use (None: as many as there are cores, and none for a small store). `report` is filled with
    what was examined and what could not be. Raises StorageError or Fault where the store cannot be read at all.
    """
    depth = depth or Depth()
    report = report if report is not None else Report()
    ledger = Database(sources.ledger_url)
    try:
        snapshot = take_snapshot(ledger, sources)
        report.begin(sources, snapshot, depth)
        yield from snapshot.findings
        total = sum(state.facts.size for state in snapshot.logs)
        with Workers(sources, workers, total) as pool:
            done = 0
            for state in snapshot.logs:
                for step in check_log(ledger, pool, state, depth):
                    yield from step.findings
                    report.add(state, step)
                    done += step.counts.records
                    progress(done, total)
    finally:
        ledger.dispose()
