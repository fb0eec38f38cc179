"""Administration: keys, logs and the tenant. Tenants are made on the command line, by whoever owns the machine.

A key that is limited to one log administers that log's keys and no other. Everything that is made or ended here is a
record in the tenant's access log, in the same transaction.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from counterfoil.core.encoding import decode_base64url, encode_base64url, format_time_us
from counterfoil.core.errors import EvidenceError
from counterfoil.identity.administration import Administration, LogList, LogSettings
from counterfoil.identity.permissions import CanConfigure, CanReadCounts
from counterfoil.identity.principal import Principal
from counterfoil.identity.schemas import (
    Key,
    KeyPage,
    KeyRequest,
    Log,
    LogConfiguration,
    LogConfigurationRequest,
    LogPage,
    LogRequest,
    NewKey,
    RevocationRequest,
    Tenant,
    TenantPage,
)
from counterfoil.problems import Problem, not_found

DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000
_CURSOR = re.compile(r"([0-9]{1,18}) ([a-z]{16})")

router = APIRouter(prefix="/api/v1", tags=["administration"])


def get_accounts(request: Request) -> Administration:
    """The administration service."""
    accounts: Administration = request.app.state.accounts
    return accounts


def get_logs(request: Request) -> LogList:
    """The list of logs."""
    logs: LogList = request.app.state.logs
    return logs


def get_configuration(request: Request) -> LogSettings:
    """What logs are configured to."""
    configuration: LogSettings = request.app.state.configuration
    return configuration


Accounts = Annotated[Administration, Depends(get_accounts)]
Logs = Annotated[LogList, Depends(get_logs)]
Configuration = Annotated[LogSettings, Depends(get_configuration)]


@router.get("/keys", summary="List keys")
def list_keys(
    principal: CanConfigure,
    accounts: Accounts,
    logs: Logs,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> KeyPage:
    """The tenant's keys, oldest first, never their secrets."""
    rows = accounts.credentials(principal.tenant, after=_parse_cursor(cursor), limit=limit + 1)
    page = rows[:limit]
    own = _own_log(principal, logs)
    following = f"{page[-1].created_us} {page[-1].id}" if len(rows) > limit else None
    return KeyPage(
        items=[Key.of(row) for row in page if own is None or row.log == own],
        next=None if following is None else encode_base64url(following.encode()),
    )


@router.post("/keys", status_code=201, summary="Make a key")
def create_key(principal: CanConfigure, accounts: Accounts, logs: Logs, wanted: KeyRequest) -> NewKey:
    """The key in the answer is shown this once."""
    own = _own_log(principal, logs)
    if own is not None and wanted.log != own:
        raise Problem(403, "forbidden", f"this key administers the log {own} only", item="log")
    expires_us = _parse_expiry(wanted.expires_at)
    made = accounts.create_credential(
        principal.tenant,
        wanted.role,
        log_name=wanted.log,
        name=wanted.name,
        expires_us=expires_us,
        by=principal.credential_id,
    )
    return NewKey(
        id=made.id,
        key=made.key,
        role=wanted.role.value,
        log=wanted.log,
        name=wanted.name,
        expires_at=None if expires_us is None else format_time_us(expires_us),
    )


@router.post("/keys/{key_id}/revocation", status_code=204, summary="Revoke a key")
def revoke_key(
    principal: CanConfigure, accounts: Accounts, logs: Logs, key_id: str, wanted: RevocationRequest | None = None
) -> Response:
    """It stops working at once. The key stays in the list, marked; revoking it again changes nothing."""
    own = _own_log(principal, logs)
    if own is not None:
        found = accounts.credential(principal.tenant, key_id)
        if found is None or found.log != own:
            raise not_found("this key")
    reason = None if wanted is None else wanted.reason
    accounts.revoke_credential(principal.tenant, key_id, reason=reason, by=principal.credential_id)
    return Response(status_code=204)


@router.get("/logs", summary="List logs")
def list_logs(principal: CanReadCounts, logs: Logs) -> LogPage:
    """The tenant's logs that this key may see, with the public keys that verify them."""
    visible = [log for log in logs.all(principal.tenant_id) if principal.may_see(principal.tenant_id, log.id)]
    return LogPage(items=[Log.of(log) for log in visible])


@router.post("/logs", status_code=201, summary="Make a log")
def create_log(principal: CanConfigure, accounts: Accounts, wanted: LogRequest) -> Log:
    """A log of interactions with its own origin and signing key. It begins with its genesis record."""
    if principal.log_id is not None:
        raise Problem(403, "forbidden", "this key administers one log only", item="log")
    made = accounts.create_log(
        principal.tenant,
        wanted.name,
        region=wanted.region,
        fulltext_fields=wanted.fulltext_fields,
        by=principal.credential_id,
    )
    return Log.of(made)


@router.get("/logs/{log}/configuration", summary="What a log is configured to")
def read_configuration(
    principal: CanReadCounts, logs: Logs, configuration: Configuration, log: str
) -> LogConfiguration:
    """The cadence at which producers of this log send heartbeats, and the record that set it."""
    _check_own(principal, logs, log)
    return LogConfiguration.of(configuration.heartbeat_of(principal.tenant_id, log))


@router.post("/logs/{log}/configuration", status_code=201, summary="Configure a log")
def configure_log(
    principal: CanConfigure,
    logs: Logs,
    configuration: Configuration,
    log: str,
    wanted: LogConfigurationRequest,
    idempotency_key: Annotated[str | None, Header(max_length=128)] = None,
) -> LogConfiguration:
    """A record of the log itself, and one of the access log. Producers learn of it with their next request."""
    _check_own(principal, logs, log)
    by = principal.credential_id
    done = configuration.set_heartbeat_of(
        principal.tenant_id, log, wanted.heartbeat_s, by=by, idempotency_key=idempotency_key
    )
    return LogConfiguration.of(done)


@router.get("/tenants", summary="Show the tenant")
def list_tenants(principal: CanConfigure) -> TenantPage:
    """The tenant of the key; no key sees another one's."""
    return TenantPage(items=[Tenant(name=principal.tenant)])


def _own_log(principal: Principal, logs: LogList) -> str | None:
    """The name of the only log that this key is for, None for a key of the whole tenant."""
    if principal.log_id is None:
        return None
    return next((log.name for log in logs.all(principal.tenant_id) if log.id == principal.log_id), "")


def _check_own(principal: Principal, logs: LogList, name: str) -> None:
    """404 for every log but its own, where the key is for one log only."""
    own = _own_log(principal, logs)
    if own is not None and own != name:
        raise not_found("this log")


def _parse_cursor(cursor: str | None) -> tuple[int, str] | None:
    if cursor is None:
        return None
    try:
        match = _CURSOR.fullmatch(decode_base64url(cursor).decode("ascii"))
    except (EvidenceError, UnicodeDecodeError):
        match = None
    if match is None:
        raise Problem(400, "invalid_cursor", "this is no cursor of this list", item="cursor")
    return int(match[1]), match[2]


def _parse_expiry(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise Problem(400, "bad_expiry", "a time in RFC 3339 with its offset", item="expires_at")
    return int(at.timestamp() * 1_000_000)
