"""The attestation, checked with openssl and with nothing of ours but the file names."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from pathlib import Path

from counterfoil.evidence.attestation import pre_authentication_encoding
from tests.evidence.house import House, unpack

ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")
"""DER of SubjectPublicKeyInfo for Ed25519 (RFC 8410), before the 32 bytes of the key."""


def openssl_accepts(public: bytes, message: bytes, signature: bytes, folder: Path) -> bool:
    """Whether `openssl pkeyutl` takes an Ed25519 signature."""
    (folder / "key.der").write_bytes(ED25519_SPKI + public)
    (folder / "message").write_bytes(message)
    (folder / "signature").write_bytes(signature)
    done = subprocess.run(
        [
            *("openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", "key.der"),
            *("-in", "message", "-sigfile", "signature"),
        ],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def test_openssl_verifies_the_signature_over_the_statement(house: House, tmp_path: Path) -> None:
    files = unpack(house.export())
    envelope = json.loads(files["attestation.dsse.json"])
    payload = base64.b64decode(envelope["payload"])
    kind = b"application/vnd.in-toto+json"
    assert envelope["payloadType"].encode() == kind
    message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    (line,) = envelope["signatures"]
    vkey = json.loads(files["data/keys/keys.json"])["bundles"][0]["vkey"]
    public = base64.b64decode(vkey.split("+", 2)[2])[1:]
    assert line["keyid"] == "+".join(vkey.split("+")[:2])
    assert openssl_accepts(public, message, base64.b64decode(line["sig"]), tmp_path)
    assert not openssl_accepts(public, message + b" ", base64.b64decode(line["sig"]), tmp_path)


def test_openssl_verifies_the_checkpoint_of_the_log(house: House, tmp_path: Path) -> None:
    files = unpack(house.export())
    text, _, lines = files["data/checkpoint"].rpartition(b"\n\n")
    signature = base64.b64decode(lines.split(b" ")[2])
    public = base64.b64decode(house.log.vkey.split("+", 2)[2])[1:]
    assert openssl_accepts(public, text + b"\n", signature[4:], tmp_path)


def test_its_subjects_are_every_file_but_itself_and_the_tag_manifest(house: House) -> None:
    files = unpack(house.export())
    statement = json.loads(base64.b64decode(json.loads(files["attestation.dsse.json"])["payload"]))
    named = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
    expected = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    del expected["attestation.dsse.json"], expected["tagmanifest-sha256.txt"]
    assert named == expected
    assert [subject["name"] for subject in statement["subject"]] == sorted(named)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicate"]["attested_by"] == "the service"
    assert statement["predicate"]["population"] == expected["data/population.json"]
    assert statement["predicate"]["request"] == {"sha256": expected["data/run.json"]}


def test_the_published_example_of_the_encoding_holds() -> None:
    # https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
    encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
