"""A large bundle, written as a stream: for the memory, workers and speed of the verifier.

Leaves of about 600 bytes, a third of them decisions; five content fields of about 1.5 kB each record. From the command
line: ``python -m tests.verify.large 100000`` writes one, verifies it and prints the rates.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

from counterfoil.core.disclosure import digest_of, encode_disclosure, format_disclosure
from counterfoil.core.encoding import encode_base64
from counterfoil.core.merkle import leaf_hash
from counterfoil.core.tiles import bundle_of, format_entries
from tests.verify.build import (
    MEMBER_TIME,
    QUORUM,
    policy_text,
    print_json,
    print_lines,
    sha256_hex,
    sign_envelope,
    statement_of,
)
from tests.verify.log import BUNDLES, LOG, Tree, base_leaf, print_leaf, seed

__all__ = ["QUORUM", "write_large"]

_SALT = "c2FsdHNhbHRzYWx0c2FsdA"
_ATTRIBUTES = [{"key": f"app.attribute.{n}", "value": {"stringValue": f"value {n} of this"}} for n in range(12)]
_RESOURCE = {"attributes": [{"key": "service.name", "value": {"stringValue": "refunds"}}] * 3}


def _contents(seq: int) -> dict[str, str]:
    values: dict[str, Any] = {
        "attributes": _ATTRIBUTES,
        "input": f"Customer {seq} asks for a refund of an order bought some weeks ago. " * 3,
        "rationale": f"Bought {seq} days ago; policy R-12 allows 30, the item was used.",
        "resource": _RESOURCE,
        "span": {"name": "decide refund", "kind": 1, "flags": 257, "seq": str(seq)},
    }
    return {name: encode_disclosure(format_disclosure(_SALT, name, value)) for name, value in values.items()}


def _leaf(seq: int) -> dict[str, Any]:
    leaf = base_leaf(seq, "decision" if seq % 3 == 0 else "model_call")
    leaf |= {
        "agent": {"name": "refunds", "version": "2.3.1"},
        "interaction": {"id": f"conv-{seq // 9}", "region": "eu-west"},
        "started_at": "2026-11-22T10:48:39.000123000Z",
        "ended_at": "2026-11-22T10:48:40.000123000Z",
        "parent_span_id": "00000000000000aa",
    }
    if seq % 3 == 0:
        leaf["decision"] = {"type": "refund", "outcome": ("deny", "approve")[seq % 2], "risk": "medium"}
    else:
        leaf |= {"model": {"provider": "acme", "name": "m-1"}, "usage": {"input_tokens": seq, "output_tokens": 7}}
    return leaf


class _Archive:
    """A ZIP whose files are hashed as they are written."""

    def __init__(self, path: Path) -> None:
        self.zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self.digests: dict[str, str] = {}
        self.sizes: dict[str, int] = {}

    def add(self, name: str, parts: Any) -> None:
        info = zipfile.ZipInfo(f"counterfoil-main/{name}", MEMBER_TIME)
        info.compress_type = zipfile.ZIP_DEFLATED
        digest, size = hashlib.sha256(), 0
        with self.zip.open(info, "w", force_zip64=True) as file:
            for part in parts:
                digest.update(part)
                size += len(part)
                file.write(part)
        self.digests[name], self.sizes[name] = digest.hexdigest(), size


def write_large(path: Path, size: int) -> None:
    """A range bundle of a whole log with `size` records, all content disclosed."""
    leaves: list[bytes] = []
    prev, kinds, outcomes = bytes(32), Counter[str](), Counter[str]()
    for seq in range(size):
        leaf = _leaf(seq)
        leaf["prev"] = encode_base64(prev)
        leaf["content"] = {name: digest_of(encoded) for name, encoded in _contents(seq).items()}
        leaves.append(print_leaf(leaf))
        prev = leaf_hash(leaves[-1])
        kinds[leaf["kind"]] += 1
        if "decision" in leaf:
            outcomes[leaf["decision"]["outcome"]] += 1
    tree = Tree(leaves)
    note, root = tree.note(size), tree.root(size)
    population = {
        "format": "counterfoil/bundle/1",
        "form": "range",
        "log": "main",
        "origin": LOG.name,
        "tree_size": size,
        "root": encode_base64(root),
        "a": 0,
        "b": size,
        "border": {"after": False, "before": False},
        "filter": {"text": "", "parsed": {}},
        "count": size,
        "first": 0,
        "last": size - 1,
        "by_kind": dict(kinds),
        "by_outcome": dict(outcomes),
        "hash_total": encode_base64(hashlib.sha256(b"".join(tree.hashes)).digest()),
        "states_as_of": {"size": size, "root": encode_base64(root)},
        "software": {"name": "counterfoil", "version": "0.1.0"},
    }
    archive = _Archive(path)
    population_bytes = print_json(population)
    archive.add("data/population.json", [population_bytes])
    archive.add("data/run.json", [b"{}"])
    archive.add("data/checkpoint", [note])
    for start in range(0, size, 256):
        entries = bundle_of(start, size)
        name = "data/leaves" + entries.path().removeprefix("tile/entries")
        archive.add(name, [format_entries(leaves[start : start + entries.width])])
    archive.add("data/proofs.ndjson", [print_lines([{"proof": tree.proof(size - 1, size, note), "seq": size - 1}])])
    lines = (
        b'{"disclosure":"%b","field":"%b","seq":%d}\n' % (encoded.encode(), name.encode(), seq)
        for seq in range(size)
        for name, encoded in sorted(_contents(seq).items())
    )
    archive.add("data/disclosures.ndjson", lines)
    for name in ("states", "related"):
        archive.add(f"data/{name}.ndjson", [])
    payload = sorted(archive.digests)
    oxum = f"Payload-Oxum: {sum(archive.sizes[name] for name in payload)}.{len(payload)}\n"
    archive.add("manifest-sha256.txt", ["".join(f"{archive.digests[name]}  {name}\n" for name in payload).encode()])
    archive.add("bagit.txt", [b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"])
    archive.add("bag-info.txt", [oxum.encode()])
    statement = statement_of(archive.digests, population, sha256_hex(population_bytes))
    archive.add("attestation.dsse.json", [json.dumps(sign_envelope(print_json(statement), [BUNDLES])).encode()])
    tags = sorted(name for name in archive.digests if not name.startswith("data/"))
    archive.add("tagmanifest-sha256.txt", ["".join(f"{archive.digests[n]}  {n}\n" for n in tags).encode()])
    archive.zip.close()


def main() -> None:
    """Writes, verifies and prints rates."""
    from counterfoil.verify.check import verify_bundle
    from counterfoil.verify.policy import parse_policy

    size = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.zip"
        write_large(path, size)
        print(f"{path.stat().st_size:,} bytes, seed {seed('log').hex()[:8]}")
        for workers in (1, 2):
            marks: dict[int, float] = {}

            def mark(number: int, _done: int, _total: int, marks: dict[int, float] = marks) -> None:
                marks[number] = time.perf_counter()

            started = time.perf_counter()
            report = verify_bundle(path, policy=parse_policy(policy_text()), workers=workers, progress=mark)
            print(f"{report.result} with {workers} workers: {size / (time.perf_counter() - started):,.0f} records/s,")
            print(f"  without manifests: {size / (marks[7] - marks[2]):,.0f} records/s")


if __name__ == "__main__":
    main()
