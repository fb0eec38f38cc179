"""Receipts: the proof that a record is in its log, as a C2SP tlog-proof that anybody can check offline.

A receipt exists once a published checkpoint covers the record, a second after the acknowledgement. Until then there is
None to hand out (the API answers 202).

The rule: nothing is handed out that does not check. The stored checkpoint is opened with the log's key, the proof is
run against its root, and what fails is an EvidenceError of ours (500), never a bad receipt in somebody's drawer.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, select

from counterfoil.core.checkpoint import open_checkpoint
from counterfoil.core.errors import EvidenceError
from counterfoil.core.merkle import ReadHashes, check_inclusion, leaf_hash, prove_inclusion
from counterfoil.core.note import parse_vkey
from counterfoil.core.proof import TlogProof, format_proof
from counterfoil.log.checkpoints import latest
from counterfoil.log.records import read_leaf
from counterfoil.log.tables import arrivals, logs
from counterfoil.log.tree import read_hashes

MAX_RECEIPTS = 256
"""Receipts of one answer: a trace with more spans is asked for span by span."""


class Prover:
    """Proves records of one log against its newest published checkpoint, in one snapshot.

    Keep one for many records: tiles that neighbours share are read once. `size` is 0 before the first checkpoint.
    """

    def __init__(self, conn: Connection, log_id: int) -> None:
        self._conn = conn
        self._log_id = log_id
        self.size = 0
        self.checkpoint = b""
        self._read: ReadHashes | None = None
        newest = latest(conn, log_id)
        if newest is not None:
            origin, vkey = conn.execute(select(logs.c.origin, logs.c.vkey).where(logs.c.id == log_id)).one()
            opened, _ = open_checkpoint(newest[1], origin, [parse_vkey(vkey)])
            if opened.size != newest[0]:
                raise EvidenceError("checkpoint_size", f"a checkpoint of size {opened.size} is filed under {newest[0]}")
            self.size, self.checkpoint, self._root = opened.size, newest[1], opened.root
            self._read = read_hashes(conn, log_id, opened.size)

    def prove(self, seq: int, leaf: bytes | None = None) -> bytes | None:
        """Return the tlog-proof of record `seq`, None where no checkpoint covers it; `leaf` saves reading it again."""
        if self._read is None or seq >= self.size:
            return None
        if leaf is None:
            leaf = read_leaf(self._conn, self._log_id, seq)
        if leaf is None:
            raise EvidenceError("leaf_missing", f"record {seq} is missing below a checkpoint of size {self.size}")
        hashes = prove_inclusion(seq, self.size, self._read)
        check_inclusion(leaf_hash(leaf), seq, self.size, hashes, self._root)
        return format_proof(TlogProof(seq, tuple(hashes), self.checkpoint))


def prove_record(conn: Connection, log_id: int, seq: int) -> bytes | None:
    """Return the tlog-proof of a record, None where no published checkpoint covers it yet."""
    return Prover(conn, log_id).prove(seq)


def find_arrivals(conn: Connection, log_id: int, trace_id: bytes, span_id: bytes | None) -> Iterator[int]:
    """Yield the `seq` of each record that arrived with this trace (16 bytes) and span (8 bytes, None: any), once.

    Every part of an item is a record of its own. More than MAX_RECEIPTS are cut off after one too many.
    """
    query = select(arrivals.c.seq, arrivals.c.parts).where(arrivals.c.log_id == log_id, arrivals.c.trace_id == trace_id)
    if span_id is not None:
        query = query.where(arrivals.c.span_id == span_id)
    # In the order of the primary key, so that the same question has the same answer.
    rows = conn.execute(query.order_by(arrivals.c.span_id, arrivals.c.mac).limit(MAX_RECEIPTS + 1)).all()
    found = {part for seq, parts in rows for part in range(seq, seq + min(parts, MAX_RECEIPTS + 1))}
    yield from sorted(found)[: MAX_RECEIPTS + 1]
