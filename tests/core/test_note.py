"""C2SP signed notes and verifier keys, on published vectors and every byte changed."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.core import note
from counterfoil.core.errors import EvidenceError, InputError, UnsupportedError
from counterfoil.core.note import NoteSigner, Signature, format_vkey, open_note, parse_note, parse_vkey

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "vectors" / "signed_notes.json").read_text())
SIGNER = NoteSigner.from_seed("example.com/log", bytes(range(32)))
OTHER = NoteSigner.from_seed("example.com/other", bytes(32))


def note_of(case: dict[str, Any]) -> bytes:
    if "note_generator" in case:  # "text + \"\\n\" + sig*101"
        whole = str(VECTORS["accept"][1]["note"])
        text, _, line = whole.rpartition("\n\n")
        return (text + "\n\n" + line * 101).encode()
    return base64.b64decode(case["note_b64"]) if "note_b64" in case else str(case["note"]).encode()


@pytest.mark.parametrize("case", VECTORS["accept"], ids=lambda case: case["name"])
def test_a_published_good_note_opens(case: dict[str, Any]) -> None:
    data = note_of(case)
    opened = open_note(data, [parse_vkey(vkey) for vkey in case["vkeys"]])
    assert len(opened.verified) == case["verified"]
    assert opened.unknown == case.get("unverified", 0)
    assert all(signature.timestamp is None for signature in opened.verified)
    text, signatures = parse_note(data)
    assert text == opened.text
    assert note.format_note(text, signatures) == data


def test_our_signature_is_byte_for_byte_that_of_x_mod() -> None:
    case = VECTORS["accept"][1]
    _, _, name, key_id, key = case["skey"].split("+", 4)
    signer = NoteSigner.from_seed(name, base64.b64decode(key)[1:])
    assert signer.vkey == case["vkeys"][0]
    assert signer.verifier_key.key_id.hex() == key_id
    text, _ = parse_note(case["note"].encode())
    assert note.sign(text, [signer]) == case["note"].encode()


@pytest.mark.parametrize(
    "case", [case for case in VECTORS["reject"] if "bad_vkey" not in case], ids=lambda case: case["name"]
)
def test_a_published_bad_note_is_rejected(case: dict[str, Any]) -> None:
    checks = {
        "unverified note": "note_unsigned",
        "invalid signature": "note_signature",
        "ambiguous key": "ambiguous_key",
        "malformed": "note_malformed",
    }
    with pytest.raises((EvidenceError, InputError)) as caught:
        open_note(note_of(case), [parse_vkey(vkey) for vkey in case["vkeys"]])
    failed = getattr(caught.value, "check", None) or getattr(caught.value, "code", None)
    assert failed == checks[case["error"]]


@pytest.mark.parametrize("vkey", [case["bad_vkey"] for case in VECTORS["reject"] if "bad_vkey" in case])
def test_a_published_bad_vkey_is_refused(vkey: str) -> None:
    with pytest.raises(EvidenceError, match="vkey"):
        parse_vkey(vkey)


@pytest.mark.parametrize("case", VECTORS["vkeys_ok"], ids=lambda case: case["vkey"][:20])
def test_a_published_vkey_parses_and_prints(case: dict[str, Any]) -> None:
    key = parse_vkey(case["vkey"])
    assert (key.algorithm, key.key_id.hex(), len(key.public)) == (case["type"], case["key_id_hex"], case["key_len"])
    assert format_vkey(key) == case["vkey"]


def test_a_published_ml_dsa_vkey_has_the_id_of_the_formula_and_not_the_one_it_declares() -> None:
    vkey = VECTORS["vkeys_type6_declared_id_mismatch"][0]["vkey"]
    with pytest.raises(EvidenceError, match="declares id 5893dc2c, but its key has id 31236897"):
        parse_vkey(vkey)
    key = parse_vkey(vkey.replace("5893dc2c", "31236897"))
    assert (key.name, key.algorithm, len(key.public)) == ("test", 6, 1312)


def test_published_checkpoints_open_where_their_keys_are_ed25519() -> None:
    opened = 0
    for case in VECTORS["checkpoints_ok"]:
        key, data = parse_vkey(case["vkey"]), case["checkpoint"].encode()
        if key.algorithm == note.ED25519:
            assert open_note(data, [key]).keys == (key,)
            opened += 1
        else:
            with pytest.raises(UnsupportedError, match="type 0x02"):
                open_note(data, [key])
    assert opened == 1


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+00000000",
        "na me+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k=",
        "example.com/foo+530d903a+",
        "example.com/foo+530d903a+Ag==",
    ],
)
def test_a_vkey_that_is_not_what_it_says_is_refused(vkey: str) -> None:
    with pytest.raises(EvidenceError) as caught:
        parse_vkey(vkey)
    assert caught.value.check == "vkey"


@pytest.mark.parametrize("name", ["", "a b", "a\u00a0b", "a+b", "a\nb", "a\x01b", "a\u2003", "\ud800", "x" * 1025])
def test_a_key_name_has_no_space_plus_or_control_character(name: str) -> None:
    with pytest.raises(EvidenceError, match="vkey"):
        NoteSigner(name, SIGNER.private)


def test_a_seed_has_32_bytes_and_is_never_shown() -> None:
    with pytest.raises(InputError, match="32 bytes"):
        NoteSigner.from_seed("example.com/log", bytes(31))
    assert "private" not in repr(SIGNER)


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]) | st.just("\n")))
def test_whatever_is_signed_opens_again_with_the_same_text(text: str) -> None:
    text += "\n"
    data = note.sign(text, [SIGNER, OTHER])
    opened = open_note(data, [OTHER.verifier_key, SIGNER.verifier_key])
    assert opened.text == text
    assert opened.keys == (SIGNER.verifier_key, OTHER.verifier_key)


def test_text_that_no_note_can_hold_is_not_signed() -> None:
    for text in ("", "no newline", "tab\there\n", "nul\x00\n"):
        with pytest.raises(InputError, match="ends in a newline"):
            note.sign(text, [SIGNER])
        with pytest.raises(InputError, match="ends in a newline"):
            note.format_note(text, [SIGNER.sign("x\n")])
    with pytest.raises(InputError, match="is signed"):
        note.sign("text\n", [])


def test_a_known_name_with_an_unknown_id_and_the_other_way_round_are_ignored() -> None:
    good = SIGNER.sign("text\n")
    same_name = Signature(SIGNER.name, b"\x00\x00\x00\x00", bytes(64))
    same_id = Signature("example.com/stranger", SIGNER.verifier_key.key_id, bytes(64))
    opened = open_note(note.format_note("text\n", [same_name, good, same_id]), [SIGNER.verifier_key])
    assert opened.keys == (SIGNER.verifier_key,)
    assert opened.unknown == 2
    with pytest.raises(EvidenceError, match="note_unsigned"):
        open_note(note.format_note("text\n", [same_name, same_id]), [SIGNER.verifier_key])


def test_a_second_bad_signature_of_a_known_key_rejects_the_note() -> None:
    good = SIGNER.sign("text\n")
    bad = Signature(good.name, good.key_id, bytes(64))
    short = Signature(good.name, good.key_id, b"x")
    for forged in (bad, short):
        for lines in ([good, forged], [forged, good]):
            with pytest.raises(EvidenceError, match="note_signature"):
                open_note(note.format_note("text\n", lines), [SIGNER.verifier_key])


def test_every_changed_byte_of_a_note_is_noticed() -> None:
    data = note.sign("an example\nwith two lines\n", [SIGNER])
    for at in range(len(data)):
        for flip in (1, 2, 0x20, 0x80):
            changed = data[:at] + bytes((data[at] ^ flip,)) + data[at + 1 :]
            with pytest.raises(EvidenceError, match="note_"):
                open_note(changed, [SIGNER.verifier_key])
        with pytest.raises(EvidenceError, match="note_"):
            open_note(data[:at], [SIGNER.verifier_key])
        with pytest.raises(EvidenceError, match="note_"):
            open_note(data[:at] + b"x" + data[at:], [SIGNER.verifier_key])


@pytest.mark.parametrize(
    "block",
    [
        "— name\n",
        "— name \n",
        "—  AAAAAAA=\n",
        "- name AAAAAAA=\n",
        "— name AAAAAA==\n",
        "— name AAAAAAA\n",
        "— name AAAAAAA= \n",
        "— name AAAAAAA=\n ",
        "— na+me AAAAAAA=\n",
        "— name  AAAAAAA=\n",
        "— name AAAA AAA=\n",
    ],
)
def test_a_line_that_is_no_signature_makes_the_note_malformed(block: str) -> None:
    with pytest.raises(EvidenceError, match="note_malformed"):
        parse_note(f"text\n\n{block}".encode())


def test_a_note_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(EvidenceError, match="over the limit of 1048576"):
        parse_note(b"x" * 1_048_577)


def test_a_note_may_carry_sixteen_large_signatures() -> None:
    large = [Signature(f"pq{i}.example", bytes(4), bytes(4_900)) for i in range(16)]
    data = note.format_note("text\n", [*large, SIGNER.sign("text\n")])
    assert open_note(data, [SIGNER.verifier_key]).unknown == 16
