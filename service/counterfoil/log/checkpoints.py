"""The checkpointer: step 5 of the write path (ARCHITECTURE 3), and at the same time its recovery.

It keeps nothing in memory between two runs. Each run starts at the head that the *head store* says was signed last,
and believes the ledger only as far as it leads there:

    a  read the signed head and verify its signature; read the ledger's head row
    b  rebuild the right edge from the tiles below the signed size, re-read the leaves from there on as stored, check
       their links, and find the signed root again before anything is added to it
    c  write the tiles that became full                                                   one ledger transaction
    d  read the tree back from what is stored, compare with what was computed, sign
    e  compare-and-swap the head in the head store
    f  publish: insert the checkpoint row                                                 one ledger transaction

What a crash leaves: after c, tiles that no checkpoint needs yet (the next run finds the same bytes there); after d,
nothing; after e, a signed head that is not published (the next run makes sure that it is on disk, then publishes it).
No step trusts that an earlier one of the same run reached the disk: each commit is flushed before the next begins.

Refusals are Faults with a code, and sign nothing: `log_rolled_back` (the head store is ahead of the ledger),
`head_store_behind` (a published checkpoint is ahead of the head store), `signed_head_contradicted` (the ledger does
not lead to the signed root).

While a log does not grow, the same note is published again every ten minutes (heartbeat, RECORD 6).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from counterfoil.core.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from counterfoil.core.errors import EvidenceError, Fault
from counterfoil.core.merkle import HASH_SIZE, leaf_hash, root_of
from counterfoil.core.note import NoteSigner
from counterfoil.core.right_edge import RightEdge
from counterfoil.core.tiles import TILE_WIDTH, Tile, full_tiles_between
from counterfoil.log.clock import Clock
from counterfoil.log.errors import LogRolledBack
from counterfoil.log.heads import (
    HeadConflict,
    HeadStore,
    HeadStoreBehind,
    SignedHeadContradicted,
    check_not_rolled_back,
)
from counterfoil.log.links import NO_PREVIOUS, hash_linked
from counterfoil.log.records import head, read_leaf, read_leaves
from counterfoil.log.tables import checkpoints, logs, tiles
from counterfoil.log.tree import read_hashes
from counterfoil.store.database import Database
from counterfoil.store.errors import Refused

HEARTBEAT_US = 600_000_000
"""A log that does not grow is published again after this long (RECORD 6: at least every ten minutes)."""

BLOCK_LEAVES = 65_536
"""Leaves that one round covers. A longer backlog takes several, each signed: memory stays at a few megabytes."""

MAX_ROUNDS_LOST = 8
"""Compare-and-swaps that may be lost to another checkpointer in a row before a run gives up until the next."""

STEPS = (
    "head_read",
    "tiles_written",
    "tiles_committed",
    "signed",
    "head_swapped",
    "published",
    "published_committed",
)
"""Where a run can be made to die, for the fault tests; the names of what has just happened."""


@dataclass(frozen=True, slots=True)
class _Log:
    id: int
    origin: str
    closed: bool


@dataclass(frozen=True, slots=True)
class _Round:
    """What one round did: the newest checkpoint (None: nothing new) and whether there is more to do at once."""

    checkpoint: Checkpoint | None
    more: bool


class Checkpointer:
    """Signs and publishes what the ledger holds. Two of them at once are safe: the head store decides."""

    def __init__(
        self,
        ledger: Database,
        heads: HeadStore,
        signer_of: Callable[[str], NoteSigner],
        clock: Clock,
        *,
        block_leaves: int = BLOCK_LEAVES,
        at_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`signer_of` gives the signer of an origin (load_signer of a key directory); `at_step` is for fault tests."""
        if block_leaves < TILE_WIDTH or block_leaves % TILE_WIDTH:
            raise Fault(f"a block is a multiple of {TILE_WIDTH} leaves")
        self._ledger = ledger
        self._heads = heads
        self._signer_of = signer_of
        self._clock = clock
        self._block_leaves = block_leaves
        self._at_step = at_step
        self._signers: dict[str, NoteSigner] = {}
        self._opened: dict[str, tuple[bytes, Checkpoint]] = {}

    def run_once(self, log_id: int) -> Checkpoint | None:
        """Bring one log's checkpoint up to date; return the newest checkpoint published now, None if nothing was due.

        Raises a Fault with code `log_rolled_back`, `head_store_behind` or `signed_head_contradicted`, and then has
        signed nothing; StorageError where the ledger cannot be read or written.
        """
        log = self._log(log_id)
        newest = None
        lost = 0
        while True:
            try:
                done = self._round(log)
            except HeadConflict:
                # Another checkpointer was faster: what it signed is where the next round starts.
                lost += 1
                if lost > MAX_ROUNDS_LOST:
                    return newest
                continue
            newest = done.checkpoint or newest
            if not done.more:
                return newest

    def run_all(self) -> dict[str, Fault | EvidenceError]:
        """Run every log once; return what stopped a log, by origin. One log's trouble does not stop the others."""
        with self._ledger.read() as conn:
            ids = conn.execute(select(logs.c.id, logs.c.origin).order_by(logs.c.id)).all()
        troubles: dict[str, Fault | EvidenceError] = {}
        for log_id, origin in ids:
            try:
                self.run_once(log_id)
            except (Fault, EvidenceError) as trouble:
                troubles[origin] = trouble
            except OSError as trouble:  # of the directory of heads
                troubles[origin] = Fault(f"the head of {origin} cannot be read or written: {trouble}")
        return troubles

    def _round(self, log: _Log) -> _Round:
        # a. The head store is read before the ledger, so a ledger that grows meanwhile is never seen as behind.
        note = self._heads.read(log.origin)
        signed = None if note is None else self._open(log.origin, note)
        signed_size = 0 if signed is None else signed.size
        self._at_step("head_read")
        with self._ledger.read() as conn:
            size = head(conn, log.id).size
            published = _newest_row(conn, log.id)
            try:
                check_not_rolled_back(log.origin, signed_size, size)
            except LogRolledBack:
                if log.closed:  # by a declared restore: its successor is what is signed now
                    return _Round(None, more=False)
                raise
            if published is not None and published[0] > signed_size:
                if log.closed:
                    return _Round(None, more=False)
                raise HeadStoreBehind(log.origin, signed_size, published[0])
            if size == 0:
                return _Round(None, more=False)
            is_published = published is not None and published[0] == signed_size
            if signed is not None and signed_size == size and published is not None and is_published:
                return self._rest(log, signed, published)
            # b. Everything below is computed from stored bytes, and only then compared with what was signed.
            base = signed_size - signed_size % TILE_WIDTH
            end = min(size, base + self._block_leaves)
            edge, hashes = _extend(conn, log, signed, base, end)
        if signed is not None and not is_published:
            # A crash between e and f, or a flush that failed in e, left it unpublished. It was just found again in the
            # stored bytes; whether the head itself is on disk is not known, and nothing may be published before it is.
            self._heads.ensure_durable(log.origin)
            self._publish(log, signed)
            if signed_size == size:
                return _Round(signed, more=False)
        # c. Crash here: nothing on disk, or whole tiles that the next run compares with its own.
        if full := full_tiles_between(base, end):
            with self._ledger.write() as conn:
                _write_tiles(conn, log, full, base, hashes)
                self._at_step("tiles_written")
            self._at_step("tiles_committed")
        # d. The root once more, from the tiles as they can be read back: a second computation, on other bytes.
        with self._ledger.read() as conn:
            stored = RightEdge.read(end, read_hashes(conn, log.id, end))
        if stored.root() != edge.root():
            raise SignedHeadContradicted(log.origin, f"the stored tiles do not lead to the root of its {end} leaves")
        checkpoint = Checkpoint(log.origin, end, edge.root())
        new_note = self._sign(log.origin, checkpoint)
        self._at_step("signed")
        # e. From here on this checkpoint exists, whoever saw it. Crash here: the next run publishes it.
        self._heads.compare_and_swap(log.origin, note, new_note)
        self._opened[log.origin] = (new_note, checkpoint)
        self._at_step("head_swapped")
        self._publish(log, checkpoint)
        return _Round(checkpoint, more=end < size)

    def _rest(self, log: _Log, signed: Checkpoint, published: tuple[int, int]) -> _Round:
        """A log that has not grown: a heartbeat when it is due."""
        if log.closed or self._clock.now_us() - published[1] < HEARTBEAT_US:
            return _Round(None, more=False)
        self._publish(log, signed)
        return _Round(signed, more=False)

    def _publish(self, log: _Log, checkpoint: Checkpoint) -> None:
        # f. Signed afresh (Ed25519 gives the same bytes), never copied from the head file: only signatures that we
        # made or verified are stored, whatever lines somebody attached to a file.
        note = self._sign(log.origin, checkpoint)
        try:
            with self._ledger.write() as conn:
                newest = _newest_row(conn, log.id)
                # Issue times of a log never decrease, whatever the clock does.
                issued_us = max(self._clock.now_us(), newest[1] if newest else 0)
                conn.execute(
                    insert(checkpoints).values(log_id=log.id, size=checkpoint.size, issued_us=issued_us, note=note)
                )
                self._at_step("published")
        except Refused:
            # Another checkpointer published the same size in the same microsecond.
            return
        self._at_step("published_committed")

    def _sign(self, origin: str, checkpoint: Checkpoint) -> bytes:
        return sign_checkpoint(checkpoint, self._signer(origin))

    def _open(self, origin: str, note: bytes) -> Checkpoint:
        """Verify a head note. The same bytes are verified once in the life of this checkpointer."""
        known = self._opened.get(origin)
        if known is not None and known[0] == note:
            return known[1]
        try:
            checkpoint, _ = open_checkpoint(note, origin, [self._signer(origin).verifier_key])
        except EvidenceError as error:
            raise SignedHeadContradicted(origin, f"its head file does not verify ({error})") from error
        self._opened[origin] = (note, checkpoint)
        return checkpoint

    def _signer(self, origin: str) -> NoteSigner:
        if origin not in self._signers:
            self._signers[origin] = self._signer_of(origin)
        return self._signers[origin]

    def _log(self, log_id: int) -> _Log:
        with self._ledger.read() as conn:
            row = conn.execute(select(logs.c.origin, logs.c.closed_us).where(logs.c.id == log_id)).one_or_none()
        if row is None:
            raise Fault(f"there is no log with the id {log_id}")
        return _Log(log_id, row.origin, row.closed_us is not None)


def latest(conn: Connection, log_id: int) -> tuple[int, bytes] | None:
    """Return (size, note) of the newest published checkpoint, None before the first."""
    row = conn.execute(
        select(checkpoints.c.size, checkpoints.c.note)
        .where(checkpoints.c.log_id == log_id)
        .order_by(checkpoints.c.size.desc(), checkpoints.c.issued_us.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else (row.size, bytes(row.note))


def _newest_row(conn: Connection, log_id: int) -> tuple[int, int] | None:
    """Return (size, issued_us) of the newest published checkpoint."""
    row = conn.execute(
        select(checkpoints.c.size, checkpoints.c.issued_us)
        .where(checkpoints.c.log_id == log_id)
        .order_by(checkpoints.c.size.desc(), checkpoints.c.issued_us.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else (row.size, row.issued_us)


def _extend(
    conn: Connection, log: _Log, signed: Checkpoint | None, base: int, end: int
) -> tuple[RightEdge, list[bytes]]:
    """Return the right edge at `end` and the leaf hashes from `base` on, having found the signed root on the way."""
    try:
        edge = RightEdge.read(base, read_hashes(conn, log.id, base))
        before = read_leaf(conn, log.id, base - 1) if base else None
        if base and before is None:
            raise EvidenceError("leaf_missing", f"record {base - 1} is missing")
        previous = NO_PREVIOUS if before is None else leaf_hash(before)
        hashes = hash_linked(log.origin, base, previous, read_leaves(conn, log.id, base, end))
    except EvidenceError as error:
        raise SignedHeadContradicted(log.origin, str(error)) from error
    if len(hashes) != end - base:
        raise SignedHeadContradicted(log.origin, f"record {base + len(hashes)} is missing below its head row")
    signed_size = base
    if signed is not None:
        signed_size = signed.size
        edge = edge.extend(hashes[: signed_size - base])
        if edge.root() != signed.root:
            raise SignedHeadContradicted(
                log.origin, f"the root at size {signed_size} is not the one that was signed: stored bytes were changed"
            )
    return edge.extend(hashes[signed_size - base :]), hashes


def _write_tiles(conn: Connection, log: _Log, full: Sequence[Tile], base: int, hashes: Sequence[bytes]) -> None:
    """Insert tiles that became full, lowest level first; those already there must hold the same bytes."""
    for tile in full:
        if tile.level == 0:
            start = tile.n * TILE_WIDTH - base
            members = list(hashes[start : start + TILE_WIDTH])
        else:
            members = _roots_below(conn, log, tile)
        data, root = b"".join(members), root_of(members)
        stored = conn.execute(
            select(tiles.c.hashes, tiles.c.root).where(
                tiles.c.log_id == log.id, tiles.c.level == tile.level, tiles.c.n == tile.n
            )
        ).one_or_none()
        if stored is None:
            conn.execute(insert(tiles).values(log_id=log.id, level=tile.level, n=tile.n, hashes=data, root=root))
        elif (bytes(stored.hashes), bytes(stored.root)) != (data, root):
            raise SignedHeadContradicted(log.origin, f"{tile.path()} is stored with other hashes than its leaves give")


def _roots_below(conn: Connection, log: _Log, tile: Tile) -> list[bytes]:
    """Return the roots of the 256 tiles under a tile; the write transaction sees those that it has just inserted."""
    first = tile.n * TILE_WIDTH
    rows = conn.execute(
        select(tiles.c.root)
        .where(
            tiles.c.log_id == log.id,
            tiles.c.level == tile.level - 1,
            tiles.c.n >= first,
            tiles.c.n < first + TILE_WIDTH,
        )
        .order_by(tiles.c.n)
    )
    roots = [bytes(root) for root in rows.scalars()]
    if len(roots) != TILE_WIDTH or any(len(root) != HASH_SIZE for root in roots):
        raise SignedHeadContradicted(log.origin, f"tiles under {tile.path()} are missing")
    return roots
