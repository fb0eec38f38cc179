"""A time-stamping authority of our own, by the real `openssl ts`: a CA, an authority's certificate, tokens.

For the committed cases one token is kept in `tests/verify/stamps/` with the roots; `renew` makes it again where it is
no longer over the attestation (only when the bundle format changes). Everything else makes a fresh authority.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path

STORED = Path(__file__).parent / "stamps"

_CONFIG = """
[ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
[tsa]
basicConstraints = CA:false
{usage}
[tsa_config]
serial = {folder}/serial
signer_cert = {folder}/{name}.pem
signer_key = {folder}/{name}.key
signer_digest = {digest}
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ordering = yes
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = {ess}
"""

EKU = "extendedKeyUsage = critical, timeStamping"
KEYS = {
    "ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "rsa": ["rsa:2048"],
}


def openssl(*arguments: str, stdin: bytes = b"") -> bytes:
    """The output of the openssl program."""
    done = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class Authority:
    """A CA and an authority under it, in a folder."""

    def __init__(
        self,
        folder: Path,
        *,
        key: str = "ec",
        usage: str = EKU,
        digest: str = "sha256",
        ess: str = "sha256",
        days: int = 3650,
    ) -> None:
        self.folder = folder
        config = _CONFIG.format(folder=folder, name="tsa", usage=usage, digest=digest, ess=ess)
        (folder / "config").write_text("[req]\ndistinguished_name = dn\n[dn]\n" + config)
        (folder / "serial").write_text("01\n")
        common = ["-config", str(folder / "config"), "-nodes", "-newkey"]
        openssl(
            *("req", "-x509", "-subj", "/CN=Test root", "-days", str(days), "-extensions", "ca", *common, *KEYS[key]),
            *("-keyout", str(folder / "root.key"), "-out", str(folder / "root.pem")),
        )
        request = openssl(
            "req", "-new", "-subj", "/CN=Test authority", *common, *KEYS[key], "-keyout", str(folder / "tsa.key")
        )
        certificate = openssl(
            *("x509", "-req", "-CA", str(folder / "root.pem"), "-CAkey", str(folder / "root.key"), "-set_serial", "7"),
            *("-days", str(days), "-extfile", str(folder / "config"), "-extensions", "tsa"),
            stdin=request,
        )
        (folder / "tsa.pem").write_bytes(certificate)

    @property
    def root(self) -> bytes:
        """The CA's certificate, PEM."""
        return (self.folder / "root.pem").read_bytes()

    def stamp(self, message: bytes, *arguments: str, digest: str = "sha256", certificate: bool = True) -> bytes:
        """A TimeStampResp over `message`; with ``-token_out`` the bare token."""
        asked = ["-cert"] if certificate else []
        query = openssl("ts", "-query", f"-{digest}", "-data", "/dev/stdin", *asked, stdin=message)
        (self.folder / "query").write_bytes(query)
        return openssl(
            *("ts", "-reply", "-config", str(self.folder / "config"), "-section", "tsa_config"),
            *("-queryfile", str(self.folder / "query"), *arguments),
        )


def stored_token(attestation: bytes | None) -> bytes:
    """The committed token; it must be over `attestation`, if one is given."""
    token = (STORED / "attestation.tsr").read_bytes()
    assert attestation is None or hashlib.sha256(attestation).digest() in token, "run python -m tests.verify.cases"
    return token


def policy_extra(root: str = "root.pem") -> str:
    """The policy's table that trusts a stored root."""
    return f'\n[timestamp]\nroots = ["""\n{(STORED / root).read_text()}"""]\n'


def renew(attestation: bytes) -> None:
    """Makes the stored token and roots again, if the token is not over this attestation."""
    stored = STORED / "attestation.tsr"
    if stored.exists() and hashlib.sha256(attestation).digest() in stored.read_bytes():
        return
    STORED.mkdir(exist_ok=True)
    for name, is_used in (("root.pem", True), ("other-root.pem", False)):
        with tempfile.TemporaryDirectory() as folder:
            made = Authority(Path(folder))
            (STORED / name).write_bytes(made.root)
            if is_used:
                stored.write_bytes(made.stamp(attestation))
