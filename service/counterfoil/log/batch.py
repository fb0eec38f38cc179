"""What goes into the log and what comes back: values that other rooms hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from counterfoil.core.errors import InputError
from counterfoil.mapping.draft import Item


@dataclass(frozen=True, slots=True)
class LogInfo:
    """One log as everybody may know it; `id` is the key of its rows and never leaves the service."""

    id: int
    tenant_id: int
    tenant: str
    name: str
    origin: str
    purpose: str
    """"interactions" or "access"."""
    region: str | None
    vkey: str
    fulltext_fields: tuple[str, ...]
    created_us: int
    closed_us: int | None = None


@dataclass(slots=True)
class Batch:
    """Items that one writer sent together. `writer` is the credential's id, None for the service itself."""

    writer: str | None
    items: list[Item] = field(default_factory=list)


class Given(NamedTuple):
    """The records of one item: first and last `seq`, and whether they are new (False: a retry, answered again)."""

    first: int
    last: int
    new: bool


@dataclass(frozen=True, slots=True)
class Appended:
    """What the log answers once a batch is on disk."""

    seqs: list[Given | None]
    """For each item in order; None where the item was refused."""
    promise: bytes | None
    """A signed note over the ranges of the commit group (RECORD 6); None where the log only refused."""
    size: int
    """Number of records in the log after the commit."""
    recorded_us: int
    refused: dict[int, InputError] = field(default_factory=dict)
    """Items whose facts are not lawful in a leaf, by index. A mapping that is right never sends any."""
