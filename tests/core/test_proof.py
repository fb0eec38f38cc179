"""C2SP tlog-proof: the receipt that stands alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.core import merkle
from counterfoil.core.checkpoint import Checkpoint, sign_checkpoint
from counterfoil.core.encoding import decode_base64
from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.core.note import NoteSigner
from counterfoil.core.proof import MAX_PROOF_BYTES, TlogProof, check_proof, format_proof, parse_proof

VECTOR = json.loads((Path(__file__).parents[1] / "data" / "vectors" / "tlog_proof.json").read_text())
LOG = NoteSigner.from_seed("example.com/log", bytes(range(32)))
LEAVES = [b"leaf %d" % i for i in range(5)]
HASHES = [merkle.leaf_hash(leaf) for leaf in LEAVES]
CHECKPOINT = Checkpoint("example.com/log", 5, merkle.root_of(HASHES))
PROOF = TlogProof(
    2,
    tuple(
        merkle.prove_inclusion(
            2, 5, lambda nodes: [merkle.root_of(HASHES[n.index << n.level : (n.index + 1) << n.level]) for n in nodes]
        )
    ),
    sign_checkpoint(CHECKPOINT, LOG),
)


@pytest.mark.parametrize("case", VECTOR["marshal"], ids=lambda case: f"index {case['index']}")
def test_a_published_proof_prints_and_parses(case: dict[str, Any]) -> None:
    extra = case["extra_utf8"].encode() if "extra_utf8" in case else None
    proof = TlogProof(
        case["index"], tuple(decode_base64(value) for value in case["hashes"]), case["checkpoint"].encode(), extra
    )
    assert format_proof(proof) == case["want"].encode()
    assert parse_proof(case["want"].encode()) == proof


@pytest.mark.parametrize("text", VECTOR["reject"])
def test_a_published_bad_proof_is_rejected(text: str) -> None:
    with pytest.raises(EvidenceError) as caught:
        parse_proof(text.encode())
    assert caught.value.check == "proof"


HEAD = "c2sp.org/tlog-proof@v1\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEAD.encode(),
        f"{HEAD}index 0\n".encode(),
        f"{HEAD}index 0\n\n".encode(),
        f"{HEAD}\ncheckpoint\n".encode(),
        f"{HEAD}index 00\n\ncheckpoint\n".encode(),
        f"{HEAD}index  0\n\ncheckpoint\n".encode(),
        f"{HEAD}extra \nindex 0\n\ncheckpoint\n".encode(),
        f"{HEAD}extra AAAA\n\ncheckpoint\n".encode(),
        f"{HEAD}extra AAAA\nextra AAAA\nindex 0\n\ncheckpoint\n".encode(),
        f"{HEAD}index 0\nAAAA\n\ncheckpoint\n".encode(),
        f"{HEAD}index 0\n".encode() + (b"A" * 43 + b"=\n") * 64 + b"\ncheckpoint\n",
        f"{HEAD}index 0\r\n\ncheckpoint\n".encode(),
        f"{HEAD}index ٣\n\ncheckpoint\n".encode(),
        b"\xff" + f"{HEAD}index 0\n\ncheckpoint\n".encode(),
        f"{HEAD}extra {'AAAA' * 22_000}\nindex 0\n\ncheckpoint\n".encode(),
        b"x" * (MAX_PROOF_BYTES + 1),
    ],
    ids=range(17),
)
def test_a_proof_of_any_other_form_is_rejected(data: bytes) -> None:
    with pytest.raises(EvidenceError) as caught:
        parse_proof(data)
    assert caught.value.check == "proof"


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.binary(min_size=1),
    st.none() | st.binary(min_size=1),
)
def test_proofs_round_trip(index: int, hashes: list[bytes], checkpoint: bytes, extra: bytes | None) -> None:
    proof = TlogProof(index, tuple(hashes), checkpoint, extra)
    assert parse_proof(format_proof(proof)) == proof


@pytest.mark.parametrize(
    "proof",
    [
        TlogProof(-1, (), b"c"),
        TlogProof(0, (b"short",), b"c"),
        TlogProof(0, (bytes(32),) * 64, b"c"),
        TlogProof(0, (), b"c", b""),
        TlogProof(0, (), b"c", bytes(65_537)),
    ],
    ids=range(5),
)
def test_a_proof_that_nobody_could_read_is_not_written(proof: TlogProof) -> None:
    with pytest.raises(InputError, match="at most 63 hashes"):
        format_proof(proof)


def test_a_receipt_proves_its_leaf_and_no_other() -> None:
    assert check_proof(PROOF, LEAVES[2], "example.com/log", [LOG.verifier_key]) == CHECKPOINT
    with pytest.raises(EvidenceError, match="inclusion_root"):
        check_proof(PROOF, LEAVES[3], "example.com/log", [LOG.verifier_key])
    with pytest.raises(EvidenceError, match="checkpoint_origin"):
        check_proof(PROOF, LEAVES[2], "example.com/other", [LOG.verifier_key])


def test_every_changed_byte_of_a_receipt_is_noticed() -> None:
    data = format_proof(PROOF)
    for at in range(len(data)):
        for flip in (1, 2, 0x20, 0x80):
            changed = data[:at] + bytes((data[at] ^ flip,)) + data[at + 1 :]
            with pytest.raises(EvidenceError):
                check_proof(parse_proof(changed), LEAVES[2], "example.com/log", [LOG.verifier_key])
        with pytest.raises(EvidenceError):
            check_proof(parse_proof(data[:at]), LEAVES[2], "example.com/log", [LOG.verifier_key])
