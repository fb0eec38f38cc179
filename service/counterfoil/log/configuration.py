"""The cadence at which a log wants to hear from its producers (RECORD 7): set by us, on record, read from the record.

    configuration = Configuration(logs)
    configuration.heartbeat_s(log.id)                   60 until somebody sets another
    configuration.set_heartbeat(log, 15, by="k3v9")     a `configuration` record of that log, and one of the access log

The value in force is what the newest `configuration` record of that log with the setting `heartbeat` says. It stands in
the log of interactions itself, so that whoever judges a producer's silence reads the cadence in the order in which it
came into force, also from a bundle. A row of `configurations` names the record, written in the same transaction: that
survives a restart and needs neither a scan of the log nor the index, which lies above this room and may be rebuilding.
The row is trusted for nothing but where to look. Whether it names the newest one, `fsck` compares.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, delete, select

from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.log.append import MAX_CLOCK_BEHIND_US, append_within
from counterfoil.log.arrivalkeys import ArrivalKey
from counterfoil.log.batch import Batch, LogInfo
from counterfoil.log.clock import month_of
from counterfoil.log.founding import INTERACTIONS, draft_of, prepare_drafts
from counterfoil.log.logs import Logs
from counterfoil.log.prepare import prepare
from counterfoil.log.records import read_leaf
from counterfoil.log.tables import configurations
from counterfoil.mapping.draft import Item

HEARTBEAT = "heartbeat"
DEFAULT_HEARTBEAT_S = 60
MIN_HEARTBEAT_S, MAX_HEARTBEAT_S = 1, 86_400
REREAD_AFTER_S = 1.0
"""How long a value that was read is used: another process may have set a new one."""
MAX_KEY_CHARS = 128

_log = logging.getLogger("counterfoil.log")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The cadence in force, and the record that set it; none of it was recorded where it is the default."""

    heartbeat_s: int = DEFAULT_HEARTBEAT_S
    seq: int | None = None
    recorded_at: str | None = None


class Configuration:
    """Reads and sets what a log is configured to. Safe to share between threads."""

    def __init__(self, logs: Logs, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._logs = logs
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._known: dict[int, tuple[float, int]] = {}

    def heartbeat_s(self, log_id: int) -> int:
        """Seconds between heartbeats of a producer of this log; at most a second old, never an error.

        It is asked for with every request that is taken in. A damaged record must not stop those: it is said in the
        service's log, named by `fsck`, and the default stands in.
        """
        now = self._monotonic()
        known = self._known.get(log_id)
        if known is not None and now < known[0]:
            return known[1]
        try:
            value = self.heartbeat(log_id).heartbeat_s
        except EvidenceError as error:
            _log.error("log %d: %s; run `counterfoil fsck`", log_id, error)
            value = DEFAULT_HEARTBEAT_S
        with self._lock:
            self._known[log_id] = (now + REREAD_AFTER_S, value)
        return value

    def heartbeat(self, log_id: int) -> Heartbeat:
        """The cadence in force, as it is on record. EvidenceError "configuration" where the record is not there."""
        with self._logs.ledger.read() as connection:
            return read_heartbeat(connection, log_id)

    def heartbeat_of(self, tenant_id: int, name: str) -> Heartbeat:
        """The cadence of a tenant's log of interactions; InputError "not_found" or "bad_log"."""
        log = self._named(tenant_id, name)
        _check_hears(log)
        return self.heartbeat(log.id)

    def set_heartbeat_of(
        self, tenant_id: int, name: str, heartbeat_s: int, *, by: str | None, idempotency_key: str | None
    ) -> Heartbeat:
        """`set_heartbeat` for a tenant's log by its short name."""
        return self.set_heartbeat(self._named(tenant_id, name), heartbeat_s, by=by, idempotency_key=idempotency_key)

    def set_heartbeat(
        self, log: LogInfo, heartbeat_s: int, *, by: str | None = None, idempotency_key: str | None = None
    ) -> Heartbeat:
        """Set the cadence and return it with its record; `by` is the credential that asks, None the command line.

        The same `idempotency_key` gives the same record again, for as long as arrivals are kept (RECORD 8).
        InputError: `bad_heartbeat`, `bad_log`, `log_closed`, `bad_idempotency_key`, `idempotency_conflict`.
        """
        _check(log, heartbeat_s, idempotency_key)
        logs = self._logs
        facts = {"setting": HEARTBEAT, "heartbeat_s": heartbeat_s}
        draft = draft_of("configuration", facts, [], by)
        identity = b"" if idempotency_key is None else b"configuration %b" % idempotency_key.encode()
        signal = "service" if idempotency_key is None else "api"
        batch = Batch(by, [Item(signal, b"", b"", None, identity, 0, [draft])])
        prepared = prepare(log, batch, logs.keystore, logs.clock, recognise=idempotency_key is not None)
        if prepared.refused:
            raise next(iter(prepared.refused.values()))
        months = None if idempotency_key is None else self._arrival_keys()
        access = logs.access_log(log.tenant_id)
        told_facts = {**facts, "object": f"{log.tenant}/{log.name}"}
        told = prepare_drafts(logs, access, [draft_of("configuration", told_facts, [], by)], by)
        with logs.ledger.write() as connection:
            given = append_within(logs.appender(log.id), connection, [prepared], months).given[0][0]
            assert given is not None  # noqa: S101 - the only item, and it was not refused
            if given.new:
                _point_to(connection, log.id, given.first)
                append_within(logs.appender(access.id), connection, [told])
            # Crash before the commit: no record, and the old value in force.
        with self._lock:
            self._known.pop(log.id, None)
        with logs.ledger.read() as connection:
            answer = _read_record(connection, log.id, given.first)
        if answer.heartbeat_s != heartbeat_s:
            raise InputError(
                "idempotency_conflict", "this Idempotency-Key was used for another request", item="Idempotency-Key"
            )
        return answer

    def _named(self, tenant_id: int, name: str) -> LogInfo:
        log = self._logs.by_name(tenant_id, name)
        if log is None:
            raise InputError("not_found", f"there is no log {name[:64]!r}", item="log")
        return log

    def _arrival_keys(self) -> tuple[ArrivalKey, ...]:
        """Keys of every month whose window lasts; the next month's too, if the log's last record may be in it."""
        now_us = self._logs.clock.now_us()
        return self._logs.keystore.arrival_keys(month_of(now_us + MAX_CLOCK_BEHIND_US), now_us)


def read_heartbeat(connection: Connection, log_id: int) -> Heartbeat:
    """The cadence in force, in the caller's snapshot of the ledger."""
    query = select(configurations.c.seq).where(configurations.c.log_id == log_id, configurations.c.setting == HEARTBEAT)
    seq = connection.execute(query).scalar_one_or_none()
    return Heartbeat() if seq is None else _read_record(connection, log_id, seq)


def heartbeat_of(leaf: dict[str, Any]) -> int | None:
    """The cadence that a leaf sets, None where it is no record of that."""
    if leaf.get("kind") != "configuration":
        return None
    facts = leaf.get("configuration", {})
    value = facts.get("heartbeat_s") if facts.get("setting") == HEARTBEAT else None
    if type(value) is not int or not MIN_HEARTBEAT_S <= value <= MAX_HEARTBEAT_S:
        return None
    return value


def _read_record(connection: Connection, log_id: int, seq: int) -> Heartbeat:
    data = read_leaf(connection, log_id, seq)
    try:
        leaf: dict[str, Any] = {} if data is None else orjson.loads(data)
        value = heartbeat_of(leaf)
        if value is not None:
            return Heartbeat(value, seq, leaf["recorded_at"])
    except (ValueError, AttributeError, TypeError, KeyError):
        pass  # whoever owns the disk changed its bytes: it says nothing that could be trusted
    raise EvidenceError("configuration", f"record {seq} is named as the heartbeat's configuration and is not")


def _point_to(connection: Connection, log_id: int, seq: int) -> None:
    connection.execute(
        delete(configurations).where(configurations.c.log_id == log_id, configurations.c.setting == HEARTBEAT)
    )
    connection.execute(configurations.insert().values(log_id=log_id, setting=HEARTBEAT, seq=seq))


def _check(log: LogInfo, heartbeat_s: int, idempotency_key: str | None) -> None:
    if not MIN_HEARTBEAT_S <= heartbeat_s <= MAX_HEARTBEAT_S:
        raise InputError(
            "bad_heartbeat",
            f"{heartbeat_s} is no cadence: a number of seconds from {MIN_HEARTBEAT_S} to {MAX_HEARTBEAT_S}",
            item="heartbeat_s",
        )
    _check_hears(log)
    if log.closed_us is not None:
        raise InputError("log_closed", f"the log {log.name} is closed and takes no more records", item="log")
    if idempotency_key is not None and not (
        1 <= len(idempotency_key) <= MAX_KEY_CHARS and idempotency_key.isascii() and idempotency_key.isprintable()
    ):
        raise InputError(
            "bad_idempotency_key", f"1 to {MAX_KEY_CHARS} printable ASCII characters", item="Idempotency-Key"
        )


def _check_hears(log: LogInfo) -> None:
    if log.purpose != INTERACTIONS:
        raise InputError("bad_log", f"the log {log.name} takes no telemetry, so it hears no heartbeat", item="log")
