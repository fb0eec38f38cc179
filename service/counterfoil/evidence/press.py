"""A block of records presented, from what is stored to what stands in the files of a bundle: a pure function.

Worker processes run it, so that both cores build. It takes leaves and sealed contents with their keys, and gives the
lines of every file, compressed, with the totals of the block. It does the plain case alone, in which every field that
may be disclosed opens, matches its digest and is no large value. For anything else (something erased, missing,
damaged, a blob, single records redacted) it gives None, and `presented` does the block record by record, which knows
how to say each of these things, or by which name to stop the export.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

import orjson

from counterfoil.core.encoding import encode_base64
from counterfoil.core.errors import EvidenceError
from counterfoil.core.filter import Filter
from counterfoil.core.state import ContentState
from counterfoil.core.tiles import format_entries
from counterfoil.evidence.archive import Packed, Piece, deflate_piece, pack
from counterfoil.evidence.canonical import to_line
from counterfoil.evidence.flat import COLUMNS, WORDS, FieldState, flatten
from counterfoil.evidence.narrative import Glance, glance
from counterfoil.evidence.population import Counted
from counterfoil.evidence.scope import Scope, Withheld
from counterfoil.evidence.sealed import Sealed
from counterfoil.evidence.spreadsheet import CsvBlock
from counterfoil.log.contents import read_value
from counterfoil.log.seal import unseal

PLACES = {column: place for place, column in enumerate(COLUMNS)}
_WORDS = frozenset(WORDS)
_TO_URL = bytes.maketrans(b"+/", b"-_")
_DIGEST_CHARS = 43


@dataclass(frozen=True, slots=True)
class Task:
    """What all blocks of one bundle share: the origin that sealing is bound to, the extent, filter and scope."""

    origin: str
    a: int
    b: int
    filter: Filter
    scope: Scope


@dataclass(frozen=True, slots=True)
class Block:
    """Adjacent leaves from `first` on, and the sealed contents of those to be presented (None: not the plain case)."""

    first: int
    leaves: Sequence[bytes]
    sealed: Sealed | None
    tell: bool = False
    """Whether the words of these records may still find room in the narrative."""


@dataclass(frozen=True, slots=True)
class Pressed:
    """The block as it goes into the bundle."""

    entries: Packed
    disclosures: Piece
    states: Piece
    ndjson: Piece
    csv: Piece
    counted: Counted
    glances: Sequence[Glance]
    disclosed: int
    withheld: Counter[tuple[str, Withheld]]


def press(task: Task, block: Block) -> Pressed | None:
    """The block, or None where it is not the plain case."""
    if block.sealed is None or task.scope.names_records:
        return None
    work = _Press(task, block, block.sealed)
    try:
        for place, leaf in enumerate(block.leaves):
            seq = block.first + place
            if task.a <= seq < task.b and not work.add(seq, leaf):
                return None
    except (AttributeError, KeyError, TypeError, ValueError, EvidenceError):
        return None  # a leaf that is not formed as a record is, content that does not open: said elsewhere
    return work.finish()


@lru_cache(maxsize=1024)
def _withheld(scope: Scope, name: str) -> Withheld | None:
    """Why the field is withheld from every record; the scope names no single record."""
    return scope.decide(-1, name)


class _Press:
    """One block in the making."""

    def __init__(self, task: Task, block: Block, sealed: Sealed) -> None:
        self._task, self._block, self._sealed = task, block, sealed
        self._counted = Counted()
        self._hashes: list[bytes] = []
        self._disclosures: list[bytes] = []
        self._states: list[bytes] = []
        self._lines: list[bytes] = []
        self._rows = CsvBlock()
        self._glances: list[Glance] = []
        self._disclosed = 0
        self._withholds = not task.scope.is_whole
        self._withheld: Counter[tuple[str, Withheld]] = Counter()

    def add(self, seq: int, data: bytes) -> bool:
        """One record; False where it is not the plain case."""
        leaf = orjson.loads(data)
        if leaf["seq"] != seq or type(leaf["kind"]) is not str:
            return False
        if not self._task.filter.matches(leaf):
            return True
        fields = self._fields(seq, leaf.get("content", {}))
        if fields is None:
            return False
        hashed = sha256(b"\x00" + data).digest()
        self._count(seq, leaf, hashed)
        row = flatten(leaf, encode_base64(hashed), fields)
        self._lines.append(to_line(row))
        self._rows.sparse_row(row, PLACES)
        self._glances.append(glance(leaf, fields, tell=self._block.tell))
        return True

    def _fields(self, seq: int, content: dict[str, str]) -> dict[str, FieldState] | None:
        """The lines of each field; states of those that are words or withheld; None where it is not the plain case."""
        opened = self._open(seq, content)
        fields: dict[str, FieldState] = {}
        for name, digest in content.items():
            if self._withholds and (withheld := _withheld(self._task.scope, name)) is not None:
                self._states.append(b'{"field":"%b","seq":%d,"state":"WITHHELD"}\n' % (name.encode(), seq))
                self._withheld[name, withheld] += 1
                fields[name] = FieldState(ContentState.WITHHELD)
                continue
            found = opened.get(digest.encode())
            if found is None:
                return None
            disclosure, encoded = found
            after_salt = disclosure.find(b'","', 2)
            named = f'","{name}",'.encode()
            value_at = after_salt + len(named)
            if not disclosure.startswith(named, after_salt) or disclosure.startswith(b'{"blob":', value_at):
                return None
            self._disclosures.append(b'{"disclosure":"%b","field":"%b","seq":%d}\n' % (encoded, name.encode(), seq))
            self._disclosed += 1
            if name in _WORDS:
                fields[name] = FieldState(ContentState.DISCLOSED, read_value(disclosure))
        return fields

    def _open(self, seq: int, content: dict[str, str]) -> dict[bytes, tuple[bytes, bytes]]:
        """Each disclosure, and the same in base64url, by its digest."""
        found = {}
        for key_id, sealed in self._sealed.rows.get(seq, ()):
            for disclosure in unseal(self._sealed.keys[key_id], self._task.origin, content, sealed):
                encoded = b2a_base64(disclosure, newline=False).translate(_TO_URL).rstrip(b"=")
                digest = b2a_base64(sha256(encoded).digest())[:_DIGEST_CHARS].translate(_TO_URL)
                found[digest] = disclosure, encoded
        return found

    def _count(self, seq: int, leaf: dict[str, Any], hashed: bytes) -> None:
        counted = self._counted
        counted.first = seq if not counted.count else counted.first
        counted.last = seq
        counted.count += 1
        counted.by_kind[leaf["kind"]] += 1
        if (outcome := leaf.get("decision", {}).get("outcome")) is not None:
            counted.by_outcome[outcome] += 1
        self._hashes.append(hashed)

    def finish(self) -> Pressed:
        """The block, compressed."""
        self._counted.hashes = b"".join(self._hashes)
        return Pressed(
            pack(format_entries(self._block.leaves)),
            deflate_piece(b"".join(self._disclosures)),
            deflate_piece(b"".join(self._states)),
            deflate_piece(b"".join(self._lines)),
            deflate_piece(self._rows.take()),
            self._counted,
            self._glances,
            self._disclosed,
            self._withheld,
        )
