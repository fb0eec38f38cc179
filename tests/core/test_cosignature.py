"""C2SP cosignatures: Ed25519 and ML-DSA-44."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.core import cosignature, note
from counterfoil.core.checkpoint import Checkpoint
from counterfoil.core.errors import EvidenceError, InputError, UnsupportedError
from counterfoil.core.note import Cosigner, NoteSigner, Signature, open_note, parse_vkey

VECTORS = Path(__file__).parents[1] / "data" / "vectors"
VECTOR = json.loads((VECTORS / "cosignatures.json").read_text())
LOG = NoteSigner.from_seed("example.com/log", bytes(range(32)))
WITNESS = Cosigner.from_seed("witness.example/w1", bytes(32))
CHECKPOINT = Checkpoint("example.com/log", 7, bytes(range(32))).text()
ML_DSA = MLDSA44PrivateKey.from_seed_bytes(bytes(range(32)))
ML_DSA_KEY = note.make_key("pq.example", note.MLDSA44_COSIGNATURE, ML_DSA.public_key().public_bytes_raw())


def cosign_mldsa(text: str, size: int, root: bytes, timestamp: int = 5) -> Signature:
    origin = text.split("\n")[0]
    message = cosignature.mldsa44_message("pq.example", timestamp, origin, size, root)
    return Signature("pq.example", ML_DSA_KEY.key_id, timestamp.to_bytes(8, "big") + ML_DSA.sign(message))


def test_the_ed25519_cosignature_is_byte_for_byte_that_of_the_vector() -> None:
    case = VECTOR["ed25519"]
    witness = Cosigner.from_seed(case["name"], bytes.fromhex(case["seed_hex"]))
    assert witness.vkey == case["vkey"]
    body, timestamp = case["checkpoint_body"], case["timestamp"]
    assert cosignature.ed25519_message(body, timestamp).hex() == case["signed_message_hex"]
    signature = witness.sign(body, timestamp)
    assert signature.line() == case["signature_line"]
    assert signature.timestamp == timestamp
    opened = open_note(note.format_note(body, [signature]), [parse_vkey(case["vkey"])])
    assert [verified.timestamp for verified in opened.verified] == [timestamp]


def test_the_ml_dsa_message_is_byte_for_byte_that_of_the_vector() -> None:
    case = VECTOR["mldsa44_signed_message"]
    message = cosignature.mldsa44_message(
        case["cosigner_name"], case["timestamp"], case["log_origin"], case["end"], bytes.fromhex(case["hash_hex"])
    )
    assert message.hex() == case["message_hex"]
    assert case["sizes"]["public_key"] == cosignature.MLDSA44_PUBLIC_BYTES
    assert case["sizes"]["note_sig_blob"] == 4 + cosignature.MLDSA44_COSIGNATURE_BYTES


def test_the_published_cosignature_blob_has_its_time() -> None:
    import base64

    case = json.loads((VECTORS / "signed_notes.json").read_text())["cosig_timestamp"][0]
    blob = base64.b64decode(case["sig_b64"])[4:]
    assert cosignature.timestamp_of(blob, cosignature.ED25519_COSIGNATURE_BYTES) == case["unix"]


def test_an_ml_dsa_cosignature_opens_and_covers_origin_size_root_time_and_name() -> None:
    root = bytes(range(32))
    data = note.format_note(CHECKPOINT, [LOG.sign(CHECKPOINT), cosign_mldsa(CHECKPOINT, 7, root)])
    opened = open_note(data, [LOG.verifier_key, ML_DSA_KEY])
    assert [(v.key.name, v.timestamp) for v in opened.verified] == [("example.com/log", None), ("pq.example", 5)]
    assert parse_vkey(note.format_vkey(ML_DSA_KEY)) == ML_DSA_KEY
    for wrong in (
        cosign_mldsa(CHECKPOINT, 8, root),
        cosign_mldsa(CHECKPOINT, 7, bytes(32)),
        cosign_mldsa("example.com/other\n", 7, root),
    ):
        with pytest.raises(EvidenceError, match="note_signature: an ML-DSA-44 cosignature does not verify"):
            open_note(note.format_note(CHECKPOINT, [wrong]), [ML_DSA_KEY])
    good = cosign_mldsa(CHECKPOINT, 7, root)
    later = Signature(good.name, good.key_id, (6).to_bytes(8, "big") + good.blob[8:])
    with pytest.raises(EvidenceError, match="does not verify"):
        open_note(note.format_note(CHECKPOINT, [later]), [ML_DSA_KEY])


@pytest.mark.parametrize(
    "text",
    ["text\n", "origin\n7\n", "origin\nseven\nAAAA\n", "origin\n7\nAAA\n", "\n7\n" + "A" * 43 + "=\n", "o\n7\nAAAA\n"],
)
def test_an_ml_dsa_cosignature_of_what_is_no_checkpoint_is_rejected(text: str) -> None:
    signature = Signature("pq.example", ML_DSA_KEY.key_id, bytes(cosignature.MLDSA44_COSIGNATURE_BYTES))
    with pytest.raises(EvidenceError):
        open_note(note.format_note(text, [signature]), [ML_DSA_KEY])


def test_names_over_255_bytes_have_no_ml_dsa_cosignature() -> None:
    for cosigner, origin in (("x" * 256, "o"), ("x", "o" * 256), ("x", "")):
        with pytest.raises(EvidenceError, match="1 to 255 bytes"):
            cosignature.mldsa44_message(cosigner, 0, origin, 1, bytes(32))


def test_without_ml_dsa_in_the_installation_the_answer_is_unsupported_and_not_rejected() -> None:
    with pytest.raises(UnsupportedError, match="no ML-DSA-44"):
        cosignature.load_mldsa("cryptography.hazmat.primitives.asymmetric.no_such_algorithm")


def test_every_changed_byte_of_a_cosignature_is_noticed() -> None:
    good = WITNESS.sign(CHECKPOINT, 1_700_000_000)
    for at in range(len(good.blob)):
        blob = good.blob[:at] + bytes((good.blob[at] ^ 1,)) + good.blob[at + 1 :]
        with pytest.raises(EvidenceError, match="note_signature"):
            open_note(note.format_note(CHECKPOINT, [Signature(good.name, good.key_id, blob)]), [WITNESS.verifier_key])
    for blob in (good.blob[:-1], good.blob + b"x", b""):
        with pytest.raises(EvidenceError, match="72 bytes"):
            cosignature.check_ed25519_cosignature(WITNESS.verifier_key.public, CHECKPOINT, blob)


def test_a_cosignature_time_stays_below_2_to_the_63() -> None:
    with pytest.raises(EvidenceError, match="below 2"):
        cosignature.timestamp_of(b"\x80" + bytes(71), 72)
    for timestamp in (-1, 2**63):
        with pytest.raises(InputError, match="2\\^63-1"):
            WITNESS.sign(CHECKPOINT, timestamp)


def test_log_signature_and_cosignature_of_one_key_have_different_ids() -> None:
    log, witness = NoteSigner.from_seed("same.example", bytes(32)), Cosigner.from_seed("same.example", bytes(32))
    assert log.verifier_key.public == witness.verifier_key.public
    assert log.verifier_key.key_id != witness.verifier_key.key_id


@given(st.integers(0, 2**63 - 1))
def test_a_cosignature_opens_at_the_time_it_was_given(timestamp: int) -> None:
    data = note.format_note(CHECKPOINT, [WITNESS.sign(CHECKPOINT, timestamp)])
    assert open_note(data, [WITNESS.verifier_key]).verified[0].timestamp == timestamp
