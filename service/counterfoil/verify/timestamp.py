"""Step 4: an RFC 3161 time-stamp token over the attestation (CMS SignedData, RFC 5652, with TSTInfo inside).

Shown are: the response was granted; the token is over SHA-256 of exactly these bytes; its signed attributes are of this
content (content-type, message-digest) and of the certificate that signed (signing-certificate of RFC 2634 or -v2 of RFC
5035); the signature verifies; and, where the policy names roots, the certificate leads to one (`certificates`).
Signatures: RSA PKCS #1 v1.5, ECDSA, Ed25519, with SHA-256, -384 or -512. Check: ``timestamp``, and those of `der`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from counterfoil.core.errors import EvidenceError, UnsupportedError
from counterfoil.verify.certificates import MAX_CERTIFICATES, check_authority, load_certificate
from counterfoil.verify.der import BOOLEAN, INTEGER, OCTET_STRING, OID, SEQUENCE, SET, Der, context, read_all

SIGNED_DATA = "1.2.840.113549.1.7.2"
TST_INFO = "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"
SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"

_SHA256 = "2.16.840.1.101.3.4.2.1"
_DIGESTS: dict[str, tuple[str, type[hashes.HashAlgorithm]]] = {
    _SHA256: ("sha256", hashes.SHA256),
    "2.16.840.1.101.3.4.2.2": ("sha384", hashes.SHA384),
    "2.16.840.1.101.3.4.2.3": ("sha512", hashes.SHA512),
}
_RSA = {
    "1.2.840.113549.1.1.1": None,
    "1.2.840.113549.1.1.11": "sha256",
    "1.2.840.113549.1.1.12": "sha384",
    "1.2.840.113549.1.1.13": "sha512",
}
_ECDSA = {"1.2.840.10045.4.3.2": "sha256", "1.2.840.10045.4.3.3": "sha384", "1.2.840.10045.4.3.4": "sha512"}
_ED25519 = "1.3.101.112"
_GRANTED = (0, 1)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a token says: when (microseconds since the epoch), by whom (certificate subject), its serial and policy."""

    at_us: int
    authority: str
    serial: int
    policy: str


@dataclass(frozen=True, slots=True)
class _Signer:
    """The parsed SignerInfo: whose certificate, which digest, attributes as signed, signature."""

    issuer: bytes
    serial: int
    key_id: bytes
    digest: str
    attributes: bytes
    algorithm: str
    signature: bytes


def _refuse(message: str) -> EvidenceError:
    return EvidenceError("timestamp", message)


def _algorithm(der: Der) -> str:
    """The object identifier of an AlgorithmIdentifier; parameters absent or NULL, as for all that we know."""
    inner = der.enter(SEQUENCE)
    found = inner.oid()
    if inner.tag is not None and inner.take(0x05) != b"":
        raise _refuse("algorithm parameters")
    inner.end()
    return found


def _digest_algorithm(der: Der) -> str:
    found = _algorithm(der)
    if found not in _DIGESTS:
        raise UnsupportedError(f"a timestamp with the digest algorithm {found}")
    return found


def _open_response(data: bytes) -> Der:
    """The ContentInfo of a TimeStampResp that was granted, or of a bare token."""
    body = read_all(data, SEQUENCE)
    if body.tag == OID:
        return body
    status = body.enter(SEQUENCE)
    if (code := status.integer()) not in _GRANTED:
        raise _refuse(f"the authority did not grant it: status {code}")
    token = body.enter(SEQUENCE)
    body.end()
    return token


def _parse_signer(signers: Der) -> _Signer:
    info = signers.enter(SEQUENCE)
    signers.end()
    version = info.integer()
    issuer, serial, key_id = b"", 0, b""
    if version == 1:
        sid = info.enter(SEQUENCE)
        issuer, serial = sid.take_whole(SEQUENCE), sid.integer()
        sid.end()
    else:
        key_id = info.take(0x80)
    digest = _digest_algorithm(info)
    # SPEC: RFC 5652 section 5.4 - the signature is over the attributes as a SET OF, not under their tag [0].
    whole = info.take_whole(context(0))
    algorithm, signature = _algorithm(info), info.take(OCTET_STRING)
    info.skip_optional(context(1))
    info.end()
    return _Signer(issuer, serial, key_id, digest, bytes((SET,)) + whole[1:], algorithm, signature)


def _parse_attributes(data: bytes) -> dict[str, Der]:
    """The one value of each attribute; SPEC: RFC 5652 section 11 - those that are read here have exactly one."""
    attributes = read_all(data, SET)
    found: dict[str, Der] = {}
    while attributes.tag is not None:
        attribute = attributes.enter(SEQUENCE)
        kind, values = attribute.oid(), attribute.enter(SET)
        attribute.end()
        if kind in found:
            raise _refuse(f"the signed attribute {kind} is there twice")
        if values.tag is None:
            raise _refuse(f"the signed attribute {kind} has no value")
        found[kind] = Der(values.take_whole(values.tag))
        values.end()
    return found


def _attribute(attributes: dict[str, Der], kind: str, what: str) -> Der:
    if kind not in attributes:
        raise _refuse(f"no signed attribute {what}")
    return attributes[kind]


def _certificate_hash(attributes: dict[str, Der]) -> tuple[str, bytes]:
    """Hash name and hash by which the signed attributes name the signing certificate."""
    if SIGNING_CERTIFICATE_V2 in attributes:
        first = attributes[SIGNING_CERTIFICATE_V2].enter(SEQUENCE).enter(SEQUENCE).enter(SEQUENCE)
        kind = _DIGESTS[_digest_algorithm(first) if first.tag == SEQUENCE else _SHA256][0]
    else:
        first = _attribute(attributes, SIGNING_CERTIFICATE, "signing-certificate").enter(SEQUENCE)
        first, kind = first.enter(SEQUENCE).enter(SEQUENCE), "sha1"
    return kind, first.take(OCTET_STRING)


def _is_signer(certificate: x509.Certificate, signer: _Signer) -> bool:
    if not signer.key_id:
        return (certificate.issuer.public_bytes(), certificate.serial_number) == (signer.issuer, signer.serial)
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return False
    return found.digest == signer.key_id


def _check_signature(certificate: x509.Certificate, signer: _Signer) -> None:
    name, kind = _DIGESTS[signer.digest]
    try:
        key = certificate.public_key()
        if isinstance(key, RSAPublicKey) and _RSA.get(signer.algorithm, "") in (name, None):
            key.verify(signer.signature, signer.attributes, PKCS1v15(), kind())
        elif isinstance(key, EllipticCurvePublicKey) and _ECDSA.get(signer.algorithm) == name:
            key.verify(signer.signature, signer.attributes, ECDSA(kind()))
        elif isinstance(key, Ed25519PublicKey) and signer.algorithm == _ED25519:
            key.verify(signer.signature, signer.attributes)
        else:
            raise UnsupportedError(f"a timestamp signed with {signer.algorithm} and {name}")
    except InvalidSignature:
        raise _refuse("the authority's signature does not verify") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _refuse("the authority's key cannot be used") from None


def _parse_info(content: bytes, message: bytes) -> tuple[int, int, str]:
    """Time, serial and policy of a TSTInfo over SHA-256 of `message`."""
    info = read_all(content, SEQUENCE)
    if info.integer() != 1:
        raise UnsupportedError("a timestamp whose TSTInfo is not version 1")
    policy = info.oid()
    imprint = info.enter(SEQUENCE)
    algorithm, digest = _digest_algorithm(imprint), imprint.take(OCTET_STRING)
    imprint.end()
    if (algorithm, digest) != (_SHA256, hashlib.sha256(message).digest()):
        raise _refuse("not over SHA-256 of the attestation")
    serial, at_us = info.integer(), info.time_us()
    if at_us < 0:
        raise _refuse("made before 1970")
    for tag in (SEQUENCE, BOOLEAN, INTEGER, context(0), context(1)):  # accuracy, ordering, nonce, tsa, extensions
        info.skip_optional(tag)
    info.end()
    return at_us, serial, policy


def _certificates(signed: Der) -> list[x509.Certificate]:
    if signed.tag != context(0):
        raise _refuse("the token does not carry the authority's certificate")
    values = signed.enter(context(0))
    found: list[x509.Certificate] = []
    while values.tag is not None:
        found.append(load_certificate(values.take_whole(SEQUENCE)))
        if len(found) > MAX_CERTIFICATES:
            raise _refuse(f"more than {MAX_CERTIFICATES} certificates")
    return found


def check_timestamp(data: bytes, message: bytes, roots: Sequence[x509.Certificate]) -> Stamp:
    """The token's statement about `message`; without `roots` nothing is said about who made it."""
    token = _open_response(data)
    if (kind := token.oid()) != SIGNED_DATA:
        raise _refuse(f"not CMS signed data but {kind}")
    outer = token.enter(context(0))
    token.end()
    signed = outer.enter(SEQUENCE)
    outer.end()
    signed.integer()
    signed.take(SET)
    encapsulated = signed.enter(SEQUENCE)
    if (kind := encapsulated.oid()) != TST_INFO:
        raise _refuse(f"not over a TSTInfo but {kind}")
    content = encapsulated.enter(context(0)).take(OCTET_STRING)
    certificates = _certificates(signed)
    signed.skip_optional(context(1))
    signer = _parse_signer(signed.enter(SET))
    signed.end()
    attributes = _parse_attributes(signer.attributes)
    if _attribute(attributes, CONTENT_TYPE, "content-type").oid() != TST_INFO:
        raise _refuse("the signed content type is not TSTInfo")
    digest = hashlib.new(_DIGESTS[signer.digest][0], content).digest()
    if _attribute(attributes, MESSAGE_DIGEST, "message-digest").take(OCTET_STRING) != digest:
        raise _refuse("the signed digest is not of this TSTInfo")
    authority = next((each for each in certificates if _is_signer(each, signer)), None)
    if authority is None:
        raise _refuse("the signer's certificate is not in the token")
    name, certificate_hash = _certificate_hash(attributes)
    if hashlib.new(name, authority.public_bytes(Encoding.DER), usedforsecurity=False).digest() != certificate_hash:
        raise _refuse("the signed attributes name another certificate")
    _check_signature(authority, signer)
    at_us, serial, policy = _parse_info(content, message)
    if roots:
        check_authority(authority, certificates, roots, at_us)
    return Stamp(at_us, authority.subject.rfc4514_string(), serial, policy)
