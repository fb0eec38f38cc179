"""The right edge of a tree: at most 63 hashes that are all one needs to append to it and to know its root.

One hash for each 1 in the binary form of the size: the perfect subtrees from left to right, largest first. (Also
called a compact range.) Appending leaf n merges one subtree for each trailing 1 of n.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.core.merkle import EMPTY_ROOT, MAX_TREE_SIZE, Node, ReadHashes, check_hash, fold, perfect_subtrees


def plan_right_edge(size: int) -> list[Node]:
    """The perfect subtrees of a tree of `size` leaves, largest first."""
    if not 0 <= size <= MAX_TREE_SIZE:
        raise InputError("size_out_of_range", f"{size} is no tree size")
    return perfect_subtrees(0, size)


@dataclass(frozen=True, slots=True)
class RightEdge:
    """A tree of `size` leaves by the hashes of its perfect subtrees, largest first."""

    size: int
    hashes: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_TREE_SIZE or len(self.hashes) != self.size.bit_count():
            raise EvidenceError("right_edge", f"{len(self.hashes)} hashes are no right edge of size {self.size}")
        for value in self.hashes:
            check_hash(value)

    @classmethod
    def empty(cls) -> "RightEdge":
        """The edge of the tree without leaves."""
        return cls(0, ())

    @classmethod
    def read(cls, size: int, read: ReadHashes) -> "RightEdge":
        """The edge of a stored tree."""
        nodes = plan_right_edge(size)
        return cls(size, tuple(read(nodes)) if nodes else ())

    def root(self) -> bytes:
        """The tree's root hash."""
        return fold(self.hashes) if self.hashes else EMPTY_ROOT

    def append(self, leaf_hash: bytes) -> "RightEdge":
        """The edge after one more leaf."""
        return self.extend((leaf_hash,))

    def extend(self, leaf_hashes: Iterable[bytes]) -> "RightEdge":
        """The edge after more leaves, in order."""
        size, hashes = self.size, list(self.hashes)
        for value in leaf_hashes:
            check_hash(value)
            trailing = size
            while trailing & 1:
                value = sha256(b"\x01" + hashes.pop() + value).digest()
                trailing >>= 1
            hashes.append(value)
            size += 1
        return RightEdge(size, tuple(hashes))
