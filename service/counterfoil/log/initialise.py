"""Embedded directories: make one (`init`), open one.

`init` works in an order in which a crash leaves a directory that refuses to start, and never one that half works:
directories, master key, schema, keystore, bundle key, deployment row, tenant with its access log, first log,
administrator's key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import insert

from counterfoil.core.errors import InputError
from counterfoil.core.note import format_vkey
from counterfoil.identity.credentials import new_secret
from counterfoil.identity.roles import Role
from counterfoil.log.accounts import Accounts, NewCredential, check_fulltext, check_region, check_short_name
from counterfoil.log.batch import LogInfo
from counterfoil.log.clock import Clock, SystemClock
from counterfoil.log.founding import bundle_key_name
from counterfoil.log.heads import HeadStore
from counterfoil.log.keystore import Keystore
from counterfoil.log.logs import Logs
from counterfoil.log.masterkey import create_master_key, load_master_key
from counterfoil.log.signing import create_signer
from counterfoil.log.tables import deployment
from counterfoil.store.database import open_keystore, open_ledger
from counterfoil.store.directory import Directory
from counterfoil.store.migrate import check_schema, create_keystore, migrate

MAX_BASE_CHARS = 120

_BASE_ORIGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]*(/[A-Za-z0-9][A-Za-z0-9._~-]*)*")


class Initialised(NamedTuple):
    """What `init` made; the administrator's key is shown this once."""

    directory: Directory
    origin: str
    """The base of every origin."""
    log: LogInfo
    access: LogInfo
    administrator: NewCredential
    bundle_vkey: str

    @property
    def administrator_key(self) -> str:
        """The key, shown this once."""
        return self.administrator.key


def init_directory(
    path: Directory | str | Path,
    origin: str | None = None,
    *,
    tenant: str = "default",
    log: str = "main",
    region: str | None = None,
    fulltext_fields: Sequence[str] = (),
    clock: Clock | None = None,
) -> Initialised:
    """`init`: an embedded directory with everything a service needs, from nothing.

    `origin` is the base of every origin, a schema-less URL such as "audit.example.com" (C2SP tlog-checkpoint); one that
    nobody else has is made up where none is given.
    """
    directory = path if isinstance(path, Directory) else Directory.at(path)
    base = origin or f"counterfoil.local/{new_secret().credential_id}"
    if len(base) > MAX_BASE_CHARS or _BASE_ORIGIN.fullmatch(base) is None:
        raise InputError(
            "bad_origin", f"an origin is a URL without a scheme, at most {MAX_BASE_CHARS} characters", item="origin"
        )
    for name, item in ((tenant, "tenant"), (log, "log")):
        check_short_name(name, item)
    check_region(region)
    check_fulltext(fulltext_fields)
    directory.create()
    master_key = create_master_key(directory.keys)
    ledger, keystore_database = open_ledger(directory.ledger_url), open_keystore(directory.keystore_url)
    try:
        migrate(ledger)
        create_keystore(keystore_database)
        keystore = Keystore(keystore_database, master_key)
        keystore.initialise()
        bundle_vkey = format_vkey(create_signer(directory.keys, bundle_key_name(base)).verifier_key)
        logs = Logs(ledger, keystore, HeadStore(directory.heads), directory.keys, clock or SystemClock())
        row = {"id": 1, "origin": base, "bundle_vkey": bundle_vkey, "created_us": logs.clock.now_us()}
        with ledger.write() as connection:
            connection.execute(insert(deployment).values(**row))
        accounts = Accounts(logs)
        tenant_id = accounts.create_tenant(tenant, region=region)
        info = accounts.create_log(tenant, log, region=region, fulltext_fields=fulltext_fields)
        administrator = accounts.create_credential(tenant, Role.ADMINISTRATOR, name="first administrator")
        access = logs.access_log(tenant_id)
        logs.close()
    finally:
        ledger.dispose()
        keystore_database.dispose()
    return Initialised(directory, base, info, access, administrator, bundle_vkey)


def open_logs(directory: Directory, clock: Clock | None = None) -> Logs:
    """The logs of an existing directory; schema and master key are checked. The caller closes them."""
    directory.open()
    ledger = open_ledger(directory.ledger_url)
    check_schema(ledger)
    keystore = Keystore(open_keystore(directory.keystore_url), load_master_key(directory.keys))
    keystore.check()
    return Logs(ledger, keystore, HeadStore(directory.heads), directory.keys, clock)
