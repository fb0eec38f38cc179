"""The tree against an oracle written straight from RFC 9162, for every pair of sizes up to 600."""

from collections.abc import Sequence
from functools import cache, partial
from hashlib import sha256

import pytest

from counterfoil.core import merkle
from counterfoil.core.errors import EvidenceError, Fault, InputError
from counterfoil.core.merkle import Node
from counterfoil.core.right_edge import RightEdge, plan_right_edge

SIZES = 600
BORDER = 65_536


def leaf(index: int) -> bytes:
    return b"leaf %d" % index


# The oracle: RFC 9162 sections 2.1.1, 2.1.3.1 and 2.1.4.1, recursive, over D[start:end]; only the caching is added.


@cache
def mth(start: int, end: int) -> bytes:
    """MTH(D[start:end]) (2.1.1)."""
    n = end - start
    if n == 0:
        return sha256().digest()
    if n == 1:
        return sha256(b"\x00" + leaf(start)).digest()
    k = 1
    while k * 2 < n:
        k *= 2
    return sha256(b"\x01" + mth(start, start + k) + mth(start + k, end)).digest()


def path(m: int, start: int, end: int) -> list[bytes]:
    """PATH(m, D[start:end]) (2.1.3.1)."""
    n = end - start
    if n == 1:
        return []
    k = 1
    while k * 2 < n:
        k *= 2
    if m < k:
        return [*path(m, start, start + k), mth(start + k, end)]
    return [*path(m - k, start + k, end), mth(start, start + k)]


def subproof(m: int, start: int, end: int, whole: bool) -> list[bytes]:
    """SUBPROOF(m, D[start:end], whole) (2.1.4.1)."""
    n = end - start
    if m == n:
        return [] if whole else [mth(start, end)]
    k = 1
    while k * 2 < n:
        k *= 2
    if m <= k:
        return [*subproof(m, start, start + k, whole), mth(start + k, end)]
    return [*subproof(m - k, start + k, end, False), mth(start, start + k)]


def read(nodes: Sequence[Node]) -> list[bytes]:
    """Hashes of perfect subtrees, as tiles would give them."""
    return [mth(node.index << node.level, (node.index + 1) << node.level) for node in nodes]


def test_leaf_and_node_hashes_have_their_prefixes() -> None:
    assert sha256(b"").digest() == merkle.EMPTY_ROOT
    assert merkle.leaf_hash(b"x") == sha256(b"\x00x").digest()
    assert merkle.node_hash(b"l" * 32, b"r" * 32) == sha256(b"\x01" + b"l" * 32 + b"r" * 32).digest()


def test_roots_agree_with_the_oracle_at_every_size() -> None:
    leaves = [merkle.leaf_hash(leaf(i)) for i in range(SIZES)]
    edge = RightEdge.empty()
    for size in range(SIZES + 1):
        root = mth(0, size)
        assert merkle.root_of(leaves[:size]) == root
        assert edge.size == size
        assert edge.root() == root
        assert RightEdge.read(size, read) == edge
        if size < SIZES:
            edge = edge.append(leaves[size])


def test_every_leaf_is_proved_in_every_tree_up_to_600() -> None:
    for size in range(1, SIZES + 1):
        root = mth(0, size)
        for index in range(size):
            proof = merkle.prove_inclusion(index, size, read)
            assert proof == path(index, 0, size)
            merkle.check_inclusion(mth(index, index + 1), index, size, proof, root)


def test_every_two_trees_up_to_600_are_proved_consistent() -> None:
    for new in range(1, SIZES + 1):
        new_root = mth(0, new)
        for old in range(1, new + 1):
            proof = merkle.prove_consistency(old, new, read)
            assert proof == subproof(old, 0, new, True)
            merkle.check_consistency(old, mth(0, old), new, new_root, proof)


def test_the_border_of_65536_leaves_is_no_border() -> None:
    leaves = [merkle.leaf_hash(leaf(i)) for i in range(BORDER + 3)]
    sizes = [BORDER - 257, BORDER - 256, BORDER - 1, BORDER, BORDER + 1, BORDER + 2, BORDER + 3]
    for size in sizes:
        root = merkle.root_of(leaves[:size])
        assert root == mth(0, size)
        assert RightEdge.empty().extend(leaves[:size]).root() == root
        for index in {0, 1, 255, 256, 32_767, 32_768, size - 257, size - 256, size - 2, size - 1}:
            proof = merkle.prove_inclusion(index, size, read)
            assert proof == path(index, 0, size)
            merkle.check_inclusion(leaves[index], index, size, proof, root)
        for old in {1, 2, 255, 256, 257, 32_768, 65_279, *sizes}:
            if old <= size:
                steps = merkle.prove_consistency(old, size, read)
                assert steps == subproof(old, 0, size, True)
                merkle.check_consistency(old, mth(0, old), size, root, steps)


def test_a_right_edge_can_be_extended_from_any_size_to_any_other() -> None:
    leaves = [mth(i, i + 1) for i in range(70)]
    for old in range(70):
        edge = RightEdge.read(old, read)
        for new in range(old, 70):
            assert edge.extend(leaves[old:new]) == RightEdge.read(new, read)


def test_a_right_edge_that_does_not_fit_its_size_is_refused() -> None:
    for size, count in ((1, 0), (0, 1), (3, 1), (-1, 0), (2**63, 1)):
        with pytest.raises(EvidenceError, match="right_edge"):
            RightEdge(size, (b"h" * 32,) * count)
    with pytest.raises(EvidenceError, match="hash_size"):
        RightEdge(1, (b"short",))
    with pytest.raises(EvidenceError, match="hash_size"):
        RightEdge.empty().append(b"short")
    with pytest.raises(InputError, match="no tree size"):
        plan_right_edge(-1)


@pytest.mark.parametrize("size", [*range(1, 34), 255, 256, 257])
def test_every_byte_of_an_inclusion_proof_counts(size: int) -> None:
    root = mth(0, size)
    for index in {0, size // 2, size - 1}:
        leaf_hash = mth(index, index + 1)
        proof = path(index, 0, size)
        for at in range(len(proof)):
            for byte in range(32):
                changed = list(proof)
                changed[at] = changed[at][:byte] + bytes((changed[at][byte] ^ 1,)) + changed[at][byte + 1 :]
                with pytest.raises(EvidenceError, match="inclusion_root"):
                    merkle.check_inclusion(leaf_hash, index, size, changed, root)
        with pytest.raises(EvidenceError, match="inclusion_root"):
            merkle.check_inclusion(merkle.leaf_hash(b"another"), index, size, proof, root)
        with pytest.raises(EvidenceError, match="inclusion_proof"):
            merkle.check_inclusion(leaf_hash, index, size, [*proof, root], root)
        if proof:
            with pytest.raises(EvidenceError, match="inclusion_proof"):
                merkle.check_inclusion(leaf_hash, index, size, proof[:-1], root)
        for other in range(size):
            if other != index and len(path(other, 0, size)) == len(proof):
                with pytest.raises(EvidenceError, match="inclusion_root"):
                    merkle.check_inclusion(leaf_hash, other, size, proof, root)


@pytest.mark.parametrize("new", [2, 3, 7, 8, 9, 33, 257])
def test_every_byte_of_a_consistency_proof_counts(new: int) -> None:
    for old in {1, new // 2, new - 1}:
        old_root, new_root = mth(0, old), mth(0, new)
        proof = subproof(old, 0, new, True)
        for at in range(len(proof)):
            for byte in range(32):
                changed = list(proof)
                changed[at] = changed[at][:byte] + bytes((changed[at][byte] ^ 1,)) + changed[at][byte + 1 :]
                with pytest.raises(EvidenceError, match="consistency_root"):
                    merkle.check_consistency(old, old_root, new, new_root, changed)
        with pytest.raises(EvidenceError, match="new size"):
            merkle.check_consistency(old, old_root, new, b"r" * 32, proof)
        with pytest.raises(EvidenceError, match="consistency_root"):
            merkle.check_consistency(old, b"r" * 32, new, new_root, proof)
        for wrong in ([], proof[1:], [*proof, old_root], proof[:-1]):
            with pytest.raises(EvidenceError, match="consistency_proof"):
                merkle.check_consistency(old, old_root, new, new_root, wrong)


def test_two_trees_of_one_size_are_consistent_only_when_they_are_the_same() -> None:
    root = mth(0, 5)
    merkle.check_consistency(5, root, 5, root, [])
    with pytest.raises(EvidenceError, match="two different roots"):
        merkle.check_consistency(5, root, 5, mth(0, 4), [])
    with pytest.raises(EvidenceError, match="consistency_proof"):
        merkle.check_consistency(5, root, 5, root, [root])


def test_nothing_is_proved_outside_the_tree() -> None:
    for index, size in ((0, 0), (1, 1), (-1, 1), (0, 2**63)):
        with pytest.raises(InputError, match="no leaf"):
            merkle.plan_inclusion(index, size)
        with pytest.raises(EvidenceError, match="inclusion_proof"):
            merkle.check_inclusion(b"h" * 32, index, size, [], b"r" * 32)
    for old, new in ((0, 0), (0, 1), (2, 1), (-1, 1), (1, 2**63)):
        with pytest.raises(InputError, match="no consistency proof"):
            merkle.plan_consistency(old, new)
        with pytest.raises(EvidenceError, match="consistency_proof"):
            merkle.check_consistency(old, b"h" * 32, new, b"h" * 32, [])


def answer(value: bytes, nodes: Sequence[Node]) -> list[bytes]:
    return [value for _ in nodes]


def test_hashes_of_any_other_length_are_refused() -> None:
    root, good = mth(0, 2), mth(0, 1)
    for bad in (b"", good[:31], good + b"\x00"):
        for args in ((bad, 0, 2, [good], root), (good, 0, 2, [bad], root), (good, 0, 2, [good], bad)):
            with pytest.raises(EvidenceError, match="hash_size"):
                merkle.check_inclusion(*args)
        for case in ((1, bad, 2, root, [good]), (1, good, 2, bad, [good]), (1, good, 2, root, [bad])):
            with pytest.raises(EvidenceError, match="hash_size"):
                merkle.check_consistency(*case)
        with pytest.raises(EvidenceError, match="hash_size"):
            merkle.check_consistency(3, root, 4, root, [bad, good, good])
        with pytest.raises(EvidenceError, match="hash_size"):
            merkle.root_of([good, bad])
        with pytest.raises(EvidenceError, match="hash_size"):
            merkle.prove_inclusion(0, 2, partial(answer, bad))


def test_a_reader_that_gives_too_few_hashes_is_our_own_fault() -> None:
    with pytest.raises(Fault, match="were asked for"):
        merkle.prove_inclusion(0, 8, lambda nodes: [b"h" * 32 for _ in nodes[1:]])


def test_a_proof_that_needs_no_hash_reads_nothing() -> None:
    def refuse(nodes: Sequence[Node]) -> Sequence[bytes]:
        raise AssertionError(nodes)

    assert merkle.prove_inclusion(0, 1, refuse) == []
    assert merkle.prove_consistency(7, 7, refuse) == []
    assert RightEdge.read(0, refuse) == RightEdge.empty()
