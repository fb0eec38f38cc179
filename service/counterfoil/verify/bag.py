"""Step 2: the bundle is a BagIt bag (RFC 8493) whose manifests name every file, and every digest is right.

Their result, file name to SHA-256, is what step 3 compares with the attestation's subjects, so no file is read for that
again. The digest of a file that a later step reads from end to end is compared by whoever reads it, so that it is
inflated once (`Bundle.expect`): nothing is said to have passed before all of them are. Where any step fails,
`check_digests` goes over every file in order, so that step 2 comes before the others. Check: ``manifest``.
"""

import re
from collections.abc import Callable, Mapping

from counterfoil.core.errors import EvidenceError
from counterfoil.verify.blame import blame
from counterfoil.verify.limits import MAX_DOCUMENT_BYTES, MAX_MANIFEST_BYTES
from counterfoil.verify.reader import Bundle

PAYLOAD = "manifest-sha256.txt"
TAGS = "tagmanifest-sha256.txt"
DECLARATION = "bagit.txt"
INFO = "bag-info.txt"

_DECLARED = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9._/-]+)")
_OXUM = re.compile(rb"^Payload-Oxum: ([0-9]{1,19})\.([0-9]{1,19})$", re.MULTILINE)


def _refuse(message: str) -> EvidenceError:
    return EvidenceError("manifest", message)


def parse_manifest(data: bytes) -> dict[str, str]:
    """File name to SHA-256 in lower-case hex; lines sorted by name, each name once."""
    try:
        lines = data.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise _refuse("not ASCII") from None
    if lines.pop():
        raise _refuse("the last line does not end in a newline")
    found: dict[str, str] = {}
    before = ""
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            raise _refuse("a line is not a SHA-256 in hex, two spaces and a file name")
        if match[2] <= before:
            raise _refuse(f"{match[2]!r} is not in its place: names are sorted, each once")
        before = match[2]
        found[before] = match[1]
    return found


def _check_names(listed: dict[str, str], there: set[str]) -> None:
    if missing := listed.keys() - there:
        raise _refuse(f"{min(missing)!r} is listed but missing")
    if unlisted := there - listed.keys():
        raise _refuse(f"{min(unlisted)!r} is there but not listed")


def _check_oxum(bundle: Bundle, payload: set[str]) -> None:
    with blame(2, INFO):
        info = bundle.read(INFO, MAX_DOCUMENT_BYTES)
        wanted = (sum(bundle.files[name] for name in payload), len(payload))
        found = [(int(size), int(count)) for size, count in _OXUM.findall(info)]
        if found != [wanted]:
            raise _refuse(f"Payload-Oxum must stand there once and be {wanted[0]}.{wanted[1]}")


def check_manifests(bundle: Bundle) -> dict[str, str]:
    """Step 2 but for the digests: the SHA-256 (hex) that every file but the tag manifest must have."""
    with blame(2, DECLARATION):
        if bundle.read(DECLARATION, MAX_DOCUMENT_BYTES) != _DECLARED:
            raise _refuse("not the declaration of a BagIt 1.0 bag in UTF-8")
    payload = {name for name in bundle.files if name.startswith("data/")}
    digests: dict[str, str] = {}
    for manifest, there in ((PAYLOAD, payload), (TAGS, bundle.files.keys() - payload - {TAGS})):
        with blame(2, manifest):
            listed = parse_manifest(bundle.read(manifest, MAX_MANIFEST_BYTES))
            _check_names(listed, set(there))
        digests |= listed
    _check_oxum(bundle, payload)
    return digests


def check_digests(bundle: Bundle, digests: Mapping[str, str], progress: Callable[[int, int], None]) -> None:
    """Step 2, the digests: each of these files is read; `progress` is told bytes done and in all."""
    bundle.expect(digests)
    done, total = 0, sum(bundle.files[name] for name in digests)
    for name in digests:
        with blame(2, name):
            for _ in bundle.chunks(name):
                pass
        done += bundle.files[name]
        progress(done, total)
