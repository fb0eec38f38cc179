"""The population's facts: what an auditor's completeness-and-accuracy test asks of a list (EVIDENCE 1).

Source, logic, parameters, count, first and last, counts by kind and outcome, and the hash total: SHA-256 over the leaf
hashes of the records presented, 32 bytes each, in order. The same filter at the same checkpoint gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from counterfoil.core.checkpoint import Checkpoint
from counterfoil.core.encoding import encode_base64
from counterfoil.core.filter import Filter

FORMAT = "counterfoil/bundle/1"


@dataclass(frozen=True, slots=True)
class Extent:
    """What the population was taken from: records [a, b), and whether the records beside it are shown as borders."""

    a: int
    b: int
    before: bool = False
    after: bool = False


@dataclass(frozen=True, slots=True)
class Software:
    """What built it: name, version and SHA-256 (hex) over the package's own source files."""

    name: str
    version: str
    digest: str


@dataclass(slots=True)
class Counted:
    """Counts of a block of records: what `Tally` adds up. `hashes` are the leaf hashes, in order."""

    count: int = 0
    first: int = 0
    last: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    by_outcome: Counter[str] = field(default_factory=Counter)
    hashes: bytes = b""


class Tally:
    """Counts of the records presented, kept while they are read; constant memory but for the kinds and outcomes."""

    __slots__ = ("_hash_total", "by_kind", "by_outcome", "count", "first", "last")

    def __init__(self) -> None:
        self.count = 0
        self.first: int | None = None
        self.last: int | None = None
        self.by_kind: Counter[str] = Counter()
        self.by_outcome: Counter[str] = Counter()
        self._hash_total = hashlib.sha256()

    def add(self, seq: int, leaf: dict[str, Any], leaf_hash: bytes) -> None:
        """Count one record."""
        if self.first is None:
            self.first = seq
        self.last = seq
        self.count += 1
        self.by_kind[leaf["kind"]] += 1
        outcome = leaf.get("decision", {}).get("outcome")
        if outcome is not None:
            self.by_outcome[outcome] += 1
        self._hash_total.update(leaf_hash)

    def add_counted(self, counted: Counted) -> None:
        """Count the records of a block that was counted apart; blocks come in order."""
        if counted.count:
            self.first = counted.first if self.first is None else self.first
            self.last = counted.last
        self.count += counted.count
        self.by_kind += counted.by_kind
        self.by_outcome += counted.by_outcome
        self._hash_total.update(counted.hashes)

    @property
    def hash_total(self) -> bytes:
        """SHA-256 over the leaf hashes so far."""
        return self._hash_total.digest()


def format_population(
    *,
    form: str,
    log: str,
    checkpoint: Checkpoint,
    extent: Extent,
    leaf_filter: Filter,
    tally: Tally,
    software: Software,
) -> dict[str, Any]:
    """The contents of `data/population.json` (docs/formats/bundle.md, section 5)."""
    root = encode_base64(checkpoint.root)
    facts: dict[str, Any] = {
        "format": FORMAT,
        "form": form,
        "log": log,
        "origin": checkpoint.origin,
        "tree_size": checkpoint.size,
        "root": root,
        "a": extent.a,
        "b": extent.b,
        "border": {"before": extent.before, "after": extent.after},
        "filter": {"text": leaf_filter.text(), "parsed": leaf_filter.parsed()},
        "count": tally.count,
        "by_kind": dict(tally.by_kind),
        "by_outcome": dict(tally.by_outcome),
        "hash_total": encode_base64(tally.hash_total),
        # Nothing is removed from the store between the two yet, so both are read at one checkpoint.
        "states_as_of": {"size": checkpoint.size, "root": root},
        "software": {"name": software.name, "version": software.version, "digest": software.digest},
    }
    if tally.first is not None:
        facts["first"], facts["last"] = tally.first, tally.last
    return facts
