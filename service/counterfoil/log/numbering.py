"""Within the transaction of step 3: which items are retries, and which numbers the new ones get.

`recognise` asks the arrivals what the log knows of each item (RECORD 8); `Numbering` gives each new record its `seq`,
`prev` and `recorded_at`, hashes it, and collects the rows. Neither writes anything.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection

from counterfoil.core.encoding import format_time_us
from counterfoil.log import arrivals as arrival_lookup
from counterfoil.log.appender import Appender
from counterfoil.log.arrivalkeys import ArrivalKey
from counterfoil.log.arrivals import Arrival, Known
from counterfoil.log.batch import Given
from counterfoil.log.errors import HeadContradicted
from counterfoil.log.prepare import Prepared, PreparedItem
from counterfoil.log.records import Head, read_leaf
from counterfoil.log.sealer import PreparedRecord


class Found(NamedTuple):
    """What the log knows of an item: the same one, or an earlier send of its span."""

    same: Known | None
    earlier: int
    """`seq` of the newest earlier send of this span by this writer, -1 if none."""


def recognise(
    connection: Connection, log_id: int, group: Sequence[Prepared], keys: tuple[ArrivalKey, ...]
) -> dict[int, Found]:
    """For each item (by identity of the object) what was recorded before. Items that nobody knows are left out."""
    known: dict[int, Found] = {}
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
        known[id(item)] = Found(same, max(place.seq for _, place in found))
    tries = [(item, mac) for item in others for mac in _macs(_arrival(item), keys)]
    answers = arrival_lookup.exact(connection, log_id, [(_arrival(item), mac) for item, mac in tries])
    for (item, _), same in zip(tries, answers, strict=True):
        if same is not None:
            earlier = known[id(item)].earlier if id(item) in known else -1
            known[id(item)] = Found(same, earlier)
    return known


def _same(arrival: Arrival, found: Sequence[tuple[bytes, Known]], keys: tuple[ArrivalKey, ...]) -> Known | None:
    macs = _macs(arrival, keys)
    return next((place for mac, place in found if mac in macs), None)


def _macs(arrival: Arrival, keys: tuple[ArrivalKey, ...]) -> list[bytes]:
    return [arrival.mac, *(arrival_lookup.mac_under(arrival, key) for key in keys[1:])]


def _arrival(item: PreparedItem) -> Arrival:
    assert item.arrival is not None  # noqa: S101 - only items with an arrival are looked up
    return item.arrival


class Numbering:
    """Gives each record its `seq`, `prev` and `recorded_at`, and collects the rows."""

    def __init__(
        self,
        appender: Appender,
        connection: Connection,
        before: Head,
        recorded_us: int,
        known: dict[int, Found],
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


_NOTHING = Found(None, -1)
