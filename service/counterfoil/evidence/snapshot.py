"""What a bundle is read from: one log, in one snapshot of the ledger, at its newest published checkpoint.

Everything is read below that checkpoint; records that are appended meanwhile do not exist for this bundle. The
checkpoint is opened with the log's own key first, so a note that somebody changed in the store stops the export.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, func, select

from counterfoil.core.checkpoint import open_checkpoint
from counterfoil.core.disclosure import BlobRef
from counterfoil.core.encoding import format_time_us
from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.core.merkle import prove_consistency
from counterfoil.core.note import parse_vkey
from counterfoil.core.state import ContentState
from counterfoil.evidence.flat import WORDS
from counterfoil.evidence.sealed import Sealed
from counterfoil.log.batch import LogInfo
from counterfoil.log.checkpoints import latest
from counterfoil.log.contents import Content, Contents, open_contents, read_sealed
from counterfoil.log.logs import Logs
from counterfoil.log.receipts import Prover
from counterfoil.log.records import read_leaf, read_leaves
from counterfoil.log.tables import blobs as sealed_blobs
from counterfoil.log.tables import contents as sealed_contents
from counterfoil.log.tables import records as stored_records
from counterfoil.log.tables import removals
from counterfoil.log.tree import read_hashes
from counterfoil.store.bulk import select_each

MAX_BATCH_SEALED_BYTES = 1024 * 1024
"""Sealed content opened together. Message histories shrink sixty-fold, so this may open to many megabytes."""

_WORDS = frozenset(WORDS)

MAX_BATCH_RECORDS = 64
"""Records opened together. Few, so that what is opened dies young: more only makes the collector walk everything."""


@dataclass(frozen=True, slots=True)
class LogFacts:
    """Which log: its names, key and beginning, as a bundle states them."""

    name: str
    origin: str
    tenant: str
    purpose: str
    region: str | None
    vkey: str
    created_at: str


@dataclass(frozen=True, slots=True)
class StoredField:
    """One content field as it was found: its state; where it is DISCLOSED its disclosure, and the value of words."""

    state: ContentState
    value: Any = None
    disclosure: str | None = None
    by: int | None = None
    blob: BlobRef | None = None


class Numbered(Protocol):
    """Anything with the leaf of one record."""

    @property
    def seq(self) -> int: ...

    @property
    def leaf(self) -> dict[str, Any]: ...


Record = TypeVar("Record", bound=Numbered)


class Snapshot:
    """Reads one log at one checkpoint, through one connection that holds the snapshot."""

    def __init__(self, connection: Connection, logs: Logs, log: LogInfo) -> None:
        """InputError `not_covered` where the log has no checkpoint yet; EvidenceError where its note does not open."""
        self._connection = connection
        self._keystore = logs.keystore
        self._contents = Contents(logs.ledger, logs.keystore)
        self._log = log
        self.log = LogFacts(
            log.name, log.origin, log.tenant, log.purpose, log.region, log.vkey, format_time_us(log.created_us)
        )
        newest = latest(connection, log.id)
        if newest is None:
            raise InputError("not_covered", f"the log {log.name} has no checkpoint yet: try again in a second")
        self.note = newest[1]
        self.checkpoint, _ = open_checkpoint(self.note, log.origin, [parse_vkey(log.vkey)])
        self._prover = Prover(connection, log.id)
        if self._prover.checkpoint != self.note:
            raise EvidenceError("checkpoint_size", "the newest checkpoint changed within one snapshot; run fsck")
        self._blobs: dict[tuple[int, str], Any] = {}

    def leaves(self, first: int, end: int) -> Iterator[tuple[int, bytes]]:
        """(seq, leaf) of the records [first, end), in order; what is missing in the store is left out."""
        return read_leaves(self._connection, self._log.id, first, end)

    def leaf(self, seq: int) -> bytes | None:
        """One leaf, None where it is missing or beyond the checkpoint."""
        return read_leaf(self._connection, self._log.id, seq) if seq < self.checkpoint.size else None

    def leaves_at(self, seqs: Sequence[int]) -> list[bytes | None]:
        """The leaf at each of these numbers."""
        keys = [(self._log.id, seq) for seq in seqs]
        rows = select_each(self._connection, stored_records, ("log_id", "seq"), ("leaf",), keys)
        return [None if row is None else row[0] for row in rows]

    def batches(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        """The same records in batches whose content fits in memory."""
        if not records:
            return
        sizes = self._sealed_sizes(records[0].seq, records[-1].seq)
        start = held = 0
        for at, record in enumerate(records):
            size = sizes.get(record.seq, 0)
            if at - start == MAX_BATCH_RECORDS or (held and held + size > MAX_BATCH_SEALED_BYTES):
                yield records[start:at]
                start, held = at, 0
            held += size
        yield records[start:]

    def sealed(self, seqs: Sequence[int]) -> Sealed | None:
        """Sealed contents of these records, ascending, with the keys that still exist.

        None where they are too large to be opened together, or where something may have been erased or expired.
        """
        if not seqs:
            return Sealed({}, {})
        first, last = seqs[0], seqs[-1]
        if self._has_removals(first, last) or sum(self._sealed_sizes(first, last).values()) > MAX_BATCH_SEALED_BYTES:
            return None
        rows = read_sealed(self._connection, self._log.id, seqs)
        key_ids = {key_id for found in rows.values() for key_id, _ in found}
        return Sealed(rows, self._keystore.open_keys(self._log.id, key_ids))

    def has_removals(self, first: int, end: int) -> bool:
        """Whether content of the records [first, end) may have been erased or expired."""
        return self._has_removals(first, end - 1)

    def contents(
        self, rows: Sequence[tuple[int, dict[str, Any]]], *, is_needed: bool
    ) -> Mapping[int, Mapping[str, StoredField]]:
        """The content of these records. Not needed: opened only where something may be erased or expired."""
        if not rows or not (is_needed or self._has_removals(rows[0][0], rows[-1][0])):
            return {}
        self._blobs.clear()
        opened = open_contents(self._connection, self._keystore, self._log.id, self._log.origin, rows, _WORDS)
        return {
            seq: {name: self._stored(seq, name, content) for name, content in fields.items()}
            for seq, fields in opened.items()
        }

    def blob(self, seq: int, field: str) -> Iterator[bytes]:
        """The bytes of a large value of the last batch, in chunks."""
        return self._contents.read_blob(self._log, seq, field, self._blobs[seq, field])

    def count_blobs(self, first: int, end: int) -> int:
        """Large values of the records [first, end) that are still there."""
        query = select(func.count()).where(
            sealed_blobs.c.log_id == self._log.id,
            sealed_blobs.c.seq >= first,
            sealed_blobs.c.seq < end,
            sealed_blobs.c.part == 0,
        )
        return int(self._connection.execute(query).scalar_one())

    def prove(self, seq: int, leaf: bytes) -> bytes:
        """The tlog-proof of a record at this checkpoint."""
        proof = self._prover.prove(seq, leaf)
        if proof is None:
            raise InputError("not_covered", f"no checkpoint covers record {seq} yet", item=f"seqs: {seq}")
        return proof

    def prove_consistency(self, old_size: int) -> list[bytes]:
        """The consistency proof from an earlier size to this checkpoint."""
        size = self.checkpoint.size
        return prove_consistency(old_size, size, read_hashes(self._connection, self._log.id, size))

    def _stored(self, seq: int, name: str, content: Content) -> StoredField:
        value, blob = content.value, None
        if type(value) is dict and value.keys() == {"blob"} and content.state is ContentState.DISCLOSED:
            blob = BlobRef.parse(value)
            self._blobs[seq, name] = value
        return StoredField(content.state, value, content.disclosure, content.by, blob)

    def _sealed_sizes(self, first: int, last: int) -> dict[int, int]:
        query = select(sealed_contents.c.seq, func.length(sealed_contents.c.sealed)).where(
            sealed_contents.c.log_id == self._log.id, sealed_contents.c.seq.between(first, last)
        )
        sizes: dict[int, int] = {}
        for seq, size in self._connection.execute(query):
            sizes[seq] = sizes.get(seq, 0) + size
        return sizes

    def _has_removals(self, first: int, last: int) -> bool:
        query = select(removals.c.by_seq).where(
            removals.c.log_id == self._log.id, removals.c.first_seq <= last, removals.c.last_seq >= first
        )
        return self._connection.execute(query.limit(1)).first() is not None
