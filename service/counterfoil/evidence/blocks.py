"""The leaves of a range in blocks as entry bundles hold them, with the sealed contents of those that are presented.

Leaves are read loosely here, since the verifier reads them strictly afterwards; what the code relies on is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

from counterfoil.core.errors import EvidenceError
from counterfoil.core.record import parse_record
from counterfoil.core.tiles import TILE_WIDTH
from counterfoil.evidence.population import Extent
from counterfoil.evidence.request import ExportRequest
from counterfoil.evidence.sealed import Sealed
from counterfoil.evidence.snapshot import Snapshot


def read_entry_bundles(snapshot: Snapshot, low: int, high: int) -> Iterator[tuple[int, list[bytes]]]:
    """The leaves [low, high) in blocks as entry bundles hold them; a hole in the store ends the export."""
    at = low
    block: list[bytes] = []
    for seq, leaf in snapshot.leaves(low, high):
        if seq != at + len(block):
            break
        block.append(leaf)
        if len(block) == TILE_WIDTH:
            yield at, block
            at, block = at + TILE_WIDTH, []
    if at + len(block) != high:
        raise EvidenceError("leaf_missing", f"record {at + len(block)} is missing below the checkpoint; run fsck")
    if block:
        yield at, block


def read_sealed_of(
    snapshot: Snapshot, request: ExportRequest, extent: Extent, at: int, leaves: Sequence[bytes]
) -> Sealed | None:
    """The sealed contents of those among the leaves from `at` on that are presented.

    None where they cannot be opened together: too large, something erased, or a leaf that is not formed as one.
    """
    seqs: Sequence[int] = range(max(at, extent.a), min(at + len(leaves), extent.b))
    if request.scope.is_empty:
        return None if snapshot.has_removals(at, at + len(leaves)) else Sealed({}, {})
    if any(name not in ("from", "to") for name, _ in request.filter.terms):
        try:
            seqs = [seq for seq in seqs if request.filter.matches(orjson.loads(leaves[seq - at]))]
        except (AttributeError, KeyError, TypeError, ValueError):
            return None
    return snapshot.sealed(seqs)


def parse_leaf(seq: int, leaf: bytes | None) -> dict[str, Any]:
    """The leaf as a mapping. Checked in full by the verifier afterwards; here only what the code relies on."""
    if leaf is None:
        raise EvidenceError("leaf_missing", f"record {seq} is missing below the checkpoint; run fsck")
    try:
        record = orjson.loads(leaf)
    except orjson.JSONDecodeError:
        record = None
    if not isinstance(record, dict) or record.get("seq") != seq or not isinstance(record.get("kind"), str):
        raise EvidenceError("record", f"what is stored as record {seq} is not that record; run fsck")
    return record


@contextmanager
def strictly_if_it_fails(leaves: Sequence[bytes | None]) -> Iterator[None]:
    """Read leaves loosely, since the verifier reads them strictly later; where one is not formed as a record is, the
    strict reader says which and how instead of an error of ours."""
    try:
        yield
    except (AttributeError, KeyError, TypeError):
        for leaf in leaves:
            if leaf is not None:
                parse_record(leaf)
        raise
