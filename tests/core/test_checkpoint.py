"""C2SP checkpoints: bodies, who must have signed, every byte changed."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.core import merkle, note
from counterfoil.core.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint, sign_checkpoint
from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.core.note import Cosigner, NoteSigner

VECTOR = json.loads((Path(__file__).parents[1] / "data" / "vectors" / "checkpoint_bodies.json").read_text())
LOG = NoteSigner.from_seed("example.com/log", bytes(range(32)))
WITNESS = Cosigner.from_seed("witness.example/w1", bytes(32))
CHECKPOINT = Checkpoint("example.com/log", 7, bytes(range(32)))


def test_the_published_body_prints_and_parses() -> None:
    case = VECTOR["marshal"][1]
    root = merkle.leaf_hash(case["root_is_leaf_hash_of"].encode())
    checkpoint = Checkpoint("go.sum database tree", 123_456_789_012, root)
    assert checkpoint.text() == case["text"]
    assert parse_checkpoint(case["text"]) == checkpoint


@pytest.mark.parametrize("text", VECTOR["reject_body"])
def test_a_published_bad_body_is_rejected(text: str) -> None:
    with pytest.raises(EvidenceError, match="checkpoint"):
        parse_checkpoint(text)


@given(
    st.text(st.characters(min_codepoint=33, exclude_categories=["Cs"]), min_size=1),
    st.integers(1, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1), max_size=16),
)
def test_checkpoints_round_trip(origin: str, size: int, root: bytes, extensions: list[str]) -> None:
    checkpoint = Checkpoint(origin, size, root, tuple(extensions))
    assert parse_checkpoint(checkpoint.text()) == checkpoint


ROOT = base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"log\n7\n{ROOT}",
        f"\n7\n{ROOT}\n",
        f"log\n07\n{ROOT}\n",
        f"log\n7\n{ROOT}\n\n",
        f"log\n7\n{ROOT}\n\next\n",
        f"log\n7\n{ROOT} \n",
        f"log\n7\n{ROOT[:-1]}\n",
        f"log\n9223372036854775808\n{ROOT}\n",
        f"log\n7\n{ROOT}\n" + "e\n" * 17,
        f"log\n0\n{ROOT}\n",
    ],
)
def test_a_body_that_is_no_checkpoint_is_rejected(text: str) -> None:
    with pytest.raises(EvidenceError) as caught:
        parse_checkpoint(text)
    assert caught.value.check == "checkpoint"


def test_the_empty_log_has_the_root_of_the_empty_tree() -> None:
    empty = Checkpoint("log", 0, merkle.EMPTY_ROOT)
    assert parse_checkpoint(empty.text()) == empty


@pytest.mark.parametrize(
    "parts",
    [("", 1, bytes(32)), ("a\nb", 1, bytes(32)), ("a", -1, bytes(32)), ("a", 2**63, bytes(32)), ("a", 1, bytes(31))],
)
def test_a_checkpoint_that_cannot_be_written_is_not_made(parts: tuple[str, int, bytes]) -> None:
    with pytest.raises(InputError, match="a checkpoint has"):
        Checkpoint(*parts)
    with pytest.raises(InputError, match="a checkpoint has"):
        Checkpoint("a", 1, bytes(32), ("",))


def test_a_signed_and_cosigned_checkpoint_opens() -> None:
    data = sign_checkpoint(CHECKPOINT, LOG) + WITNESS.sign(CHECKPOINT.text(), 1_700_000_000).line().encode()
    checkpoint, opened = open_checkpoint(data, "example.com/log", [LOG.verifier_key, WITNESS.verifier_key])
    assert checkpoint == CHECKPOINT
    assert opened.keys == (LOG.verifier_key, WITNESS.verifier_key)


def test_a_checkpoint_of_another_log_is_rejected_by_name() -> None:
    with pytest.raises(EvidenceError, match="checkpoint_origin"):
        open_checkpoint(sign_checkpoint(CHECKPOINT, LOG), "example.com/another", [LOG.verifier_key])


def test_a_witness_or_another_log_alone_does_not_vouch_for_a_log() -> None:
    text = CHECKPOINT.text()
    other = NoteSigner.from_seed("example.com/another", bytes(32))
    namesake = Cosigner.from_seed("example.com/log", bytes(31) + b"x")
    for data, key in (
        (note.format_note(text, [WITNESS.sign(text, 1)]), WITNESS.verifier_key),
        (sign_checkpoint(CHECKPOINT, other), other.verifier_key),
        (note.format_note(text, [namesake.sign(text, 1)]), namesake.verifier_key),
    ):
        with pytest.raises(EvidenceError, match="checkpoint_signature"):
            open_checkpoint(data, "example.com/log", [key, LOG.verifier_key])


def opens(data: bytes) -> Any:
    return open_checkpoint(data, "example.com/log", [LOG.verifier_key])


def test_every_changed_byte_of_a_checkpoint_is_noticed() -> None:
    data = sign_checkpoint(CHECKPOINT, LOG)
    assert opens(data)[0] == CHECKPOINT
    for at in range(len(data)):
        for bit in range(8):
            with pytest.raises(EvidenceError):
                opens(data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :])
        with pytest.raises(EvidenceError):
            opens(data[:at] + data[at + 1 :])
