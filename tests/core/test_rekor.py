"""Real Rekor v2 checkpoints and inclusion proofs of the Sigstore conformance suite, the must-fail ones included.

Of a bundle only the checkpoint note and the inclusion proof are ours to judge. Cases made for Rekor v1 (ECDSA) are
judged on what needs no ECDSA: their proof against the checkpoint's size and root.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from counterfoil.core import note
from counterfoil.core.checkpoint import open_checkpoint, parse_checkpoint
from counterfoil.core.errors import EvidenceError, UnsupportedError
from counterfoil.core.merkle import check_inclusion, leaf_hash
from counterfoil.core.note import VerifierKey, make_key, parse_note, parse_vkey
from counterfoil.core.proof import TlogProof, check_proof, format_proof, parse_proof

VECTORS = Path(__file__).parents[1] / "data" / "vectors"
SUITE = VECTORS / "sigstore-conformance-rekor2"
REKOR2 = sorted(SUITE.glob("rekor2-*"))
ORIGIN = "log2025-alpha1.rekor.sigstage.dev"


def keys_of(case: Path) -> list[VerifierKey]:
    """The Ed25519 logs of a trusted root, each under its host as name, which is its origin."""
    logs = json.loads((case / "trusted_root.json").read_text())["tlogs"]
    return [
        # An Ed25519 SubjectPublicKeyInfo ends in the 32 bytes of the key (RFC 8410).
        make_key(
            log["baseUrl"].removeprefix("https://"),
            note.ED25519,
            base64.b64decode(log["publicKey"]["rawBytes"])[-32:],
        )
        for log in logs
        if log["publicKey"]["keyDetails"] == "PKIX_ED25519"
    ]


def entry_of(case: Path) -> dict[str, Any]:
    bundle = json.loads((case / "bundle.sigstore.json").read_text())
    entries = bundle["verificationMaterial"]["tlogEntries"]
    assert len(entries) == 1
    return dict(entries[0])


def judge(case: Path) -> None:
    """Checkpoint, then inclusion, by way of the tlog-proof form."""
    entry = entry_of(case)
    inclusion = entry.get("inclusionProof")
    if not inclusion:
        raise EvidenceError("proof", "no inclusion proof")
    proof = TlogProof(
        int(inclusion["logIndex"]),
        tuple(base64.b64decode(value) for value in inclusion["hashes"]),
        inclusion["checkpoint"]["envelope"].encode(),
    )
    checkpoint = check_proof(
        parse_proof(format_proof(proof)), base64.b64decode(entry["canonicalizedBody"]), ORIGIN, keys_of(case)
    )
    assert checkpoint.size == int(inclusion["treeSize"])
    assert checkpoint.root == base64.b64decode(inclusion["rootHash"])


def test_the_suite_is_here() -> None:
    assert (len(REKOR2), sum(case.name.endswith("_fail") for case in REKOR2)) == (12, 6)


@pytest.mark.parametrize("case", REKOR2, ids=lambda case: case.name)
def test_a_rekor_v2_bundle_has_the_verdict_that_its_name_says(case: Path) -> None:
    if case.name.endswith("_fail"):
        with pytest.raises(EvidenceError):
            judge(case)
    else:
        judge(case)


@pytest.mark.parametrize(
    ("case", "check"),
    [
        ("rekor2-checkpoint-missing-log-signature_fail", "note_malformed"),
        ("rekor2-checkpoint-missing-origin_fail", "note_signature"),
        ("rekor2-checkpoint-missing-root-hash_fail", "note_signature"),
        ("rekor2-checkpoint-missing-size_fail", "note_signature"),
        ("rekor2-checkpoint-no-matching-signature_fail", "note_unsigned"),
        ("rekor2-no-inclusion-proof_fail", "proof"),
    ],
)
def test_a_must_fail_bundle_fails_for_the_reason_in_its_name(case: str, check: str) -> None:
    with pytest.raises(EvidenceError) as caught:
        judge(SUITE / case)
    assert caught.value.check == check


@pytest.mark.parametrize(
    "case", json.loads((VECTORS / "rekor2_checkpoints.json").read_text())["cases"], ids=lambda case: case["case"]
)
def test_an_extracted_checkpoint_has_its_published_verdict(case: dict[str, Any]) -> None:
    keys = [parse_vkey(case["vkey"])]
    if case["must_fail"]:
        with pytest.raises(EvidenceError):
            open_checkpoint((case["checkpoint"] or "").encode(), ORIGIN, keys)
        return
    checkpoint, opened = open_checkpoint(case["checkpoint"].encode(), ORIGIN, keys)
    assert (len(opened.verified), opened.unknown) == (1, case["checkpoint"].count("— ") - 1)
    hashes = [base64.b64decode(value) for value in case["inclusion_hashes_b64"]]
    leaf = leaf_hash(base64.b64decode(case["leaf_b64"]))
    check_inclusion(leaf, int(case["log_index"]), checkpoint.size, hashes, checkpoint.root)


def test_an_ecdsa_signature_is_unsupported_and_not_rejected() -> None:
    entry = entry_of(SUITE / "checkpoint-wrong-roothash_fail")
    data = entry["inclusionProof"]["checkpoint"]["envelope"].encode()
    _, signatures = parse_note(data)
    key = VerifierKey("rekor.sigstore.dev", signatures[0].key_id, note.ECDSA, b"SPKI")
    with pytest.raises(UnsupportedError, match="0x02"):
        note.open_note(data, [key])


def test_a_rekor_v1_proof_does_not_fit_a_checkpoint_of_another_tree() -> None:
    inclusion = entry_of(SUITE / "checkpoint-wrong-roothash_fail")["inclusionProof"]
    body = base64.b64decode(entry_of(SUITE / "checkpoint-wrong-roothash_fail")["canonicalizedBody"])
    hashes = [base64.b64decode(value) for value in inclusion["hashes"]]
    text, _ = parse_note(inclusion["checkpoint"]["envelope"].encode())
    other = parse_checkpoint(text)
    index = int(inclusion["logIndex"])
    # The proof is good for the tree that the bundle states, and for no other one.
    check_inclusion(leaf_hash(body), index, int(inclusion["treeSize"]), hashes, base64.b64decode(inclusion["rootHash"]))
    with pytest.raises(EvidenceError, match="inclusion_proof"):
        check_inclusion(leaf_hash(body), index, other.size, hashes, other.root)
    with pytest.raises(EvidenceError, match="inclusion_root"):
        check_inclusion(leaf_hash(body), index, int(inclusion["treeSize"]), hashes, other.root)


@pytest.mark.parametrize("case", ["checkpoint-bad-keyhint_fail", "invalid-checkpoint-signature_fail"])
def test_a_rekor_v1_checkpoint_never_opens_without_its_key(case: str) -> None:
    inclusion = entry_of(SUITE / case)["inclusionProof"]
    with pytest.raises(EvidenceError, match="note_unsigned"):
        note.open_note(inclusion["checkpoint"]["envelope"].encode(), keys_of(REKOR2[0]))
