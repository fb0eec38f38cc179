"""Which program built a bundle: its version, and a digest over its own source files.

The digest is SHA-256 over lines `<sha256 hex>  <path>\\n` of every `.py` and `.j2` file of the package, sorted by path,
as this prints it in the package's directory:

    find . -name '*.py' -o -name '*.j2' | cut -c3- | LC_ALL=C sort | xargs sha256sum | sha256sum
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

import counterfoil
from counterfoil.evidence.population import Software

NAME = "counterfoil"
_SUFFIXES = (".py", ".j2")


@cache
def running_software() -> Software:
    """The software of this process, as it was when it first asked."""
    return Software(NAME, version(NAME), digest_of_sources(Path(next(iter(counterfoil.__path__)))))


def digest_of_sources(package: Path) -> str:
    """SHA-256 (hex) over the digests of the source files of `package`."""
    files = sorted(
        (path.relative_to(package).as_posix(), path)
        for path in package.rglob("*")
        if path.suffix in _SUFFIXES and path.is_file()
    )
    total = hashlib.sha256()
    for name, path in files:
        total.update(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n".encode())
    return total.hexdigest()
