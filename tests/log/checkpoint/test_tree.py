"""Reading the stored tree: any node of any size, tiles and entry bundles, the same as from the leaves."""

import pytest

from counterfoil.core.errors import EvidenceError
from counterfoil.core.merkle import Node, check_inclusion, leaf_hash, prove_inclusion, root_of
from counterfoil.core.right_edge import RightEdge
from counterfoil.core.tiles import EntryBundle, Tile, parse_entries, tiles_of
from counterfoil.log.tree import entries_bytes, read_hashes, split_hashes, tile_bytes
from tests.attacks.store import Store


def leaves_of(store: Store) -> list[bytes]:
    with store.attack() as ledger:
        query = "SELECT leaf FROM records WHERE log_id = ? ORDER BY seq"
        return [row[0] for row in ledger.execute(query, (store.log.id,))]


def test_the_right_edge_of_every_size_gives_the_root_over_its_leaves(store: Store) -> None:
    hashes = [leaf_hash(leaf) for leaf in leaves_of(store)]
    with store.ledger.read() as conn:
        for size in [*range(20), *range(250, 262), 511, 512, 513, 767, 768, 769, 801, 802]:
            edge = RightEdge.read(size, read_hashes(conn, store.log.id, size))
            assert edge.root() == root_of(hashes[:size]), size


def test_inclusion_proofs_from_tiles_hold_for_every_record_of_several_sizes(store: Store) -> None:
    hashes = [leaf_hash(leaf) for leaf in leaves_of(store)]
    with store.ledger.read() as conn:
        for size in (1, 2, 136, 256, 300, 512, 700, 802):
            root = root_of(hashes[:size])
            read = read_hashes(conn, store.log.id, size)
            for index in range(0, size, 7 if size > 100 else 1):
                check_inclusion(hashes[index], index, size, prove_inclusion(index, size, read), root)


def test_every_tile_holds_the_hashes_of_its_subtrees(store: Store) -> None:
    hashes = [leaf_hash(leaf) for leaf in leaves_of(store)]
    with store.ledger.read() as conn:
        for tile in tiles_of(802):
            found = split_hashes(tile_bytes(conn, store.log.id, tile))
            span = 256**tile.level
            first = tile.n * 256
            wanted = [root_of(hashes[(first + i) * span : (first + i + 1) * span]) for i in range(tile.width)]
            assert found == wanted, tile
        assert tile_bytes(conn, store.log.id, Tile(0, 1, 17)) == b"".join(hashes[256 : 256 + 17])


def test_entry_bundles_hold_the_leaves_as_stored(store: Store) -> None:
    leaves = leaves_of(store)
    with store.ledger.read() as conn:
        assert parse_entries(entries_bytes(conn, store.log.id, EntryBundle(1))) == leaves[256:512]
        assert parse_entries(entries_bytes(conn, store.log.id, EntryBundle(3, 34))) == leaves[768:802]
        with pytest.raises(EvidenceError, match="34 of 35"):
            entries_bytes(conn, store.log.id, EntryBundle(3, 35))


def test_a_node_beyond_the_tree_is_refused(store: Store) -> None:
    with store.ledger.read() as conn:
        read = read_hashes(conn, store.log.id, 300)
        assert len(read([Node(0, 299), Node(8, 0)])) == 2
        for node in (Node(0, 300), Node(8, 1), Node(9, 0)):
            with pytest.raises(EvidenceError, match="tree_node"):
                read([node])


def test_what_is_missing_under_a_tile_is_named(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        ledger.execute("DELETE FROM tiles WHERE log_id = ? AND n = 1", (store.log.id,))
        ledger.execute("DELETE FROM records WHERE log_id = ? AND seq = 790", (store.log.id,))
        ledger.execute("UPDATE tiles SET hashes = x'00' WHERE log_id = ? AND n = 0", (store.log.id,))
    with store.ledger.read() as conn:
        with pytest.raises(EvidenceError, match=r"tile 1/0 needs 3 hashes, 2 are stored"):
            tile_bytes(conn, store.log.id, Tile(1, 0, 3))
        with pytest.raises(EvidenceError, match=r"tile 0/3 needs 34 hashes, 33 are stored"):
            tile_bytes(conn, store.log.id, Tile(0, 3, 34))
        with pytest.raises(EvidenceError, match="tile_length"):
            tile_bytes(conn, store.log.id, Tile(0, 0))
        # The leaves are still there, and a full tile of level 0 follows from them.
        assert len(tile_bytes(conn, store.log.id, Tile(0, 1))) == 8192
