"""Permissions as types: a route says in its signature what a caller must be allowed to do.

    @router.get("/api/v1/records")
    def search(principal: CanReadFacts) -> ...

The key comes in `Authorization: Bearer KEY` or `x-api-key: KEY`, never in a URL. 401 where there is no valid key, 403
where its role may not; neither says which keys exist. The tenant is the credential's, whatever the request says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from counterfoil.identity.principal import Principal
from counterfoil.identity.roles import Permission
from counterfoil.identity.service import Identity
from counterfoil.problems import Problem

MAX_KEY_CHARS = 256
API_KEY_HEADER = "x-api-key"

_bearer = HTTPBearer(auto_error=False, description="A key made with `counterfoil key create`.")
_api_key = APIKeyHeader(name=API_KEY_HEADER, auto_error=False, description="The same key.")


def key_of(headers: Mapping[str, str]) -> str | None:
    """The key that a request carries; None without one, or where two headers carry different ones."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    found = {key for key in (bearer.strip() if scheme.lower() == "bearer" else "", headers.get(API_KEY_HEADER)) if key}
    if len(found) != 1:
        return None
    key = found.pop()
    return key if len(key) <= MAX_KEY_CHARS else None


def unauthenticated() -> Problem:
    """The one 401, whatever was wrong with the key."""
    return Problem(
        401,
        "unauthenticated",
        "a valid key is needed",
        detail="Send a key in `Authorization: Bearer KEY` or `x-api-key: KEY`.",
    )


def forbidden(principal: Principal, permission: Permission) -> Problem:
    """The 403 of a role that may not."""
    return Problem(403, "forbidden", f"the role {principal.role.value} may not {permission.value.replace('_', ' ')}")


def known_principal(request: Request) -> Principal | None:
    """Who is asking, where an answer does not need a key but says more to some; None for everybody else."""
    identity: Identity = request.app.state.identity
    key = key_of(request.headers)
    return None if key is None else identity.authenticate(key)


def current_principal(
    request: Request,
    _bearer_scheme: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    _key_scheme: Annotated[str | None, Security(_api_key)],
) -> Principal:
    """Who is asking; 401 where nobody can tell."""
    principal = known_principal(request)
    if principal is None:
        raise unauthenticated()
    return principal


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]


def require(permission: Permission) -> Callable[[Principal], Principal]:
    """A dependency that lets through only who may."""

    def check(principal: CurrentPrincipal) -> Principal:
        if not principal.may(permission):
            raise forbidden(principal, permission)
        return principal

    return check


CanAppend = Annotated[Principal, Depends(require(Permission.APPEND))]
CanReadFacts = Annotated[Principal, Depends(require(Permission.READ_FACTS))]
CanReadContent = Annotated[Principal, Depends(require(Permission.READ_CONTENT))]
CanExport = Annotated[Principal, Depends(require(Permission.EXPORT))]
CanConfigure = Annotated[Principal, Depends(require(Permission.CONFIGURE))]
CanReadAccess = Annotated[Principal, Depends(require(Permission.READ_ACCESS))]
CanReadOwnAccess = Annotated[Principal, Depends(require(Permission.READ_OWN_ACCESS))]
CanReadReceipts = Annotated[Principal, Depends(require(Permission.READ_OWN_RECEIPTS))]
CanReadCounts = Annotated[Principal, Depends(require(Permission.COUNTS))]
