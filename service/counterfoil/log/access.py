"""The access log: who looked at what is a record, committed before the answer leaves (threat 19).

Every read of content, every query and every export calls `record_access` first. What was asked (`query`) may hold words
of people, so it is content; so is a purpose that is no token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from counterfoil.core.rules import is_token
from counterfoil.identity.principal import Principal
from counterfoil.log.logs import Logs
from counterfoil.mapping.draft import Draft

Object = str | dict[str, Any]
"""A token ("main/17"), or an `of` object of RECORD 1."""


def record_access(
    logs: Logs,
    principal: Principal,
    action: str,
    object: Object | None = None,  # noqa: A002 - the key's name in the leaf
    count: int | None = None,
    purpose: str | None = None,
    query: Any = None,
) -> int:
    """Write one `access` record into the tenant's access log and wait until it is on disk; its `seq`.

    `action` is a token ("search", "read_content", "export"); `count` how many records the answer shows; `query` any
    JSON. If the record cannot be written this raises, and the caller shows nothing.
    """
    facts: dict[str, Any] = {"action": action}
    fields: list[tuple[str, Any]] = []
    if object is not None:
        if isinstance(object, str) and not is_token(object):
            fields.append(("object", object))
        else:
            facts["object"] = object
    if count is not None:
        facts["count"] = count
    if purpose:
        if is_token(purpose):
            facts["purpose"] = purpose
        else:
            fields.append(("reason", purpose))
    if query:
        fields.append(("query", query))
    draft = Draft("access", "api", {"access": facts}, fields)
    return append_access(logs, principal.tenant_id, [draft], principal.credential_id)[0]


def append_access(logs: Logs, tenant_id: int, drafts: Sequence[Draft], writer: str | None) -> list[int]:
    """Append drafts to the tenant's access log and wait; their `seq`s."""
    return logs.append_drafts(logs.access_log(tenant_id).id, drafts, writer)
