"""A BagIt bag (RFC 8493) inside a ZIP: manifests kept while files are added, tag files written at the end.

Payload is everything under `data/`; the payload manifest, `bag-info.txt`, `bagit.txt`, README, verifier and
attestation are tag files, and the tag manifest names all of those but itself. Lines are `<sha256 hex>  <path>`,
sorted by path (RFC 8493 2.1.3). Names hold only letters, digits, `.`, `_`, `-` and `/`, so no percent-encoding is ever
needed (2.1.3: CR, LF and %).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from counterfoil.core.errors import Fault, InputError
from counterfoil.evidence.archive import ArchiveWriter, Packed, Spool, pack
from counterfoil.verify.limits import MAX_ENTRIES

PAYLOAD = "data/"
BAGIT_TXT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
TAG_MANIFEST = "tagmanifest-sha256.txt"
MANIFEST = "manifest-sha256.txt"
ATTESTATION = "attestation.dsse.json"

_NAME = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*")

Digests = dict[str, str]
"""Path in the bag to SHA-256 in hex."""


class BagWriter:
    """One bag in the directory `top` of a ZIP written to `out`; spools live in `temporary`."""

    def __init__(self, out: BinaryIO, top: str, temporary: Path) -> None:
        self.top = _checked(top)
        self.digests: Digests = {}
        self._archive = ArchiveWriter(out)
        self._temporary = temporary
        self._payload_bytes = 0
        self._payload_files = 0
        self._open: list[Spool] = []

    def add(self, name: str, data: bytes) -> str:
        """A file whose bytes are at hand; its SHA-256 in hex."""
        return self.add_packed(name, pack(data))

    def add_packed(self, name: str, packed: Packed) -> str:
        """A file that is packed already; its SHA-256 in hex."""
        entry = self._archive.add_packed(self._full(name), packed)
        return self._note(name, entry.sha256, entry.size)

    def spool(self, name: str, *, compress: bool = True) -> Spool:
        """A file that grows while others are added; `add_spool` puts it into the bag."""
        spool = Spool(self._full(name), self._temporary, compress=compress)
        self._open.append(spool)
        return spool

    def add_spool(self, spool: Spool) -> str:
        """A spool that is complete; its SHA-256 in hex."""
        self._open.remove(spool)
        entry = self._archive.add_spool(spool)
        return self._note(entry.name.removeprefix(f"{self.top}/"), entry.sha256, entry.size)

    def finish(self, info: list[tuple[str, str]], attest: Callable[[Digests], bytes]) -> None:
        """Write the tag files: `info` goes into bag-info.txt, `attest` signs the digests of every file so far."""
        self.add("bagit.txt", BAGIT_TXT)
        oxum = ("Payload-Oxum", f"{self._payload_bytes}.{self._payload_files}")
        self.add("bag-info.txt", "".join(f"{key}: {_one_line(value)}\n" for key, value in [*info, oxum]).encode())
        self.add(MANIFEST, _manifest({name: d for name, d in self.digests.items() if name.startswith(PAYLOAD)}))
        self.add(ATTESTATION, attest(dict(self.digests)))
        self.add(TAG_MANIFEST, _manifest({n: d for n, d in self.digests.items() if not n.startswith(PAYLOAD)}))
        self._archive.close()

    def close(self) -> None:
        """Give back the temporary files of spools that never made it into the bag."""
        for spool in self._open:
            spool.close()
        self._open.clear()

    def _full(self, name: str) -> str:
        if name in self.digests:
            raise Fault(f"{name} is in the bag already")
        if (count := len(self.digests) + len(self._open) + 1) > MAX_ENTRIES:
            raise too_many_files(count)
        return f"{self.top}/{_checked(name)}"

    def _note(self, name: str, digest: str, size: int) -> str:
        self.digests[name] = digest
        if name.startswith(PAYLOAD):
            self._payload_bytes += size
            self._payload_files += 1
        return digest


def too_many_files(count: int) -> InputError:
    """More files than verifiers take: raise this."""
    return InputError(
        "too_large",
        f"the bundle would have {count} files or more; the limit is {MAX_ENTRIES}: ask for a shorter range",
        item="filter",
    )


def _checked(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise Fault(f"{name!r} is not a name for a file of a bundle")
    return name


def _manifest(digests: Digests) -> bytes:
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode()


def _one_line(value: str) -> str:
    """A value of bag-info.txt on one line: what a person typed must not become a tag of its own."""
    return " ".join(value.split())
