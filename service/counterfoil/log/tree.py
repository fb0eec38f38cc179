"""Reading the Merkle tree of a log from where it is stored: full tiles, and leaves at the right edge.

The ledger keeps only *full* tiles (C2SP tlog-tiles: 256 hashes, 8192 bytes), each with its own root. Everything else is
computed: a partial tile at level 0 from the leaves, a partial tile above from the roots of the full tiles below it
(hash i of level L is the root of tile i of level L-1). So any node of a tree of any size that a checkpoint covers costs
a few rows.

Nothing read here is trusted: whoever uses it checks a root that was signed.
"""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import sha256

from sqlalchemy import Connection, select

from counterfoil.core.errors import EvidenceError
from counterfoil.core.merkle import HASH_SIZE, Node, ReadHashes
from counterfoil.core.tiles import TILE_WIDTH, EntryBundle, Tile, format_entries
from counterfoil.log.records import read_leaves
from counterfoil.log.tables import tiles

TILE_HEIGHT = 8
"""A tile spans eight levels of the tree: 2**8 = TILE_WIDTH."""

MAX_CACHED_TILES = 64
"""Tiles that one reader keeps, each with its inner nodes (about 35 kB)."""

_NODE = b"\x01"


def read_hashes(conn: Connection, log_id: int, size: int) -> ReadHashes:
    """Return a reader of the nodes of the tree over the first `size` leaves, for proofs and right edges.

    It keeps the last `MAX_CACHED_TILES` tiles, so proofs of neighbouring records share their work. It is good for one
    snapshot and one size.
    """
    cache: OrderedDict[tuple[int, int], list[list[bytes]]] = OrderedDict()

    def rows_of(level: int, n: int) -> list[list[bytes]]:
        key = (level, n)
        rows = cache.get(key)
        if rows is None:
            width = min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - n * TILE_WIDTH)
            rows = inner_rows(split_hashes(_tile_hashes(conn, log_id, level, n, width)))
            cache[key] = rows
            if len(cache) > MAX_CACHED_TILES:
                cache.popitem(last=False)
        else:
            cache.move_to_end(key)
        return rows

    def read(nodes: Sequence[Node]) -> list[bytes]:
        found = []
        for node in nodes:
            if (node.index + 1) << node.level > size:
                raise EvidenceError("tree_node", f"node {tuple(node)} is not part of a tree of size {size}")
            level, height = divmod(node.level, TILE_HEIGHT)
            n, position = divmod(node.index, TILE_WIDTH >> height)
            found.append(rows_of(level, n)[height][position])
        return found

    return read


def tile_bytes(conn: Connection, log_id: int, tile: Tile) -> bytes:
    """Return the bytes of a tile (32 for each of its hashes); the caller knows that a checkpoint covers it."""
    return _tile_hashes(conn, log_id, tile.level, tile.n, tile.width)


def entries_bytes(conn: Connection, log_id: int, bundle: EntryBundle) -> bytes:
    """Return an entry bundle (C2SP tlog-tiles): its leaves, each after its length as uint16."""
    first = bundle.n * TILE_WIDTH
    leaves = [leaf for _, leaf in read_leaves(conn, log_id, first, first + bundle.width)]
    if len(leaves) != bundle.width:
        raise EvidenceError("leaf_missing", f"entry bundle {bundle.n} has {len(leaves)} of {bundle.width} leaves")
    return format_entries(leaves)


def split_hashes(data: bytes) -> list[bytes]:
    """Cut the bytes of a tile into its hashes."""
    return [data[start : start + HASH_SIZE] for start in range(0, len(data), HASH_SIZE)]


def inner_rows(hashes: list[bytes]) -> list[list[bytes]]:
    """Return the rows of a tile's own small tree: row h holds the perfect subtrees of 2**h of its hashes."""
    rows = [hashes]
    for _ in range(TILE_HEIGHT):
        below = rows[-1]
        rows.append([sha256(_NODE + below[i] + below[i + 1]).digest() for i in range(0, len(below) - 1, 2)])
    return rows


def _tile_hashes(conn: Connection, log_id: int, level: int, n: int, width: int) -> bytes:
    """Return the first `width` hashes of a tile: as stored where it is full, else from what lies below it."""
    stored = conn.execute(
        select(tiles.c.hashes).where(tiles.c.log_id == log_id, tiles.c.level == level, tiles.c.n == n)
    ).scalar_one_or_none()
    if stored is not None:
        if len(stored) != TILE_WIDTH * HASH_SIZE:
            raise EvidenceError("tile_length", f"tile {level}/{n} has {len(stored)} bytes")
        return bytes(stored[: width * HASH_SIZE])
    first = n * TILE_WIDTH
    if level == 0:
        hashes = [sha256(b"\x00" + leaf).digest() for _, leaf in read_leaves(conn, log_id, first, first + width)]
    else:
        hashes = [
            bytes(root)
            for root in conn.execute(
                select(tiles.c.root)
                .where(
                    tiles.c.log_id == log_id,
                    tiles.c.level == level - 1,
                    tiles.c.n >= first,
                    tiles.c.n < first + width,
                )
                .order_by(tiles.c.n)
            ).scalars()
        ]
    if len(hashes) != width:
        raise EvidenceError("tile_missing", f"tile {level}/{n} needs {width} hashes, {len(hashes)} are stored")
    return b"".join(hashes)
