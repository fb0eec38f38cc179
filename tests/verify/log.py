"""A small log for the tests of the verifier, made through `core` alone and the same each time: fixed seeds and clock.

Leaves are dicts until they are chained, so that a test may change them first; `print_leaf` prints what `format_record`
would refuse too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from counterfoil.core.checkpoint import Checkpoint
from counterfoil.core.disclosure import digest_of, encode_disclosure, format_disclosure
from counterfoil.core.encoding import encode_base64, encode_base64url, format_time_us
from counterfoil.core.merkle import Node, leaf_hash, prove_consistency, prove_inclusion, root_of
from counterfoil.core.note import Cosigner, NoteSigner, format_note
from counterfoil.core.proof import TlogProof, format_proof

ORIGIN = "log.example/acme/main"
BASE = "log.example"
START_US = 1_763_800_000_000_000


def seed(name: str) -> bytes:
    """32 fixed bytes."""
    return hashlib.sha256(b"counterfoil verify cases\n" + name.encode()).digest()


LOG = NoteSigner.from_seed(ORIGIN, seed("log"))
OTHER_LOG = NoteSigner.from_seed(ORIGIN, seed("log key that nobody trusts"))
BUNDLES = NoteSigner.from_seed(f"{BASE}/bundles", seed("bundles"))
OTHER_BUNDLES = NoteSigner.from_seed(f"{BASE}/bundles", seed("bundle key that nobody trusts"))
WITNESS = Cosigner.from_seed("w1.example", seed("w1"))


def recorded_at(seq: int) -> str:
    """A record each second."""
    return format_time_us(START_US + seq * 1_000_000)


def disclose(seq: int, name: str, value: Any) -> str:
    """The encoded disclosure of a field, its salt made from seq and name."""
    salt = encode_base64url(seed(f"salt {seq} {name}")[:16])
    return encode_disclosure(format_disclosure(salt, name, value))


@dataclass
class Record:
    """A leaf to be, and its disclosures by field."""

    leaf: dict[str, Any]
    disclosures: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)

    def disclose(self, name: str, value: Any) -> None:
        """Adds a content field."""
        encoded = disclose(self.leaf["seq"], name, value)
        self.disclosures[name] = encoded
        self.leaf.setdefault("content", {})[name] = digest_of(encoded)


def base_leaf(seq: int, kind: str, source: str = "otlp:traces") -> dict[str, Any]:
    """A leaf with nothing but what each one has."""
    leaf: dict[str, Any] = {
        "v": 1,
        "log": ORIGIN,
        "seq": seq,
        "recorded_at": recorded_at(seq),
        "kind": kind,
        "source": source,
    }
    if source != "service":
        leaf["writer"] = "k-refunds"
    if source.startswith("otlp"):
        leaf["mapping"] = {"name": "genai", "version": "1"}
        leaf["trace_id"] = hashlib.sha256(b"trace %d" % (seq // 3)).hexdigest()[:32]
        leaf["span_id"] = hashlib.sha256(b"span %d" % seq).hexdigest()[:16]
    return leaf


def decision(seq: int) -> Record:
    """A decision with three content fields."""
    leaf = base_leaf(seq, "decision")
    leaf["agent"] = {"name": "refunds", "version": "2.3.1"}
    leaf["interaction"] = {"id": f"conv-{seq // 3}", "region": "eu-west"}
    leaf["decision"] = {
        "type": "refund",
        "outcome": ("deny", "approve")[seq % 2],
        "risk": "medium",
        "confidence": "0.65",
    }
    record = Record(leaf)
    record.disclose("rationale", f"Bought {41 + seq} days ago; policy R-12 allows 30.")
    record.disclose("input", {"order": f"O-{seq}", "amount": "19.90", "lines": [1, 2.5, None, True]})
    record.disclose("attributes", [{"key": "app.channel", "value": {"stringValue": "chat"}}])
    return record


def call(seq: int) -> Record:
    """A model call with one content field."""
    leaf = base_leaf(seq, "model_call")
    leaf |= {"status": "ok", "model": {"provider": "acme", "name": "m-1"}, "usage": {"input_tokens": 10 * seq}}
    record = Record(leaf)
    record.disclose("output", f"Answer {seq}")
    return record


def genesis() -> Record:
    """The first record."""
    leaf = base_leaf(0, "genesis", "service")
    leaf["genesis"] = {"tenant": "acme", "purpose": "interactions", "vkeys": [LOG.vkey]}
    return Record(leaf)


def fallback(seq: int) -> Record:
    """A fallback without content."""
    leaf = base_leaf(seq, "fallback")
    leaf["fallback"] = {"trigger": "low_confidence", "mode": "human", "from": "m-1", "to": "queue"}
    return Record(leaf)


def erasure(seq: int, first: int, last: int, fields: Any) -> Record:
    """An erasure that says it covers these records and fields."""
    leaf = base_leaf(seq, "erasure", "service")
    leaf["erasure"] = {"ranges": [[first, last]], "fields": fields, "ground": "gdpr-17"}
    return Record(leaf)


def make_records(size: int) -> list[Record]:
    """Genesis, then decisions, calls and fallbacks in turn."""
    makers: tuple[Callable[[int], Record], ...] = (decision, call, fallback)
    return [genesis(), *(makers[seq % 3](seq) for seq in range(1, size))]


def print_leaf(leaf: dict[str, Any]) -> bytes:
    """Canonical JSON of anything."""
    return json.dumps(leaf, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def chain(records: list[Record]) -> list[bytes]:
    """The leaves' bytes, each with the hash of the one before."""
    leaves: list[bytes] = []
    prev = bytes(32)
    for record in records:
        record.leaf["prev"] = encode_base64(prev)
        leaves.append(print_leaf(record.leaf))
        prev = leaf_hash(leaves[-1])
    return leaves


class Tree:
    """Proofs and checkpoints over leaves."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves = leaves
        self.hashes = [leaf_hash(leaf) for leaf in leaves]

    def _read(self, nodes: Any) -> list[bytes]:
        def subtree(node: Node) -> bytes:
            return root_of(self.hashes[node.index << node.level : (node.index + 1) << node.level])

        return [subtree(node) for node in nodes]

    def root(self, size: int) -> bytes:
        """Of the first `size` leaves."""
        return root_of(self.hashes[:size])

    def note(self, size: int, signer: NoteSigner = LOG, *, witnessed: bool = True, root: bytes | None = None) -> bytes:
        """A signed checkpoint, cosigned at a fixed time."""
        text = Checkpoint(ORIGIN, size, root or self.root(size)).text()
        signatures = [signer.sign(text)]
        if witnessed:
            signatures.append(WITNESS.sign(text, START_US // 1_000_000 + 3_600))
        return format_note(text, signatures)

    def proof(self, index: int, size: int, note: bytes) -> str:
        """The tlog-proof of a leaf."""
        hashes = prove_inclusion(index, size, self._read)
        return format_proof(TlogProof(index, tuple(hashes), note)).decode()

    def consistency(self, old: int, new: int) -> dict[str, Any]:
        """`consistency.json` from one size to another."""
        proof = prove_consistency(old, new, self._read)
        return {
            "old_root": encode_base64(self.root(old)),
            "old_size": old,
            "proof": [encode_base64(each) for each in proof],
        }


def iter_fields(records: list[Record], presented: list[int]) -> Iterator[tuple[int, str]]:
    """Every content field of these records, ascending."""
    for seq in presented:
        for name in sorted(records[seq].leaf.get("content", {})):
            yield seq, name
