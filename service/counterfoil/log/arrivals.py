"""Arrivals: a retry never makes a second record, whatever its batching or encoding (RECORD 8).

An item is recognised by a keyed hash of what it is, not of how it came:

    HMAC-SHA-256(arrival key of the month, writer, signal, trace id, span id, producer id, n, item identity, ordinal)

each input preceded by its size in 4 bytes; a number that is absent is empty, `n` and the ordinal are 8 bytes. It is
filed under trace and span, so that a batch touches few pages, as the 20 bytes

    mac = signal (1) || SHA-256(writer)[:3] || the leftmost 16 bytes of the HMAC (RFC 2104 section 5)

so that all a writer ever sent for one span lie side by side. That finds, in one short walk of the primary key, both a
retry (same HMAC) and an earlier record that the new one supersedes (same span, other HMAC).

The key is destroyed 30 days after its month ends, and with it the possibility of testing guesses against the hashes.
Until then items of that month are recognised under its key.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import Connection

from counterfoil.log.arrivalkeys import ArrivalKey
from counterfoil.log.tables import arrivals
from counterfoil.mapping.draft import Item
from counterfoil.store.bulk import select_each, select_spans

HMAC_BYTES = 16
MAX_SENDS = 64
"""How many earlier sends of one span by one writer are looked at. More can only come from a producer that sends the
same span again and again with other data; then any of them is the one superseded."""

SIGNAL_CODES = {"traces": 1, "logs": 2, "audit": 3, "api": 4}
_OTHER_SIGNAL = 255
_LOWEST, _HIGHEST = bytes(HMAC_BYTES), b"\xff" * HMAC_BYTES


class Arrival(NamedTuple):
    """One item as it is recognised. `message` is kept so that other months' keys can be tried on it."""

    trace_id: bytes
    span_id: bytes
    tag: bytes
    """Signal and writer, 4 bytes."""
    message: bytes
    mac: bytes
    """Tag and HMAC under the key of `month`, 20 bytes."""
    month: int
    supersedes: bool
    """Whether an earlier send of the same span is superseded by this one (signal traces, with both ids)."""


class Known(NamedTuple):
    """What was recorded for an item before: its first `seq` and how many records it became."""

    seq: int
    parts: int


def identify(item: Item, writer: str, key: ArrivalKey) -> Arrival:
    """`item` as it is recognised under the arrival key of the current month."""
    trace_id, span_id, identity = item.trace_id, item.span_id, item.identity
    message = b"%b%b%b%b%b%b%b%b\x00\x00\x00\x08%b" % (
        _of_writer(writer, item.signal),
        len(trace_id).to_bytes(4, "big"),
        trace_id,
        len(span_id).to_bytes(4, "big"),
        span_id,
        _of_producer(item.producer) if item.producer else _NO_PRODUCER,
        len(identity).to_bytes(4, "big"),
        identity,
        item.ordinal.to_bytes(8, "big"),
    )
    tag = writer_tag(item.signal, writer)
    mac = tag + hmac.digest(key.key, message, "sha256")[:HMAC_BYTES]
    supersedes = item.signal == "traces" and len(item.trace_id) == 16 and len(item.span_id) == 8
    return Arrival(item.trace_id, item.span_id, tag, message, mac, key.month, supersedes)


def rekey(arrival: Arrival, key: ArrivalKey) -> Arrival:
    """The same item under the key of another month (a batch that was prepared just before the month ended)."""
    return arrival._replace(mac=mac_under(arrival, key), month=key.month)


def mac_under(arrival: Arrival, key: ArrivalKey) -> bytes:
    """The 20 bytes under which `arrival` would have been filed in another month."""
    return arrival.tag + hmac.digest(key.key, arrival.message, "sha256")[:HMAC_BYTES]


@lru_cache(maxsize=4096)
def writer_tag(signal: str, writer: str) -> bytes:
    """The first 4 of the 20 bytes: signal and writer."""
    return bytes((SIGNAL_CODES.get(signal, _OTHER_SIGNAL),)) + sha256(writer.encode()).digest()[:3]


@lru_cache(maxsize=4096)
def _of_writer(writer: str, signal: str) -> bytes:
    return _prefixed(writer.encode()) + _prefixed(signal.encode())


def _of_producer(producer: tuple[str, int]) -> bytes:
    name, number = producer
    return _prefixed(name.encode()) + b"\x00\x00\x00\x08" + number.to_bytes(8, "big")


def _prefixed(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


_NO_PRODUCER = bytes(8)


def earlier_sends(connection: Connection, log_id: int, wanted: Sequence[Arrival]) -> list[list[tuple[bytes, Known]]]:
    """For each span in `wanted` what this writer sent for it before: (mac, where it is), at most `MAX_SENDS`.

    Most traces are new, and a batch holds few of them: spans are looked for only in traces that are there.
    """
    traces = list({arrival.trace_id for arrival in wanted})
    there = select_spans(
        connection, arrivals, ("log_id",), "trace_id", ("seq",), [(log_id, trace, trace) for trace in traces], 1
    )
    old = {trace for trace, rows in zip(traces, there, strict=True) if rows}
    spans = [arrival for arrival in wanted if arrival.trace_id in old]
    keys = [
        (log_id, arrival.trace_id, arrival.span_id, arrival.tag + _LOWEST, arrival.tag + _HIGHEST) for arrival in spans
    ]
    names = ("log_id", "trace_id", "span_id")
    found = iter(select_spans(connection, arrivals, names, "mac", ("mac", "seq", "parts"), keys, MAX_SENDS))
    return [
        [(row[0], Known(row[1], row[2])) for row in next(found)] if arrival.trace_id in old else []
        for arrival in wanted
    ]


def exact(connection: Connection, log_id: int, wanted: Iterable[tuple[Arrival, bytes]]) -> list[Known | None]:
    """For each (arrival, mac) the record that was made of exactly this item, or None."""
    keys = [(log_id, arrival.trace_id, arrival.span_id, mac) for arrival, mac in wanted]
    names = ("log_id", "trace_id", "span_id", "mac")
    rows = select_each(connection, arrivals, names, ("seq", "parts"), keys)
    return [None if row is None else Known(row[0], row[1]) for row in rows]
