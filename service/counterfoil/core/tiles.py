"""C2SP tlog-tiles: how a log's tree and entries are cut into files that never change.

Tile (L, N) holds up to 256 hashes of height 8L: hash i is the root over leaves [(256N+i) * 256^L, +256^L). A full
tile is 8,192 bytes; a partial one of width W (1 to 255) is the right edge of one tree size, and hashes never climb
from it. Entry bundle N holds entries [256N, 256N+W), each a uint16 big-endian length and the entry.

    tile/<L>/<N>[.p/<W>]        tile/entries/<N>[.p/<W>]

N is written in groups of three digits, all but the last with an ``x`` before them: 1234067 is ``x001/x234/067``.
Checks: ``tile_path``, ``tile``, ``entries``.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.core.merkle import HASH_SIZE, MAX_TREE_SIZE, Node, root_of

TILE_HEIGHT = 8
TILE_WIDTH = 256
MAX_LEVEL = 63
MAX_ENTRY_BYTES = 65_535

_PATH = re.compile(r"tile/(entries|[0-9]|[1-9][0-9])/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


def _number_path(n: int) -> str:
    groups = [f"{n % 1000:03}"]
    while n := n // 1000:
        groups.insert(0, f"x{n % 1000:03}")
    return "/".join(groups)


def _width_path(width: int) -> str:
    return "" if width == TILE_WIDTH else f".p/{width}"


def _check_numbers(n: int, width: int) -> None:
    if not 0 <= n <= MAX_TREE_SIZE or not 1 <= width <= TILE_WIDTH:
        raise InputError("tile_out_of_range", f"no tile has number {n} and width {width}")


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """Tile `n` of level `level`, with `width` hashes (256: full)."""

    level: int
    n: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        _check_numbers(self.n, self.width)
        if not 0 <= self.level <= MAX_LEVEL:
            raise InputError("tile_out_of_range", f"no tile has level {self.level}")

    def path(self) -> str:
        """``tile/<L>/<N>[.p/<W>]``."""
        return f"tile/{self.level}/{_number_path(self.n)}{_width_path(self.width)}"


@dataclass(frozen=True, slots=True, order=True)
class EntryBundle:
    """Entry bundle `n`, with `width` entries (256: full)."""

    n: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        _check_numbers(self.n, self.width)

    def path(self) -> str:
        """``tile/entries/<N>[.p/<W>]``."""
        return f"tile/entries/{_number_path(self.n)}{_width_path(self.width)}"


def _parse_path(path: str) -> Tile | EntryBundle:
    match = _PATH.fullmatch(path)
    if match is None:
        raise EvidenceError("tile_path", "not a path of C2SP tlog-tiles")
    level, number, width = match.groups()
    n = int(number.replace("/", "").replace("x", ""))
    try:
        if level == "entries":
            found: Tile | EntryBundle = EntryBundle(n, int(width or TILE_WIDTH))
        else:
            found = Tile(int(level), n, int(width or TILE_WIDTH))
    except InputError as error:
        raise EvidenceError("tile_path", error.message) from None
    if found.path() != path:  # a group of zeros in front, or a width of 256 spelled out
        raise EvidenceError("tile_path", "not the one spelling of its path")
    return found


def parse_tile_path(path: str) -> Tile:
    """The tile of ``tile/<L>/<N>[.p/<W>]``; only its one spelling is taken."""
    found = _parse_path(path)
    if not isinstance(found, Tile):
        raise EvidenceError("tile_path", "the path of an entry bundle, not of a tile")
    return found


def parse_entries_path(path: str) -> EntryBundle:
    """The bundle of ``tile/entries/<N>[.p/<W>]``; only its one spelling is taken."""
    found = _parse_path(path)
    if not isinstance(found, EntryBundle):
        raise EvidenceError("tile_path", "the path of a tile, not of an entry bundle")
    return found


def _check_size(size: int) -> None:
    if not 0 <= size <= MAX_TREE_SIZE:
        raise InputError("size_out_of_range", f"{size} is no tree size")


def bundle_of(index: int, size: int) -> EntryBundle:
    """The bundle that holds entry `index` in a log of `size`."""
    if not 0 <= index < size <= MAX_TREE_SIZE:
        raise InputError("index_out_of_range", f"a log of {size} entries has no entry {index}")
    n = index // TILE_WIDTH
    return EntryBundle(n, min(TILE_WIDTH, size - n * TILE_WIDTH))


def tiles_of(size: int) -> list[Tile]:
    """Every tile of a tree of `size` leaves, lowest level first, each level's partial one last."""
    _check_size(size)
    tiles: list[Tile] = []
    level = 0
    while hashes := size >> (TILE_HEIGHT * level):
        full, width = divmod(hashes, TILE_WIDTH)
        tiles.extend(Tile(level, n) for n in range(full))
        if width:
            tiles.append(Tile(level, full, width))
        level += 1
    return tiles


def full_tiles_between(old_size: int, new_size: int) -> list[Tile]:
    """Every tile that is full at `new_size` and was not at `old_size`, lowest level first."""
    _check_size(old_size)
    _check_size(new_size)
    tiles: list[Tile] = []
    level = 0
    while full := new_size >> (TILE_HEIGHT * (level + 1)):
        tiles.extend(Tile(level, n) for n in range(old_size >> (TILE_HEIGHT * (level + 1)), full))
        level += 1
    return tiles


def tile_of(node: Node, size: int) -> Tile:
    """The tile, in a tree of `size` leaves, from which the hash of `node` is read or computed."""
    if node.level < 0 or node.index < 0 or (node.index + 1) << node.level > size or size > MAX_TREE_SIZE:
        raise InputError("node_out_of_range", f"a tree of {size} leaves has no complete {node}")
    level, height = divmod(node.level, TILE_HEIGHT)
    n = (node.index << height) // TILE_WIDTH
    return Tile(level, n, min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - n * TILE_WIDTH))


def hash_in_tile(tile: Tile, data: bytes, node: Node) -> bytes:
    """The hash of `node` from the bytes of a tile that covers it."""
    if len(data) != tile.width * HASH_SIZE:
        raise EvidenceError("tile", f"{tile.path()} has {len(data)} bytes, not {tile.width * HASH_SIZE}")
    level, height = divmod(node.level, TILE_HEIGHT)
    start = (node.index << height) - tile.n * TILE_WIDTH
    end = start + (1 << height)
    if level != tile.level or start < 0 or end > tile.width:
        raise InputError("node_out_of_range", f"{tile.path()} does not cover {node}")
    return root_of([data[i * HASH_SIZE : (i + 1) * HASH_SIZE] for i in range(start, end)])


def format_entries(entries: Sequence[bytes]) -> bytes:
    """An entry bundle of 1 to 256 entries, each at most 65,535 bytes."""
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise InputError("bundle_out_of_range", f"an entry bundle holds 1 to {TILE_WIDTH} entries, not {len(entries)}")
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise InputError("entry_too_large", f"an entry of {len(entry)} bytes is over {MAX_ENTRY_BYTES}")
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def parse_entries(data: bytes) -> list[bytes]:
    """The 1 to 256 entries of a bundle; every byte must belong to one."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        if len(entries) == TILE_WIDTH:
            raise EvidenceError("entries", f"more than {TILE_WIDTH} entries in a bundle")
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if start > len(data) or at > len(data):
            raise EvidenceError("entries", f"entry {len(entries)} of a bundle is cut off")
        entries.append(data[start:at])
    if not entries:
        raise EvidenceError("entries", "an entry bundle without entries")
    return entries
