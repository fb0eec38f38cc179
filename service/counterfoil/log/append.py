"""Step 3 of writing: the only code that inserts a record.

    begin (write lock) > read the head > check head store and clock > drop arrivals seen before > number, link, hash
    > insert leaves, content, blobs, arrivals > move the head > commit with fsync > acknowledge with a promise

It runs inside one transaction: a crash, an error or a kill anywhere before the commit leaves nothing, after it
everything. The comments say it step by step; tests stop at each.

**No fork by construction.** The head row is read inside the transaction that moves it, and moves by compare-and-swap of
(size, leaf hash): one row updated, or nothing commits. The primary key (log_id, seq) refuses a second record at an
index. So any number of processes may append to one log; nothing about the head is believed from memory.

**Time.** `recorded_at` never decreases. While the clock is up to 60 s behind the last record, that time is repeated,
with a warning and a counter; further behind, nothing is appended.
"""

from __future__ import annotations

import logging
from binascii import b2a_base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import orjson
from sqlalchemy import Connection, update

from counterfoil.core.encoding import format_time_us
from counterfoil.core.errors import Fault
from counterfoil.core.merkle import MAX_TREE_SIZE
from counterfoil.core.note import NoteSigner
from counterfoil.core.promise import Promise, sign_promise
from counterfoil.log import arrivals as arrival_lookup
from counterfoil.log.arrivals import Arrival, Known
from counterfoil.log.batch import Appended, Given, LogInfo
from counterfoil.log.clock import US_PER_SECOND, Clock, month_of
from counterfoil.log.errors import ClockBehind, HeadContradicted, LogRolledBack
from counterfoil.log.keystore import ArrivalKey, Keystore
from counterfoil.log.prepare import Prepared, PreparedItem, PreparedRecord
from counterfoil.log.records import Head, head, read_leaf
from counterfoil.log.tables import arrivals, blobs, contents, heads, records
from counterfoil.store.bulk import insert_rows
from counterfoil.store.database import Database

MAX_CLOCK_BEHIND_US = 60 * US_PER_SECOND
MAX_PROMISE_RANGES = 32

_logger = logging.getLogger("counterfoil.log")


class HeadSizes(Protocol):
    """The head store, as far as appending needs it."""

    def size_of(self, origin: str) -> int:
        """Tree size of the last signed checkpoint, 0 without one."""


@dataclass(slots=True)
class Counters:
    """What happened since the start, for metrics and alarms."""

    records: int = 0
    duplicates: int = 0
    superseding: int = 0
    groups: int = 0
    clock_repeats: int = 0
    """Groups that repeated the last `recorded_at` because the clock was behind: an alarm when it rises."""
    failures: int = 0
    unknown_outcomes: int = 0


@dataclass(frozen=True, slots=True)
class Appender:
    """Everything that appending to one log needs. Holds no state of the log."""

    log: LogInfo
    ledger: Database
    keystore: Keystore
    head_sizes: HeadSizes
    signer: NoteSigner
    clock: Clock
    counters: Counters = field(default_factory=Counters)
    reached: Callable[[str], None] = lambda _: None
    """Called at each named step: tests stop the process there."""


class Outcome(NamedTuple):
    """What a group came to, before it is signed."""

    given: list[list[Given | None]]
    """For each batch, for each item."""
    head: Head
    highest: int
    """The highest `seq` that was given, and its leaf hash; -1 where every item was refused."""
    highest_hash: bytes


def append_group(appender: Appender, group: Sequence[Prepared]) -> list[Appended]:
    """Append all batches of a group in one transaction and sign one promise for them."""
    months = _arrival_keys(appender)
    # Crash up to here: nothing is on disk but unused keys.
    with appender.ledger.write() as connection:
        appender.reached("transaction_begun")
        outcome = append_within(appender, connection, group, months)
        # Crash here: the transaction is not committed, so the database rolls it back when it is opened again.
        appender.reached("head_moved")
    # Crash here: everything is on disk, nobody was told. The client sends again and its arrivals answer.
    appender.reached("committed")
    promise = sign_outcome(appender, outcome)
    appender.counters.groups += 1
    return [
        Appended(given, promise, outcome.head.size, outcome.head.recorded_us, batch.refused)
        for batch, given in zip(group, outcome.given, strict=True)
    ]


def append_within(
    appender: Appender,
    connection: Connection,
    group: Sequence[Prepared],
    months: tuple[ArrivalKey, ...] | None = None,
) -> Outcome:
    """The same within a transaction of the caller (a log's first record, a credential and its record)."""
    log = appender.log
    before = head(connection, log.id)
    appender.reached("head_read")
    _check_not_rolled_back(appender, before)
    recorded_us = _recorded_us(appender, before)
    keys = _keys_of(months, recorded_us) if months else ()
    known = _recognise(connection, log.id, group, keys) if keys else {}
    appender.reached("arrivals_checked")

    numbering = _Numbering(appender, connection, before, recorded_us, known)
    given = [[None if item is None else numbering.take(item, batch.writer) for item in batch.items] for batch in group]
    after = numbering.head
    if after.size > before.size:
        if after.size > MAX_TREE_SIZE:
            raise HeadContradicted(f"{log.origin} has reached the largest size of a tree")
        insert_rows(connection, records, ("log_id", "seq", "leaf"), numbering.leaves)
        appender.reached("records_inserted")
        insert_rows(connection, contents, ("log_id", "seq", "key_id", "sealed"), numbering.contents)
        insert_rows(connection, blobs, ("log_id", "seq", "field", "part", "key_id", "sealed"), numbering.blobs)
        appender.reached("contents_inserted")
        columns = ("log_id", "trace_id", "span_id", "mac", "seq", "parts")
        insert_rows(connection, arrivals, columns, numbering.arrivals)
        appender.reached("arrivals_inserted")
        _move_head(connection, log, before, after)
    highest, highest_hash = numbering.highest(connection)
    return Outcome(given, after, highest, highest_hash)


def sign_outcome(appender: Appender, outcome: Outcome) -> bytes | None:
    """The promise of a committed group (RECORD 6): one signature, whatever the number of batches."""
    ranges = merge_ranges([(one.first, one.last) for batch in outcome.given for one in batch if one is not None])
    if not ranges:
        return None
    promise = Promise(appender.log.origin, ranges, outcome.highest_hash, outcome.head.recorded_us)
    return sign_promise(promise, appender.signer)


def merge_ranges(ranges: Sequence[tuple[int, int]], limit: int = MAX_PROMISE_RANGES) -> tuple[tuple[int, int], ...]:
    """Rising ranges that never touch, at most `limit`: the smallest gaps are closed first.

    Closing a gap promises records of others too. That is no less true: whatever lies below the head is in the log.
    """
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    if len(merged) > limit:
        gaps = sorted(range(1, len(merged)), key=lambda at: merged[at][0] - merged[at - 1][1], reverse=True)
        starts = [0, *sorted(gaps[: limit - 1]), len(merged)]
        merged = [(merged[a][0], merged[b - 1][1]) for a, b in pairwise(starts)]
    return tuple(merged)


def _arrival_keys(appender: Appender) -> tuple[ArrivalKey, ...]:
    """Keys of this month and of earlier ones whose window lasts; also the next month's, if it begins within the time
    that the log's last record may be ahead of our clock."""
    now_us = appender.clock.now_us()
    ahead = month_of(now_us + MAX_CLOCK_BEHIND_US)
    return appender.keystore.arrival_keys(max(ahead, month_of(now_us)), now_us)


def _keys_of(months: tuple[ArrivalKey, ...], recorded_us: int) -> tuple[ArrivalKey, ...]:
    """The key of the month in which the group is recorded first, then every other one."""
    month = month_of(recorded_us)
    current = [key for key in months if key.month == month]
    if not current:
        raise Fault(f"there is no arrival key for {month}: a retry would not be recognised")
    return (*current, *(key for key in months if key.month != month))


def _check_not_rolled_back(appender: Appender, before: Head) -> None:
    signed = appender.head_sizes.size_of(appender.log.origin)
    if signed > before.size:
        raise LogRolledBack(
            f"{appender.log.origin}: the head store has signed {signed} records, the database holds {before.size}. "
            "It was rolled back or cut. Bring back the newer database, or declare the restore with "
            "`counterfoil restore declare`; until then nothing is appended or signed."
        )


def _recorded_us(appender: Appender, before: Head) -> int:
    now_us = appender.clock.now_us()
    if now_us >= before.recorded_us:
        return now_us
    behind_us = before.recorded_us - now_us
    if behind_us > MAX_CLOCK_BEHIND_US:
        raise ClockBehind(
            f"{appender.log.origin}: the clock is {behind_us // US_PER_SECOND} s behind the last record; "
            "nothing is appended until it catches up"
        )
    appender.counters.clock_repeats += 1
    _logger.warning("%s: the clock is %d us behind the last record", appender.log.origin, behind_us)
    return before.recorded_us


def _move_head(connection: Connection, log: LogInfo, before: Head, after: Head) -> None:
    moved = connection.execute(
        update(heads)
        .where(heads.c.log_id == log.id, heads.c.size == before.size, heads.c.leaf_hash == before.leaf_hash)
        .values(size=after.size, leaf_hash=after.leaf_hash, recorded_us=after.recorded_us)
    )
    if moved.rowcount != 1:
        raise HeadContradicted(f"{log.origin}: the head moved under an open transaction; nothing was written")


# -- arrivals -----------------------------------------------------------------------------------------------------


class _Found(NamedTuple):
    """What the log knows of an item: the same one, or an earlier send of its span."""

    same: Known | None
    earlier: int
    """`seq` of the newest earlier send of this span by this writer, -1 if none."""


def _recognise(
    connection: Connection, log_id: int, group: Sequence[Prepared], keys: tuple[ArrivalKey, ...]
) -> dict[int, _Found]:
    """For each item (by identity of the object) what was recorded before. Items that nobody knows are left out."""
    known: dict[int, _Found] = {}
    spans: list[PreparedItem] = []
    others: list[PreparedItem] = []
    for batch in group:
        for item in batch.items:
            if item is None or item.arrival is None:
                continue
            if item.arrival.month != keys[0].month:
                # Prepared in the last moments of another month.
                item.arrival = arrival_lookup.rekey(item.arrival, keys[0])
            (spans if item.arrival.supersedes else others).append(item)
    sends = arrival_lookup.earlier_sends(connection, log_id, [_arrival(item) for item in spans])
    for item, found in zip(spans, sends, strict=True):
        if not found:
            continue
        same = _same(_arrival(item), found, keys)
        if same is None and len(found) == arrival_lookup.MAX_SENDS:
            others.append(item)  # so many sends that the exact one may be beyond those looked at
        known[id(item)] = _Found(same, max(place.seq for _, place in found))
    tries = [(item, mac) for item in others for mac in _macs(_arrival(item), keys)]
    answers = arrival_lookup.exact(connection, log_id, [(_arrival(item), mac) for item, mac in tries])
    for (item, _), same in zip(tries, answers, strict=True):
        if same is not None:
            earlier = known[id(item)].earlier if id(item) in known else -1
            known[id(item)] = _Found(same, earlier)
    return known


def _same(arrival: Arrival, found: Sequence[tuple[bytes, Known]], keys: tuple[ArrivalKey, ...]) -> Known | None:
    macs = _macs(arrival, keys)
    return next((place for mac, place in found if mac in macs), None)


def _macs(arrival: Arrival, keys: tuple[ArrivalKey, ...]) -> list[bytes]:
    return [arrival.mac, *(arrival_lookup.mac_under(arrival, key) for key in keys[1:])]


def _arrival(item: PreparedItem) -> Arrival:
    assert item.arrival is not None  # noqa: S101 - only items with an arrival are looked up
    return item.arrival


# -- numbering ----------------------------------------------------------------------------------------------------


class _Numbering:
    """Gives each record its `seq`, `prev` and `recorded_at`, and collects the rows."""

    def __init__(
        self,
        appender: Appender,
        connection: Connection,
        before: Head,
        recorded_us: int,
        known: dict[int, _Found],
    ) -> None:
        self._appender = appender
        self._connection = connection
        self._log_id = appender.log.id
        self._first = self._next = before.size
        self._hash = before.leaf_hash
        self._recorded_us = recorded_us
        self._before = before
        self._recorded_at = b'"%b"' % format_time_us(recorded_us).encode()
        self._known = known
        self._in_group: dict[tuple[bytes, bytes, bytes], Known] = {}
        self._sends_in_group: dict[tuple[bytes, bytes, str | None], int] = {}
        self._highest = -1
        self.leaves: list[tuple[int, int, bytes]] = []
        self.contents: list[tuple[int, int, bytes, bytes]] = []
        self.blobs: list[tuple[int, int, str, int, bytes, bytes]] = []
        self.arrivals: list[tuple[int, bytes, bytes, bytes, int, int]] = []

    @property
    def head(self) -> Head:
        """Where the log ends once the rows are in."""
        if self._next == self._first:
            return self._before
        return Head(self._next, self._hash, self._recorded_us)

    def take(self, item: PreparedItem, writer: str | None) -> Given:
        """The records of one item: those it became before, or new ones."""
        arrival = item.arrival
        supersedes = -1
        if arrival is not None:
            same, supersedes = self._known.get(id(item), _NOTHING)
            place = (arrival.trace_id, arrival.span_id, arrival.mac)
            same = same or self._in_group.get(place)
            if same is not None:
                self._appender.counters.duplicates += 1
                last = same.seq + same.parts - 1
                self._highest = max(self._highest, last)
                return Given(same.seq, last, new=False)
            if arrival.supersedes and item.records[0].may_supersede:
                span = (arrival.trace_id, arrival.span_id, writer)
                if supersedes >= 0 and not self._is_lawful(supersedes, arrival, writer):
                    supersedes = -1
                supersedes = self._sends_in_group.get(span, supersedes)
                self._sends_in_group[span] = self._next
            parts = len(item.records)
            self._in_group[place] = Known(self._next, parts)
            self.arrivals.append((self._log_id, arrival.trace_id, arrival.span_id, arrival.mac, self._next, parts))
        first = self._next
        for record in item.records:
            self._add(record, supersedes)
        self._highest = self._next - 1
        return Given(first, self._next - 1, new=True)

    def _add(self, record: PreparedRecord, supersedes: int) -> None:
        seq = self._next
        after = record.after_seq
        if supersedes >= 0 and record.may_supersede:
            after = b'%b,"supersedes":%d%b' % (after[: record.cut], supersedes, after[record.cut :])
            self._appender.counters.superseding += 1
        leaf = b'%b"%b"%b%b%b%d%b' % (
            record.before_prev,
            b2a_base64(self._hash, newline=False),
            record.before_recorded_at,
            self._recorded_at,
            record.before_seq,
            seq,
            after,
        )
        self._hash = sha256(b"\x00" + leaf).digest()
        self._next = seq + 1
        self.leaves.append((self._log_id, seq, leaf))
        if record.sealed:
            self.contents.append((self._log_id, seq, record.key_id, record.sealed))
            for name, part, sealed in record.blobs:
                self.blobs.append((self._log_id, seq, name, part, record.key_id, sealed))
        self._appender.counters.records += 1

    def _is_lawful(self, seq: int, arrival: Arrival, writer: str | None) -> bool:
        """Whether the earlier record really has the same writer, trace and span: what is filed is a short hash."""
        data = read_leaf(self._connection, self._log_id, seq)
        if data is None:
            raise HeadContradicted(f"{self._appender.log.origin}: record {seq} was received and is not there")
        leaf: dict[str, Any] = orjson.loads(data)
        return (
            leaf.get("writer") == writer
            and leaf.get("trace_id") == arrival.trace_id.hex()
            and leaf.get("span_id") == arrival.span_id.hex()
        )

    def highest(self, connection: Connection) -> tuple[int, bytes]:
        """The highest `seq` that was given and its leaf hash; (-1, b"") where none was."""
        if self._highest == -1:
            return -1, b""
        if self._highest >= self._first:
            leaf = self.leaves[self._highest - self._first][2]
        else:
            stored = read_leaf(connection, self._log_id, self._highest)
            if stored is None:
                raise HeadContradicted(f"{self._appender.log.origin}: record {self._highest} is not there")
            leaf = stored
        return self._highest, sha256(b"\x00" + leaf).digest()


_NOTHING = _Found(None, -1)
