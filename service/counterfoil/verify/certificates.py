"""From a time-stamping authority's certificate to a root of the policy, as of the time of the token (RFC 5280, 3161).

A small path validation: names chain, each signature verifies, each certificate is valid at that time, issuers are CAs
that may sign certificates within their path length, no critical extension is unknown. No revocation: a bundle is
checked offline, and the report says so. Check: ``certificate``.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from counterfoil.core.errors import EvidenceError

MAX_DEPTH = 6
MAX_CERTIFICATES = 16

_UNDERSTOOD = (ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE)


def _refuse(message: str) -> EvidenceError:
    return EvidenceError("certificate", message)


def load_certificate(der: bytes) -> x509.Certificate:
    """A certificate of its DER bytes, its extensions read."""
    try:
        found = x509.load_der_x509_certificate(der)
        _ = found.extensions, found.subject, found.issuer
    except (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise _refuse("not an X.509 certificate") from None
    return found


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()


def _unfitness(certificate: x509.Certificate, at: datetime) -> str | None:
    """Why this certificate cannot stand in a chain at that time; None where it can."""
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        return f"{_name(certificate)} was not valid at the time of the token"
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            return f"{_name(certificate)} has a critical extension {extension.oid.dotted_string} not understood"
    return None


def _check_authority(certificate: x509.Certificate) -> None:
    """SPEC: RFC 3161 section 2.3 - one extended key usage, timeStamping, and critical."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        raise _refuse("the authority's certificate is not for time stamping (no extended key usage)") from None
    if not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise _refuse("the authority's certificate is not for time stamping alone (critical extended key usage)")
    try:
        key_usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not (key_usage.digital_signature or key_usage.content_commitment):
        raise _refuse("the authority's key is not for signatures")


def _may_issue(issuer: x509.Certificate, depth: int) -> bool:
    """Whether it is a CA with room for `depth` CAs below it."""
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    if not constraints.ca or (constraints.path_length is not None and constraints.path_length < depth):
        return False
    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True


def _issued(certificate: x509.Certificate, issuer: x509.Certificate, depth: int) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return _may_issue(issuer, depth)


def check_authority(
    authority: x509.Certificate, others: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], at_us: int
) -> None:
    """The authority's certificate leads to one of the roots at that time, over certificates that the token carries."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
    _check_authority(authority)
    if why := _unfitness(authority, at):
        raise _refuse(why)
    trusted = {root.public_bytes(Encoding.DER) for root in roots}
    current = [authority]
    passed_over: list[str] = []
    for depth in range(MAX_DEPTH):
        if any(certificate.public_bytes(Encoding.DER) in trusted for certificate in current):
            return
        issuers = [
            issuer
            for issuer in (*roots, *others)
            if any(_issued(certificate, issuer, depth) for certificate in current)
        ]
        # One that does not fit closes no other way: an old certificate of an issuer may lie beside its new one.
        passed_over += [why for issuer in issuers if (why := _unfitness(issuer, at))]
        current = [issuer for issuer in issuers if not _unfitness(issuer, at)]
    message = f"{_name(authority)} does not lead to a root of the policy"
    raise _refuse(f"{message}: {passed_over[0]}" if passed_over else message)
