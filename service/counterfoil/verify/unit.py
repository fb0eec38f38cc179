"""Steps 7, 8, 9 and 11 for one unit of adjacent leaves: a pure function that a worker process runs.

Leaf by leaf, in this order: strict form, `log`, `seq`, `recorded_at` (7); link, border or own inclusion proof (8);
content (9); filter and totals (11). The first failure ends the unit. What concerns a unit's neighbours, the link
across the border and the order of time, is left to `leaves`, which gets first and last leaf back.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from counterfoil.core.disclosure import BlobRef, DisclosureReader
from counterfoil.core.encoding import decode_base64, encode_base64
from counterfoil.core.errors import EvidenceError, UnsupportedError
from counterfoil.core.filter import Filter, parse_filter
from counterfoil.core.merkle import check_inclusion, leaf_hash
from counterfoil.core.proof import parse_proof
from counterfoil.core.record import parse_record
from counterfoil.core.removal import REMOVAL_KINDS
from counterfoil.core.tiles import bundle_of
from counterfoil.verify.blame import Failure, failure_of
from counterfoil.verify.content import (
    check_complete,
    check_disclosures,
    check_states,
    disclosure_lines,
    state_lines,
    take_disclosures,
)
from counterfoil.verify.documents import parse_line, take_integer, take_text

LEAVES = "data/leaves"
PROOFS = "data/proofs.ndjson"
RELATED = "data/related.ndjson"
DISCLOSURES = "data/disclosures.ndjson"
STATES = "data/states.ndjson"

Removal = dict[str, Any]
"""An erasure or expiry: as much of its leaf as `core.removal.covers` reads."""

Identity = tuple[str | None, str | None, str | None]
"""Writer, trace and span of a record: what a record that supersedes another must share with it."""

_PROOF_KEYS = frozenset(("leaf", "proof", "seq"))


@dataclass(frozen=True, slots=True)
class Frame:
    """What all units of one pass share. `file` is empty for the leaves of a range, else the NDJSON file they are in."""

    file: str
    origin: str
    tree_size: int
    root: bytes
    checkpoint: bytes
    a: int
    b: int
    before: bool
    after: bool
    filter_json: str | None
    """None: nothing is presented (related records)."""

    def file_of(self, seq: int) -> str:
        """The file that holds leaf `seq`."""
        return self.file or leaves_file(seq, self.tree_size)


@dataclass(frozen=True, slots=True)
class Unit:
    """Adjacent items: leaves from `first` on (range), or NDJSON lines with leaf and proof; and the lines on content."""

    first: int
    items: Sequence[bytes]
    disclosures: bytes = b""
    states: bytes = b""


@dataclass(slots=True)
class Result:
    """What a unit showed; `failure` ends it early. `first` and `last`: (seq, link, recorded_at, leaf hash)."""

    failure: Failure | None = None
    first: tuple[int, str, str] | None = None
    last: tuple[int, bytes, str] | None = None
    leaves: int = 0
    count: int = 0
    first_match: int | None = None
    last_match: int | None = None
    by_kind: Counter[str] = field(default_factory=Counter)
    by_outcome: Counter[str] = field(default_factory=Counter)
    hashes: bytes = b""
    seqs: bytes = b""
    supersedes: list[tuple[int, int, Identity]] = field(default_factory=list)
    removals: list[Removal] = field(default_factory=list)
    blobs: list[tuple[int, str, BlobRef]] = field(default_factory=list)
    explained: bool = False


def leaves_file(seq: int, tree_size: int) -> str:
    """The entry bundle that holds leaf `seq`."""
    return LEAVES + bundle_of(seq, tree_size).path().removeprefix("tile/entries")


def identity_of(leaf: dict[str, Any]) -> Identity:
    """Writer, trace and span of a leaf."""
    return leaf.get("writer"), leaf.get("trace_id"), leaf.get("span_id")


@lru_cache(maxsize=8)
def _filter(filter_json: str) -> Filter:
    return parse_filter(json.loads(filter_json))


def find_broken_link(leaves: Sequence[bytes], hashes: Sequence[bytes]) -> int | None:
    """Index of the first leaf that does not hold the hash of the leaf before it; on bytes alone.

    A leaf that step 7 accepts holds `"prev":"` once: at its top level, since no other object has that key and quotes
    inside strings are escaped.
    """
    for index in range(1, len(leaves)):
        if b'"prev":"' + encode_base64(hashes[index - 1]).encode() + b'"' not in leaves[index]:
            return index
    return None


def _removal_of(leaf: dict[str, Any]) -> Removal:
    said = leaf[leaf["kind"]]
    kept = {key: said[key] for key in ("ranges", "fields") if key in said}
    return {"kind": leaf["kind"], "seq": leaf["seq"], leaf["kind"]: kept}


def _open_line(frame: Frame, line: bytes) -> tuple[int, bytes, tuple[bytes, ...]]:
    """Seq, leaf and inclusion proof of an NDJSON line, whose checkpoint must be the opened one."""
    value = parse_line(line, _PROOF_KEYS)
    proof = parse_proof(take_text(value, "proof").encode())
    seq = take_integer(value, "seq")
    if proof.index != seq or proof.extra is not None:
        raise EvidenceError("proof", f"the proof beside seq {seq} is of index {proof.index}, or has an extra line")
    if proof.checkpoint != frame.checkpoint:
        raise EvidenceError("proof", f"the proof of record {seq} is not under the bundle's checkpoint")
    return seq, decode_base64(take_text(value, "leaf")), proof.hashes


class _Check:
    """One unit under way: where it stands is what a failure names."""

    def __init__(self, frame: Frame, unit: Unit, result: Result) -> None:
        self.frame, self.unit, self.result = frame, unit, result
        self.number, self.file = 7, frame.file
        terms = None if frame.filter_json is None else _filter(frame.filter_json)
        self.filter = terms
        borders = dict(terms.terms) if terms else {}
        self.from_at, self.to_at = borders.get("from", ("",))[0], borders.get("to", ("",))[0]
        self.reader = DisclosureReader()
        self.hashes: list[bytes] = []
        self.seqs: list[bytes] = []

    def run(self) -> None:
        """Checks every leaf; raises at the first that fails, with `number` and `file` saying where."""
        frame, result = self.frame, self.result
        self.number, self.file = 9, DISCLOSURES
        self.disclosures = disclosure_lines(self.unit.disclosures)
        self.file = STATES
        self.states = state_lines(self.unit.states)
        if frame.file:
            self._run_lines()
        else:
            self._run_leaves()
        self.number, self.file = 9, DISCLOSURES
        self.disclosures.finish()
        self.file = STATES
        self.states.finish()
        result.hashes, result.seqs = b"".join(self.hashes), b"".join(self.seqs)

    def _run_leaves(self) -> None:
        leaves, frame = self.unit.items, self.frame
        hashes = [leaf_hash(leaf) for leaf in leaves]
        broken = find_broken_link(leaves, hashes)
        for index, leaf in enumerate(leaves):
            seq = self.unit.first + index
            if index == 0 or seq % 256 == 0:
                file = frame.file_of(seq)
            self.number, self.file = 7, file
            record = self._parse(leaf, seq)
            self.number = 8
            if index == broken:
                raise EvidenceError("prev", f"record {seq} does not hold the hash of record {seq - 1}")
            self._check_border(record, seq)
            self._keep(record, seq, hashes[index])
            if frame.a <= seq < frame.b:
                self._check_presented(record, seq, hashes[index])

    def _run_lines(self) -> None:
        frame = self.frame
        for line in self.unit.items:
            self.number, self.file = 8, frame.file
            seq, leaf, proof = _open_line(frame, line)
            self.number = 7
            record = self._parse(leaf, seq)
            hashed = leaf_hash(leaf)
            self.number = 8
            check_inclusion(hashed, seq, frame.tree_size, proof, frame.root)
            self._keep(record, seq, hashed)
            if self.filter is not None:
                self._check_presented(record, seq, hashed)

    def _parse(self, leaf: bytes, seq: int) -> dict[str, Any]:
        try:
            record = parse_record(leaf)
        except EvidenceError as error:
            raise EvidenceError(error.check, f"record {seq}: {error.message}") from None
        if record["log"] != self.frame.origin:
            raise EvidenceError("log", f"record {seq} is of another log")
        if record["seq"] != seq:
            raise EvidenceError("seq", f"record {record['seq']} is in the place of record {seq}")
        last = self.result.last
        if last is not None and (seq <= last[0] or record["recorded_at"] < last[2]):
            raise EvidenceError(
                "order", f"record {seq} does not come after record {last[0]}, or was recorded before it"
            )
        return record

    def _check_border(self, record: dict[str, Any], seq: int) -> None:
        frame = self.frame
        if frame.before and seq == frame.a - 1 and record["recorded_at"] >= self.from_at:
            raise EvidenceError("border", f"record {seq}, before the range, lies inside the time range")
        if frame.after and seq == frame.b and record["recorded_at"] < self.to_at:
            raise EvidenceError("border", f"record {seq}, after the range, lies inside the time range")

    def _keep(self, record: dict[str, Any], seq: int, hashed: bytes) -> None:
        result = self.result
        if result.first is None:
            result.first = (seq, record["prev"], record["recorded_at"])
        result.last = (seq, hashed, record["recorded_at"])
        result.leaves += 1
        if "supersedes" in record:
            result.supersedes.append((record["supersedes"], seq, identity_of(record)))
        if record["kind"] in REMOVAL_KINDS:
            result.removals.append(_removal_of(record))

    def _check_presented(self, record: dict[str, Any], seq: int, hashed: bytes) -> None:
        frame, result = self.frame, self.result
        if self.filter is None or not self.filter.matches(record):
            if frame.file:
                self.number = 11
                raise EvidenceError("filter", f"record {seq} is presented, but the filter does not select it")
            return
        content = record.get("content", {})
        self.number, self.file = 9, DISCLOSURES
        disclosed = take_disclosures(self.disclosures, seq, content)
        blobs = check_disclosures(content, disclosed, self.reader)
        self.file = STATES
        states = self.states.take(seq)
        result.explained = check_states(states) or result.explained
        check_complete(content, disclosed, states)
        result.blobs += [(seq, name, blob) for name, blob in blobs]
        result.count += 1
        result.first_match = seq if result.first_match is None else result.first_match
        result.last_match = seq
        result.by_kind[record["kind"]] += 1
        if (outcome := record.get("decision", {}).get("outcome")) is not None:
            result.by_outcome[outcome] += 1
        self.hashes.append(hashed)
        self.seqs.append(b"%d\n" % seq)


def check_unit(frame: Frame, unit: Unit) -> Result:
    """Steps 7, 8, 9 and 11 over one unit. Never raises for what is wrong with the evidence: `failure` says it."""
    result = Result()
    check = _Check(frame, unit, result)
    try:
        check.run()
    except (EvidenceError, UnsupportedError) as error:
        failure = failure_of(check.number, check.file, error)
        if check.number == 9 and result.last is not None and check.file in (DISCLOSURES, STATES):
            failure = Failure(
                9, check.file, failure.check, f"record {result.last[0]}: {failure.message}", failure.is_gap
            )
        result.failure = failure
    return result
