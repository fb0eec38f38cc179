"""Follows every log of interactions and writes the index, block by block.

One transaction holds a block's rows *and* the position after it: a crash at any point leaves the index as it was after
some whole block, and the next run goes on there. The position keeps the leaf hash of the last record read, so a ledger
that was rolled back, replaced, or rolled back and grown again is noticed; that log is then read again from its first
record. Access logs are not indexed: they are read through their own route, under their own permission.

    projector = Projector(ledger, keystore, index)
    while not stopped:
        if projector.run_once() == 0: wait a moment
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from counterfoil.core.encoding import encode_base64
from counterfoil.core.merkle import leaf_hash
from counterfoil.log.contents import open_contents
from counterfoil.log.keystore import Keystore
from counterfoil.log.records import read_leaf, read_leaves
from counterfoil.log.tables import heads, logs
from counterfoil.store.database import Database
from counterfoil.trails import fulltext
from counterfoil.trails.block import write_block
from counterfoil.trails.derive import reading as words
from counterfoil.trails.derive.reading import Reading, fields_read
from counterfoil.trails.facts import parse_leaf
from counterfoil.trails.numbers import Counters, NameCodes
from counterfoil.trails.opened import read_fields
from counterfoil.trails.prepare import clear_log, prepare_index
from counterfoil.trails.tables import positions

BLOCK_RECORDS = 2_000
"""Records in one transaction: enough to spread its cost, few enough that other writers never wait long."""

Progress = Callable[[int, int], None]
"""Called with records indexed in this run, and records to index in all."""

_log = logging.getLogger("counterfoil.trails")


@dataclass(frozen=True, slots=True)
class Followed:
    """A log as the ledger has it now."""

    id: int
    name: str
    origin: str
    size: int
    leaf_hash: bytes
    fulltext_fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Position:
    """How far the index has read a log."""

    size: int
    leaf_hash: bytes
    fulltext_fields: str
    names: int
    traces: int
    interactions: int


NOWHERE = Position(0, bytes(32), "", 0, 0, 0)


class Projector:
    """Reads ledger (and keystore, where a log opens content fields to full text), writes the index."""

    def __init__(
        self, ledger: Database, keystore: Keystore, index: Database, *, block_records: int = BLOCK_RECORDS
    ) -> None:
        self._ledger = ledger
        self._keystore = keystore
        self._index = index
        self._block_records = block_records
        self._codes: dict[int, NameCodes] = {}
        discarded = prepare_index(index)
        if discarded is not None:
            _log.warning("the index of version %d was thrown away and is being rebuilt from the log", discarded)

    def run_once(
        self,
        limit: int | None = None,
        progress: Progress | None = None,
        sizes: Mapping[int, int] | None = None,
    ) -> int:
        """Index what is new in every log, at most `limit` records in all; return how many records were indexed.

        A log that cannot be read is raised when all others have been read.
        `sizes` (log id to tree size) reads no log further than that, and no other log (check_index.py).
        """
        done = 0
        followed, known = self.followed(), self._positions()
        targets = {log.id: log.size if sizes is None else min(log.size, sizes.get(log.id, 0)) for log in followed}
        total = sum(max(0, targets[log.id] - known.get(log.id, NOWHERE).size) for log in followed)
        failed: Exception | None = None
        for log in followed:
            position = known.get(log.id, NOWHERE)
            try:
                if position.size and not _continues(log, position):
                    self._start_over(log, position)
                    position = NOWHERE
                while position.size < targets[log.id] and (limit is None or done < limit):
                    room = self._block_records if limit is None else min(self._block_records, limit - done)
                    following = self._write_block(log, position, min(position.size + room, targets[log.id]))
                    if following is None:
                        break
                    done += following.size - position.size
                    position = following
                    if progress is not None:
                        progress(done, max(done, total))
            except Exception as error:  # noqa: BLE001 - one log that cannot be read holds up no other tenant's
                failed = failed or error
        if failed is not None:
            raise failed
        return done

    def followed(self) -> list[Followed]:
        """Every log of interactions, looked up afresh: logs are created and opened to full text while we run."""
        query = (
            select(logs.c.id, logs.c.name, logs.c.origin, heads.c.size, heads.c.leaf_hash, logs.c.fulltext_fields)
            .join(heads, heads.c.log_id == logs.c.id)
            .where(logs.c.purpose == "interactions")
            .order_by(logs.c.id)
        )
        with self._ledger.read() as connection:
            return [Followed(*row[:5], tuple(json.loads(row[5]))) for row in connection.execute(query)]

    def _positions(self) -> dict[int, Position]:
        with self._index.read() as connection:
            return {row[0]: Position(*row[1:]) for row in connection.execute(select(positions))}

    def _start_over(self, log: Followed, position: Position) -> None:
        _log.warning(
            "log %s: the index had read %d records of another history (the ledger has %d); reading it again",
            log.name,
            position.size,
            log.size,
        )
        self._forget(log.id)
        with self._index.write() as connection:
            clear_log(connection, log.id)

    def _forget(self, log_id: int) -> None:
        self._codes.pop(log_id, None)

    def _write_block(self, log: Followed, position: Position, end: int) -> Position | None:
        """Index the records from `position` to `end`; None where log or index is no longer as it was thought to be."""
        with self._ledger.read() as ledger:
            leaves = [leaf for _, leaf in read_leaves(ledger, log.id, position.size, end)]
            if len(leaves) < end - position.size or not _links_to(leaves[0], position):
                self._lost_thread(log, position)
                return None
            fields = _fields_text(log)
            counters = Counters(position.names, position.traces, position.interactions)
            codes = self._codes.setdefault(log.id, NameCodes(log.id))

            def other_leaf(seq: int) -> bytes:
                found = read_leaf(ledger, log.id, seq)
                return b"null" if found is None else found

            def content_words(rows: Sequence[tuple[int, dict[str, Any]]]) -> dict[int, str]:
                opened = open_contents(ledger, self._keystore, log.id, log.origin, rows)
                return {
                    seq: fulltext.join_content(content[name].value for name in log.fulltext_fields if name in content)
                    for seq, content in opened.items()
                }

            def read_words(rows: Sequence[tuple[int, dict[str, Any]]]) -> dict[int, Reading]:
                opened = read_fields(ledger, self._keystore, log.id, log.origin, rows, fields_read)
                return {seq: words.read_words(leaf, opened[seq]) for seq, leaf in rows if opened[seq]}

            # Crash up to the commit of this transaction: the index stays as it was after the block before.
            try:
                with self._index.write() as index:
                    row = index.execute(select(positions).where(positions.c.log_id == log.id)).first()
                    if (NOWHERE if row is None else Position(*row[1:])) != position:
                        self._forget(log.id)  # another process writes this index too
                        return None
                    if row is None:
                        fulltext.create(index, log.id)
                    write_block(
                        index,
                        log.id,
                        position.size,
                        leaves,
                        counters,
                        codes,
                        other_leaf,
                        content_words if log.fulltext_fields else None,
                        read_words,
                    )
                    following = Position(
                        end, leaf_hash(leaves[-1]), fields, counters.names, counters.traces, counters.interactions
                    )
                    values = {"log_id": log.id, **{name: getattr(following, name) for name in _MEMBERS}}
                    if row is None:
                        index.execute(positions.insert().values(values))
                    else:
                        index.execute(positions.update().where(positions.c.log_id == log.id).values(values))
            except BaseException:
                self._forget(log.id)  # codes given out in a transaction that was rolled back
                raise
        return following

    def _lost_thread(self, log: Followed, position: Position) -> None:
        """The ledger does not go on from `position`: rolled back and grown again, or damaged."""
        if position.size:
            self._start_over(log, position)
        else:
            _log.error("log %s: records are missing or start no chain; run `counterfoil fsck`", log.name)


_MEMBERS = ("size", "leaf_hash", "fulltext_fields", "names", "traces", "interactions")


def _fields_text(log: Followed) -> str:
    return json.dumps(sorted(log.fulltext_fields))


def _continues(log: Followed, position: Position) -> bool:
    """Whether the log as it stands can go on from `position`."""
    if position.fulltext_fields != _fields_text(log) or position.size > log.size:
        return False
    return position.size < log.size or position.leaf_hash == log.leaf_hash


def _links_to(leaf: bytes, position: Position) -> bool:
    """Whether the leaf's `prev` is the hash of the last leaf that was read."""
    return bool(parse_leaf(leaf).get("prev") == encode_base64(position.leaf_hash))
