"""Proofs in a bundle: for records outside the range that a check relies on, and for each record of a selection.

Lines are `{"leaf": base64, "proof": tlog-proof text, "seq": n}`, ascending. A proof ends in the checkpoint, byte for
byte the one in `data/checkpoint`, so a verifier checks its signatures once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from counterfoil.core.encoding import encode_base64
from counterfoil.core.errors import EvidenceError
from counterfoil.evidence.canonical import to_line
from counterfoil.evidence.snapshot import Snapshot

GENESIS = 0
"""The record that names tenant, purpose and keys of the log: every bundle holds it."""


def proof_line(snapshot: Snapshot, seq: int, leaf: bytes) -> bytes:
    """The line of a record whose leaf is at hand."""
    return to_line({"leaf": encode_base64(leaf), "proof": snapshot.prove(seq, leaf).decode(), "seq": seq})


def last_leaf_line(snapshot: Snapshot, seq: int, leaf: bytes) -> bytes:
    """The one line of a range's proofs: the leaf itself stands among the leaves."""
    return to_line({"proof": snapshot.prove(seq, leaf).decode(), "seq": seq})


def related_lines(snapshot: Snapshot, seqs: Iterable[int]) -> Iterator[bytes]:
    """A line for each of these records, ascending."""
    for seq in sorted(set(seqs)):
        leaf = snapshot.leaf(seq)
        if leaf is None:
            raise EvidenceError("leaf_missing", f"record {seq} is missing below the checkpoint; run fsck")
        yield proof_line(snapshot, seq, leaf)
