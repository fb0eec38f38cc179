"""Reading content: from sealed rows to fields with their states.

Every field that a leaf commits to comes out with exactly one state (RECORD 4):

    DISCLOSED   the disclosure is there and its digest is the leaf's
    ERASED      an erasure record that covers this record and field says so (`by`)
    EXPIRED     an expiry record does
    MISSING     it is not there and no record says why: a failure
    MISMATCH    what is there is not what the leaf commits to, or does not open: a failure

The ledger is read in one snapshot, keys in one look-up. Rows of `removals` only point to the record to ask: what counts
is that record itself, whose ranges and fields must cover this one.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import Connection, select

from counterfoil.core.disclosure import BlobRef, digest_of, encode_disclosure, parse_disclosure
from counterfoil.core.errors import EvidenceError, UnsupportedError
from counterfoil.core.record import parse_record
from counterfoil.core.removal import covers
from counterfoil.core.state import ContentState
from counterfoil.log.batch import LogInfo
from counterfoil.log.keystore import Keystore
from counterfoil.log.records import read_leaf
from counterfoil.log.seal import part_count, unseal, unseal_part
from counterfoil.log.tables import blobs, contents, removals
from counterfoil.store.database import Database

Leaf = dict[str, Any]
MAX_AT_ONCE = 500
"""Records whose content is read by one query."""


@dataclass(frozen=True, slots=True)
class Content:
    """One field of one record."""

    state: ContentState
    value: Any = None
    """The JSON value where disclosed; `{"blob": {...}}` for a large one (see `read_blob`)."""
    disclosure: str | None = None
    """The disclosure, base64url, where disclosed."""
    by: int | None = None
    """The `seq` of the erasure or expiry."""


class Contents:
    """Opens content of the ledger with the keys of the keystore."""

    def __init__(self, ledger: Database, keystore: Keystore) -> None:
        self._ledger = ledger
        self._keystore = keystore

    def open(self, log: LogInfo, rows: Sequence[tuple[int, Leaf]]) -> dict[int, dict[str, Content]]:
        """`open_contents` in a snapshot of its own."""
        with self._ledger.read() as connection:
            return open_contents(connection, self._keystore, log.id, log.origin, rows)

    def read_blob(self, log: LogInfo, seq: int, field: str, value: Any) -> Iterator[bytes]:
        """The bytes of a large value, part by part; `value` is the field's `{"blob": {...}}`.

        EvidenceError("blob") where a part is missing, does not open, or the whole does not match the reference.
        """
        reference = BlobRef.parse(value)
        parts = part_count(reference.size)
        with self._ledger.read() as connection:
            query = select(blobs.c.part, blobs.c.key_id, blobs.c.sealed).where(
                blobs.c.log_id == log.id, blobs.c.seq == seq, blobs.c.field == field
            )
            checker = _BlobChecker(reference)
            for part in range(parts):
                found = connection.execute(query.where(blobs.c.part == part)).fetchall()
                keys = self._keystore.open_keys(log.id, [row.key_id for row in found])
                row = next((row for row in found if row.key_id in keys), None)
                if row is None:
                    raise EvidenceError("blob", f"part {part} of {field} of record {seq} is missing")
                data = unseal_part(keys[row.key_id], log.origin, reference.sha256, part, parts, row.sealed)
                checker.take(data)
                yield data
            checker.end()


class _BlobChecker:
    """Compares a blob with its reference while it streams by."""

    def __init__(self, reference: BlobRef) -> None:
        self._reference = reference
        self._digest = sha256(reference.salt)
        self._size = 0

    def take(self, data: bytes) -> None:
        self._digest.update(data)
        self._size += len(data)

    def end(self) -> None:
        if self._size != self._reference.size or self._digest.digest() != self._reference.sha256:
            raise EvidenceError("blob", "its bytes are not those that the record commits to")


def open_contents(
    connection: Connection,
    keystore: Keystore,
    log_id: int,
    origin: str,
    rows: Sequence[tuple[int, Leaf]],
    values: Container[str] | None = None,
) -> dict[int, dict[str, Content]]:
    """Every content field of the given records, by `seq` and name, within the caller's snapshot of the ledger.

    `values` names the fields whose values are wanted (None: all). The others come with disclosure and state and no
    value, except references to large values; their digests are compared all the same. Saves most of the time of a
    caller that hands disclosures on unread.
    """
    committed = {seq: leaf["content"] for seq, leaf in rows if leaf.get("content")}
    answer: dict[int, dict[str, Content]] = {seq: {} for seq, _ in rows}
    sealed = read_sealed(connection, log_id, list(committed))
    keys = keystore.open_keys(log_id, {key_id for found in sealed.values() for key_id, _ in found})
    removed = _Removals(connection, log_id)
    for seq, digests in committed.items():
        fields = answer[seq]
        broken = False
        for key_id, data in sealed.get(seq, ()):
            if (key := keys.get(key_id)) is None:
                continue  # destroyed; whether that was lawful is asked below
            try:
                disclosures = unseal(key, origin, digests, data)
            except EvidenceError:
                broken = True
                continue
            for disclosure in disclosures:
                if (found := _check(disclosure, digests, values)) is not None:
                    name, content = found
                    if name not in fields or fields[name].state is not ContentState.DISCLOSED:
                        fields[name] = content
        for name in digests:
            if name not in fields:
                fields[name] = removed.state_of(seq, name, broken=broken)
    return answer


def _check(disclosure: bytes, digests: dict[str, str], values: Container[str] | None) -> tuple[str, Content] | None:
    """One disclosure against the leaf; None where the leaf has no such field (what survived of another sealing)."""
    try:
        name = None if values is None else _name_of_unread(disclosure)
        if values is not None and name is not None and name not in values:
            value = None
        else:
            _, name, value = _load(disclosure)
    except (ValueError, TypeError):
        # Not what orjson reads (integers of more than 64 bits), or no disclosure at all: the strict reader decides.
        try:
            opened = parse_disclosure(encode_disclosure(disclosure))
        except EvidenceError:
            return None
        name, value = opened.name, opened.value
    if not isinstance(name, str) or name not in digests:
        return None
    encoded = encode_disclosure(disclosure)
    if digest_of(encoded) != digests[name]:
        return name, Content(ContentState.MISMATCH)
    return name, Content(ContentState.DISCLOSED, value, encoded)


_WIDE_NUMBER = re.compile(rb"[0-9]{19}").search
"""Nineteen digits may be an integer of more than 64 bits, which orjson makes a float."""


def read_value(disclosure: bytes) -> Any:
    """The value in the JSON bytes of a disclosure, integers of any size as they were sent; ValueError for no JSON."""
    return _load(disclosure)[2]


def _load(disclosure: bytes) -> Any:
    return (orjson.loads if _WIDE_NUMBER(disclosure) is None else json.loads)(disclosure)


def _name_of_unread(disclosure: bytes) -> str | None:
    """The name in `["salt","name",value]` as our own printer writes it, the value left unread; None for any other form
    and for a reference to a large value."""
    bracket, _, comma, name, value = [*disclosure.split(b'"', 4), b"", b"", b"", b""][:5]
    if (bracket, comma, value[:1]) != (b"[", b",", b",") or value.startswith(b',{"blob":') or b"\\" in name:
        return None
    return name.decode("ascii", "replace")


def read_sealed(connection: Connection, log_id: int, seqs: Sequence[int]) -> dict[int, list[tuple[bytes, bytes]]]:
    """Sealed contents of these records by `seq`: (key id, bytes), each to be opened with a key that still exists."""
    found: dict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
    columns = select(contents.c.seq, contents.c.key_id, contents.c.sealed).where(contents.c.log_id == log_id)
    for query in _ranges(columns, sorted(seqs)):
        for seq, key_id, sealed in connection.execute(query):
            found[seq].append((key_id, sealed))
    return found


def _ranges(columns: Any, seqs: Sequence[int]) -> Iterator[Any]:
    """One query for a run of neighbours, else one for at most `MAX_AT_ONCE` single records."""
    for at in range(0, len(seqs), MAX_AT_ONCE):
        part = seqs[at : at + MAX_AT_ONCE]
        if part[-1] - part[0] == len(part) - 1:
            yield columns.where(contents.c.seq.between(part[0], part[-1]))
        else:
            yield columns.where(contents.c.seq.in_(part))


class _Removals:
    """Which erasure or expiry explains that a field is not there."""

    def __init__(self, connection: Connection, log_id: int) -> None:
        self._connection = connection
        self._log_id = log_id
        self._leaves: dict[int, Leaf | None] = {}

    def state_of(self, seq: int, name: str, *, broken: bool) -> Content:
        """ERASED or EXPIRED where a record covers exactly this; else MISMATCH (it does not open) or MISSING."""
        query = select(removals.c.by_seq).where(
            removals.c.log_id == self._log_id, removals.c.first_seq <= seq, removals.c.last_seq >= seq
        )
        for by in sorted(self._connection.execute(query).scalars()):
            leaf = self._leaf(by)
            if leaf is not None and covers(leaf, seq, name):
                state = ContentState.ERASED if leaf["kind"] == "erasure" else ContentState.EXPIRED
                return Content(state, by=by)
        return Content(ContentState.MISMATCH if broken else ContentState.MISSING)

    def _leaf(self, by: int) -> Leaf | None:
        if by not in self._leaves:
            data = read_leaf(self._connection, self._log_id, by)
            try:
                self._leaves[by] = None if data is None else parse_record(data)
            except (EvidenceError, UnsupportedError):
                self._leaves[by] = None  # a damaged record explains nothing
        return self._leaves[by]


def parse_leaves(rows: Iterable[tuple[int, bytes]]) -> list[tuple[int, Leaf]]:
    """Stored leaves as `open` takes them, without checking them again."""
    return [(seq, orjson.loads(leaf)) for seq, leaf in rows]
