"""Who sends, and to which log: the checks that come before anything of a request is read.

401 without a valid key, 403 where the role may not append or the key is for another log, 404 for a log that is not
there: a log of another tenant is the same as none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from counterfoil.identity.permissions import forbidden, key_of, unauthenticated
from counterfoil.identity.principal import Principal
from counterfoil.identity.roles import Permission
from counterfoil.identity.service import Identity
from counterfoil.ingest.status import ExportError
from counterfoil.log.logs import Logs
from counterfoil.problems import Problem

LOG_HEADER: Final = "counterfoil-log"
INTERACTIONS: Final = "interactions"


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated writer and the log that its request goes to."""

    writer: str
    log_id: int


def identify(identity: Identity, logs: Logs, headers: Mapping[str, str]) -> Caller:
    """Reads the ledger, so it belongs into a thread. Error: ExportError 401, 403, 404 or 400 `log_not_named`."""
    key = key_of(headers)
    principal = None if key is None else identity.authenticate(key)
    if principal is None:
        raise _as_export_error(unauthenticated())
    if not principal.may(Permission.APPEND):
        raise _as_export_error(forbidden(principal, Permission.APPEND))
    return Caller(principal.credential_id, _log_of(principal, logs, headers.get(LOG_HEADER)))


def _log_of(principal: Principal, logs: Logs, name: str | None) -> int:
    if name is None:
        if principal.log_id is not None:
            # The access log takes only what the service itself writes, whatever a key says.
            if logs.by_id(principal.log_id).purpose != INTERACTIONS:
                raise ExportError(403, "forbidden", "this key is for a log that takes no telemetry")
            return principal.log_id
        found = [log.id for log in logs.all(principal.tenant_id) if log.purpose == INTERACTIONS and not log.closed_us]
        if len(found) == 1:
            return found[0]
        message = f"this key is for a tenant with {len(found)} logs to write to: name one in the header {LOG_HEADER}"
        raise ExportError(400, "log_not_named", message)
    log = logs.by_name(principal.tenant_id, name)
    # The access log takes only what the service itself writes, so for a writer it is not there either.
    if log is None or log.purpose != INTERACTIONS:
        raise ExportError(404, "not_found", f"there is no log of this name to write to: see the header {LOG_HEADER}")
    if not principal.may_see(log.tenant_id, log.id):
        raise ExportError(403, "forbidden", "this key is for another log")
    return log.id


def _as_export_error(problem: Problem) -> ExportError:
    return ExportError(problem.status, problem.code, problem.detail or problem.title, headers=problem.headers)
