"""Published vectors of the tree: transparency-dev/merkle probes, the CT reference tree, x/mod's "leaf i" tree."""

import base64
import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from counterfoil.core import merkle
from counterfoil.core.errors import EvidenceError
from counterfoil.core.merkle import Node
from counterfoil.core.right_edge import RightEdge

VECTORS = Path(__file__).parents[1] / "data" / "vectors"
PROBES = VECTORS / "transparency-dev-merkle" / "testdata"
INCLUSION = sorted((PROBES / "inclusion").rglob("*.json"))
INCLUSION_CHECKS = {"hash_size", "inclusion_proof", "inclusion_root"}
CONSISTENCY_CHECKS = {"hash_size", "consistency_proof", "consistency_root"}
CONSISTENCY = sorted((PROBES / "consistency").rglob("*.json"))


def is_plain(path: Path) -> bool:
    """Whether a subtree probe is about a subtree that begins at 0 and is not empty, which is a plain tree."""
    probe = json.loads(path.read_text())
    return bool(probe["start"] == 0 < probe["end"])


PLAIN_INCLUSION = [path for path in sorted((PROBES / "subtreeinclusion").rglob("*.json")) if is_plain(path)]
PLAIN_CONSISTENCY = [path for path in sorted((PROBES / "subtreeconsistency").rglob("*.json")) if is_plain(path)]


def name(path: Path) -> str:
    return str(path.relative_to(PROBES).with_suffix(""))


def decode(value: str | None) -> bytes:
    return base64.b64decode(value or "")


def inclusion_verdict(probe: dict[str, Any]) -> str | None:
    """The name of the check that failed, or None."""
    try:
        merkle.check_inclusion(
            decode(probe["leafHash"]),
            probe["leafIdx"],
            probe["treeSize"],
            [decode(value) for value in probe["proof"] or []],
            decode(probe["root"]),
        )
    except EvidenceError as error:
        return error.check
    return None


def root(value: str) -> bytes:
    """A root of a probe. Some say "don't care 2" instead of a hash; ours must have 32 bytes, so it is hashed."""
    data = decode(value)
    return sha256(data).digest() if data.startswith(b"don't care") else data


def consistency_verdict(probe: dict[str, Any], old: str = "size1", new: str = "size2") -> str | None:
    """The name of the check that failed, or None."""
    proof = [decode(value) for value in probe["proof"] or []]
    try:
        merkle.check_consistency(probe[old], root(probe["root1"]), probe[new], root(probe["root2"]), proof)
    except EvidenceError as error:
        return error.check
    return None


def test_all_196_published_probes_are_here() -> None:
    assert (len(INCLUSION), len(CONSISTENCY)) == (98, 98)


@pytest.mark.parametrize("path", INCLUSION, ids=name)
def test_inclusion_probe_has_its_published_verdict(path: Path) -> None:
    probe = json.loads(path.read_text())
    assert inclusion_verdict(probe) in (INCLUSION_CHECKS if probe["wantErr"] else {None})


@pytest.mark.parametrize("path", CONSISTENCY, ids=name)
def test_consistency_probe_has_its_published_verdict(path: Path) -> None:
    probe = json.loads(path.read_text())
    assert consistency_verdict(probe) in (CONSISTENCY_CHECKS if probe["wantErr"] else {None})


@pytest.mark.parametrize("path", PLAIN_INCLUSION, ids=name)
def test_inclusion_probe_of_a_subtree_from_0_has_its_published_verdict(path: Path) -> None:
    probe = json.loads(path.read_text())
    assert inclusion_verdict({**probe, "treeSize": probe["end"]}) in (INCLUSION_CHECKS if probe["wantErr"] else {None})


@pytest.mark.parametrize("path", PLAIN_CONSISTENCY, ids=name)
def test_consistency_probe_of_a_subtree_from_0_has_its_published_verdict(path: Path) -> None:
    probe = json.loads(path.read_text())
    assert consistency_verdict(probe, "end", "size") in (CONSISTENCY_CHECKS if probe["wantErr"] else {None})


def unhex(values: list[str]) -> list[bytes]:
    return [bytes.fromhex(value) for value in values]


def test_the_ct_reference_tree_has_its_roots_and_every_proof() -> None:
    vector = json.loads((VECTORS / "rfc6962_reference_tree.json").read_text())
    hasher = {key: bytes.fromhex(value) for key, value in vector["hasher"].items()}
    assert hasher["empty_root"] == merkle.EMPTY_ROOT
    assert merkle.leaf_hash(b"") == hasher["leaf_hash_of_empty"]
    assert merkle.leaf_hash(b"L123456") == hasher["leaf_hash_of_L123456"]
    leaves = [merkle.leaf_hash(leaf) for leaf in unhex(vector["leaf_inputs_hex"])]
    assert leaves == unhex(vector["leaf_hashes_hex"])

    def read(nodes: Sequence[Node]) -> list[bytes]:
        return [merkle.root_of(leaves[n.index << n.level : (n.index + 1) << n.level]) for n in nodes]

    roots = {int(size): bytes.fromhex(root) for size, root in vector["roots_hex"].items()}
    assert sorted(roots) == list(range(9))
    for size, root in roots.items():
        assert merkle.root_of(leaves[:size]) == root
        assert RightEdge.empty().extend(leaves[:size]).root() == root
    assert len(vector["inclusion"]) == len(vector["consistency"]) == 36
    for case in vector["inclusion"]:
        index, size, proof = case["index"], case["size"], unhex(case["proof_hex"])
        assert merkle.prove_inclusion(index, size, read) == proof
        merkle.check_inclusion(leaves[index], index, size, proof, roots[size])
    for case in vector["consistency"]:
        old, new, proof = case["size1"], case["size2"], unhex(case["proof_hex"])
        assert merkle.prove_consistency(old, new, read) == proof
        merkle.check_consistency(old, roots[old], new, roots[new], proof)


def test_the_tree_of_numbered_leaves_has_its_roots_and_proofs_around_tile_borders() -> None:
    vector = json.loads((VECTORS / "leaf_i_tree.json").read_text())
    leaves = [merkle.leaf_hash(b"leaf %d" % i) for i in range(1030)]

    def read(nodes: Sequence[Node]) -> list[bytes]:
        return [merkle.root_of(leaves[n.index << n.level : (n.index + 1) << n.level]) for n in nodes]

    roots = {int(size): bytes.fromhex(root) for size, root in vector["roots_hex"].items()}
    for size, root in roots.items():
        assert merkle.root_of(leaves[:size]) == root
    assert merkle.prove_consistency(256, 1030, read) == unhex(vector["consistency_256_1030_hex"])
    merkle.check_consistency(256, roots[256], 1030, roots[1030], unhex(vector["consistency_256_1030_hex"]))
    assert merkle.prove_consistency(257, 1000, read) == unhex(vector["consistency_257_1000_hex"])
    merkle.check_consistency(257, roots[257], 1000, roots[1000], unhex(vector["consistency_257_1000_hex"]))
    assert merkle.prove_inclusion(300, 1000, read) == unhex(vector["inclusion_300_of_1000_hex"])
    merkle.check_inclusion(leaves[300], 300, 1000, unhex(vector["inclusion_300_of_1000_hex"]), roots[1000])
