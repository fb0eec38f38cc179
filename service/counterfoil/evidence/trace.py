"""What an export leaves behind in the logs: its request and its release as `export` records, every step as an access.

The `export` records stand in the exported log itself, so whoever reads that log later sees that a copy left the house,
of which form and with which digest. The access log holds the same in the words of who looked at what; a bundle of the
access log itself is recorded there alone, since an access log has no kind `export`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from counterfoil.evidence.release import Released
from counterfoil.evidence.request import ExportRequest
from counterfoil.log.access import append_access
from counterfoil.log.batch import LogInfo
from counterfoil.log.logs import Logs
from counterfoil.mapping.draft import Draft

INTERACTIONS = "interactions"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asked: the credential's id (None: the command line), its name and role."""

    credential_id: str | None
    name: str
    role: str

    @property
    def title(self) -> str:
        """How a bundle names them."""
        return self.name if self.credential_id is None else f"{self.name} ({self.credential_id})"


def record_request(logs: Logs, log: LogInfo, asker: Asker, export_id: str, request: ExportRequest) -> None:
    """Both records of a request, on disk when this returns."""
    scope = {"export": export_id, **request.parsed()}
    scope.pop("purpose")
    _record_access(logs, log, asker, "export_request", export_id, None, [("query", scope), ("reason", request.purpose)])
    if _takes_exports(log):
        draft = _draft("export", asker, {"form": request.form}, [("scope", scope), ("reason", request.purpose)])
        logs.append_drafts(log.id, [draft], asker.credential_id)


def record_release(logs: Logs, log: LogInfo, export_id: str, request: ExportRequest, released: Released) -> None:
    """Both records of a release, on disk before the bundle can be fetched. The service itself writes them."""
    digest = released.sha256.hex()
    service = Asker(None, "service", "service")
    _record_access(logs, log, service, "export_release", export_id, released.count, [("bundle", digest)])
    if _takes_exports(log):
        facts = {"form": request.form, "bundle_digest": digest, "population": released.built.population_sha256}
        scope = {"export": export_id, "filter": request.filter.text(), "size": released.size}
        if not scope["filter"]:
            del scope["filter"]
        logs.append_drafts(log.id, [_draft("export", service, facts, [("scope", scope)])])


def record_download(logs: Logs, log: LogInfo, asker: Asker, export_id: str, count: int, digest: bytes) -> None:
    """The record of one download, on disk before the first byte leaves."""
    _record_access(logs, log, asker, "export_download", export_id, count, [("bundle", digest.hex())])


def _takes_exports(log: LogInfo) -> bool:
    return log.purpose == INTERACTIONS and log.closed_us is None


def _record_access(
    logs: Logs,
    log: LogInfo,
    asker: Asker,
    action: str,
    export_id: str,
    count: int | None,
    fields: list[tuple[str, Any]],
) -> None:
    facts: dict[str, Any] = {"action": action, "object": export_id}
    if count is not None:
        facts["count"] = count
    append_access(logs, log.tenant_id, [_draft("access", asker, facts, fields)], asker.credential_id)


def _draft(kind: str, asker: Asker, facts: dict[str, Any], fields: list[tuple[str, Any]]) -> Draft:
    return Draft(kind, "service" if asker.credential_id is None else "api", {kind: facts}, fields)
