"""How a log begins: its signing key, its rows, and the two records that every log starts with.

seq 0  genesis   tenant, region, purpose, verifier keys
seq 1  key       create, with the verifier key
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select

from counterfoil.core.errors import InputError
from counterfoil.core.merkle import HASH_SIZE
from counterfoil.core.note import NoteSigner
from counterfoil.log.append import append_within
from counterfoil.log.appender import Appender
from counterfoil.log.batch import Batch, LogInfo
from counterfoil.log.logs import Logs, item_of
from counterfoil.log.prepare import Prepared, prepare
from counterfoil.log.signing import create_signer, key_path, load_signer
from counterfoil.log.tables import deployment, heads
from counterfoil.log.tables import logs as log_table
from counterfoil.mapping.draft import Draft

ACCESS = "access"
INTERACTIONS = "interactions"
ALGORITHM = "ed25519"
MAX_ORIGIN_CHARS = 255


def base_origin(connection: Connection) -> str:
    """What the origin of every log of this deployment begins with."""
    found = connection.execute(select(deployment.c.origin)).scalar_one_or_none()
    if found is None:
        raise InputError("not_initialised", "`init` did not finish here: remove the directory and run it again")
    return str(found)


def bundle_key_name(origin: str) -> str:
    """The name of the key that signs bundles."""
    return f"{origin}/bundles"


def origin_of(connection: Connection, tenant: str, name: str) -> str:
    """The origin of a log: base, tenant, name."""
    origin = f"{base_origin(connection)}/{tenant}/{name}"
    if len(origin) > MAX_ORIGIN_CHARS:
        raise InputError("too_long", f"the origin {origin} is over {MAX_ORIGIN_CHARS} characters", item="name")
    return origin


def signer_for(logs: Logs, name: str) -> NoteSigner:
    """A new key file, or the one that an attempt before a crash left behind."""
    if key_path(logs.keys_dir, name).exists():
        return load_signer(logs.keys_dir, name)
    return create_signer(logs.keys_dir, name)


def insert_log(
    logs: Logs,
    connection: Connection,
    signer: NoteSigner,
    tenant_id: int,
    tenant: str,
    name: str,
    purpose: str,
    region: str | None,
    fulltext_fields: Sequence[str],
    *,
    predecessor: dict[str, Any] | None = None,
    further: Sequence[Draft] = (),
) -> LogInfo:
    """Row, head and the first two records of a log, and `further` ones; `predecessor` is what it continues."""
    now_us = logs.clock.now_us()
    log_id = next_id(connection, log_table)
    info = LogInfo(
        id=log_id,
        tenant_id=tenant_id,
        tenant=tenant,
        name=name,
        origin=signer.name,
        purpose=purpose,
        region=region,
        vkey=signer.vkey,
        fulltext_fields=tuple(fulltext_fields),
        created_us=now_us,
    )
    row = asdict(info) | {"fulltext_fields": json.dumps(info.fulltext_fields)}
    del row["tenant"]
    connection.execute(insert(log_table).values(row))
    first = {"log_id": log_id, "size": 0, "leaf_hash": bytes(HASH_SIZE), "recorded_us": 0}
    connection.execute(insert(heads).values(first))
    appender = Appender(info, logs.ledger, logs.keystore, logs.heads, signer, logs.clock, logs.counters)
    drafts = [_genesis(tenant, region, purpose, signer.vkey, predecessor), _key(signer.vkey), *further]
    append_within(appender, connection, [prepare_drafts(logs, info, drafts, None)])
    return info


def prepare_drafts(logs: Logs, log: LogInfo, drafts: Sequence[Draft], writer: str | None) -> Prepared:
    """Steps 1 and 2 for records of our own."""
    batch = Batch(writer, [item_of(draft) for draft in drafts])
    prepared = prepare(log, batch, logs.keystore, logs.clock, recognise=False)
    if prepared.refused:
        raise next(iter(prepared.refused.values()))
    return prepared


def draft_of(kind: str, facts: dict[str, Any], fields: list[tuple[str, Any]], by: str | None) -> Draft:
    """A record about the service: its own (`source` service), or asked for by a credential (`source` api)."""
    return Draft(kind, "service" if by is None else "api", {kind: facts}, fields)


def next_id(connection: Connection, table: Table) -> int:
    """The next id, within the write transaction. Ids are never reused because nothing is ever deleted."""
    return int(connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()) + 1


def _genesis(tenant: str, region: str | None, purpose: str, vkey: str, predecessor: dict[str, Any] | None) -> Draft:
    facts: dict[str, Any] = {"tenant": tenant, "purpose": purpose, "vkeys": [vkey]}
    if region is not None:
        facts["region"] = region
    if predecessor is not None:
        facts["predecessor"] = predecessor
    return Draft("genesis", "service", {"genesis": facts}, [])


def _key(vkey: str) -> Draft:
    return Draft("key", "service", {"key": {"event": "create", "algorithm": ALGORITHM, "vkey": vkey}}, [])
