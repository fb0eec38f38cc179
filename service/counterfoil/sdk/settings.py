"""What `configure` fixed: bounds, destination, capture, who the agent is. Never changed afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterfoil.core.note import VerifierKey
from counterfoil.sdk.capture import Capture
from counterfoil.sdk.destination import Destination
from counterfoil.sdk.record import Fact


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one call of `configure`. Sizes in bytes, times in seconds."""

    destination: Destination
    resource: Mapping[str, Any]
    agent: Mapping[str, Fact]
    """Attributes of every record: `gen_ai.agent.name`, `gen_ai.agent.version`."""
    capture: Capture
    keys: tuple[VerifierKey, ...]
    coverage: str | None
    spool_root: Path | None
    """Folder of this destination; None: nothing is spooled."""
    spool_bytes: int
    spool_age_s: float
    queue_items: int
    queue_bytes: int
    shutdown_timeout_s: float
    batch_items: int = 512
    batch_bytes: int = 4_194_304
    memory_bytes: int = 8_388_608
    """Requests kept in memory while nothing can be spooled; beyond it the queue fills."""
    delay_s: float = 0.2
    """How long a record waits for company."""
