"""Step 3: the attestation, a DSSE v1 envelope over an in-toto Statement v1 (docs/formats/bundle.md, section 4).

What is signed is the pre-authentication encoding: ``DSSEv1 <len(type)> <type> <len(body)> <body>``. The order: enough
keys of the policy signed these bytes; only then the payload is parsed; its subjects are exactly the files that they
must name, with the digests that step 2 found; its predicate says what the other files say.

`keyid` is a hint and decides nothing, with one exception for blame: a signature whose hint names a key of the policy,
and which that key did not make, is a forgery and fails the step.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from counterfoil.core.encoding import encode_base64
from counterfoil.core.errors import EvidenceError, UnsupportedError
from counterfoil.core.note import VerifierKey
from counterfoil.verify.bag import TAGS
from counterfoil.verify.blame import blame
from counterfoil.verify.documents import check_keys, parse_object, refuse, take_object, take_text
from counterfoil.verify.limits import MAX_ATTESTATION_BYTES, MAX_DOCUMENT_BYTES
from counterfoil.verify.population import Population, parse_population
from counterfoil.verify.reader import Bundle

ATTESTATION = "attestation.dsse.json"
TIMESTAMP = "attestation.tsr"
POPULATION = "data/population.json"
RUN = "data/run.json"

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:counterfoil:bundle:1"
MAX_SIGNATURES = 64

_NOT_SUBJECTS = {ATTESTATION, TIMESTAMP, TAGS}


def pre_authentication_encoding(payload_type: str, body: bytes) -> bytes:
    """What a DSSE v1 signature is made over; lengths in bytes."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)


def _refuse(message: str) -> EvidenceError:
    return EvidenceError("attestation", message)


def _decode(text: str) -> bytes:
    """SPEC: DSSE v1 - base64 in the standard or the URL-safe alphabet."""
    try:
        return base64.b64decode(text.translate({ord("-"): "+", ord("_"): "/"}), validate=True)
    except (ValueError, binascii.Error):
        raise _refuse("payload or signature is not base64") from None


def _signed_by(key: VerifierKey, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _open(data: bytes, signers: Sequence[VerifierKey], threshold: int) -> tuple[bytes, tuple[str, ...]]:
    """The payload that at least `threshold` different keys signed, and the names of those keys."""
    envelope = parse_object(data)
    check_keys(envelope, {"payload", "payloadType", "signatures"}, set(), "")
    kind, body = take_text(envelope, "payloadType"), _decode(take_text(envelope, "payload"))
    signatures = envelope["signatures"]
    if not isinstance(signatures, list) or not 0 < len(signatures) <= MAX_SIGNATURES:
        raise refuse(f"signatures must be an array of 1 to {MAX_SIGNATURES}")
    message = pre_authentication_encoding(kind, body)
    hints = {f"{key.name}+{key.key_id.hex()}": key for key in signers}
    signed: set[VerifierKey] = set()
    for signature in signatures:
        if not isinstance(signature, dict):
            raise refuse("a signature must be an object")
        check_keys(signature, {"sig"}, {"keyid"}, "signatures.")
        sig, hint = _decode(take_text(signature, "sig")), signature.get("keyid", "")
        found = {key for key in signers if _signed_by(key, sig, message)}
        if not found and isinstance(hint, str) and hint in hints:
            raise _refuse(f"the signature of {hint} does not verify")
        signed |= found
    if len(signed) < threshold:
        raise _refuse(f"{len(signed)} of the trusted bundle signers signed, {threshold} must have")
    if kind != PAYLOAD_TYPE:
        raise UnsupportedError(f"payload type {kind[:64]!r}; this software knows {PAYLOAD_TYPE}")
    return body, tuple(sorted(key.name for key in signed))


def _check_subjects(subjects: Any, digests: dict[str, str]) -> None:
    """The subjects are the files, each once, by name and digest."""
    if not isinstance(subjects, list):
        raise refuse("subject must be an array")
    named: dict[str, str] = {}
    for subject in subjects:
        if not isinstance(subject, dict):
            raise refuse("a subject must be an object")
        name, digest = take_text(subject, "name"), take_object(subject, "digest").get("sha256")
        if name in named or not isinstance(digest, str):
            raise refuse(f"the subject {name[:64]!r} is there twice or has no sha256")
        named[name] = digest
    wanted = {name: digest for name, digest in digests.items() if name not in _NOT_SUBJECTS}
    if missing := wanted.keys() - named.keys():
        raise _refuse(f"{min(missing)!r} is not among the subjects")
    for name, digest in named.items():
        if wanted.get(name) != digest:
            raise _refuse(f"the subject {name[:64]!r} is no file of the bundle, or has another digest")


def _check_predicate(predicate: dict[str, Any], population: Population, digests: dict[str, str]) -> None:
    wanted = {
        "form": population.form,
        "origin": population.origin,
        "population": digests[POPULATION],
        "request": {"sha256": digests[RUN]},
        "root": encode_base64(population.root),
        "tree_size": population.tree_size,
    }
    check_keys(predicate, {*wanted, "attested_by"}, set(), "predicate.")
    for key, value in wanted.items():
        if predicate[key] != value or type(predicate[key]) is not type(value):
            raise _refuse(f"predicate.{key} is not what the bundle holds")


def check_attestation(
    bundle: Bundle, digests: dict[str, str], signers: Sequence[VerifierKey], threshold: int
) -> tuple[Population, tuple[str, ...]]:
    """Step 3. The population, and who signed for it; `digests` as step 2 found them."""
    with blame(3, ATTESTATION):
        body, signed_by = _open(bundle.read(ATTESTATION, MAX_ATTESTATION_BYTES), signers, threshold)
        statement = parse_object(body)
        kind, predicate_kind = take_text(statement, "_type"), take_text(statement, "predicateType")
        if kind != STATEMENT_TYPE or predicate_kind != PREDICATE_TYPE:
            raise UnsupportedError(f"statement {kind[:64]!r} with predicate {predicate_kind[:64]!r} is not known")
        check_keys(statement, {"_type", "predicate", "predicateType", "subject"}, set(), "")
        _check_subjects(statement["subject"], digests)
    for name in (POPULATION, RUN):
        with blame(3, name):
            document = bundle.read(name, MAX_DOCUMENT_BYTES)
            parse_object(document)
            if name == POPULATION:
                population = parse_population(document)
    with blame(3, ATTESTATION):
        _check_predicate(take_object(statement, "predicate"), population, digests)
    return population, signed_by
