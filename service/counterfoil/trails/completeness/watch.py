"""An alarm, once, when a producer falls silent; and a word when it speaks again.

    watcher = SilenceWatcher(logs, stores, listening_since_us)
    while not stopped: watcher.run_once(), wait a moment

The alarm is a note in the log (notes.py), which makes it a fact with a time, and a line in the service's log:

    WARNING …completeness producer_silent log=main writer=k3v9 producer=p-7 last_seq=41 since=T heartbeat_s=60
    WARNING …completeness producer_speaks log=main writer=k3v9 producer=p-7 seq=57 alarm_seq=44

T is when it was heard of last. Once: the index takes the note up as the account's alarm, so that neither the next
round nor the next process raises it again; in between this process remembers what it wrote. A service that just started
waits as long as a producer may: nobody could be heard while it was away. One round writes at most MAX_ALARMS notes for
a log, those silent longest first.

Crash after the note and before the line: the note stands, the line is missing. Never the other way round.
"""

from __future__ import annotations

import logging

from sqlalchemy import Connection, select

from counterfoil.core.encoding import format_time_us
from counterfoil.core.errors import CounterfoilError, Fault
from counterfoil.log.batch import LogInfo
from counterfoil.log.logs import Logs
from counterfoil.trails.completeness.account import Account
from counterfoil.trails.completeness.notes import silence_note
from counterfoil.trails.completeness.query import LogTime, silent_producers
from counterfoil.trails.completeness.service import time_of
from counterfoil.trails.completeness.tables import producers
from counterfoil.trails.prepare import check_version
from counterfoil.trails.stores import ReadableLog, Stores, indexed_logs

MAX_ALARMS = 100
"""Notes that one round writes into one log."""

_log = logging.getLogger("counterfoil.completeness")

_Alarmed = tuple[str, str, int]
"""Writer, producer, and the last record that was heard before the alarm."""


class SilenceWatcher:
    """Raises alarms in every log of interactions; one at a time (the service's background process)."""

    def __init__(self, logs: Logs, stores: Stores, listening_since_us: int) -> None:
        self._logs = logs
        self._stores = stores
        self._listening_since_us = listening_since_us
        self._seen: dict[int, int] = {}
        """How far the index had read each log in the round before."""
        self._unread: dict[int, dict[_Alarmed, int]] = {}
        """Alarms that were written and that the index has not read, with the `seq` of their notes."""
        self._has_index = False

    def run_once(self) -> int:
        """Look at every log; how many alarms were raised.

        A log that fails does not stop the others and is tried again in the next round; Fault names those that did.
        """
        if not self._has_index:
            check_version(self._stores.index)
            self._has_index = True
        raised = 0
        failed: list[CounterfoilError] = []
        for log in self._logs.all():
            if log.purpose == "interactions" and log.closed_us is None:
                try:
                    raised += self._look_at(log)
                except CounterfoilError as error:
                    failed.append(error)
        if failed:
            raise Fault("; ".join(str(error) for error in failed))
        return raised

    def _look_at(self, log: LogInfo) -> int:
        with self._stores.index.read() as index:
            (indexed,) = indexed_logs(index, [ReadableLog(log.id, log.name, log.origin)])
            time = LogTime(log.id, time_of(self._stores, self._logs, indexed), self._listening_since_us)
            _say_who_speaks(index, log, self._seen.get(log.id, indexed.size))
            unread = {key: seq for key, seq in self._unread.get(log.id, {}).items() if seq >= indexed.size}
            silent = silent_producers(index, time, MAX_ALARMS + len(unread), without_alarm=True)
        self._seen[log.id] = indexed.size
        self._unread[log.id] = unread
        new = [account for account in silent if _key(account) not in unread][:MAX_ALARMS]
        if not new:
            return 0
        noted = self._logs.append_drafts(log.id, [silence_note(account.heard_seq) for account in new])
        for account, seq in zip(new, noted, strict=True):
            unread[_key(account)] = seq
            _log.warning(
                "producer_silent log=%s writer=%s producer=%s last_seq=%d since=%s heartbeat_s=%d",
                log.name,
                account.writer,
                account.producer,
                account.heard_seq,
                format_time_us(account.heard_us),
                account.heartbeat_s,
            )
        return len(new)


def _key(account: Account) -> _Alarmed:
    return (account.writer, account.producer, account.heard_seq)


def _say_who_speaks(index: Connection, log: LogInfo, from_seq: int) -> None:
    """A line for each producer whose first record after an alarm is at `from_seq` or later."""
    columns = producers.c
    query = select(columns.writer, columns.producer, columns.spoke_seq, columns.alarm_seq)
    where = (columns.log_id == log.id, columns.spoke_seq >= from_seq)
    for row in index.execute(query.where(*where).order_by(columns.spoke_seq)):
        _log.warning("producer_speaks log=%s writer=%s producer=%s seq=%d alarm_seq=%d", log.name, *row)
