"""Readiness: can this service do its job now, and what should an operator know even when it can?

Reasons make the answer 503; warnings never do. Anybody may ask, so what everybody sees is a code and a fixed text
without the name of a tenant, a log or a size. A key whose role has `counts` is told the logs that it may see too, and
which of them a reason is about. The codes are those of the errors that an append would be answered with.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import Any

from counterfoil.composition import Services
from counterfoil.core.errors import CounterfoilError, EvidenceError
from counterfoil.identity.principal import Principal
from counterfoil.identity.roles import Permission
from counterfoil.log.batch import LogInfo
from counterfoil.log.heads import check_not_rolled_back
from counterfoil.log.records import head

DISK_FREE_BYTES = 256 * 1024 * 1024
"""Less than this free on the ledger's volume is a reason not to be ready: the next commit may fail."""

BACKGROUND_ENDED = "background_ended"
DISK_NEARLY_FULL = "disk_nearly_full"
STORE_UNREADABLE = "store_unreadable"
ROLLBACK_NOT_DETECTABLE = "rollback_not_detectable"
PRODUCER_SILENT = "producer_silent"
INDEX_UNREADABLE = "index_unreadable"

TEXTS = {
    BACKGROUND_ENDED: "the background process ended: checkpoints and index are not kept; the service ends",
    DISK_NEARLY_FULL: f"less than {DISK_FREE_BYTES} bytes are free where the ledger lies",
    STORE_UNREADABLE: "ledger or heads cannot be read; the log of the service says why",
    ROLLBACK_NOT_DETECTABLE: (
        "rollback of the whole directory is not detectable here without a witness: "
        "heads or keystore share the ledger's volume"
    ),
    PRODUCER_SILENT: "a producer that did not close has not been heard of for longer than its cadence allows",
    INDEX_UNREADABLE: "the index cannot be read now, or is being built: whether a producer is silent is not known",
    "log_rolled_back": (
        "a log is older than its last signed head: put the newer ledger back, or, if it is lost, stop the service "
        "and run `counterfoil restore declare`"
    ),
    "storage_unavailable": "the disk is full or fails",
}
"""What everybody is told for a code; one that is not here is told as `STORE_UNREADABLE`."""


@dataclass(frozen=True, slots=True)
class Remark:
    """A reason or a warning. `log` and `detail` are for those who may see that log."""

    code: str
    log: LogInfo | None = None
    detail: str | None = None

    def shown_to(self, principal: Principal | None) -> dict[str, str]:
        """As `/readyz` answers it."""
        shown = {"code": self.code, "text": TEXTS[self.code]}
        if self.log is not None and self.detail is not None and _sees(principal, self.log):
            shown |= {"log": self.log.name, "detail": self.detail}
        return shown


@dataclass(frozen=True, slots=True)
class LogState:
    """How far a log goes, and how far it is signed."""

    info: LogInfo
    records: int
    signed: int


@dataclass(slots=True)
class Readiness:
    """What was found."""

    reasons: list[Remark] = field(default_factory=list)
    warnings: list[Remark] = field(default_factory=list)
    logs: list[LogState] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        return not self.reasons

    def shown_to(self, principal: Principal | None) -> dict[str, Any]:
        """The answer for a caller: without a key that has `counts` there is no `logs`, and no name anywhere."""
        answer: dict[str, Any] = {
            "status": "ready" if self.ready else "not ready",
            "reasons": _distinct([remark.shown_to(principal) for remark in self.reasons]),
            "warnings": _distinct([remark.shown_to(principal) for remark in self.warnings]),
        }
        if principal is not None and principal.may(Permission.COUNTS):
            answer["logs"] = [
                {"log": f"{log.info.tenant}/{log.info.name}", "records": log.records, "signed": log.signed}
                for log in self.logs
                if _sees(principal, log.info)
            ]
        return answer


def readiness(services: Services, background_alive: bool) -> Readiness:
    """Look at ledger, heads, background process and disk."""
    state = Readiness()
    if not background_alive:
        state.reasons.append(Remark(BACKGROUND_ENDED))
    if shutil.disk_usage(services.directory.path).free < DISK_FREE_BYTES:
        state.reasons.append(Remark(DISK_NEARLY_FULL))
    try:
        for info in services.logs.all():
            _look_at(services, info, state)
    except CounterfoilError as error:
        state.reasons.append(Remark(_code_of(error)))
    if not services.directory.rollback_visible:
        state.warnings.append(Remark(ROLLBACK_NOT_DETECTABLE))
    _listen(services, state)
    return state


def _listen(services: Services, state: Readiness) -> None:
    """Silent producers are somebody else's trouble: an operator should know, and the service stays ready."""
    try:
        for silence in services.completeness.silences():
            info, first = services.logs.by_id(silence.log_id), silence.first
            detail = f"{silence.count} silent; the longest: producer {first.producer} of writer {first.writer}"
            state.warnings.append(Remark(PRODUCER_SILENT, info, detail))
    except CounterfoilError:
        state.warnings.append(Remark(INDEX_UNREADABLE))


def _look_at(services: Services, info: LogInfo, state: Readiness) -> None:
    """One log; what is wrong with it hides no other log."""
    try:
        with services.ledger.read() as connection:
            size = head(connection, info.id).size
        signed = services.heads.size_of(info.origin)
        state.logs.append(LogState(info, size, signed))
        check_not_rolled_back(info.origin, signed, size)
    except CounterfoilError as error:
        state.reasons.append(Remark(_code_of(error), info, str(error)))


def _code_of(error: CounterfoilError) -> str:
    code = error.check if isinstance(error, EvidenceError) else getattr(error, "code", None)
    return code if isinstance(code, str) and code in TEXTS else STORE_UNREADABLE


def _sees(principal: Principal | None, log: LogInfo) -> bool:
    return principal is not None and principal.may(Permission.COUNTS) and principal.may_see(log.tenant_id, log.id)


def _distinct(remarks: list[dict[str, str]]) -> list[dict[str, str]]:
    """Each once: how many logs are meant is nobody else's business."""
    return [remark for number, remark in enumerate(remarks) if remark not in remarks[:number]]
