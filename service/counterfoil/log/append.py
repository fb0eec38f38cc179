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
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from sqlalchemy import Connection, update

from counterfoil.core.errors import Fault
from counterfoil.core.merkle import MAX_TREE_SIZE
from counterfoil.core.promise import Promise, sign_promise
from counterfoil.log.appender import Appender
from counterfoil.log.arrivalkeys import ArrivalKey
from counterfoil.log.batch import Appended, Given, LogInfo
from counterfoil.log.clock import US_PER_SECOND, month_of
from counterfoil.log.errors import ClockBehind, HeadContradicted, LogRolledBack
from counterfoil.log.numbering import Numbering, recognise
from counterfoil.log.prepare import Prepared
from counterfoil.log.records import Head, head
from counterfoil.log.tables import arrivals, blobs, contents, heads, records
from counterfoil.store.bulk import insert_rows

MAX_CLOCK_BEHIND_US = 60 * US_PER_SECOND
MAX_PROMISE_RANGES = 32

_logger = logging.getLogger("counterfoil.log")


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
    before = head(connection, log.id, lock=True)
    appender.reached("head_read")
    _check_not_rolled_back(appender, before)
    recorded_us = _recorded_us(appender, before)
    keys = _keys_of(months, recorded_us) if months else ()
    known = recognise(connection, log.id, group, keys) if keys else {}
    appender.reached("arrivals_checked")

    numbering = Numbering(appender, connection, before, recorded_us, known)
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
