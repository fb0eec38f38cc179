"""The audit signal on its way to the log: all of a batch or nothing, each record once, a receipt for each.

`audit.record.id` is the idempotency key of its writer:

    the same id, the same content      success, with the receipt of the record that is there
    the same id, other content         409 for the whole batch, and nothing of it is appended

The log recognises a record by its id alone (`AuditRecord.item`), so an id that it knows never makes a second record,
whatever a race does. Whether the content is the same is asked before: the stored record is opened, given back as OTLP
and compared. Batches of one log are therefore taken one after the other. What was erased since cannot be compared, so
it is a conflict too. Ids are remembered as long as arrivals are (RECORD 8).

Several services on one ledger would need that comparison inside the transaction; an embedded directory has one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from counterfoil.core.encoding import parse_time_us
from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.core.state import ContentState
from counterfoil.ingest.audit import AuditRecord, content_of, read_records
from counterfoil.ingest.limits import Limits
from counterfoil.ingest.media import Encoding
from counterfoil.ingest.response import describe_refusals, format_response
from counterfoil.ingest.sent import Sent
from counterfoil.ingest.signal import Signal
from counterfoil.ingest.status import ExportError
from counterfoil.log import arrivals
from counterfoil.log.batch import Appended, Batch, LogInfo
from counterfoil.log.clock import month_of
from counterfoil.log.contents import open_contents
from counterfoil.log.logs import Logs
from counterfoil.log.records import read_leaf
from counterfoil.mapping.draft import Refused
from counterfoil.mapping.restore import restore_item

CONFLICT: Final = "conflict"
DELIVERED: Final = "delivered_all_sinks"
"""The draft's word for: every required sink has it. Ours is one disk."""
NOT_VERIFIED: Final = "deferred"
"""`audit.integrity.value` is kept and not checked."""


class Audit:
    """Takes audit batches for any log. For one event loop."""

    def __init__(self, logs: Logs, limits: Limits, pool: Executor) -> None:
        self._logs = logs
        self._limits = limits
        self._pool = pool
        self._turns: dict[int, asyncio.Lock] = {}

    def read(self, sent: Sent, encoding: Encoding, room: int) -> list[AuditRecord]:
        """The records of a batch, in a thread. Errors: ExportError 400, 409 or 413 for all of it; LargerThanAsked."""
        return _each_once(read_records(sent.inflated(self._limits, room), encoding, self._limits))

    async def append(self, log_id: int, writer: str, records: Sequence[AuditRecord]) -> tuple[Appended | None, bytes]:
        """Append what is new; what the log answered, and the receipts as JSON. Error: ExportError 409 conflict."""
        if not records:
            return None, b"{}"
        loop = asyncio.get_running_loop()
        async with self._turns.setdefault(log_id, asyncio.Lock()):
            await loop.run_in_executor(self._pool, self._check_known, log_id, writer, records)
            batch = Batch(writer, [record.item for record in records])
            future = await loop.run_in_executor(self._pool, self._logs.append, log_id, batch)
            # Shielded: a client that hangs up must not let the next batch in before this one is on disk.
            appended = await asyncio.shield(asyncio.wrap_future(future))
        return appended, await loop.run_in_executor(self._pool, self._receipts, log_id, records, appended)

    def _check_known(self, log_id: int, writer: str, records: Sequence[AuditRecord]) -> None:
        """409 where an id is known with other content."""
        log = self._logs.by_id(log_id)
        now_us = self._logs.clock.now_us()
        keys = self._logs.keystore.arrival_keys(month_of(now_us), now_us)
        found: list[Refused] = []
        with self._logs.ledger.read() as connection:
            for record in records:
                arrival = arrivals.identify(record.item, writer, keys[0])
                macs = [arrival.mac, *(arrivals.mac_under(arrival, key) for key in keys[1:])]
                known = arrivals.exact(connection, log_id, [(arrival, mac) for mac in macs])
                seq = next((one.seq for one in known if one is not None), None)
                if seq is not None and (why := self._difference(connection, log, seq, record)) is not None:
                    found.append(Refused(record.path, CONFLICT, why))
        if found:
            raise _conflict(found, len(records))

    def _difference(self, connection: Connection, log: LogInfo, seq: int, record: AuditRecord) -> str | None:
        """Why the stored record `seq` is not the one that was sent again; None where it is."""
        data = read_leaf(connection, log.id, seq)
        if data is None:
            raise EvidenceError("leaf_missing", f"record {seq} was received and is not there")
        leaf: dict[str, Any] = orjson.loads(data)
        fields = open_contents(connection, self._logs.keystore, log.id, log.origin, [(seq, leaf)])[seq]
        values = {name: field.value for name, field in fields.items() if field.state is ContentState.DISCLOSED}
        try:
            stored = content_of(json.dumps(restore_item([(leaf, values)])).encode())
        except InputError:
            return f"this audit.record.id is record {seq}, of which parts are not there any more to compare"
        return None if stored == record.content else f"this audit.record.id is record {seq}, which says otherwise"

    def _receipts(self, log_id: int, records: Sequence[AuditRecord], appended: Appended) -> bytes:
        log = self._logs.by_id(log_id)
        receipts: dict[str, Any] = {}
        with self._logs.ledger.read() as connection:
            for record, given in zip(records, appended.seqs, strict=True):
                if given is None:  # what was checked before is not lawful after all: ours, and nothing to hand out
                    raise ExportError(500, "internal", "the service failed; its own log says why")
                recorded_us = appended.recorded_us if given.new else _recorded_us(connection, log_id, given.first)
                receipts[record.record_id] = {
                    "record_id": record.record_id,
                    "status": DELIVERED,
                    "integrity_hash": record.integrity_hash,
                    "sink_timestamp": str(recorded_us * 1000),
                    "verify_status": NOT_VERIFIED,
                    "log": log.name,
                    "seq": given.first,
                }
        answer = {"status": DELIVERED, "record_status_map": receipts, "sink_status_aggregate": "success"}
        return json.dumps(answer, ensure_ascii=False).encode("utf-8", "surrogatepass")


def format_audit_response(encoding: Encoding, receipts: bytes) -> bytes:
    """The body of a 200: receipts in JSON; in protobuf, which has no message for them, an empty answer of logs."""
    return receipts if encoding is Encoding.JSON else format_response(Signal.AUDIT, encoding)


def _each_once(records: list[AuditRecord]) -> list[AuditRecord]:
    """A record that a batch holds twice counts once; two records of one id are a conflict."""
    first: dict[str, AuditRecord] = {}
    refused = [
        Refused(record.path, CONFLICT, "this audit.record.id stands in the batch twice, with other content")
        for record in records
        if first.setdefault(record.record_id, record).content != record.content
    ]
    if refused:
        raise _conflict(refused, len(records))
    return list(first.values())


def _conflict(refused: list[Refused], total: int) -> ExportError:
    message = describe_refusals(Signal.AUDIT, refused, total)
    return ExportError(409, CONFLICT, f"nothing of this batch is taken: {message}", refused=refused)


def _recorded_us(connection: Connection, log_id: int, seq: int) -> int:
    data = read_leaf(connection, log_id, seq)
    if data is None:
        raise EvidenceError("leaf_missing", f"record {seq} was received and is not there")
    return parse_time_us(orjson.loads(data)["recorded_at"])
