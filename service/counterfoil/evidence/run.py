"""Who asked for a bundle, when and for what: facts of one run, apart from the population."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Who asked, when, and for what: facts of this run, apart from the population."""

    export_id: str
    requested_by: str
    role: str
    requested_at: str
    built_at: str
    rollback_visible: bool
    """Whether heads and keystore lie apart from the ledger, so that a rollback of the whole directory would show."""
