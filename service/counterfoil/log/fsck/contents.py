"""Sealed contents of one range: each is opened, and every disclosure compared with the digest in the leaf (RECORD 4).

A field of a record is one of: DISCLOSED (its disclosure was found, matches its digest and carries its name), ERASED or
EXPIRED (a removal names the record that covers it), MISSING (neither) or MISMATCH (something is there that is not what
the leaf committed to). The last two are findings; so is sealed content that no leaf asks for, and a removal that no
erasure or expiry record of the log covers.
"""

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, select

from counterfoil.core.disclosure import BlobRef, check_blob
from counterfoil.core.errors import EvidenceError, Fault, UnsupportedError
from counterfoil.core.record import parse_record
from counterfoil.core.removal import covers
from counterfoil.core.state import ContentState
from counterfoil.log.fsck.collector import Collector
from counterfoil.log.fsck.disclosures import PartReader
from counterfoil.log.fsck.job import Counts, RangeJob
from counterfoil.log.keystore import Keystore
from counterfoil.log.records import read_leaf
from counterfoil.log.seal import part_count, unseal, unseal_part
from counterfoil.log.tables import blobs, contents, removals
from counterfoil.store.database import Database

MAX_KEYS_KEPT = 20_000
"""Opened data keys that one range keeps; one key serves an interaction, whose records lie close together."""

Leaves = list[tuple[int, dict[str, Any] | None]]


class RangeContents:
    """The contents of the records of a range, in step with their leaves."""

    def __init__(
        self,
        ledger: Database,
        conn: Connection,
        job: RangeJob,
        keystore: Keystore | None,
        found: Collector,
        counts: Counts,
    ) -> None:
        self._ledger = ledger
        self._job = job
        self._conn = conn
        self._log = job.log
        self._keystore = keystore
        self._found = found
        self._counts = counts
        self._rows = _rows(conn, job)
        self._next = next(self._rows, None)
        self._keys: dict[bytes, bytes | None] = {}
        self._blobs = _blob_fields(conn, job)
        self._removed = _Removals(conn, job, found)
        self._reader = PartReader()

    def check(self, leaves: Leaves, end: int) -> None:
        """Check the contents of consecutive records that end before `end`."""
        sealed: dict[int, list[tuple[bytes, bytes]]] = {}
        while self._next is not None and self._next.seq < end:
            row = self._next
            sealed.setdefault(row.seq, []).append((row.key_id, row.sealed))
            self._next = next(self._rows, None)
        self._open_keys({key_id for rows in sealed.values() for key_id, _ in rows})
        for seq, leaf in leaves:
            rows = sealed.pop(seq, [])
            if leaf is None:
                continue  # a finding already: nothing says what its content should be
            content = leaf.get("content", {})
            if content:
                self._check_record(seq, content, rows)
            elif rows:
                self._found.add("content_unasked", "sealed content is stored, but its leaf has none", seq=seq, attack=2)
        for seq in sealed:
            self._found.add("content_unasked", "sealed content is stored, but no record", seq=seq, attack=2)

    def finish(self) -> None:
        """Check what the range's removals rest on, and that every large value was asked for."""
        self._removed.check()
        for seq, field in sorted(self._blobs):
            message = f"a large value is stored for {field}, but no disclosure refers to it"
            self._found.add("content_unasked", message, seq=seq, attack=2)

    def _check_record(self, seq: int, content: dict[str, str], rows: list[tuple[bytes, bytes]]) -> None:
        fields = {digest.encode(): name for name, digest in content.items()}
        missing = set(content)
        unopened = False
        salts: set[bytes] = set()
        for key_id, sealed in rows:
            self._counts.contents += 1
            key = self._keys.get(key_id)
            if key is None:
                unopened = True
                self._blobs = {(at, name) for at, name in self._blobs if at != seq}
                continue
            try:
                parts = unseal(key, self._log.origin, content, sealed)
            except EvidenceError as error:
                self._mismatch(seq, str(error))
                missing.clear()
                continue
            for part in parts:
                try:
                    name, salt, value = self._reader.read(part, fields)
                except EvidenceError as error:
                    self._mismatch(seq, str(error))
                    continue
                missing.discard(name)
                self._counts.disclosures += 1
                if salt in salts:
                    self._found.add("salt_reused", f"two fields share one salt ({name})", seq=seq, attack=22)
                salts.add(salt)
                if type(value) is dict and "blob" in value:
                    self._check_blob(seq, name, value)
        self._account_for(seq, missing, unopened)

    def _account_for(self, seq: int, missing: set[str], unopened: bool) -> None:
        """Say why fields were not found, or that nothing explains it."""
        if not missing:
            return
        missing = {name for name in missing if self._removed.state_of(seq, name) is None}
        self._counts.removed += 1
        if not missing:
            return
        self._counts.removed -= 1
        names = ", ".join(sorted(missing))
        if not unopened:
            self._found.add("content_missing", f"no content, and no removal, of: {names}", seq=seq, attack=2)
        elif self._keystore is None:
            self._counts.unopened += 1
        elif not self._removed_meanwhile(seq, missing):
            message = f"the keystore has no key for the content of: {names}; no removal explains it"
            self._found.add("content_key_missing", message, seq=seq, attack=2)

    def _removed_meanwhile(self, seq: int, fields: set[str]) -> bool:
        """Whether the content was erased while this check ran: the keystore is not part of the ledger's snapshot."""
        with self._ledger.read() as conn:
            removed = _Removals(conn, self._job, self._found)
        return all(removed.state_of(seq, name) is not None for name in fields)

    def _check_blob(self, seq: int, name: str, value: dict[str, Any]) -> None:
        """A large value: its parts open, follow each other and give the digest in its reference."""
        try:
            reference = BlobRef.parse(value)
        except EvidenceError:
            return  # a producer's own object that happens to have a member of that name
        self._blobs.discard((seq, name))
        rows = self._conn.execute(
            select(blobs.c.part, blobs.c.key_id, blobs.c.sealed)
            .where(blobs.c.log_id == self._log.id, blobs.c.seq == seq, blobs.c.field == name)
            .order_by(blobs.c.part),
            execution_options={"yield_per": 1},
        )
        try:
            check_blob(reference, self._parts(reference, rows))
        except EvidenceError as error:
            check = "content_missing" if error.check == "blob_part" else "content_mismatch"
            self._found.add(check, f"the large value of {name}: {error}", seq=seq, attack=2)

    def _parts(self, reference: BlobRef, rows: Any) -> Iterator[bytes]:
        count = part_count(reference.size)
        at = 0
        for row in rows:
            if row.part < at:
                continue  # the same part, sealed under another key as well
            key = self._open_keys({row.key_id}).get(row.key_id)
            if row.part > at or key is None:
                continue
            yield unseal_part(key, self._log.origin, reference.sha256, at, count, row.sealed)
            at += 1
        if at != count:
            raise EvidenceError("blob_part", f"{at} of {count} parts are there and have a key")

    def _mismatch(self, seq: int, message: str) -> None:
        self._found.add("content_mismatch", message, seq=seq, attack=2)

    def _open_keys(self, key_ids: set[bytes]) -> dict[bytes, bytes | None]:
        unknown = key_ids - self._keys.keys()
        if unknown and self._keystore is not None:
            if len(self._keys) > MAX_KEYS_KEPT:
                self._keys.clear()
                unknown = key_ids
            self._keys.update(self._read_keys(self._keystore, unknown))
        return self._keys

    def _read_keys(self, keystore: Keystore, key_ids: set[bytes]) -> dict[bytes, bytes | None]:
        try:
            return {**dict.fromkeys(key_ids), **keystore.open_keys(self._log.id, key_ids)}
        except Fault:
            # One damaged key must not hide the others.
            return {key_id: self._read_key(keystore, key_id) for key_id in key_ids}

    def _read_key(self, keystore: Keystore, key_id: bytes) -> bytes | None:
        try:
            return keystore.open_keys(self._log.id, {key_id}).get(key_id)
        except Fault as error:
            self._found.add("key_damaged", str(error), attack=2)
            return None


class _Removals:
    """The removals that touch a range, each checked against the record that it names."""

    def __init__(self, conn: Connection, job: RangeJob, found: Collector) -> None:
        self._found = found
        self._rows = conn.execute(
            select(removals).where(
                removals.c.log_id == job.log.id, removals.c.first_seq < job.end, removals.c.last_seq >= job.first
            )
        ).all()
        # Read now: a field may be asked about when this snapshot is gone.
        named = {row.by_seq for row in self._rows}
        self._leaves = {by: _read_removing(conn, job.log.id, by) for by in named}

    def state_of(self, seq: int, field: str) -> ContentState | None:
        """Return the state of a removed field, None where no removal covers it."""
        for row in self._rows:
            leaf = self._leaves[row.by_seq]
            if row.first_seq <= seq <= row.last_seq and leaf is not None and covers(leaf, seq, field):
                return ContentState.ERASED if leaf["kind"] == "erasure" else ContentState.EXPIRED
        return None

    def check(self) -> None:
        """Find removals whose record does not say so."""
        for row in self._rows:
            if (fault := self._fault(row)) is not None:
                message = f"a removal of records {row.first_seq} to {row.last_seq} names record {row.by_seq}: {fault}"
                self._found.add("removal_unfounded", message, seq=row.by_seq, attack=2)

    def _fault(self, row: Row[Any]) -> str | None:
        leaf = self._leaves[row.by_seq]
        if leaf is None:
            return "it does not exist or cannot be read"
        if leaf["kind"] != row.kind:
            return f"it is a {leaf['kind']}, not an {row.kind}"
        facts = leaf[row.kind]
        if not any(first <= row.first_seq and row.last_seq <= last for first, last in facts["ranges"]):
            return "it does not cover them"
        fields = None if row.fields is None else json.loads(row.fields)
        if facts["fields"] != "all" and (fields is None or not set(fields) <= set(facts["fields"])):
            return "it does not name these fields"
        return None


def _read_removing(conn: Connection, log_id: int, by: int) -> dict[str, Any] | None:
    """Return the record that a removal names, None where it is not there or cannot be read."""
    data = read_leaf(conn, log_id, by)
    try:
        return None if data is None else parse_record(data)
    except (EvidenceError, UnsupportedError):
        return None


def _rows(conn: Connection, job: RangeJob) -> Iterator[Row[int, bytes, bytes]]:
    rows = conn.execute(
        select(contents.c.seq, contents.c.key_id, contents.c.sealed)
        .where(contents.c.log_id == job.log.id, contents.c.seq >= job.first, contents.c.seq < job.end)
        .order_by(contents.c.seq, contents.c.key_id),
        execution_options={"yield_per": 1024},
    )
    yield from rows


def _blob_fields(conn: Connection, job: RangeJob) -> set[tuple[int, str]]:
    """Return (seq, field) of every large value that is stored for the range; they are few."""
    query = (
        select(blobs.c.seq, blobs.c.field)
        .where(blobs.c.log_id == job.log.id, blobs.c.seq >= job.first, blobs.c.seq < job.end)
        .distinct()
    )
    return {(seq, field) for seq, field in conn.execute(query)}
