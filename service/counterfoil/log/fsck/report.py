"""What a check demonstrated, and what it did not: the text that goes with the findings.

A check of a store by the store's own software, on the store's own disk, proves less than it seems to. The report says
where that ends, before anybody asks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from counterfoil.log.finding import Finding
from counterfoil.log.fsck.heads import LogState, Snapshot
from counterfoil.log.fsck.job import Counts, Depth, Sources
from counterfoil.log.fsck.whole import Step

SHARED_VOLUME = (
    "heads and ledger share a volume: a rollback of the whole directory is not detectable here without a witness"
)
UNWITNESSED = (
    "unwitnessed: nobody else cosigned these logs; whoever holds store and signing key could have rewritten them "
    "(promises, receipts and checkpoints kept by others would show it)"
)
NOT_TRUTH = (
    "this shows what was recorded, in which order, unaltered since; not that an agent told the truth, nor that nothing "
    "happened outside of what was recorded"
)


@dataclass(slots=True)
class LogReport:
    """One log: how far it goes, how far it is signed, what was looked at."""

    origin: str
    size: int
    signed_size: int
    restored_to: str | None
    counts: Counts = field(default_factory=Counts)


@dataclass(slots=True)
class Report:
    """Filled while `check_ledger` runs."""

    logs: list[LogReport] = field(default_factory=list)
    not_shown: list[str] = field(default_factory=list)
    findings: int = 0

    def begin(self, sources: Sources, snapshot: Snapshot, depth: Depth) -> None:
        """Take down how far each log goes and what this check cannot show."""
        self.findings += len(snapshot.findings)
        for state in snapshot.logs:
            signed = state.head.size if state.head else 0
            successor = state.declared.successor if state.declared else None
            self.logs.append(LogReport(state.facts.origin, state.facts.size, signed, successor))
        if share_volume(sources):
            self.not_shown.append(SHARED_VOLUME)
        self.not_shown.append(UNWITNESSED)
        if not depth.parse:
            self.not_shown.append("leaves were not parsed: only their links and hashes were checked")
        if not depth.contents:
            self.not_shown.append("contents were not checked")
        elif sources.keystore_url is None or sources.master_key is None:
            self.not_shown.append("the keystore was not given: contents were counted, not opened")
        if not depth.arrivals:
            self.not_shown.append("arrivals were not checked")
        self.not_shown.append(NOT_TRUTH)

    def add(self, state: LogState, step: Step) -> None:
        """Add what a step looked at."""
        self.findings += len(step.findings)
        for log in self.logs:
            if log.origin == state.facts.origin:
                log.counts.add(step.counts)


def share_volume(sources: Sources) -> bool:
    """Whether ledger and head store lie on one volume (for a ledger that is a file)."""
    if not sources.ledger_url.startswith("sqlite:///"):
        return False
    ledger = Path(sources.ledger_url.removeprefix("sqlite:///"))
    return ledger.stat().st_dev == sources.heads.stat().st_dev


def format_report(report: Report, findings: Sequence[Finding]) -> str:
    """Return the report as text for a person."""
    lines = []
    for log in report.logs:
        counts = log.counts
        lines.append(f"{log.origin}")
        lines.append(f"  {counts.records} records read and hashed, {log.signed_size} of them under a signed checkpoint")
        if log.size > log.signed_size:
            lines.append(f"  {log.size - log.signed_size} records are not yet under a checkpoint: only chained")
        if log.restored_to:
            lines.append(f"  rolled back by a declared restore; continued as {log.restored_to}")
        lines.append(
            f"  {counts.tiles} tiles, {counts.checkpoints} checkpoints, {counts.arrivals} arrivals compared; "
            f"{counts.contents} sealed contents, {counts.disclosures} fields opened and matched"
        )
        if counts.unopened:
            lines.append(f"  contents of {counts.unopened} records were not opened: not checked")
        if counts.removed:
            lines.append(f"  fields of {counts.removed} records are erased or expired, as the log says")
    lines.append("")
    if findings:
        lines.append(f"DAMAGED: {report.findings} finding(s)")
        lines.extend(f"  {finding.text()}" for finding in findings)
    else:
        lines.append("CLEAN: every byte that was read is what the signed checkpoints commit to")
    lines.append("")
    lines.append("Not shown by this check:")
    lines.extend(f"  - {text}" for text in report.not_shown)
    return "\n".join(lines) + "\n"
