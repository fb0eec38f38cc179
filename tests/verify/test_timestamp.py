"""Step 4 against tokens that the real `openssl ts` makes, of authorities of several kinds, and against altered ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from counterfoil.core.errors import EvidenceError, UnsupportedError
from counterfoil.verify.certificates import check_authority, load_certificate
from counterfoil.verify.der import Der, context, read_all
from counterfoil.verify.timestamp import Stamp, _parse_info, check_timestamp
from tests.verify.authority import EKU, Authority, openssl

MESSAGE = b"the bytes of an attestation"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa"))


@pytest.fixture(scope="module")
def token(authority: Authority) -> bytes:
    return authority.stamp(MESSAGE)


def roots(authority: Authority) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(authority.root)]


def refuse(token: bytes, trusted: list[x509.Certificate], message: bytes = MESSAGE) -> str:
    with pytest.raises(EvidenceError) as caught:
        check_timestamp(token, message, trusted)
    return caught.value.message


def test_a_token_says_when_and_by_whom(authority: Authority, token: bytes) -> None:
    stamp = check_timestamp(token, MESSAGE, roots(authority))
    said = openssl("ts", "-reply", "-in", "/dev/stdin", "-text", stdin=token).decode()
    assert isinstance(stamp, Stamp)
    assert (stamp.authority, stamp.policy) == ("CN=Test authority", "1.2.3.4.1")
    assert f"Serial number: 0x{stamp.serial:02X}" in said
    assert stamp.at_us % 1_000_000 == 0


def test_openssl_agrees_that_the_token_is_good(authority: Authority, token: bytes) -> None:
    (authority.folder / "reply").write_bytes(token)
    (authority.folder / "message").write_bytes(MESSAGE)
    verified = openssl(
        *("ts", "-verify", "-data", str(authority.folder / "message"), "-in", str(authority.folder / "reply")),
        *("-CAfile", str(authority.folder / "root.pem")),
    )
    assert b"Verification: OK" in verified


def test_a_bare_token_is_taken_too(authority: Authority) -> None:
    assert check_timestamp(authority.stamp(MESSAGE, "-token_out"), MESSAGE, roots(authority)).policy == "1.2.3.4.1"


@pytest.mark.parametrize(
    ("key", "digest", "ess"),
    [("rsa", "sha256", "sha256"), ("rsa", "sha512", "sha1"), ("ec", "sha384", "sha512"), ("ec", "sha256", "sha1")],
)
def test_other_keys_and_digests_verify(key: str, digest: str, ess: str, tmp_path: Path) -> None:
    made = Authority(tmp_path, key=key, digest=digest, ess=ess)
    assert check_timestamp(made.stamp(MESSAGE), MESSAGE, roots(made)).authority == "CN=Test authority"


def test_without_roots_the_token_is_only_sound_in_itself(token: bytes) -> None:
    assert check_timestamp(token, MESSAGE, []).policy == "1.2.3.4.1"


def test_the_authority_itself_may_be_the_trusted_root(authority: Authority, token: bytes) -> None:
    pinned = x509.load_pem_x509_certificate((authority.folder / "tsa.pem").read_bytes())
    assert check_timestamp(token, MESSAGE, [pinned]).policy == "1.2.3.4.1"


def test_a_token_over_other_bytes_is_refused(authority: Authority, token: bytes) -> None:
    assert "not over SHA-256" in refuse(token, roots(authority), MESSAGE + b"!")


def test_an_imprint_of_another_digest_is_refused(authority: Authority) -> None:
    assert "not over SHA-256" in refuse(authority.stamp(MESSAGE, digest="sha512"), roots(authority))


def test_an_imprint_of_a_digest_that_nobody_should_use_is_unsupported(authority: Authority) -> None:
    config = (authority.folder / "config").read_text()
    (authority.folder / "config").write_text(config.replace("digests = sha256", "digests = sha1, sha256"))
    with pytest.raises(UnsupportedError, match="digest algorithm"):
        check_timestamp(authority.stamp(MESSAGE, digest="sha1"), MESSAGE, [])
    (authority.folder / "config").write_text(config)


def test_another_root_is_refused(token: bytes, tmp_path: Path) -> None:
    assert "does not lead to a root" in refuse(token, roots(Authority(tmp_path)))


@pytest.mark.parametrize("usage", ["extendedKeyUsage = timeStamping", ""])
def test_openssl_itself_makes_no_token_without_the_critical_usage(usage: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        Authority(tmp_path, usage=usage).stamp(MESSAGE)


def certificates(folder: Path, extensions: str) -> tuple[x509.Certificate, x509.Certificate]:
    """Authority and root, the authority with other extensions than openssl would stamp with."""
    made = Authority(folder, usage=extensions)
    return x509.load_pem_x509_certificate((folder / "tsa.pem").read_bytes()), roots(made)[0]


NOW_US = 1_800_000_000_000_000


@pytest.mark.parametrize(
    ("extensions", "why"),
    [
        ("", "no extended key usage"),
        ("extendedKeyUsage = timeStamping", "for time stamping alone"),
        ("extendedKeyUsage = critical, timeStamping, serverAuth", "for time stamping alone"),
        ("extendedKeyUsage = critical, serverAuth", "for time stamping alone"),
        (EKU + "\nkeyUsage = critical, keyEncipherment", "not for signatures"),
        (EKU + "\n1.2.3.4.5 = critical, ASN1:UTF8String:x", "critical extension 1.2.3.4.5"),
    ],
)
def test_a_certificate_that_is_not_for_time_stamping_is_refused(extensions: str, why: str, tmp_path: Path) -> None:
    authority, root = certificates(tmp_path, extensions)
    with pytest.raises(EvidenceError, match=why):
        check_authority(authority, [], [root], NOW_US)


def test_a_key_for_signatures_is_accepted(tmp_path: Path) -> None:
    authority, root = certificates(tmp_path, EKU + "\nkeyUsage = critical, digitalSignature")
    check_authority(authority, [], [root], NOW_US)


@pytest.mark.parametrize("at_us", [0, 4_000_000_000_000_000])
def test_a_certificate_outside_its_time_is_refused(authority: Authority, at_us: int) -> None:
    certificate = x509.load_pem_x509_certificate((authority.folder / "tsa.pem").read_bytes())
    with pytest.raises(EvidenceError, match="not valid at the time"):
        check_authority(certificate, [], roots(authority), at_us)


def _issue(folder: Path, name: str, issuer: str, extensions: str, number: int) -> x509.Certificate:
    """A certificate of `name` by `issuer` (itself: self-signed)."""
    (folder / f"{name}.cnf").write_text(f"[req]\ndistinguished_name = dn\n[dn]\n[x]\n{extensions}\n")
    config = ["-config", str(folder / f"{name}.cnf")]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(folder / f"{name}.key")]
    request = openssl("req", "-new", "-subj", f"/CN={name}", *key, *config)
    if name == issuer:
        sign = ["-key", str(folder / f"{name}.key")]
    else:
        sign = ["-CA", str(folder / f"{issuer}.pem"), "-CAkey", str(folder / f"{issuer}.key")]
    pem = openssl(
        *("x509", "-req", "-days", "3650", "-set_serial", str(number), "-extfile", str(folder / f"{name}.cnf")),
        *("-extensions", "x", *(["-signkey", sign[1]] if name == issuer else sign)),
        stdin=request,
    )
    (folder / f"{name}.pem").write_bytes(pem)
    return x509.load_pem_x509_certificate(pem)


CA = "basicConstraints = critical, CA:true"


def test_a_chain_leads_over_intermediates_to_the_root(tmp_path: Path) -> None:
    root = _issue(tmp_path, "root", "root", CA, 1)
    middle = _issue(tmp_path, "middle", "root", CA + ", pathlen:0\nkeyUsage = keyCertSign", 2)
    end = _issue(tmp_path, "end", "middle", EKU, 3)
    check_authority(end, [end, middle], [root], NOW_US)
    with pytest.raises(EvidenceError, match="does not lead to a root"):
        check_authority(end, [end], [root], NOW_US)


@pytest.mark.parametrize(
    ("of_root", "of_middle"),
    [
        (CA + ", pathlen:0", CA),  # no room for another authority below
        (CA, "basicConstraints = critical, CA:false"),
        (CA, "subjectKeyIdentifier = hash"),  # does not say that it is an authority
        (CA, CA + "\nkeyUsage = digitalSignature"),
    ],
)
def test_a_chain_over_what_may_not_issue_is_refused(of_root: str, of_middle: str, tmp_path: Path) -> None:
    root = _issue(tmp_path, "root", "root", of_root, 1)
    middle = _issue(tmp_path, "middle", "root", of_middle, 2)
    end = _issue(tmp_path, "end", "middle", EKU, 3)
    with pytest.raises(EvidenceError, match="does not lead to a root"):
        check_authority(end, [end, middle], [root], NOW_US)


def _of_the_same_key(folder: Path, name: str, as_name: str, issuer: str, *options: str) -> x509.Certificate:
    """Another certificate of `name` by `issuer`, over the same key."""
    config = ["-config", str(folder / f"{name}.cnf")]
    request = openssl("req", "-new", "-subj", f"/CN={name}", "-key", str(folder / f"{name}.key"), *config)
    (folder / "other.cnf").write_text(f"[x]\n{CA}\n{''.join(options)}\n")
    days = "3650" if options else "-1"
    pem = openssl(
        *("x509", "-req", "-days", days, "-set_serial", "77", "-extfile", str(folder / "other.cnf"), "-extensions"),
        *("x", "-CA", str(folder / f"{issuer}.pem"), "-CAkey", str(folder / f"{issuer}.key")),
        stdin=request,
    )
    (folder / f"{as_name}.pem").write_bytes(pem)
    return x509.load_pem_x509_certificate(pem)


@pytest.mark.parametrize("options", [(), ("nameConstraints = critical, permitted;DNS:example.com",)])
def test_an_issuer_that_does_not_fit_closes_no_other_way(options: tuple[str, ...], tmp_path: Path) -> None:
    root = _issue(tmp_path, "root", "root", CA, 1)
    middle = _issue(tmp_path, "middle", "root", CA, 2)
    unfit = _of_the_same_key(tmp_path, "middle", "unfit", "root", *options)
    end = _issue(tmp_path, "end", "middle", EKU, 3)
    for others in ([unfit, middle], [middle, unfit]):
        check_authority(end, [end, *others], [root], NOW_US)
    with pytest.raises(EvidenceError, match=r"does not lead to a root of the policy: CN=middle (was not|has a crit)"):
        check_authority(end, [end, unfit], [root], NOW_US)


def test_a_circle_of_certificates_ends(tmp_path: Path) -> None:
    root = _issue(tmp_path, "root", "root", CA, 1)
    other = _issue(tmp_path, "other", "other", CA, 2)
    end = _issue(tmp_path, "end", "other", EKU, 3)
    with pytest.raises(EvidenceError, match="does not lead to a root"):
        check_authority(end, [end, other], [root], NOW_US)


def test_a_token_without_the_certificate_is_refused(authority: Authority) -> None:
    assert "does not carry the authority's certificate" in refuse(authority.stamp(MESSAGE, certificate=False), [])


def test_a_refusal_of_the_authority_is_no_timestamp(authority: Authority) -> None:
    config = (authority.folder / "config").read_text()
    (authority.folder / "config").write_text(config.replace("digests = sha256,", "digests = "))
    refused = authority.stamp(MESSAGE)
    (authority.folder / "config").write_text(config)
    assert "did not grant it: status 2" in refuse(refused, [])


def test_every_truncation_is_refused(token: bytes) -> None:
    for size in range(len(token)):
        with pytest.raises(EvidenceError):
            check_timestamp(token[:size], MESSAGE, [])


def test_a_byte_more_is_refused(token: bytes) -> None:
    assert "bytes after the last value" in refuse(token + b"\0", [])


def _free_bytes(token: bytes) -> set[int]:
    """Bytes that nothing signs: the version of SignedData and its list of digests, which no decision rests on."""
    signed = token.index(b"\x02\x01\x03\x31")
    return set(range(signed, signed + 4 + token[signed + 4] + 1))


def test_every_altered_byte_is_refused(authority: Authority, token: bytes) -> None:
    trusted = roots(authority)
    stamp = check_timestamp(token, MESSAGE, trusted)
    accepted = set()
    for at in range(len(token)):
        changed = bytearray(token)
        changed[at] ^= 1 << at % 8
        try:
            found = check_timestamp(bytes(changed), MESSAGE, trusted)
        except (EvidenceError, UnsupportedError):
            continue
        assert found == stamp
        accepted.add(at)
    assert accepted <= _free_bytes(token) | {8}  # status 0 or 1: both are granted


# --- crafted tokens: DER put together by hand around the real one ---------------------------------------------------


def der(tag: int, *parts: bytes) -> bytes:
    """One DER value."""
    content = b"".join(parts)
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    wide = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(wide))) + wide + content


def _parts(data: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each value inside."""
    reader, found = Der(data), []
    while (tag := reader.tag) is not None:
        found.append((tag, reader.take(tag)))
    return found


class Taken:
    """A token taken apart, to be put together otherwise."""

    def __init__(self, token: bytes) -> None:
        response = _parts(read_all(token, 0x30)._data)
        self.status = der(*response[0])
        (_, self.kind), (_, wrapped) = _parts(response[1][1])
        fields = _parts(_parts(wrapped)[0][1])
        self.version, self.digests, self.content = (der(*field) for field in fields[:3])
        self.certificates = der(*fields[3])
        self.signer = [der(*field) for field in _parts(_parts(fields[4][1])[0][1])]

    def build(self) -> bytes:
        """The response."""
        signer = der(0x31, der(0x30, *self.signer))
        signed = der(0x30, self.version, self.digests, self.content, self.certificates, signer)
        token = der(0x30, der(0x06, self.kind), der(context(0), signed))
        return der(0x30, self.status, token)

    def attributes(self) -> list[bytes]:
        """The signed attributes."""
        return [der(*each) for each in _parts(_parts(self.signer[3])[0][1])]


def test_a_token_put_together_again_is_the_same(token: bytes) -> None:
    assert Taken(token).build() == token


def test_content_that_is_not_signed_data_is_refused(token: bytes) -> None:
    taken = Taken(token)
    taken.kind = bytes.fromhex("2a864886f70d010701")
    assert "not CMS signed data" in refuse(taken.build(), [])


def test_signed_data_over_something_else_is_refused(token: bytes) -> None:
    taken = Taken(token)
    taken.content = der(0x30, der(0x06, bytes.fromhex("2a864886f70d010701")), der(context(0), der(0x04, b"x")))
    assert "not over a TSTInfo" in refuse(taken.build(), [])


def test_revocation_lists_are_passed_over(token: bytes) -> None:
    taken = Taken(token)
    taken.certificates += der(context(1), der(0x30, b""))
    assert check_timestamp(taken.build(), MESSAGE, []).policy == "1.2.3.4.1"


def test_too_many_certificates_are_refused(token: bytes) -> None:
    taken = Taken(token)
    taken.certificates = der(context(0), _parts(taken.certificates)[0][1] * 17)
    assert "more than 16 certificates" in refuse(taken.build(), [])


def test_something_else_than_a_certificate_is_refused(token: bytes) -> None:
    taken = Taken(token)
    taken.certificates = der(context(0), der(0x30, der(0x02, b"\x01")))
    assert "not an X.509 certificate" in refuse(taken.build(), [])


def test_a_signer_whose_certificate_is_not_there_is_refused(token: bytes, tmp_path: Path) -> None:
    taken = Taken(token)
    taken.certificates = Taken(Authority(tmp_path, key="rsa").stamp(MESSAGE)).certificates
    issuer = der(0x30, *[der(*each) for each in _parts(_parts(taken.signer[1])[0][1])][:1], der(0x02, b"\x09"))
    taken.signer[1] = issuer
    assert "signer's certificate is not in the token" in refuse(taken.build(), [])


def test_another_certificate_of_the_same_name_is_refused(token: bytes, tmp_path: Path) -> None:
    taken = Taken(token)
    taken.certificates = Taken(Authority(tmp_path).stamp(MESSAGE)).certificates
    assert "name another certificate" in refuse(taken.build(), [])


def test_a_signer_named_by_key_identifier_is_found(token: bytes, authority: Authority) -> None:
    certificate = x509.load_pem_x509_certificate((authority.folder / "tsa.pem").read_bytes())
    key_id = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    taken = Taken(token)
    taken.signer[:2] = [der(0x02, b"\x03"), der(0x80, key_id)]
    assert check_timestamp(taken.build(), MESSAGE, roots(authority)).policy == "1.2.3.4.1"
    taken.signer[1] = der(0x80, b"another")
    assert "signer's certificate is not in the token" in refuse(taken.build(), [])


def test_a_certificate_without_key_identifier_is_not_found_by_one(tmp_path: Path) -> None:
    made = Authority(tmp_path, usage=EKU + "\nsubjectKeyIdentifier = none")
    taken = Taken(made.stamp(MESSAGE))
    taken.signer[:2] = [der(0x02, b"\x03"), der(0x80, b"some key")]
    assert "signer's certificate is not in the token" in refuse(taken.build(), [])


def _with_attributes(token: bytes, change: list[bytes]) -> bytes:
    taken = Taken(token)
    taken.signer[3] = der(context(0), *change)
    return taken.build()


def _without(token: bytes, kind: bytes) -> bytes:
    return _with_attributes(token, [each for each in Taken(token).attributes() if kind not in each])


CONTENT_TYPE = bytes.fromhex("2a864886f70d010903")
MESSAGE_DIGEST = bytes.fromhex("2a864886f70d010904")
SIGNING_CERTIFICATE_V2 = bytes.fromhex("2a864886f70d010910022f")


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (CONTENT_TYPE, "no signed attribute content-type"),
        (MESSAGE_DIGEST, "no signed attribute message-digest"),
        (SIGNING_CERTIFICATE_V2, "no signed attribute signing-certificate"),
    ],
)
def test_a_missing_signed_attribute_is_refused(token: bytes, kind: bytes, why: str) -> None:
    assert why in refuse(_without(token, kind), [])


def test_a_signed_attribute_twice_is_refused(token: bytes) -> None:
    attributes = Taken(token).attributes()
    assert "is there twice" in refuse(_with_attributes(token, [*attributes, attributes[0]]), [])


def test_a_signed_attribute_has_one_value(token: bytes) -> None:
    attributes = Taken(token).attributes()
    value = der(0x06, bytes.fromhex("2a864886f70d0109100104"))
    for values, why in (((), "has no value"), ((value, value), "bytes after the last value")):
        other = der(0x30, der(0x06, CONTENT_TYPE), der(0x31, *values))
        changed = [other if CONTENT_TYPE in each else each for each in attributes]
        assert why in refuse(_with_attributes(token, changed), [])


def test_another_signed_content_type_is_refused(token: bytes) -> None:
    other = der(0x30, der(0x06, CONTENT_TYPE), der(0x31, der(0x06, bytes.fromhex("2a864886f70d010701"))))
    attributes = [other if CONTENT_TYPE in each else each for each in Taken(token).attributes()]
    assert "the signed content type" in refuse(_with_attributes(token, attributes), [])


def test_another_signed_digest_is_refused(token: bytes) -> None:
    other = der(0x30, der(0x06, MESSAGE_DIGEST), der(0x31, der(0x04, bytes(32))))
    attributes = [other if MESSAGE_DIGEST in each else each for each in Taken(token).attributes()]
    assert "the signed digest" in refuse(_with_attributes(token, attributes), [])


def test_an_unknown_signature_algorithm_is_unsupported(token: bytes) -> None:
    taken = Taken(token)
    taken.signer[4] = der(0x30, der(0x06, bytes.fromhex("2a864886f70d01010a")))  # RSASSA-PSS
    with pytest.raises(UnsupportedError, match="signed with"):
        check_timestamp(taken.build(), MESSAGE, [])


def test_algorithm_parameters_other_than_null_are_refused(token: bytes) -> None:
    taken = Taken(token)
    taken.signer[4] = der(0x30, der(0x06, bytes.fromhex("2a8648ce3d040302")), der(0x05, b"x"))
    assert "algorithm parameters" in refuse(taken.build(), [])


def test_a_time_before_1970_is_refused(token: bytes) -> None:
    info = _parts(_parts(_parts(Taken(token).content)[0][1])[1][1])[0][1]
    year = info.index(b"\x18\x0f") + 2
    with pytest.raises(EvidenceError, match="before 1970"):
        _parse_info(info[:year] + b"1969" + info[year + 4 :], MESSAGE)


def test_a_later_tstinfo_is_unsupported(token: bytes) -> None:
    taken = Taken(token)
    info = _parts(_parts(_parts(taken.content)[0][1])[1][1])[0][1].replace(b"\x02\x01\x01", b"\x02\x01\x02", 1)
    with pytest.raises(UnsupportedError, match="not version 1"):
        _parse_info(info, MESSAGE)


def _other_authority(folder: Path, kind: list[str]) -> x509.Certificate:
    """A self-signed authority whose key openssl's `ts` or `cryptography` does not handle."""
    (folder / "cnf").write_text(f"[req]\ndistinguished_name = dn\n[dn]\n[x]\n{EKU}\nbasicConstraints = CA:true\n")
    openssl("genpkey", *kind, "-out", str(folder / "key"))
    openssl(
        *("req", "-x509", "-new", "-key", str(folder / "key"), "-subj", "/CN=Other authority", "-days", "3650"),
        *("-config", str(folder / "cnf"), "-extensions", "x", "-outform", "DER", "-out", str(folder / "der")),
    )
    return load_certificate((folder / "der").read_bytes())


def _signed_by(token: bytes, certificate: x509.Certificate, algorithm: bytes) -> Taken:
    """The token as if that certificate's key had signed it; the signature is still to be made."""
    data = certificate.public_bytes(Encoding.DER)
    serial = certificate.serial_number.to_bytes(certificate.serial_number.bit_length() // 8 + 1, "big")
    certificate_id = der(0x30, der(0x30, der(0x30, der(0x04, hashlib.sha256(data).digest()))))
    named = der(0x30, der(0x06, SIGNING_CERTIFICATE_V2), der(0x31, certificate_id))
    taken = Taken(token)
    attributes = [named if SIGNING_CERTIFICATE_V2 in each else each for each in taken.attributes()]
    taken.certificates = der(context(0), data)
    taken.signer[1] = der(0x30, certificate.issuer.public_bytes(), der(0x02, serial))
    taken.signer[3:5] = [der(context(0), *attributes), der(0x30, der(0x06, algorithm))]
    return taken


ED25519 = bytes.fromhex("2b6570")


def test_an_ed25519_authority_verifies(token: bytes, tmp_path: Path) -> None:
    certificate = _other_authority(tmp_path, ["-algorithm", "ED25519"])
    taken = _signed_by(token, certificate, ED25519)
    key = load_pem_private_key((tmp_path / "key").read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    taken.signer[5] = der(0x04, key.sign(b"\x31" + taken.signer[3][1:]))
    assert check_timestamp(taken.build(), MESSAGE, []).authority == "CN=Other authority"
    taken.signer[5] = der(0x04, bytes(64))
    assert "signature does not verify" in refuse(taken.build(), [])


def test_a_key_that_cannot_be_used_is_refused(token: bytes, tmp_path: Path) -> None:
    kind = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp160k1"]
    certificate = _other_authority(tmp_path, kind)
    taken = _signed_by(token, certificate, bytes.fromhex("2a8648ce3d040302"))
    assert "key cannot be used" in refuse(taken.build(), [])


# --- DER ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "read", "message"),
    [
        ("", lambda d: d.take(0x30), "ends too early"),
        ("30", lambda d: d.take(0x30), "ends too early"),
        ("3001", lambda d: d.take(0x30), "ends too early"),
        ("1f0100", lambda d: d.take(0x1F), "tag number above 30"),
        ("3080", lambda d: d.take(0x30), "indefinite"),
        ("308101", lambda d: d.take(0x30), "shortest form"),
        ("30820080", lambda d: d.take(0x30), "shortest form"),
        ("3085ffffffffff", lambda d: d.take(0x30), "too large"),
        ("3082ff", lambda d: d.take(0x30), "shortest form"),
        ("0200", lambda d: d.integer(), "shortest form"),
        ("02020001", lambda d: d.integer(), "shortest form"),
        ("0202ff80", lambda d: d.integer(), "shortest form"),
        ("0600", lambda d: d.oid(), "ends too early"),
        ("060180", lambda d: d.oid(), "ends too early"),
        ("06028001", lambda d: d.oid(), "shortest form"),
        ("0603018001", lambda d: d.oid(), "shortest form"),
        ("180132", lambda d: d.time_us(), "not YYYYMMDD"),
        ("180f32303236313132323132303030302e5a", lambda d: d.time_us(), "not YYYYMMDD"),
        ("180f32303236313332323132303030305a", lambda d: d.time_us(), "calendar"),
        ("020101", lambda d: d.end(), "bytes after the last value"),
        ("020101", lambda d: d.take(0x04), "tag 0x02 where 0x04 must be"),
    ],
)
def test_der_has_one_spelling(data: str, read: Callable[[Der], object], message: str) -> None:
    with pytest.raises(EvidenceError, match=message):
        read(Der(bytes.fromhex(data)))


@pytest.mark.parametrize(
    ("data", "value"),
    [("020100", 0), ("0201ff", -1), ("02020080", 128), ("0202ff7f", -129), ("020204d2", 1234)],
)
def test_integers_are_read(data: str, value: int) -> None:
    assert Der(bytes.fromhex(data)).integer() == value


@pytest.mark.parametrize(
    ("data", "value"),
    [("06052b0e03021a", "1.3.14.3.2.26"), ("06022a03", "1.2.3"), ("0603550403", "2.5.4.3"), ("0603883703", "2.999.3")],
)
def test_object_identifiers_are_read(data: str, value: str) -> None:
    assert Der(bytes.fromhex(data)).oid() == value


@pytest.mark.parametrize(
    ("text", "at_us"),
    [
        (b"20261122120000Z", 1_795_348_800_000_000),
        (b"20261122120000.25Z", 1_795_348_800_250_000),
        (b"20261122120000.1234567Z", 1_795_348_800_123_456),
    ],
)
def test_times_are_read_to_the_microsecond(text: bytes, at_us: int) -> None:
    assert Der(der(0x18, text)).time_us() == at_us


def test_a_long_value_is_read() -> None:
    inner = Der(der(0x30, der(0x04, bytes(70_000)))).enter(0x30)
    assert (len(inner.take(0x04)), inner.tag) == (70_000, None)
