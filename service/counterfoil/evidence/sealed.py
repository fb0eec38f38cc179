"""Sealed contents on their way to whoever opens them, with the keys for it. Never printed, never on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sealed:
    """Sealed contents `(key id, bytes)` by seq, and by id the keys that still exist."""

    rows: Mapping[int, Sequence[tuple[bytes, bytes]]] = field(repr=False)
    keys: Mapping[bytes, bytes] = field(repr=False)
