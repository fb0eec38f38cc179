"""The RFC 9162 section 2.1 Merkle tree with SHA-256: roots, inclusion and consistency proofs.

- ``MTH({}) = SHA-256("")``; leaf hash ``SHA-256(0x00 || leaf)``; node ``SHA-256(0x01 || left || right)``; a tree of
  n > 1 leaves splits at the largest power of two below n.
- Every hash is exactly 32 bytes, and that is checked: a proof must not shift bytes from one hash to the next.
- The length of a proof follows from its sizes alone; any other length is refused before anything is hashed.

Planner and computer twins: `plan_*` says which perfect subtrees a proof needs, `prove_*` reads their hashes (from
tiles, say) in one call and folds them. `check_*` returns None or raises EvidenceError with one of the checks
``hash_size``, ``inclusion_proof``, ``inclusion_root``, ``consistency_proof``, ``consistency_root``.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import islice
from typing import NamedTuple

from counterfoil.core.errors import EvidenceError, Fault, InputError

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()
MAX_TREE_SIZE = 2**63 - 1


class Node(NamedTuple):
    """The perfect subtree of 2^level leaves that begins at leaf index * 2^level."""

    level: int
    index: int  # type: ignore[assignment]  # the trees' own word; nobody asks a node for tuple.index()


ReadHashes = Callable[[Sequence[Node]], Sequence[bytes]]
"""Gives the hashes of perfect subtrees, in the order asked for."""


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 || leaf)."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right); both exactly 32 bytes."""
    check_hash(left)
    check_hash(right)
    return sha256(b"\x01" + left + right).digest()


def check_hash(value: bytes) -> None:
    """SPEC: RECORD 5 - every hash is exactly 32 bytes."""
    if len(value) != HASH_SIZE:
        raise EvidenceError("hash_size", f"a hash has {len(value)} bytes, not {HASH_SIZE}")


def _check_hashes(values: Sequence[bytes]) -> None:
    for value in values:
        if len(value) != HASH_SIZE:
            check_hash(value)


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes, level by level.

    A node without a right sibling moves up as it is, which gives the tree of RFC 9162: the split at the largest power
    of two leaves every perfect subtree on the left, and the rest to the right.
    """
    _check_hashes(leaf_hashes)
    level = list(leaf_hashes)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        pairs = iter(level)
        level = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]
        level += odd
    return level[0]


def perfect_subtrees(start: int, end: int) -> list[Node]:
    """The perfect subtrees of leaves [start, end), largest first; `start` aligned to the tree that holds them."""
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append(Node(level, start >> level))
        start += 1 << level
    return nodes


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over the hashes (each of 32 bytes) of adjacent perfect subtrees, largest first (at least one)."""
    root = hashes[-1]
    for left in hashes[-2::-1]:
        root = sha256(b"\x01" + left + root).digest()
    return root


def _split(size: int) -> int:
    """The largest power of two below `size` (size > 1)."""
    return 1 << ((size - 1).bit_length() - 1)


def plan_inclusion(index: int, size: int) -> list[list[Node]]:
    """For each hash of the proof, leaf's sibling first, the perfect subtrees that fold into it (RFC 9162 2.1.3.1)."""
    if not 0 <= index < size <= MAX_TREE_SIZE:
        raise InputError("index_out_of_range", f"a tree of {size} leaves has no leaf {index}")
    start, end = 0, size
    groups = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            groups.append(perfect_subtrees(middle, end))
            end = middle
        else:
            groups.append(perfect_subtrees(start, middle))
            start = middle
    return groups[::-1]


def plan_consistency(old_size: int, new_size: int) -> list[list[Node]]:
    """For each hash of the proof, the perfect subtrees that fold into it (RFC 9162 2.1.4.1); old_size is not 0."""
    if not 0 < old_size <= new_size <= MAX_TREE_SIZE:
        raise InputError("size_out_of_range", f"no consistency proof leads from size {old_size} to size {new_size}")
    start, end = 0, new_size
    groups = []
    while end != old_size:
        middle = start + _split(end - start)
        if old_size <= middle:
            groups.append(perfect_subtrees(middle, end))
            end = middle
        else:
            groups.append(perfect_subtrees(start, middle))
            start = middle
    if start:  # the old root is no node of the new tree, so its last part is proved too
        groups.append(perfect_subtrees(start, end))
    return groups[::-1]


def _read_groups(groups: list[list[Node]], read: ReadHashes) -> list[bytes]:
    nodes = [node for group in groups for node in group]
    hashes = list(read(nodes)) if nodes else []
    if len(hashes) != len(nodes):
        raise Fault(f"{len(nodes)} subtree hashes were asked for, {len(hashes)} came")
    _check_hashes(hashes)
    rest = iter(hashes)
    return [fold(list(islice(rest, len(group)))) for group in groups]


def prove_inclusion(index: int, size: int, read: ReadHashes) -> list[bytes]:
    """The inclusion proof of leaf `index` in the tree of `size` leaves, leaf's sibling first."""
    return _read_groups(plan_inclusion(index, size), read)


def prove_consistency(old_size: int, new_size: int, read: ReadHashes) -> list[bytes]:
    """The consistency proof from `old_size` (at least 1) to `new_size`."""
    return _read_groups(plan_consistency(old_size, new_size), read)


def root_of_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that an inclusion proof leads to (RFC 9162 2.1.3.2).

    The proof has one hash for each bit below the first where `index` and size-1 differ, then one for each further 1 of
    `index` (there the sibling is on the left; where it would be on the right, the tree has none).
    """
    if not 0 <= index < size <= MAX_TREE_SIZE:
        raise EvidenceError("inclusion_proof", f"a tree of {size} leaves has no leaf {index}")
    inner = (index ^ (size - 1)).bit_length()
    wanted = inner + (index >> inner).bit_count()
    if len(proof) != wanted:
        raise EvidenceError("inclusion_proof", f"leaf {index} of {size} is proved by {wanted} hashes, not {len(proof)}")
    _check_hashes((leaf_hash, *proof))
    root = leaf_hash
    for level, sibling in enumerate(proof):
        is_left = level < inner and not index >> level & 1
        root = sha256(b"\x01" + (root + sibling if is_left else sibling + root)).digest()
    return root


def check_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Leaf `index` with this hash is in the tree of `size` leaves with this root (RFC 9162 2.1.3.2)."""
    check_hash(root)
    if root_of_inclusion(leaf_hash, index, size, proof) != root:
        raise EvidenceError("inclusion_root", f"the proof of leaf {index} of {size} leads to another root")


def check_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """The tree of `new_size` leaves begins with the tree of `old_size` (RFC 9162 2.1.4.2).

    Both sizes at least 1: every tree begins with the empty one, which proves nothing (C2SP tlog-witness treats size 0
    before it gets here).
    """
    if not 0 < old_size <= new_size <= MAX_TREE_SIZE:
        raise EvidenceError("consistency_proof", f"no proof leads from size {old_size} to size {new_size}")
    _check_hashes((old_root, new_root, *proof))
    if old_size == new_size:
        if proof:
            raise EvidenceError("consistency_proof", "two trees of one size are proved by no hash")
        if old_root != new_root:
            raise EvidenceError("consistency_root", f"two different roots at size {old_size}")
        return
    # The path climbs from the old tree's last perfect subtree. Where that is the whole old tree, its root is known
    # and the proof leaves it out.
    height = (old_size & -old_size).bit_length() - 1
    index, last = (old_size - 1) >> height, (new_size - 1) >> height
    inner = (index ^ last).bit_length()
    wanted = inner + (index >> inner).bit_count() + (1 if index else 0)
    if len(proof) != wanted:
        raise EvidenceError(
            "consistency_proof", f"size {old_size} to {new_size} is proved by {wanted} hashes, not {len(proof)}"
        )
    first, rest = (proof[0], proof[1:]) if index else (old_root, proof)
    old = new = first
    for level, sibling in enumerate(rest):
        if level < inner and not index >> level & 1:
            new = sha256(b"\x01" + new + sibling).digest()
        else:
            old = sha256(b"\x01" + sibling + old).digest()
            new = sha256(b"\x01" + sibling + new).digest()
    if old != old_root:
        raise EvidenceError("consistency_root", f"the proof leads to another root at the old size {old_size}")
    if new != new_root:
        raise EvidenceError("consistency_root", f"the proof leads to another root at the new size {new_size}")
