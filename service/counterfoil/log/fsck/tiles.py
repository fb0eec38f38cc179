"""The tree, computed from the leaves and compared with every stored tile (C2SP tlog-tiles, RFC 9162 section 2.1).

A range computes its own tiles of level 0; the levels above are put together range by range, in order, and every full
tile of every level is compared with the row that is stored for it: its 256 hashes and its root.
"""

from collections.abc import Iterator
from hashlib import sha256

from sqlalchemy import Connection, Row, func, select

from counterfoil.core.merkle import HASH_SIZE, fold, root_of
from counterfoil.core.right_edge import RightEdge
from counterfoil.core.tiles import TILE_HEIGHT, TILE_WIDTH, Tile
from counterfoil.log.fsck.collector import Collector
from counterfoil.log.fsck.job import LogFacts
from counterfoil.log.tables import tiles


class RangeTree:
    """The tree over the leaves of one range, tile by tile; the range begins at a multiple of its own length."""

    def __init__(self, conn: Connection, log: LogFacts, first: int, end: int, found: Collector) -> None:
        self._log = log
        self._found = found
        self._stored = _stored_tiles(conn, log.id, first // TILE_WIDTH, end // TILE_WIDTH)
        self._next = next(self._stored, None)
        self._subtrees: list[tuple[int, bytes]] = []
        self.tile_roots: list[bytes] = []
        self.compared = 0

    def add(self, n: int, hashes: list[bytes], sizes: list[int]) -> dict[int, bytes]:
        """Add tile `n` of level 0 and return the fold of the range's leaves at each of `sizes`, which end in it."""
        start = n * TILE_WIDTH
        folds = {}
        for size in sizes:
            if size - start < TILE_WIDTH:
                folds[size] = self._fold(root_of(hashes[: size - start]))
        if len(hashes) < TILE_WIDTH:
            return folds
        root = root_of(hashes)
        self._compare(n, hashes, root)
        self.tile_roots.append(root)
        self._push(root)
        if start + TILE_WIDTH in sizes:
            folds[start + TILE_WIDTH] = fold([subtree for _, subtree in self._subtrees])
        return folds

    def _fold(self, rest: bytes) -> bytes:
        return fold([*(subtree for _, subtree in self._subtrees), rest])

    def _push(self, root: bytes) -> None:
        level = 0
        while self._subtrees and self._subtrees[-1][0] == level:
            root = sha256(b"\x01" + self._subtrees.pop()[1] + root).digest()
            level += 1
        self._subtrees.append((level, root))

    def _compare(self, n: int, hashes: list[bytes], root: bytes) -> None:
        while self._next is not None and self._next.n < n:
            self._next = next(self._stored, None)
        stored = self._next
        if stored is None or stored.n != n:
            if (n + 1) * TILE_WIDTH <= self._log.signed_size:
                self._found.add("tile_missing", f"{Tile(0, n).path()} is not stored", attack=1)
            return
        self.compared += 1
        compare_tile(self._found, Tile(0, n), stored.hashes, stored.root, hashes, root)


class UpperTree:
    """The levels above the ranges, fed with the roots of all level 0 tiles in order."""

    def __init__(self, log: LogFacts, found: Collector) -> None:
        self._log = log
        self._found = found
        self._pending: dict[int, list[bytes]] = {}
        self._counts: dict[int, int] = {}
        self._edge = RightEdge.empty()
        self.compared = 0

    def root_at(self, local_fold: bytes | None) -> bytes:
        """Return the root of the tree that ends in the current range, given the fold of that range's own leaves."""
        return self._edge.root() if local_fold is None else fold([*self._edge.hashes, local_fold])

    def extend(self, conn: Connection, tile_roots: list[bytes]) -> None:
        """Move past a range."""
        # A tree over the roots of tiles has the same upper nodes as the tree over their leaves.
        self._edge = self._edge.extend(tile_roots)
        for root in tile_roots:
            self._add(conn, 1, root)

    def _add(self, conn: Connection, level: int, value: bytes) -> None:
        hashes = self._pending.setdefault(level, [])
        hashes.append(value)
        if len(hashes) < TILE_WIDTH:
            return
        n = self._counts.get(level, 0)
        self._counts[level] = n + 1
        self._pending[level] = []
        root = root_of(hashes)
        stored = conn.execute(
            select(tiles.c.hashes, tiles.c.root).where(
                tiles.c.log_id == self._log.id, tiles.c.level == level, tiles.c.n == n
            )
        ).one_or_none()
        if stored is not None:
            self.compared += 1
            compare_tile(self._found, Tile(level, n), stored.hashes, stored.root, hashes, root)
        elif ((n + 1) * TILE_WIDTH) << (TILE_HEIGHT * level) <= self._log.signed_size:
            self._found.add("tile_missing", f"{Tile(level, n).path()} is not stored", attack=1)
        self._add(conn, level + 1, root)


def compare_tile(
    found: Collector, tile: Tile, stored: bytes, stored_root: bytes, hashes: list[bytes], root: bytes
) -> None:
    """Compare a stored tile with what its leaves give, and name the first place where they part."""
    if stored != b"".join(hashes):
        place = next(
            (at for at, value in enumerate(hashes) if stored[at * HASH_SIZE : (at + 1) * HASH_SIZE] != value),
            len(hashes),
        )
        seq = tile.n * TILE_WIDTH + place if tile.level == 0 and place < len(hashes) else None
        found.add("tile_mismatch", f"hash {place} of {tile.path()} is not what its leaves give", seq=seq, attack=1)
    if stored_root != root:
        found.add("tile_root_mismatch", f"the root kept with {tile.path()} is not what its leaves give", attack=1)


def check_no_further_tiles(conn: Connection, log: LogFacts, found: Collector) -> None:
    """Find tiles over leaves that the ledger does not hold: what is left of a tail that was cut."""
    last_n = func.max(tiles.c.n)
    rows = conn.execute(select(tiles.c.level, last_n).where(tiles.c.log_id == log.id).group_by(tiles.c.level))
    for level, n in rows:
        end = ((n + 1) * TILE_WIDTH) << (TILE_HEIGHT * level)
        if end > log.size:
            path = Tile(level, n).path()
            found.add("tile_ahead", f"{path} covers {end} records, but the ledger holds {log.size}", attack=5)


def _stored_tiles(conn: Connection, log_id: int, first: int, end: int) -> Iterator[Row[int, bytes, bytes]]:
    rows = conn.execute(
        select(tiles.c.n, tiles.c.hashes, tiles.c.root)
        .where(tiles.c.log_id == log_id, tiles.c.level == 0, tiles.c.n >= first, tiles.c.n < end)
        .order_by(tiles.c.n),
        execution_options={"yield_per": 64},
    )
    yield from rows
