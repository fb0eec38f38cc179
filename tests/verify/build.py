"""Bundles for the tests of the verifier, good ones and bad: whoever forges one here holds every key and re-signs.

A `Plan` says what the bundle presents. `build` makes it in stages, and a bad bundle changes the outcome of one stage;
what comes later (manifests, attestation, archive) is made over the change, so that only the step meant can notice.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from counterfoil.core.encoding import encode_base64
from counterfoil.core.filter import parse_filter
from counterfoil.core.merkle import leaf_hash
from counterfoil.core.note import NoteSigner
from counterfoil.core.tiles import bundle_of, format_entries
from counterfoil.verify.attestation import PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE, pre_authentication_encoding
from counterfoil.verify.policy import format_policy
from tests.verify.log import BUNDLES, LOG, WITNESS, Record, Tree, chain, iter_fields, make_records

Files = dict[str, bytes]
MEMBER_TIME = (1980, 1, 1, 0, 0, 0)
QUORUM = (f"witness w1 {WITNESS.vkey}",)


def _same(value: Any) -> Any:
    return value


@dataclass
class Plan:
    """What to build. `size` leaves in the log; [a, b) of them, or `chosen` ones (selection)."""

    size: int = 8
    tree_size: int | None = None
    a: int = 0
    b: int | None = None
    chosen: list[int] | None = None
    filter: dict[str, Any] = field(default_factory=dict)
    withheld: set[tuple[int, str]] = field(default_factory=set)
    erased: dict[tuple[int, str], tuple[str, int]] = field(default_factory=dict)
    related: list[int] = field(default_factory=list)
    since: int | None = None
    states_size: int | None = None
    log_signer: NoteSigner = LOG
    witnessed: bool = True
    signers: list[NoteSigner] = field(default_factory=lambda: [BUNDLES])
    # Stages that a bad bundle changes.
    records: Callable[[list[Record]], Any] = _same
    leaves: Callable[[list[bytes]], Any] = _same
    population: Callable[[dict[str, Any]], Any] = _same
    data: Callable[[Files], Any] = _same
    bag: Callable[[Files], Any] = _same
    statement: Callable[[dict[str, Any]], Any] = _same
    envelope: Callable[[dict[str, Any]], Any] = _same
    sealed: Callable[[Files], Any] = _same
    token: Callable[[bytes], bytes] | None = None
    compress: int = zipfile.ZIP_STORED


def print_json(value: Any) -> bytes:
    """One canonical JSON line, without its newline."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def print_lines(values: list[Any]) -> bytes:
    """NDJSON."""
    return b"".join(print_json(value) + b"\n" for value in values)


def sha256_hex(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def manifest(files: Files) -> bytes:
    """A BagIt manifest."""
    return "".join(f"{sha256_hex(files[name])}  {name}\n" for name in sorted(files)).encode()


class _Build:
    """One bundle under way."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.log = make_records(plan.size)
        plan.records(self.log)
        self.leaves = chain(self.log)
        plan.leaves(self.leaves)
        self.tree = Tree(self.leaves)
        self.size = plan.size if plan.tree_size is None else plan.tree_size
        self.note = self.tree.note(self.size, plan.log_signer, witnessed=plan.witnessed)
        self.b = self.size if plan.b is None else plan.b
        self.filter = parse_filter(plan.filter)
        names = dict(self.filter.terms)
        self.is_range = plan.chosen is None
        self.before = self.is_range and "from" in names and plan.a > 0
        self.after = self.is_range and "to" in names and self.b < self.size
        if plan.chosen is None:
            self.presented = [seq for seq in range(plan.a, self.b) if self.filter.matches(self.log[seq].leaf)]
        else:
            self.presented = plan.chosen

    def _population(self) -> dict[str, Any]:
        plan, facts = self.plan, [self.log[seq].leaf for seq in self.presented]
        outcomes = [leaf["decision"]["outcome"] for leaf in facts if "decision" in leaf]
        states_size = plan.states_size or self.size
        value = {
            "format": "counterfoil/bundle/1",
            "form": "range" if self.is_range else "selection",
            "log": "main",
            "origin": self.log[0].leaf["log"],
            "tree_size": self.size,
            "root": encode_base64(self.tree.root(self.size)),
            "a": plan.a,
            "b": self.b,
            "border": {"before": self.before, "after": self.after},
            "filter": {"text": self.filter.text(), "parsed": self.filter.parsed()},
            "count": len(facts),
            "by_kind": dict(Counter(leaf["kind"] for leaf in facts)),
            "by_outcome": dict(Counter(outcomes)),
            "hash_total": encode_base64(hashlib.sha256(b"".join(self.tree.hashes[s] for s in self.presented)).digest()),
            "states_as_of": {"size": states_size, "root": encode_base64(self.tree.root(states_size))},
            "software": {"name": "counterfoil", "version": "0.1.0", "digest": "00" * 32},
        }
        if self.presented:
            value |= {"first": self.presented[0], "last": self.presented[-1]}
        plan.population(value)
        return value

    def _leaf_files(self) -> Files:
        files: Files = {}
        first, end = self.plan.a - self.before, self.b + self.after
        if first == end:
            return files
        for start in range(first // 256 * 256, end, 256):
            entries = bundle_of(start, self.size)
            name = "data/leaves" + entries.path().removeprefix("tile/entries")
            files[name] = format_entries(self.leaves[start : start + entries.width])
        self.last = min(-(-end // 256) * 256, self.size) - 1
        return files

    def _proof_line(self, seq: int, size: int, note: bytes) -> dict[str, Any]:
        return {"leaf": encode_base64(self.leaves[seq]), "proof": self.tree.proof(seq, size, note), "seq": seq}

    def _content(self) -> Files:
        disclosures, states, blobs = [], [], {}
        for seq, name in iter_fields(self.log, self.presented):
            if (seq, name) in self.plan.erased:
                state, by = self.plan.erased[seq, name]
                states.append({"by": by, "field": name, "seq": seq, "state": state})
            elif (seq, name) in self.plan.withheld:
                states.append({"field": name, "seq": seq, "state": "WITHHELD"})
            else:
                disclosures.append({"disclosure": self.log[seq].disclosures[name], "field": name, "seq": seq})
                if name in self.log[seq].blobs:
                    blobs[f"data/blobs/{seq}/{name}"] = self.log[seq].blobs[name]
        withheld = "".join(f"{seq},{name},confidential\r\n" for seq, name in sorted(self.plan.withheld))
        return {
            "data/disclosures.ndjson": print_lines(disclosures),
            "data/states.ndjson": print_lines(states),
            "data/redactions.csv": f"\ufeffseq,field,reason\r\n{withheld}".encode(),
            **blobs,
        }

    def _views(self) -> Files:
        rows = [(seq, encode_base64(self.tree.hashes[seq]), self.log[seq].leaf["kind"]) for seq in self.presented]
        table = "".join(f"{seq},{hashed},{kind}\r\n" for seq, hashed, kind in rows)
        return {
            "data/records.ndjson": print_lines([{"kind": k, "leaf_hash": h, "seq": s} for s, h, k in rows]),
            "data/records.csv": f"\ufeffseq,leaf_hash,kind\r\n{table}".encode(),
        }

    def data(self) -> Files:
        """Everything under data/."""
        plan = self.plan
        files = {
            "data/population.json": print_json(self._population()) + b"\n",
            "data/run.json": print_json({"purpose": "annual audit", "requested_by": "auditor-1"}) + b"\n",
            "data/checkpoint": self.note,
            **self._content(),
            **self._views(),
            "data/custody.ndjson": print_lines([{"act": "built", "by": "service"}]),
            "data/report.html": b"<!doctype html><title>Report</title>\n",
            "data/keys/keys.json": print_json(
                {
                    "bundles": [{"from": "2026-01-01T00:00:00.000000Z", "vkey": key.vkey} for key in plan.signers],
                    "log": [{"from": "2026-01-01T00:00:00.000000Z", "vkey": plan.log_signer.vkey}],
                }
            ),
        }
        related_size, related_note = self.size, self.note
        if plan.states_size is not None:
            related_size = plan.states_size
            related_note = self.tree.note(related_size, plan.log_signer, witnessed=plan.witnessed)
            files["data/states_checkpoint"] = related_note
            files["data/states_consistency.json"] = print_json(self.tree.consistency(self.size, related_size))
        related = [self._proof_line(seq, related_size, related_note) for seq in plan.related]
        files["data/related.ndjson"] = print_lines(related)
        if self.is_range:
            files |= self._leaf_files()
            last = getattr(self, "last", None)
            proofs = [] if last is None else [{"proof": self.tree.proof(last, self.size, self.note), "seq": last}]
        else:
            proofs = [self._proof_line(seq, self.size, self.note) for seq in self.presented]
        files["data/proofs.ndjson"] = print_lines(proofs)
        if plan.since is not None:
            files["data/consistency.json"] = print_json(self.tree.consistency(plan.since, self.size))
        plan.data(files)
        return files


def statement_of(digests: dict[str, str], population: dict[str, Any], population_hex: str) -> dict[str, Any]:
    """The in-toto statement over files with these digests."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"digest": {"sha256": digests[name]}, "name": name} for name in sorted(digests)],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "attested_by": "the service",
            **{key: population[key] for key in ("form", "origin", "root", "tree_size")},
            "population": population_hex,
            "request": {"sha256": digests["data/run.json"]},
        },
    }


def sign_envelope(body: bytes, signers: list[NoteSigner], payload_type: str = PAYLOAD_TYPE) -> dict[str, Any]:
    """The DSSE envelope of a payload."""
    message = pre_authentication_encoding(payload_type, body)
    signatures = [
        {
            "keyid": f"{each.name}+{each.verifier_key.key_id.hex()}",
            "sig": base64.b64encode(each.private.sign(message)).decode(),
        }
        for each in signers
    ]
    return {"payload": base64.b64encode(body).decode(), "payloadType": payload_type, "signatures": signatures}


def build_files(plan: Plan) -> Files:
    """The files of the bag."""
    data = _Build(plan).data()
    files: Files = {
        **data,
        "bagit.txt": b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
        "bag-info.txt": (
            "Bagging-Date: 2026-11-22\nExternal-Identifier: case\n"
            f"Payload-Oxum: {sum(map(len, data.values()))}.{len(data)}\n"
            "Source-Organization: Acme\n"
        ).encode(),
        "README.html": b"<!doctype html><title>Read me</title>\n",
        "verify/verify.py": b"print('see the package counterfoil')\n",
        "manifest-sha256.txt": manifest(data),
    }
    plan.bag(files)
    digests = {name: sha256_hex(value) for name, value in files.items()}
    statement = statement_of(digests, json.loads(files["data/population.json"]), digests["data/population.json"])
    plan.statement(statement)
    envelope = sign_envelope(print_json(statement), plan.signers)
    plan.envelope(envelope)
    files["attestation.dsse.json"] = print_json(envelope) + b"\n"
    if plan.token is not None:
        files["attestation.tsr"] = plan.token(files["attestation.dsse.json"])
    tags = {name: value for name, value in files.items() if not name.startswith("data/")}
    files["tagmanifest-sha256.txt"] = manifest(tags)
    plan.sealed(files)
    return files


def zip_files(files: Files, top: str = "counterfoil-main-0-8", compress: int = zipfile.ZIP_STORED) -> bytes:
    """The archive; entries sorted, times fixed."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(f"{top}/{name}", MEMBER_TIME)
            info.external_attr = 0o100644 << 16
            info.compress_type = compress
            archive.writestr(info, files[name])
    return target.getvalue()


def build(plan: Plan) -> bytes:
    """The bundle."""
    return zip_files(build_files(plan), compress=plan.compress)


def policy_text(*, quorum: str = "w1", extra: str = "") -> str:
    """The auditor's policy for these bundles."""
    return format_policy([LOG.vkey], [BUNDLES.vkey], witness_lines=QUORUM, quorum=quorum) + extra


def blob_hash(leaf: bytes) -> str:
    """The base64 leaf hash, for tests that name one."""
    return encode_base64(leaf_hash(leaf))
