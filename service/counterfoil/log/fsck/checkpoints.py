"""Every checkpoint that was published, and the head store: signatures first, then roots (C2SP tlog-checkpoint).

A signature line that does not verify has no business in a store that keeps only what it verified: it is a finding even
when the log's own signature beside it is good (attack 25). A note without a good signature of the log is a forgery or
a rewrite without the key (attack 7). Roots are compared once the tree is put together, in `__init__`.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, Row, select

from counterfoil.core.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from counterfoil.core.errors import CounterfoilError, EvidenceError
from counterfoil.core.note import VerifierKey, format_note, open_note, parse_note
from counterfoil.log.fsck.collector import Collector
from counterfoil.log.fsck.job import LogFacts, RangeJob
from counterfoil.log.heads import HeadStore, file_name_of
from counterfoil.log.tables import checkpoints


class RangeCheckpoints:
    """The checkpoints of the sizes that end in a range, in order of size."""

    def __init__(self, conn: Connection, job: RangeJob, found: Collector) -> None:
        self._log = job.log
        self._found = found
        self._rows = _rows(conn, job)
        self._next = next(self._rows, None)
        self._more = sorted(job.sizes)
        self._last: tuple[int, bytes, Checkpoint | None] | None = None
        self.checked = 0
        self.roots: list[tuple[int, bytes]] = []

    def sizes_until(self, end: int) -> list[int]:
        """Verify the checkpoints of sizes up to `end`, and return those sizes with all others that are wanted."""
        sizes = []
        while self._next is not None and self._next.size <= end:
            row = self._next
            self._next = next(self._rows, None)
            self.checked += 1
            checkpoint = self._verify(row.size, row.note)
            if checkpoint is not None and (row.size, checkpoint.root) not in self.roots[-2:]:
                self.roots.append((row.size, checkpoint.root))
                sizes.append(row.size)
        while self._more and self._more[0] <= end:
            sizes.append(self._more.pop(0))
        return sorted(set(sizes))

    def _verify(self, size: int, note: bytes) -> Checkpoint | None:
        if self._last is not None and self._last[:2] == (size, note):
            return self._last[2]  # a heartbeat: the same note once more
        checkpoint = verify_note(self._found, self._log.origin, self._log.key, note, f"the checkpoint of size {size}")
        if checkpoint is not None and checkpoint.size != size:
            message = f"a checkpoint of size {checkpoint.size} is filed under size {size}"
            self._found.add("checkpoint_size", message, attack=7)
            checkpoint = None
        self._last = (size, note, checkpoint)
        return checkpoint


def verify_note(found: Collector, origin: str, key: VerifierKey | None, note: bytes, what: str) -> Checkpoint | None:
    """Return the checkpoint of a note of the log, or None with a finding that says why it is not to be believed."""
    try:
        text, signatures = parse_note(note)
        checkpoint = parse_checkpoint(text)
    except CounterfoilError as error:
        found.add("checkpoint_malformed", f"{what} is no signed checkpoint: {error}", attack=7)
        return None
    if key is None:
        return None
    good = [signature for signature in signatures if _verifies(format_note(text, [signature]), key)]
    if not good:
        found.add("checkpoint_signature", f"{what} is not signed by the key of the log", attack=7)
        return None
    if len(good) < len(signatures):
        lines = len(signatures) - len(good)
        message = f"{what} carries {lines} signature line(s) that nobody verified"
        found.add("checkpoint_forged_signature", message, attack=25)
    try:
        open_checkpoint(format_note(text, good[:1]), origin, [key])
    except EvidenceError as error:
        found.add("checkpoint_origin", f"{what}: {error}", attack=7)
        return None
    return checkpoint


def _verifies(note: bytes, key: VerifierKey) -> bool:
    try:
        open_note(note, [key])
    except EvidenceError:
        return False
    return True


def check_none_ahead(conn: Connection, log: LogFacts, found: Collector) -> None:
    """Find published checkpoints over records that the ledger no longer holds."""
    row = conn.execute(
        select(checkpoints.c.size)
        .where(checkpoints.c.log_id == log.id, checkpoints.c.size > log.size)
        .order_by(checkpoints.c.size.desc())
        .limit(1)
    ).scalar_one_or_none()
    if row is not None:
        message = f"size {row} was published, but the ledger holds {log.size} records: the tail was cut"
        found.add("checkpoint_ahead", message, attack=5)


def find_unknown_heads(heads: HeadStore, origins: set[str]) -> Iterator[tuple[str, str]]:
    """Yield (file name, what is wrong) of each head whose log the ledger does not know."""
    known = {file_name_of(origin) for origin in origins}
    for name, note in heads.all():
        if name in known:
            continue
        try:
            origin = parse_checkpoint(parse_note(note)[0]).origin
            yield name, f"the head store holds a signed head of {origin}, which the ledger does not know"
        except CounterfoilError:
            yield name, f"the file {name} in the head store is no signed head of a known log"


def _rows(conn: Connection, job: RangeJob) -> Iterator[Row[int, bytes]]:
    rows = conn.execute(
        select(checkpoints.c.size, checkpoints.c.note)
        .where(
            checkpoints.c.log_id == job.log.id,
            checkpoints.c.size > (job.first if job.first else -1),
            checkpoints.c.size <= job.end,
        )
        .order_by(checkpoints.c.size, checkpoints.c.issued_us),
        execution_options={"yield_per": 256},
    )
    yield from rows
