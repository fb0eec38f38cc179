"""What appending to one log needs: where, with which keys, at what time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from counterfoil.core.note import NoteSigner
from counterfoil.log.batch import LogInfo
from counterfoil.log.clock import Clock
from counterfoil.log.keystore import Keystore
from counterfoil.store.database import Database


class HeadSizes(Protocol):
    """The head store, as far as appending needs it."""

    def size_of(self, origin: str) -> int:
        """Tree size of the last signed checkpoint, 0 without one."""


@dataclass(slots=True)
class Counters:
    """What happened since the start, for metrics and alarms."""

    records: int = 0
    duplicates: int = 0
    superseding: int = 0
    groups: int = 0
    clock_repeats: int = 0
    """Groups that repeated the last `recorded_at` because the clock was behind: an alarm when it rises."""
    failures: int = 0
    unknown_outcomes: int = 0


@dataclass(frozen=True, slots=True)
class Appender:
    """Everything that appending to one log needs. Holds no state of the log."""

    log: LogInfo
    ledger: Database
    keystore: Keystore
    head_sizes: HeadSizes
    signer: NoteSigner
    clock: Clock
    counters: Counters = field(default_factory=Counters)
    reached: Callable[[str], None] = lambda _: None
    """Called at each named step: tests stop the process there."""
