"""Readiness: can this service do its job now, and what should an operator know even when it can?

Reasons make the answer 503; warnings never do. Nothing here is secret and nothing names a person.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import Any

from counterfoil.composition import Services
from counterfoil.core.errors import CounterfoilError
from counterfoil.log.heads import check_not_rolled_back
from counterfoil.log.records import head

DISK_FREE_BYTES = 256 * 1024 * 1024
"""Less than this free on the ledger's volume is a reason not to be ready: the next commit may fail."""

SAME_VOLUME = (
    "rollback of the whole directory is not detectable here without a witness: "
    "heads or keystore share the ledger's volume"
)


@dataclass(slots=True)
class Readiness:
    """What `/readyz` answers."""

    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    logs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        return not self.reasons

    def as_dict(self) -> dict[str, Any]:
        return {
            "status": "ready" if self.ready else "not ready",
            "reasons": self.reasons,
            "warnings": self.warnings,
            "logs": self.logs,
        }


def readiness(services: Services, background_alive: bool) -> Readiness:
    """Look at ledger, heads, background process and disk."""
    state = Readiness()
    if not background_alive:
        state.reasons.append("the background process ended: checkpoints and index are not kept; restart the service")
    free = shutil.disk_usage(services.directory.path).free
    if free < DISK_FREE_BYTES:
        state.reasons.append(f"{free} bytes are free where the ledger lies, {DISK_FREE_BYTES} are wanted")
    try:
        for info in services.logs.all():
            with services.ledger.read() as connection:
                size = head(connection, info.id).size
            signed = services.heads.size_of(info.origin)
            state.logs.append({"log": f"{info.tenant}/{info.name}", "records": size, "signed": signed})
            check_not_rolled_back(info.origin, signed, size)
    except CounterfoilError as error:
        state.reasons.append(str(error))
    if not services.directory.rollback_visible:
        state.warnings.append(SAME_VOLUME)
    return state
