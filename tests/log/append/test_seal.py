"""Sealing: what goes in comes out, and nothing else opens."""

from __future__ import annotations

import base64
import hashlib
import os
from importlib.resources import files

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.core.errors import EvidenceError
from counterfoil.log.seal import (
    BLOB_PART_BYTES,
    content_aad,
    part_count,
    seal,
    seal_parts,
    unseal,
    unseal_part,
)

KEY = bytes(range(32))
NONCE = bytes(12)
ORIGIN = "audit.example.com/default/main"
CONTENT = {"rationale": "a" * 43, "input": "b" * 43}


def sealed(disclosures: list[bytes], content: dict[str, str] = CONTENT, origin: str = ORIGIN) -> bytes:
    return seal(AESGCM(KEY), NONCE, content_aad(origin, content), disclosures)


@given(st.lists(st.binary(max_size=500), max_size=8))
def test_what_was_sealed_comes_out_in_order(disclosures: list[bytes]) -> None:
    assert unseal(KEY, ORIGIN, CONTENT, sealed(disclosures)) == disclosures


def test_the_associated_data_is_exactly_as_specified() -> None:
    content = '{"input":"' + "b" * 43 + '","rationale":"' + "a" * 43 + '"}'
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest())
    assert content_aad(ORIGIN, CONTENT) == b"counterfoil/content/v1\n" + ORIGIN.encode() + b"\n" + digest + b"\n"
    data = sealed([b"[]"])
    plain = AESGCM(KEY).decrypt(data[:12], data[12:], content_aad(ORIGIN, CONTENT))
    assert plain == b"\x01\x00\x00\x00\x02[]"  # stored as it is: compression would not make it shorter


def test_content_moved_to_another_record_or_log_or_key_does_not_open() -> None:
    data = sealed([b'["salt","rationale","because"]'])
    for key, origin, content in (
        (KEY, ORIGIN, {**CONTENT, "input": "c" * 43}),
        (KEY, "audit.example.com/default/other", CONTENT),
        (bytes(32), ORIGIN, CONTENT),
    ):
        with pytest.raises(EvidenceError) as caught:
            unseal(key, origin, content, data)
        assert caught.value.check == "sealed_content"


def test_every_changed_byte_is_noticed() -> None:
    data = sealed([b'["salt","rationale","because it was so"]' * 3])
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1
        with pytest.raises(EvidenceError):
            unseal(KEY, ORIGIN, CONTENT, bytes(changed))
    for size in (0, 11, 12, 27, len(data) - 1):
        with pytest.raises(EvidenceError):
            unseal(KEY, ORIGIN, CONTENT, data[:size])


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        (b"\x09abc", "unknown format 09"),
        (b"", "unknown format"),
        (b"\x02not zstd", "does not decompress"),
        (b"\x03not zstd", "does not decompress"),
        (b"\x01\x00\x00\x00\x09short", "cut off"),
        (b"\x01\x00\x00", "cut off"),
    ],
)
def test_a_broken_body_is_evidence_and_not_a_crash(plain: bytes, message: str) -> None:
    data = NONCE + AESGCM(KEY).encrypt(NONCE, plain, content_aad(ORIGIN, CONTENT))
    with pytest.raises(EvidenceError, match=message):
        unseal(KEY, ORIGIN, CONTENT, data)


def test_a_body_that_claims_to_be_huge_is_refused_before_it_is_decompressed() -> None:
    import zstandard

    frame = zstandard.ZstdCompressor().compress(bytes(200 * 1024 * 1024))
    data = NONCE + AESGCM(KEY).encrypt(NONCE, b"\x02" + frame, content_aad(ORIGIN, CONTENT))
    with pytest.raises(EvidenceError, match="is over"):
        unseal(KEY, ORIGIN, CONTENT, data)


def test_plain_zstd_opens_too() -> None:
    import zstandard

    frame = zstandard.ZstdCompressor().compress(b"\x00\x00\x00\x02[]")
    data = NONCE + AESGCM(KEY).encrypt(NONCE, b"\x02" + frame, content_aad(ORIGIN, CONTENT))
    assert unseal(KEY, ORIGIN, CONTENT, data) == [b"[]"]


def test_the_dictionary_never_changes_because_what_was_sealed_with_it_must_open() -> None:
    data = files("counterfoil.log").joinpath("seal_dictionary_1.zdict").read_bytes()
    assert hashlib.sha256(data).hexdigest() == "e1b5920cf2c2e7754ea1e084f204732175915d964d54fc20c38bcd714191cc54"


def test_typical_content_becomes_a_third_of_its_size() -> None:
    attributes = (
        b'["0123456789abcdefghijklmn","attributes",[{"key":"gen_ai.operation.name","promoted":"kind"},'
        b'{"key":"gen_ai.request.model","promoted":"model.requested"},{"key":"gen_ai.usage.input_tokens",'
        b'"promoted":"usage.input_tokens"},{"key":"gen_ai.response.finish_reasons","value":{"arrayValue":'
        b'{"values":[{"stringValue":"stop"}]}}}]]'
    )
    assert len(sealed([attributes])) < len(attributes) / 2


@pytest.mark.parametrize("size", [0, 1, BLOB_PART_BYTES, BLOB_PART_BYTES + 1, 3 * BLOB_PART_BYTES])
def test_a_blob_is_sealed_in_parts_whose_place_is_bound(size: int) -> None:
    data = os.urandom(size)
    name = bytes(32)
    parts = seal_parts(AESGCM(KEY), (os.urandom(12) for _ in range(part_count(size))), ORIGIN, name, data)
    assert len(parts) == part_count(size)
    opened = [unseal_part(KEY, ORIGIN, name, at, len(parts), part) for at, part in enumerate(parts)]
    assert b"".join(opened) == data
    with pytest.raises(EvidenceError):
        unseal_part(KEY, ORIGIN, name, 1, len(parts), parts[0])
    with pytest.raises(EvidenceError):
        unseal_part(KEY, ORIGIN, name, 0, len(parts) + 1, parts[0])
    with pytest.raises(EvidenceError):
        unseal_part(KEY, ORIGIN, bytes(31) + b"x", 0, len(parts), parts[0])
