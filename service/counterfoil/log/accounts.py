"""Tenants, logs and credentials: making or ending one is a record, in the same transaction.

    create_tenant         the tenant and its access log, which begins with `genesis` and `key`
    create_log            a log: `genesis` and `key` are its first two records; `configuration` in the access log
    create_credential     `key` create with the credential's id in the tenant's access log
    revoke_credential     `key` revoke there

Order, and what a crash leaves: the signing key file first (a crash leaves a key that no log has, which the next attempt
takes up); then rows, head and records in one transaction (all or nothing).

Tenants and logs are named as people name them. `by` is the credential of whoever asks; None is the service itself or
its command line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select, update

from counterfoil.core.errors import InputError
from counterfoil.core.rules import is_token
from counterfoil.identity.credentials import new_secret
from counterfoil.identity.roles import Permission, Role, may
from counterfoil.identity.tables import credentials, tenants
from counterfoil.log.append import append_within
from counterfoil.log.batch import LogInfo
from counterfoil.log.founding import (
    ACCESS,
    INTERACTIONS,
    draft_of,
    insert_log,
    next_id,
    origin_of,
    prepare_drafts,
    signer_for,
)
from counterfoil.log.logs import Logs
from counterfoil.log.tables import logs as log_table
from counterfoil.mapping.draft import Draft

MAX_NAME_CHARS = 200
MAX_FULLTEXT_FIELDS = 32

_SHORT_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,63}")


class NewCredential(NamedTuple):
    """A credential, with the key that is shown this once."""

    id: str
    key: str


class ListedCredential(NamedTuple):
    """A credential as a list shows it; never its secret."""

    id: str
    role: str
    log: str | None
    name: str
    created_us: int
    expires_us: int | None
    revoked_us: int | None
    last_used_us: int | None


_LISTED = select(
    credentials.c.id,
    credentials.c.role,
    log_table.c.name,
    credentials.c.name,
    credentials.c.created_us,
    credentials.c.expires_us,
    credentials.c.revoked_us,
    credentials.c.last_used_us,
).select_from(credentials.outerjoin(log_table, log_table.c.id == credentials.c.log_id))


class Accounts:
    """Administration of one deployment."""

    def __init__(self, logs: Logs, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._logs = logs
        self._random = random_bytes

    # -- tenants and logs -----------------------------------------------------------------------------------------

    def tenant_names(self) -> list[str]:
        """Every tenant, in the order of creation."""
        with self._logs.ledger.read() as connection:
            return list(connection.execute(select(tenants.c.name).order_by(tenants.c.id)).scalars())

    def tenant_id(self, name: str) -> int:
        """The id of a tenant; InputError "not_found"."""
        with self._logs.ledger.read() as connection:
            found = connection.execute(select(tenants.c.id).where(tenants.c.name == name)).scalar_one_or_none()
        if found is None:
            raise InputError("not_found", f"there is no tenant {name[:64]!r}", item="tenant")
        return int(found)

    def create_tenant(self, name: str, *, region: str | None = None) -> int:
        """A tenant with its access log; its id."""
        check_short_name(name, "tenant")
        check_region(region)
        logs = self._logs
        with logs.ledger.read() as connection:
            origin = origin_of(connection, name, ACCESS)
        signer = signer_for(logs, origin)
        with logs.ledger.write() as connection:
            if connection.execute(select(tenants.c.id).where(tenants.c.name == name)).first():
                raise InputError("conflict", f"there is a tenant {name} already", item="tenant")
            tenant_id = next_id(connection, tenants)
            connection.execute(insert(tenants).values(id=tenant_id, name=name, created_us=logs.clock.now_us()))
            insert_log(logs, connection, signer, tenant_id, name, ACCESS, ACCESS, region, ())
            # Crash before the commit: no tenant, and a key file that the next attempt takes up.
        return tenant_id

    def create_log(
        self,
        tenant: str,
        name: str,
        *,
        region: str | None = None,
        fulltext_fields: Sequence[str] = (),
        by: str | None = None,
    ) -> LogInfo:
        """A log of interactions, with its own origin and signing key."""
        check_short_name(name, "log")
        check_fulltext(fulltext_fields)
        check_region(region)
        logs = self._logs
        tenant_id = self.tenant_id(tenant)
        with logs.ledger.read() as connection:
            origin = origin_of(connection, tenant, name)
            _refuse_taken(connection, origin, name)
        signer = signer_for(logs, origin)
        access = logs.access_log(tenant_id)
        value = {"name": name, "origin": origin, "fulltext_fields": list(fulltext_fields), "vkey": signer.vkey}
        facts = {"setting": "log", "object": f"{tenant}/{name}"}
        told = prepare_drafts(logs, access, [draft_of("configuration", facts, [("value", value)], by)], by)
        with logs.ledger.write() as connection:
            _refuse_taken(connection, origin, name)
            info = insert_log(logs, connection, signer, tenant_id, tenant, name, INTERACTIONS, region, fulltext_fields)
            append_within(logs.appender(access.id), connection, [told])
            # Crash before the commit: no log, and a key file that the next attempt takes up.
        return info

    # -- credentials ----------------------------------------------------------------------------------------------

    def create_credential(
        self,
        tenant: str,
        role: Role,
        *,
        log_name: str | None = None,
        name: str = "",
        expires_us: int | None = None,
        by: str | None = None,
    ) -> NewCredential:
        """A credential of this tenant; the key in the answer is shown this once and kept nowhere."""
        if len(name) > MAX_NAME_CHARS or not name.isprintable():
            raise InputError("bad_name", f"a key has a printable name of at most {MAX_NAME_CHARS}", item="name")
        now_us = self._logs.clock.now_us()
        if expires_us is not None and expires_us <= now_us:
            raise InputError("bad_expiry", "the key would be expired when it is made", item="expires")
        tenant_id = self.tenant_id(tenant)
        log = None if log_name is None else self._logs.by_name(tenant_id, log_name)
        if log_name is not None and log is None:
            raise InputError("not_found", f"there is no log {log_name[:64]!r}", item="log")
        if log is not None and log.purpose != INTERACTIONS and may(role, Permission.APPEND):
            raise InputError("bad_log", f"the log {log.name} takes no telemetry, so it has no {role.value}", item="log")
        made = new_secret(self._random)
        row = {
            "id": made.credential_id,
            "tenant_id": tenant_id,
            "log_id": None if log is None else log.id,
            "role": role.value,
            "name": name,
            "secret_hash": made.secret_hash,
            "created_us": now_us,
            "expires_us": expires_us,
        }

        def change(connection: Connection) -> None:
            connection.execute(insert(credentials).values(**row))

        value = {key: text for key, text in (("name", name), ("role", role.value), ("log", log_name)) if text}
        facts = {"event": "create", "credential": made.credential_id}
        self._record_change(tenant_id, change, draft_of("key", facts, [("value", value)], by), by)
        return NewCredential(made.credential_id, made.key)

    def revoke_credential(
        self, tenant: str, credential_id: str, *, reason: str | None = None, by: str | None = None
    ) -> None:
        """End a credential at once. InputError "not_found"; revoking it again changes nothing and is no record."""
        tenant_id = self.tenant_id(tenant)
        with self._logs.ledger.read() as connection:
            query = select(credentials.c.revoked_us).where(
                credentials.c.id == credential_id, credentials.c.tenant_id == tenant_id
            )
            found = connection.execute(query).one_or_none()
        if found is None:
            raise InputError("not_found", "there is no such key", item="key")
        if found.revoked_us is not None:
            return

        def change(connection: Connection) -> None:
            changed = connection.execute(
                update(credentials)
                .where(credentials.c.id == credential_id, credentials.c.revoked_us.is_(None))
                .values(revoked_us=self._logs.clock.now_us())
            )
            if changed.rowcount != 1:
                raise InputError("conflict", "the key was revoked at the same time", item="key")

        fields: list[tuple[str, Any]] = [("reason", reason)] if reason else []
        draft = draft_of("key", {"event": "revoke", "credential": credential_id}, fields, by)
        self._record_change(tenant_id, change, draft, by)

    def credentials(
        self, tenant: str, *, after: tuple[int, str] | None = None, limit: int = 1_000
    ) -> list[ListedCredential]:
        """A page of the tenant's credentials, oldest first; `after` is (created_us, id) of the last one seen."""
        table = credentials.c
        query = _LISTED.where(table.tenant_id == self.tenant_id(tenant))
        if after is not None:
            created_us, last_id = after
            query = query.where(
                (table.created_us > created_us) | ((table.created_us == created_us) & (table.id > last_id))
            )
        with self._logs.ledger.read() as connection:
            rows = connection.execute(query.order_by(table.created_us, table.id).limit(limit))
            return [ListedCredential(*row) for row in rows]

    def credential(self, tenant: str, credential_id: str) -> ListedCredential | None:
        """One credential of the tenant, None where it has none of this id."""
        table = credentials.c
        query = _LISTED.where(table.tenant_id == self.tenant_id(tenant), table.id == credential_id)
        with self._logs.ledger.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else ListedCredential(*row)

    def _record_change(
        self, tenant_id: int, change: Callable[[Connection], None], draft: Draft, by: str | None
    ) -> None:
        """Make a change and its record in the tenant's access log in one transaction."""
        logs = self._logs
        access = logs.access_log(tenant_id)
        appender = logs.appender(access.id)
        prepared = prepare_drafts(logs, access, [draft], by)
        # Crash up to here: at most unused keys in the keystore.
        with logs.ledger.write() as connection:
            change(connection)
            append_within(appender, connection, [prepared])
        # Crash here: the change is made and recorded; who asked was not told, and finds it in the list.


# -- names --------------------------------------------------------------------------------------------------------


def _refuse_taken(connection: Connection, origin: str, name: str) -> None:
    if connection.execute(select(log_table.c.id).where(log_table.c.origin == origin)).first():
        raise InputError("conflict", f"there is a log {name} already", item="log")


def check_short_name(name: str, item: str) -> None:
    """The short name of a tenant or log; InputError "bad_name"."""
    if _SHORT_NAME.fullmatch(name) is None or not is_token(name):
        wanted = "1 to 63 of a-z, 0-9 and -, not beginning with -, without seven digits in a row"
        raise InputError("bad_name", f"the name of a {item} has {wanted}", item=item)


def check_region(region: str | None) -> None:
    """A region is a token; InputError "bad_region"."""
    if region is not None and not is_token(region):
        raise InputError("bad_region", "a region is a token such as eu-west-1", item="region")


def check_fulltext(fields: Sequence[str]) -> None:
    """Names of content fields that full text may read; InputError "bad_fulltext_fields"."""
    if len(fields) > MAX_FULLTEXT_FIELDS or not all(_FIELD.fullmatch(field) for field in fields):
        raise InputError(
            "bad_fulltext_fields", f"at most {MAX_FULLTEXT_FIELDS} names of content fields", item="fulltext_fields"
        )
