"""What the room reads from, and which logs a reader may see.

Tenancy is decided here and nowhere else: every question goes to a list of logs made from the principal alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from sqlalchemy import Connection, select

from counterfoil.core.errors import InputError
from counterfoil.log.keystore import Keystore
from counterfoil.log.tables import logs
from counterfoil.store.bulk import select_each
from counterfoil.store.database import Database
from counterfoil.trails.tables import positions
from counterfoil.trails.walk import IndexedLog


@dataclass(frozen=True, slots=True)
class Stores:
    """Ledger, keystore and index of one service."""

    ledger: Database
    keystore: Keystore
    index: Database


@dataclass(frozen=True, slots=True)
class ReadableLog:
    """A log of interactions that the reader may see."""

    id: int
    name: str
    origin: str


class AsOf(TypedDict):
    """How far the index had read a log when it was asked."""

    log: str
    tree_size: int


def readable_logs(ledger: Connection, tenant_id: int, log_id: int | None = None) -> list[ReadableLog]:
    """The tenant's logs of interactions, or the one that the credential is scoped to."""
    query = select(logs.c.id, logs.c.name, logs.c.origin).where(
        logs.c.tenant_id == tenant_id, logs.c.purpose == "interactions"
    )
    if log_id is not None:
        query = query.where(logs.c.id == log_id)
    return [ReadableLog(*row) for row in ledger.execute(query.order_by(logs.c.id))]


def choose_log(readable: Sequence[ReadableLog], name: str) -> ReadableLog:
    """The log with this short name or origin. One that is absent and one that is another's raise the same error."""
    for log in readable:
        if name in (log.name, log.origin):
            return log
    raise InputError("not_found", f"log {name[:255]!r} is not here", item="log")


def indexed_logs(index: Connection, readable: Sequence[ReadableLog]) -> list[IndexedLog]:
    """The logs with their positions, in the snapshot of `index`. A log that nothing was read of yet has size 0."""
    rows = select_each(index, positions, ("log_id",), ("size",), [(log.id,) for log in readable])
    return [
        IndexedLog(log.id, log.name, log.origin, 0 if row is None else row[0])
        for log, row in zip(readable, rows, strict=True)
    ]


def as_of(indexed: Sequence[IndexedLog]) -> list[AsOf]:
    """What an answer says about how fresh it is."""
    return [{"log": log.name, "tree_size": log.size} for log in indexed]
