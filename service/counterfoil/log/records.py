"""Reading records: the stored bytes, in order, within the snapshot that the caller holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from counterfoil.core.errors import Fault
from counterfoil.log.tables import heads, records

BLOCK = 4096
"""Records read at once."""


class Head(NamedTuple):
    """Where a log ends: number of records, leaf hash of the last (32 zero bytes at 0), its `recorded_at`."""

    size: int
    leaf_hash: bytes
    recorded_us: int


def head(connection: Connection, log_id: int, *, lock: bool = False) -> Head:
    """The head row of a log. It is trusted for nothing but where to append: fsck compares it with the records.

    `lock` keeps every other writer of this log out until the transaction ends (on SQLite it already does).
    """
    row = connection.execute(_LOCKED_HEAD if lock else _HEAD, {"log": log_id}).one_or_none()
    if row is None:
        raise Fault(f"log {log_id} has no head row: run fsck")
    return Head(row.size, row.leaf_hash, row.recorded_us)


def read_leaf(connection: Connection, log_id: int, seq: int) -> bytes | None:
    """The leaf at `seq`, or None."""
    return connection.execute(_LEAF, {"log": log_id, "seq": seq}).scalar_one_or_none()


def read_leaves(connection: Connection, log_id: int, first: int, end: int) -> Iterator[tuple[int, bytes]]:
    """(seq, leaf) for first <= seq < end in order, in blocks, so that a range of any length takes constant memory.

    A record that is missing is left out: the caller compares each `seq` with the one it expects.
    """
    at = first
    while at < end:
        stop = min(at + BLOCK, end)
        for row in connection.execute(_LEAVES, {"log": log_id, "first": at, "end": stop}).fetchall():
            yield row[0], row[1]
        at = stop


_HEAD = select(heads.c.size, heads.c.leaf_hash, heads.c.recorded_us).where(heads.c.log_id == bindparam("log"))
_LOCKED_HEAD = _HEAD.with_for_update()
_LEAF = select(records.c.leaf).where(records.c.log_id == bindparam("log"), records.c.seq == bindparam("seq"))
_LEAVES = (
    select(records.c.seq, records.c.leaf)
    .where(records.c.log_id == bindparam("log"), records.c.seq >= bindparam("first"), records.c.seq < bindparam("end"))
    .order_by(records.c.seq)
)
