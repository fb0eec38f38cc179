"""What is handed to a worker process, and what comes back: plain values, small whatever the size of the log."""

from dataclasses import dataclass, field
from pathlib import Path

from counterfoil.core.note import VerifierKey
from counterfoil.log.finding import Finding

RANGE_LEAVES = 65_536
"""Leaves of one range: one full tile of level 1."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where everything lies that a check of a store reads.

    `keys` are the log keys to believe, by origin. They come from whoever checks, or from the key directory; never
    from the ledger. Without keystore and master key contents are found and counted, but not opened.
    """

    ledger_url: str
    heads: Path
    keys: dict[str, VerifierKey]
    keystore_url: str | None = None
    master_key: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Depth:
    """How much of each record is checked. The default is all of it."""

    parse: bool = True
    """Parse every leaf strictly; without it only its links are checked, in the bytes."""

    contents: bool = True
    """Open every sealed content and compare with the digests."""

    arrivals: bool = True
    """Compare every arrival with its record."""


@dataclass(frozen=True, slots=True)
class LogFacts:
    """One log as it stands in the snapshot: `size` records, signed by `key` up to `signed_size`."""

    id: int
    origin: str
    key: VerifierKey | None
    size: int
    signed_size: int


@dataclass(frozen=True, slots=True)
class RangeJob:
    """Check leaves [first, end) of a log, all that belongs to them, and the checkpoints of sizes (first, end]."""

    log: LogFacts
    first: int
    end: int
    sizes: tuple[int, ...]
    """Further tree sizes, first < size <= end, whose root is wanted."""
    depth: Depth


@dataclass(frozen=True, slots=True)
class ArrivalsJob:
    """Check the arrivals of a log whose trace id is at least `low` and below `high` (None: to the end)."""

    log: LogFacts
    low: bytes
    high: bytes | None


Job = RangeJob | ArrivalsJob


@dataclass(slots=True)
class Counts:
    """What was looked at. Adds up."""

    records: int = 0
    contents: int = 0
    disclosures: int = 0
    unopened: int = 0
    removed: int = 0
    tiles: int = 0
    checkpoints: int = 0
    arrivals: int = 0
    arriving: int = 0
    """Records that must have come with an arrival."""

    def add(self, other: "Counts") -> None:
        """Add another's counts to these."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class Result:
    """What a job found. For a range: the roots of its full level 0 tiles, the fold of its own leaves at each size that
    a checkpoint names (the root of the whole tree follows from it and the ranges before), and the roots signed there.
    """

    findings: list[Finding]
    counts: Counts
    tile_roots: list[bytes] = field(default_factory=list)
    folds: dict[int, bytes] = field(default_factory=dict)
    signed_roots: list[tuple[int, bytes]] = field(default_factory=list)
    complete: bool = True
    """False where the range could not be read to its end: then nothing above it can be computed."""
    last_hash: bytes = b""
    last_recorded_at: str = ""
