"""One range of a log, every byte of it: leaves, chain, tree, contents, and the checkpoints signed over it.

Each leaf is parsed strictly and must say what it is by its place: this log, this `seq`, the hash of the leaf before it,
a `recorded_at` that does not lie before that one's (RECORD 1 and 5), a kind that the log's purpose allows (RECORD 2).
`supersedes` must name an earlier record of the same writer, trace and span. The leaf hashes then go into the tree, and
contents are opened beside them.
"""

import json
from binascii import b2a_base64
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import Connection

from counterfoil.core.encoding import format_json
from counterfoil.core.errors import EvidenceError, UnsupportedError
from counterfoil.core.merkle import HASH_SIZE, leaf_hash
from counterfoil.core.note import format_vkey
from counterfoil.core.record import MAX_LEAF_BYTES, check_record, parse_record, read_usual
from counterfoil.core.schema import KINDS, KINDS_BY_PURPOSE
from counterfoil.core.tiles import TILE_WIDTH
from counterfoil.log.fsck.checkpoints import RangeCheckpoints
from counterfoil.log.fsck.collector import Collector
from counterfoil.log.fsck.contents import RangeContents
from counterfoil.log.fsck.job import Counts, RangeJob, Result
from counterfoil.log.fsck.tiles import RangeTree
from counterfoil.log.keystore import Keystore
from counterfoil.log.links import NO_PREVIOUS
from counterfoil.log.records import read_leaf, read_leaves
from counterfoil.store.database import Database

_NO_HASH = bytes(HASH_SIZE)
"""Stands in the tree for a leaf that is missing; no leaf hashes to it."""

_SAME_IN_SUPERSEDED = ("writer", "trace_id", "span_id")


def check_range(job: RangeJob, ledger: Database, keystore: Keystore | None) -> Result:
    """Check one range in one snapshot. Damage is a finding; only what stops the check itself is raised."""
    found, counts = Collector(job.log.origin), Counts()
    with ledger.read() as conn:
        chain = _Chain(conn, job, found)
        tree = RangeTree(conn, job.log, job.first, job.end, found)
        contents = RangeContents(ledger, conn, job, keystore, found, counts) if job.depth.contents else None
        signed = RangeCheckpoints(conn, job, found)
        folds: dict[int, bytes] = {}
        for n in range(job.first // TILE_WIDTH, -(-job.end // TILE_WIDTH)):
            end = min((n + 1) * TILE_WIDTH, job.end)
            hashes, leaves = chain.check(n * TILE_WIDTH, end)
            folds |= tree.add(n, hashes, signed.sizes_until(end))
            if contents is not None:
                contents.check(leaves, end)
        if contents is not None:
            contents.finish()
        counts.records = chain.records
        counts.arriving = chain.arriving
        counts.tiles = tree.compared
        counts.checkpoints = signed.checked
        return Result(
            list(found.drain()),
            counts,
            tree.tile_roots,
            folds,
            signed.roots,
            last_hash=chain.previous,
            last_recorded_at=chain.recorded_at,
        )


class _Chain:
    """The leaves of a range, in order."""

    def __init__(self, conn: Connection, job: RangeJob, found: Collector) -> None:
        self._conn = conn
        self._log = job.log
        self._parse = job.depth.parse
        self._found = found
        self._log_member = b'"log":' + format_json(job.log.origin)
        self.records = 0
        self.arriving = 0
        self.previous, self.recorded_at = self._before(job.first)
        self._purpose, self._kinds = self._read_purpose() if self._parse else ("", KINDS)

    def check(self, first: int, end: int) -> tuple[list[bytes], list[tuple[int, dict[str, Any] | None]]]:
        """Return the leaf hashes of [first, end), and of each record there its leaf, None where it has no sense."""
        hashes: list[bytes] = []
        leaves: list[tuple[int, dict[str, Any] | None]] = []
        expected = first
        for seq, data in read_leaves(self._conn, self._log.id, first, end):
            if seq > expected:
                self._missing(expected, seq)
                hashes.extend([_NO_HASH] * (seq - expected))
            if self._parse:
                leaves.append((seq, self._check_parsed(seq, data)))
            else:
                self._check_bytes(seq, data)
                leaves.append((seq, None))
            self.previous = sha256(b"\x00" + data).digest()
            hashes.append(self.previous)
            expected = seq + 1
        self.records += len(leaves)
        if expected < end:
            self._missing(expected, end)
            hashes.extend([_NO_HASH] * (end - expected))
        return hashes, leaves

    def _check_parsed(self, seq: int, data: bytes) -> dict[str, Any] | None:
        try:
            leaf = parse_leaf(data)
        except UnsupportedError as error:
            self._found.add("leaf_version_unknown", str(error), seq=seq)
            return None
        except EvidenceError as error:
            self._found.add("leaf_invalid", str(error), seq=seq, attack=1)
            return None
        self._check_place(seq, leaf)
        if leaf["kind"] not in self._kinds:
            message = f"a record of kind {leaf['kind']} does not belong into a log of purpose {self._purpose}"
            self._found.add("kind_misplaced", message, seq=seq)
        recorded_at = leaf["recorded_at"]
        # The format has one width, so text order is time order.
        if recorded_at < self.recorded_at:
            message = f"recorded at {recorded_at}, before the record ahead of it ({self.recorded_at})"
            self._found.add("recorded_at_decreases", message, seq=seq, attack=12)
        self.recorded_at = recorded_at
        if "supersedes" in leaf:
            self._check_supersedes(seq, leaf)
        if must_have_arrived(leaf):
            self.arriving += 1
        return leaf

    def _check_place(self, seq: int, leaf: dict[str, Any]) -> None:
        if leaf["seq"] != seq:
            self._found.add("leaf_moved", f"its leaf says that it is record {leaf['seq']}", seq=seq, attack=4)
        if leaf["log"] != self._log.origin:
            self._found.add("leaf_of_another_log", f"its leaf is of the log {leaf['log']}", seq=seq, attack=4)
        if leaf["prev"] != b2a_base64(self.previous, newline=False).decode():
            self._broken(seq)
        if (leaf["kind"] == "genesis") != (seq == 0):
            self._found.add("genesis_misplaced", "a log begins with one genesis record", seq=seq, attack=4)
        elif seq == 0 and self._log.key is not None and not _names_key(leaf, format_vkey(self._log.key)):
            message = "the genesis record does not name the key that this log is checked with"
            self._found.add("genesis_key", message, seq=seq, attack=7)

    def _check_supersedes(self, seq: int, leaf: dict[str, Any]) -> None:
        earlier = leaf["supersedes"]
        data = read_leaf(self._conn, self._log.id, earlier) if earlier < seq else None
        if data is None:
            message = f"it supersedes record {earlier}, which is not an earlier record of the log"
            self._found.add("supersedes_unlawful", message, seq=seq, attack=29)
            return
        try:
            superseded = json.loads(data)
        except ValueError:
            return  # that record is a finding of its own
        if any(leaf.get(name) != superseded.get(name) for name in _SAME_IN_SUPERSEDED):
            message = f"it supersedes record {earlier}, which another writer sent, or about another span"
            self._found.add("supersedes_unlawful", message, seq=seq, attack=29)

    def _check_bytes(self, seq: int, data: bytes) -> None:
        link = b'"prev":"%b"' % b2a_base64(self.previous, newline=False)
        if link not in data or b',"seq":%d,"source":"' % seq not in data or self._log_member not in data:
            self._broken(seq)

    def _broken(self, seq: int) -> None:
        """One changed record breaks one link, the one behind it; that is the record to name."""
        if seq == 0:
            self._found.add("chain_broken", "record 0 links to a record before it", seq=0, attack=1)
            return
        message = f"record {seq} links to other bytes than are stored here: this record was changed, or that link"
        self._found.add("chain_broken", message, seq=seq - 1, attack=1)

    def _missing(self, first: int, end: int) -> None:
        what = f"record {first} is missing" if end == first + 1 else f"records {first} to {end - 1} are missing"
        self._found.add("records_missing", what, seq=first, attack=4)
        self.previous = _NO_HASH

    def _read_purpose(self) -> tuple[str, frozenset[str]]:
        """Return what the genesis says that the log is for, and the kinds that it may hold.

        Every kind where that cannot be read: the genesis is a finding of its own then.
        """
        data = read_leaf(self._conn, self._log.id, 0)
        try:
            purpose = "" if data is None else parse_leaf(data).get("genesis", {}).get("purpose", "")
        except (EvidenceError, UnsupportedError):
            purpose = ""
        return purpose, KINDS_BY_PURPOSE.get(purpose, KINDS)

    def _before(self, first: int) -> tuple[bytes, str]:
        """Return the hash and the time of the record before the range; that record is checked in its own range."""
        if first == 0:
            return NO_PREVIOUS, ""
        data = read_leaf(self._conn, self._log.id, first - 1)
        if data is None:
            return _NO_HASH, ""
        try:
            recorded_at = str(json.loads(data).get("recorded_at", "")) if self._parse else ""
        except (ValueError, AttributeError):
            recorded_at = ""
        return leaf_hash(data), recorded_at


def parse_leaf(data: bytes) -> dict[str, Any]:
    """Parse a leaf as strictly as `core.record.parse_record`, at less than half its cost where the leaf is good.

    On the closed tables of a record (no floats, no nulls, ASCII keys) what orjson prints sorted *is* the canonical
    form, so printing again and comparing refuses every other spelling, duplicate keys too. Most leaves match the
    pattern of their kind and are not even printed. Whatever does not pass here goes to `parse_record`, which has the
    last word and says what is wrong.
    """
    if (usual := read_usual(data, orjson.loads)) is not None:
        return usual
    if len(data) <= MAX_LEAF_BYTES:
        try:
            leaf = orjson.loads(data)
            if orjson.dumps(leaf, option=orjson.OPT_SORT_KEYS) == data:
                check_record(leaf)
                return leaf  # type: ignore[no-any-return]  # check_record has seen that it is an object
        except (ValueError, TypeError, EvidenceError):
            pass
    return parse_record(data)


def must_have_arrived(leaf: dict[str, Any]) -> bool:
    """Whether a record came from a producer as an item of its own, so that an arrival points to it."""
    return str(leaf["source"]).startswith("otlp:") and not leaf.get("producer", {}).get("part", 0)


def _names_key(genesis: dict[str, Any], vkey: str) -> bool:
    return vkey in genesis["genesis"].get("vkeys", [])
