"""C2SP tlog-tiles: paths, which tiles there are, hashes in them, entry bundles."""

import json
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.core import merkle, tiles
from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.core.merkle import Node
from counterfoil.core.tiles import EntryBundle, Tile

VECTOR = json.loads((Path(__file__).parents[1] / "data" / "vectors" / "tile_paths.json").read_text())
LEAVES = [merkle.leaf_hash(b"leaf %d" % i) for i in range(70_000)]


@cache
def tile_data(tile: Tile) -> bytes:
    """A tile straight from its definition: hash i is the root over 256^level leaves."""
    span = 256**tile.level
    first = tile.n * 256
    return b"".join(merkle.root_of(LEAVES[i * span : (i + 1) * span]) for i in range(first, first + tile.width))


def test_published_tile_paths_print_and_parse() -> None:
    for level, n, width, path in VECTOR["tile_path"]:
        assert Tile(level, n, width or 256).path() == path
        assert tiles.parse_tile_path(path) == Tile(level, n, width or 256)
    for n, width, path in VECTOR["entries_path"]:
        assert EntryBundle(n, width or 256).path() == path
        assert tiles.parse_entries_path(path) == EntryBundle(n, width or 256)
    for index, size, path in VECTOR["entries_for_index"]:
        assert tiles.bundle_of(index, size).path() == path
    for level, rest, n, width in VECTOR["parse_ok"]:
        assert tiles.parse_tile_path(f"tile/{level}/{rest}") == Tile(int(level), n, width or 256)


@pytest.mark.parametrize(("level", "rest"), VECTOR["parse_reject"])
def test_published_bad_tile_paths_are_refused(level: str, rest: str) -> None:
    with pytest.raises(EvidenceError, match="tile_path"):
        tiles.parse_tile_path(f"tile/{level}/{rest}")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0",
        "/tile/0/000",
        "tile/0/000/",
        "tile/00/000",
        "tile/0/x000/001",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/999",
        "tile/0/000\n",
        "tile/0/0٣0",
        "tile/0/x009/x999/x999/x999/x999/x999/999",
        "checkpoint",
    ],
)
def test_a_tile_path_has_one_spelling(path: str) -> None:
    with pytest.raises(EvidenceError, match="tile_path"):
        tiles.parse_tile_path(path)
    with pytest.raises(EvidenceError, match="tile_path"):
        tiles.parse_entries_path(path.replace("tile/0", "tile/entries"))


def test_tiles_and_entry_bundles_are_not_taken_for_each_other() -> None:
    with pytest.raises(EvidenceError, match="entry bundle, not of a tile"):
        tiles.parse_tile_path("tile/entries/000")
    with pytest.raises(EvidenceError, match="tile, not of an entry bundle"):
        tiles.parse_entries_path("tile/0/000")


@given(st.integers(0, 63), st.integers(0, 2**63 - 1), st.integers(1, 256))
def test_every_tile_path_round_trips(level: int, n: int, width: int) -> None:
    assert tiles.parse_tile_path(Tile(level, n, width).path()) == Tile(level, n, width)
    assert tiles.parse_entries_path(EntryBundle(n, width).path()) == EntryBundle(n, width)


@pytest.mark.parametrize(
    ("level", "n", "width"), [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 2**63, 1), (0, 0, 0), (0, 0, 257)]
)
def test_tiles_that_cannot_exist_are_refused(level: int, n: int, width: int) -> None:
    with pytest.raises(InputError, match="no tile"):
        Tile(level, n, width)


def test_the_tiles_of_a_tree_are_those_of_the_specification() -> None:
    found = tiles.tiles_of(70_000)
    assert sum(tile.level == 0 and tile.width == 256 for tile in found) == 273
    assert [tile for tile in found if tile.level == 0][-1] == Tile(0, 273, 112)
    assert [tile for tile in found if tile.level == 1] == [Tile(1, 0), Tile(1, 1, 17)]
    assert [tile for tile in found if tile.level == 2] == [Tile(2, 0, 1)]
    assert tiles.tiles_of(256) == [Tile(0, 0), Tile(1, 0, 1)]
    assert tiles.tiles_of(0) == []
    assert tiles.tiles_of(1) == [Tile(0, 0, 1)]
    with pytest.raises(InputError, match="no tree size"):
        tiles.tiles_of(-1)


@given(st.integers(0, 200_000), st.integers(0, 140_000))
def test_full_tiles_between_two_sizes_are_those_the_later_tree_has_more(old: int, more: int) -> None:
    def full(size: int) -> set[Tile]:
        return {tile for tile in tiles.tiles_of(size) if tile.width == 256}

    between = tiles.full_tiles_between(old, old + more)
    assert set(between) == full(old + more) - full(old)
    assert between == sorted(set(between))


def test_every_subtree_of_a_tree_is_found_in_its_tile() -> None:
    for size in (1, 2, 255, 256, 257, 511, 513, 65_535, 65_536, 65_537, 70_000):
        nodes = {
            node
            for index in {0, 1, size // 2, max(size - 2, 0), size - 1}
            if index < size
            for group in merkle.plan_inclusion(index, size)
            for node in group
        }
        for node in nodes:
            tile = tiles.tile_of(node, size)
            assert tile in tiles.tiles_of(size)
            start, end = node.index << node.level, (node.index + 1) << node.level
            assert tiles.hash_in_tile(tile, tile_data(tile), node) == merkle.root_of(LEAVES[start:end])


@pytest.mark.parametrize(
    ("node", "size"), [(Node(0, 1), 1), (Node(1, 0), 1), (Node(-1, 0), 1), (Node(0, -1), 1), (Node(0, 0), 2**63)]
)
def test_a_subtree_that_is_not_complete_has_no_tile(node: Node, size: int) -> None:
    with pytest.raises(InputError, match="no complete"):
        tiles.tile_of(node, size)


def test_a_tile_of_the_wrong_size_or_place_gives_no_hash() -> None:
    tile = Tile(0, 1, 3)
    with pytest.raises(EvidenceError, match=r"tile/0/001\.p/3 has 95 bytes, not 96"):
        tiles.hash_in_tile(tile, bytes(95), Node(0, 256))
    for node in (Node(0, 255), Node(0, 259), Node(1, 129), Node(8, 1)):
        with pytest.raises(InputError, match="does not cover"):
            tiles.hash_in_tile(tile, bytes(96), node)


def test_an_entry_outside_the_log_has_no_bundle() -> None:
    for index, size in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(InputError, match="no entry"):
            tiles.bundle_of(index, size)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=256))
def test_entry_bundles_round_trip(entries: list[bytes]) -> None:
    data = tiles.format_entries(entries)
    assert tiles.parse_entries(data) == entries
    assert len(data) == sum(2 + len(entry) for entry in entries)


def test_the_largest_entry_fits_and_a_larger_one_does_not() -> None:
    assert tiles.parse_entries(tiles.format_entries([bytes(65_535)])) == [bytes(65_535)]
    with pytest.raises(InputError, match="65536 bytes is over 65535"):
        tiles.format_entries([bytes(65_536)])


def test_a_bundle_holds_1_to_256_whole_entries() -> None:
    for entries in ([], [b""] * 257):
        with pytest.raises(InputError, match="1 to 256"):
            tiles.format_entries(entries)
    for data, message in (
        (b"", "without entries"),
        (b"\x00", "entry 0 of a bundle is cut off"),
        (b"\x00\x01", "entry 0"),
        (b"\x00\x01a\x00", "entry 1"),
        (b"\x00\x01a\xff\xffb", "entry 1"),
        (b"\x00\x00" * 257, "more than 256"),
    ):
        with pytest.raises(EvidenceError, match=message):
            tiles.parse_entries(data)
