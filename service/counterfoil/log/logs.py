"""The logs of a service, as every other room sees them: look one up, append to it.

logs.append(log.id, Batch(writer, items)).result()      what producers send: recognised, grouped, promised
logs.append_drafts(log.id, drafts)                       what the service itself writes, one record each
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

from sqlalchemy import Connection, Select, select

from counterfoil.core.errors import Fault, InputError
from counterfoil.identity.tables import tenants
from counterfoil.log.append import append_group
from counterfoil.log.appender import Appender, Counters, HeadSizes
from counterfoil.log.batch import Appended, Batch, LogInfo
from counterfoil.log.clock import Clock, SystemClock
from counterfoil.log.errors import Closing
from counterfoil.log.keystore import Keystore
from counterfoil.log.prepare import Prepared, prepare
from counterfoil.log.records import head
from counterfoil.log.signing import load_signer
from counterfoil.log.tables import logs
from counterfoil.log.writer import LogWriter
from counterfoil.mapping.draft import Draft, Item
from counterfoil.store.database import Database

APPEND_TIMEOUT_S = 60.0


def _nothing(_: str) -> None:
    return None


class Logs:
    """All logs of one service. Safe to share between threads."""

    def __init__(
        self,
        ledger: Database,
        keystore: Keystore,
        heads: HeadSizes,
        keys_dir: Path | str,
        clock: Clock | None = None,
        reached: Callable[[str], None] = _nothing,
    ) -> None:
        self.ledger = ledger
        self.keystore = keystore
        self.heads = heads
        self.keys_dir = Path(keys_dir)
        self.clock: Clock = clock or SystemClock()
        self.counters = Counters()
        self._reached = reached
        self._lock = threading.Lock()
        self._known: dict[int, LogInfo] = {}
        self._appenders: dict[int, Appender] = {}
        self._writers: dict[int, LogWriter] = {}
        self._closed = False

    # -- looking up -----------------------------------------------------------------------------------------------

    def by_id(self, log_id: int) -> LogInfo:
        """The log with this id; InputError "not_found"."""
        found = self._known.get(log_id)
        if found is None:
            found = self._one(_LOGS.where(logs.c.id == log_id))
        if found is None:
            raise InputError("not_found", "there is no such log", item="log")
        return found

    def by_origin(self, origin: str) -> LogInfo | None:
        """The log with this origin."""
        return self._cached(lambda log: log.origin == origin) or self._one(_LOGS.where(logs.c.origin == origin))

    def by_name(self, tenant_id: int, name: str) -> LogInfo | None:
        """The tenant's log of this short name."""
        return self._cached(lambda log: log.tenant_id == tenant_id and log.name == name) or self._one(
            _LOGS.where(logs.c.tenant_id == tenant_id, logs.c.name == name)
        )

    def all(self, tenant_id: int | None = None) -> list[LogInfo]:
        """Every log, of one tenant or of all, in the order of creation."""
        query = _LOGS if tenant_id is None else _LOGS.where(logs.c.tenant_id == tenant_id)
        with self.ledger.read() as connection:
            found = _read_infos(connection, query.order_by(logs.c.id))
        self._remember(found)
        return found

    def all_logs(self) -> list[LogInfo]:
        """Every log of every tenant."""
        return self.all()

    def access_log(self, tenant_id: int) -> LogInfo:
        """The tenant's access log."""
        # A tenant whose access log was closed by a declared restore has two: the open one is written.
        found = self._cached(
            lambda log: log.tenant_id == tenant_id and log.purpose == "access" and log.closed_us is None
        ) or self._one(
            _LOGS.where(logs.c.tenant_id == tenant_id, logs.c.purpose == "access", logs.c.closed_us.is_(None))
        )
        if found is None:
            raise Fault("the tenant has no access log: nothing may be shown without one")
        return found

    def _cached(self, wanted: Callable[[LogInfo], bool]) -> LogInfo | None:
        with self._lock:
            return next(filter(wanted, self._known.values()), None)

    def _one(self, query: Select[tuple[object, ...]]) -> LogInfo | None:
        with self.ledger.read() as connection:
            found = _read_infos(connection, query)
        self._remember(found)
        return found[0] if found else None

    def _remember(self, found: Sequence[LogInfo]) -> None:
        with self._lock:
            self._known.update({log.id: log for log in found})

    def forget(self, log_id: int) -> None:
        """Look a log up again the next time (it was changed)."""
        with self._lock:
            self._known.pop(log_id, None)
            self._appenders.pop(log_id, None)

    # -- appending ------------------------------------------------------------------------------------------------

    def append(self, log_id: int, batch: Batch) -> Future[Appended]:
        """Prepare in this thread, then queue; the future is done when the batch is on disk.

        Raises `Busy` (queue full), `InputError` "log_closed"; the future may hold `ClockBehind`, `LogRolledBack`,
        `StorageError` (nothing was written) or `UnknownOutcome`.
        """
        return self._submit(log_id, self._prepare(log_id, batch, recognise=True))

    def append_drafts(self, log_id: int, drafts: Sequence[Draft], writer: str | None = None) -> list[int]:
        """Append records of our own and wait; their `seq`s. An unlawful draft is our own fault."""
        batch = Batch(writer, [item_of(draft) for draft in drafts])
        prepared = self._prepare(log_id, batch, recognise=False)
        if prepared.refused:
            raise next(iter(prepared.refused.values()))
        answer = self._submit(log_id, prepared).result(APPEND_TIMEOUT_S)
        return [given.first for given in answer.seqs if given is not None]

    def appender(self, log_id: int) -> Appender:
        """What appending to a log within a transaction of one's own needs (accounts.py)."""
        with self._lock:
            found = self._appenders.get(log_id)
        if found is None:
            log = self.by_id(log_id)
            found = Appender(
                log,
                self.ledger,
                self.keystore,
                self.heads,
                load_signer(self.keys_dir, log.origin),
                self.clock,
                self.counters,
                self._reached,
            )
            with self._lock:
                self._appenders[log_id] = found
        return found

    def _prepare(self, log_id: int, batch: Batch, *, recognise: bool) -> Prepared:
        log = self.by_id(log_id)
        if log.closed_us is not None:
            raise InputError("log_closed", f"the log {log.name} is closed and takes no more records", item="log")
        return prepare(log, batch, self.keystore, self.clock, recognise=recognise, reached=self._reached)

    def _submit(self, log_id: int, prepared: Prepared) -> Future[Appended]:
        appender = self.appender(log_id)
        with self._lock:
            if self._closed:
                raise Closing("the service is stopping: nothing is appended any more")
            writer = self._writers.get(log_id)
            if writer is None:
                name = appender.log.origin
                writer = LogWriter(name, lambda group: append_group(appender, group), lambda: self._head(log_id))
                self._writers[log_id] = writer
        return writer.submit(prepared)

    def _head(self, log_id: int) -> object:
        with self.ledger.read() as connection:
            return head(connection, log_id)

    def close(self) -> None:
        """Write what is queued in every log, then stop."""
        with self._lock:
            self._closed = True
            writers = list(self._writers.values())
        for writer in writers:
            writer.close()


def item_of(draft: Draft) -> Item:
    """A record of our own as an item by itself; it is never recognised as a retry."""
    return Item("service", b"", b"", None, b"", 0, [draft])


_LOGS = select(
    logs.c.id,
    logs.c.tenant_id,
    tenants.c.name.label("tenant"),
    logs.c.name,
    logs.c.origin,
    logs.c.purpose,
    logs.c.region,
    logs.c.vkey,
    logs.c.fulltext_fields,
    logs.c.created_us,
    logs.c.closed_us,
).join(tenants, tenants.c.id == logs.c.tenant_id)


def _read_infos(connection: Connection, query: Select[tuple[object, ...]]) -> list[LogInfo]:
    return [
        LogInfo(**{**row, "fulltext_fields": tuple(json.loads(row["fulltext_fields"]))})
        for row in connection.execute(query).mappings()
    ]
