"""An attribute list on its way through recognition: what was seen in it, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from counterfoil.mapping.targets import Known, Raw, Target


@dataclass(slots=True)
class Seen:
    """An attribute list after the walk: OTLP/JSON pairs, with a gap (None) for each attribute in `known`."""

    pairs: list[Any]
    known: list[tuple[int, Known, Raw]]
    """(position in `pairs`, what the tables know, value). `read` fills the gaps."""


@dataclass(slots=True)
class Reading:
    """What an attribute list says."""

    kind: str
    facts: dict[str, Any]
    fields: dict[str, Any] = field(default_factory=dict)
    interaction_id: str | None = None
    subject_id: str | None = None
    persons: tuple[tuple[str, str], ...] = ()


Best = dict[str, tuple[int, Target, Any]]
"""The winner for each path so far: rank, target, value."""
