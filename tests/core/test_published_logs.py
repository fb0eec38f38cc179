"""Both directions on real logs: core reads them, and makes every byte of them again.

Tessera's test log is complete (checkpoints 0 to 15, tiles, entry bundles); Sunlight's mirror has a tree of 300 leaves
and cosigned checkpoints.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from counterfoil.core import merkle, tiles
from counterfoil.core.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from counterfoil.core.errors import EvidenceError
from counterfoil.core.merkle import Node
from counterfoil.core.note import format_note, open_note, parse_note, parse_vkey
from counterfoil.core.proof import TlogProof, check_proof, format_proof, parse_proof
from counterfoil.core.right_edge import RightEdge
from counterfoil.core.tiles import Tile

VECTORS = Path(__file__).parents[1] / "data" / "vectors"
TESSERA = VECTORS / "tessera-testdata-log"
TESSERA_ORIGIN = "example.com/log/testdata"
TESSERA_KEY = parse_vkey("example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx")
SUNLIGHT = VECTORS / "sunlight-skylight-testdata"
ROME = "000de184301123b9278c086a7d9f68c9577e83872224c197058fd90784ea9706"
MILAN = "88ad7a28caeb0b2aa890fdf0304c2fcaf59fca2ee140134ff8c1300bac493482"


def tessera_checkpoint(size: int) -> tuple[Checkpoint, bytes]:
    data = (TESSERA / f"checkpoint.{size}").read_bytes()
    return open_checkpoint(data, TESSERA_ORIGIN, [TESSERA_KEY])[0], data


def tessera_leaves(size: int) -> list[bytes]:
    bundle = tiles.bundle_of(size - 1, size)
    return tiles.parse_entries((TESSERA / bundle.path()).read_bytes())


def reader(root: Path, size: int) -> merkle.ReadHashes:
    """Reads subtree hashes from a folder of tiles, as any tlog-tiles client would."""

    def read(nodes: Sequence[Node]) -> list[bytes]:
        return [
            tiles.hash_in_tile(tile, (root / tile.path()).read_bytes(), node)
            for node in nodes
            for tile in [tiles.tile_of(node, size)]
        ]

    return read


def test_the_empty_tessera_log_opens() -> None:
    checkpoint, _ = tessera_checkpoint(0)
    assert (checkpoint.size, checkpoint.root) == (0, merkle.EMPTY_ROOT)


@pytest.mark.parametrize("size", range(1, 16))
def test_the_tessera_log_is_read_and_made_again_byte_for_byte(size: int) -> None:
    checkpoint, data = tessera_checkpoint(size)
    assert checkpoint.size == size
    text, signatures = parse_note(data)
    assert format_note(text, signatures) == data
    assert checkpoint.text() == text

    leaves = tessera_leaves(size)
    assert len(leaves) == size
    bundle = TESSERA / tiles.bundle_of(size - 1, size).path()
    assert tiles.format_entries(leaves) == bundle.read_bytes()
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    assert tiles.tiles_of(size) == [Tile(0, 0, size)]
    assert b"".join(hashes) == (TESSERA / Tile(0, 0, size).path()).read_bytes()
    assert merkle.root_of(hashes) == RightEdge.empty().extend(hashes).root() == checkpoint.root
    assert RightEdge.read(size, reader(TESSERA, size)).root() == checkpoint.root


@pytest.mark.parametrize("size", range(1, 16))
def test_every_leaf_of_the_tessera_log_has_a_receipt_and_every_older_checkpoint_is_consistent(size: int) -> None:
    checkpoint, data = tessera_checkpoint(size)
    read = reader(TESSERA, size)
    for index, leaf in enumerate(tessera_leaves(size)):
        proof = TlogProof(index, tuple(merkle.prove_inclusion(index, size, read)), data)
        assert parse_proof(format_proof(proof)) == proof
        assert check_proof(proof, leaf, TESSERA_ORIGIN, [TESSERA_KEY]) == checkpoint
        with pytest.raises(EvidenceError, match="inclusion_root"):
            check_proof(proof, leaf + b"x", TESSERA_ORIGIN, [TESSERA_KEY])
    for old in range(1, size + 1):
        earlier, _ = tessera_checkpoint(old)
        steps = merkle.prove_consistency(old, size, read)
        merkle.check_consistency(old, earlier.root, size, checkpoint.root, steps)


def sunlight_key(file: str) -> str:
    keys = json.loads((SUNLIGHT / file).read_text())["verifier_keys"]
    assert len(keys) == 1
    return str(keys[0])


@pytest.mark.parametrize(
    ("keys", "checkpoint", "origin"),
    [
        ("witness/witness.v0.json", f"witness/{ROME}/checkpoint", "rome2026h1.example.org"),
        ("witness/mirror/mirror.v0.json", f"witness/mirror/{ROME}/checkpoint", "rome2026h1.example.org"),
        ("witness2/witness.v0.json", f"witness2/{MILAN}/checkpoint", "milan2026h1.example.org"),
    ],
)
def test_sunlight_cosignatures_verify(keys: str, checkpoint: str, origin: str) -> None:
    key = parse_vkey(sunlight_key(keys))
    data = (SUNLIGHT / checkpoint).read_bytes()
    opened = open_note(data, [key])
    assert [(signature.key, signature.timestamp) for signature in opened.verified] == [(key, 1_767_139_200)]
    found = parse_checkpoint(opened.text)
    assert (found.origin, found.size) == (origin, 300)
    assert hashlib.sha256(origin.encode()).hexdigest() in (ROME, MILAN)
    text, signatures = parse_note(data)
    assert format_note(text, signatures) == data
    # A cosignature is not the log's own: it never opens a checkpoint by itself.
    with pytest.raises(EvidenceError, match="checkpoint_signature"):
        open_checkpoint(data, origin, [key])


def test_the_sunlight_mirror_is_read_and_made_again_byte_for_byte() -> None:
    mirror = SUNLIGHT / "witness" / "mirror" / ROME
    key = parse_vkey(sunlight_key("witness/mirror/mirror.v0.json"))
    checkpoint = parse_checkpoint(open_note((mirror / "checkpoint").read_bytes(), [key]).text)
    expected = [Tile(0, 0), Tile(0, 1, 44), Tile(1, 0, 1)]
    assert tiles.tiles_of(checkpoint.size) == expected
    data = {tile: (mirror / tile.path()).read_bytes() for tile in expected}
    leaves = [
        tiles.hash_in_tile(tiles.tile_of(Node(0, i), 300), data[tiles.tile_of(Node(0, i), 300)], Node(0, i))
        for i in range(300)
    ]
    assert b"".join(leaves[:256]) == data[Tile(0, 0)]
    assert b"".join(leaves[256:]) == data[Tile(0, 1, 44)]
    assert merkle.root_of(leaves[:256]) == data[Tile(1, 0, 1)]
    read = reader(mirror, 300)
    assert merkle.root_of(leaves) == checkpoint.root
    assert RightEdge.read(300, read) == RightEdge.empty().extend(leaves)
    assert RightEdge.read(300, read).root() == checkpoint.root
    for index in range(300):
        proof = merkle.prove_inclusion(index, 300, read)
        merkle.check_inclusion(leaves[index], index, 300, proof, checkpoint.root)
    for old in (1, 255, 256, 257, 299, 300):
        steps = merkle.prove_consistency(old, 300, read)
        merkle.check_consistency(old, merkle.root_of(leaves[:old]), 300, checkpoint.root, steps)
