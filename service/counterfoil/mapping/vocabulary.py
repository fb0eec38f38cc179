"""What the attributes of one instrumentation scope mean: the tables, compiled for quick asking.

    vocabulary = vocabulary_of("pydantic-ai", "2.68.0")
    vocabulary["gen_ai.request.model"]            # Known
    vocabulary["llm.input_messages.3.message.role"]   # Known: one of a group
    vocabulary["thread.name"]                     # None: the tables say nothing of it

One dict by exact key; a key that is not there is looked for among the patterns once, and the answer (also that there is
none) is remembered, for at most MAX_KEYS keys of at most MAX_KEY_CHARS; then it starts to learn anew. Almost all scopes
share one vocabulary; only those with quirks have their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from itertools import chain
from typing import Final

from counterfoil.mapping.conventions.own import OWN_OBJECTS
from counterfoil.mapping.conventions.rows import INDEX, REST, KindRow, PartRow, Quirk, Row
from counterfoil.mapping.tables import (
    AUDIT_KIND_ROWS,
    AUDIT_ROWS,
    EVENT_KINDS,
    KIND_ROWS,
    PART_ROWS,
    ROWS,
    SCOPE_QUIRKS,
)
from counterfoil.mapping.targets import EVENT_RANK, PART_RANK, SPAN_RANK, Known, PartOf, Target, target_of

MAX_KEYS: Final = 16_384
"""Keys that one vocabulary remembers beyond its tables."""
MAX_KEY_CHARS: Final = 256
"""A longer key fits no pattern with an index, and is looked for each time."""
MAX_INDEX_DIGITS: Final = 9

_STEP: Final = 1_000
"""Ranks between one table and the next: our own, the scope's, then the conventions in their order."""


class Vocabulary(dict[str, Known | None]):
    """Keys to what the tables know of them; None where they know nothing. `names` are kinds by span name."""

    __slots__ = ("_groups", "_indexed", "_limit", "_prefixes", "_tables", "names")

    def __init__(
        self,
        known: Mapping[str, Known],
        indexed: Mapping[str, Known],
        groups: Sequence[tuple[str, Known]],
        names: Sequence[tuple[str, str]],
    ) -> None:
        super().__init__(known)
        self.names = names
        self._indexed = indexed
        self._groups = groups
        self._prefixes = tuple((prefix, row) for row in PART_ROWS for prefix in row.prefixes)
        self._tables = frozenset(known)
        self._limit = len(known) + MAX_KEYS

    def __missing__(self, key: str) -> Known | None:
        found = self._find(key)
        if len(key) <= MAX_KEY_CHARS:
            if len(self) >= self._limit:
                self._forget()
            self[key] = found
        return found

    def _forget(self) -> None:
        """Forget what was learned, so that a producer of ever new keys costs the others no more than a moment.

        One by one: what the tables know is never gone, whoever asks meanwhile.
        """
        for key in list(self):
            if key not in self._tables:
                self.pop(key, None)

    def _find(self, key: str) -> Known | None:
        pattern, index = _with_index(key) if len(key) <= MAX_KEY_CHARS else ("", "")
        for prefix, known in self._groups:
            if _begins(prefix, key, pattern):
                return _as(known, key)
        part = _part_of(self._prefixes, key, pattern, index)
        if (indexed := self._indexed.get(pattern)) is not None:
            return replace(_as(indexed, key), part=part)
        # An attribute of a part that no row names goes with the others.
        return None if part is None else Known(key, (), PART_RANK, None, part.row.kind, part)

    def kind_by_name(self, name: str) -> str | None:
        """The kind that this scope's spans of this name are, whatever their attributes say."""
        for pattern, kind in self.names:
            if name.startswith(pattern[:-1]) if pattern.endswith(REST) else name == pattern:
                return kind
        return None


def _with_index(key: str) -> tuple[str, str]:
    """The key with `N` for its first index, and the index; empty where it has none."""
    segments = key.split(".")
    for place, segment in enumerate(segments[1:-1], start=1):
        if segment.isdecimal() and segment.isascii() and len(segment) <= MAX_INDEX_DIGITS:
            segments[place] = INDEX
            return ".".join(segments), segment
    return "", ""


def _as(known: Known, key: str) -> Known:
    """What is known of a pattern, for one key that it fits."""
    targets = tuple(replace(target, promoted={**target.promoted, "key": key}) for target in known.targets)
    return replace(known, key=key, targets=targets)


def _begins(prefix: str, key: str, pattern: str) -> bool:
    """Whether a key begins with a prefix of the tables, which may have an index in it."""
    return (pattern if f".{INDEX}." in prefix else key).startswith(prefix)


def _part_of(prefixes: Iterable[tuple[str, PartRow]], key: str, pattern: str, index: str) -> PartOf | None:
    for prefix, row in prefixes:
        if _begins(prefix, key, pattern):
            return PartOf(row, index if f".{INDEX}." in prefix else "")
    return None


@cache
def known_attributes() -> Vocabulary:
    """The vocabulary of a scope without quirks."""
    return _vocabulary((), (), {})


@cache
def audit_vocabulary() -> Vocabulary:
    """The vocabulary of the audit signal."""
    return _vocabulary(AUDIT_ROWS, (), {}, AUDIT_KIND_ROWS)


@lru_cache(1_024)
def vocabulary_of(scope: str, version: str) -> Vocabulary:
    """The vocabulary of an instrumentation scope."""
    found = tuple(place for place, quirk in enumerate(SCOPE_QUIRKS) if _holds(quirk, scope, version))
    return _with_quirks(found) if found else known_attributes()


@cache
def _with_quirks(places: tuple[int, ...]) -> Vocabulary:
    quirks = [SCOPE_QUIRKS[place] for place in places]
    rows = tuple(chain.from_iterable(quirk.rows for quirk in quirks))
    names = tuple(chain.from_iterable(quirk.names.items() for quirk in quirks))
    return _vocabulary(rows, names, dict(chain.from_iterable(quirk.shows.items() for quirk in quirks)))


def _holds(quirk: Quirk, scope: str, version: str) -> bool:
    return quirk.scope == scope and (not quirk.before or _numbers(version) < _numbers(quirk.before))


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: "1.3b0" is (1, 3). A scope without one is older than every other."""
    numbers = []
    for piece in version.split(".")[:4]:
        digits = piece[: len(piece) - len(piece.lstrip("0123456789"))][:MAX_INDEX_DIGITS]
        if not (digits and digits.isascii()):
            break
        numbers.append(int(digits))
    return tuple(numbers)


def _ranked(scope_rows: Sequence[Row]) -> Iterator[tuple[int, Row]]:
    """Every row with its rank: our own first, then the scope's."""
    own, *others = ROWS.values()
    for step, rows in enumerate((own, scope_rows, *others)):
        yield from ((step * _STEP + place, row) for place, row in enumerate(rows))


def _vocabulary(
    rows: Sequence[Row],
    names: Sequence[tuple[str, str]],
    shows: Mapping[str, str],
    first_kinds: Sequence[KindRow] = (),
) -> Vocabulary:
    targets: dict[str, list[Target]] = {}
    for rank, row in _ranked(rows):
        targets.setdefault(row.attribute, []).append(target_of(rank, row))
    known = {key: Known(key, tuple(found)) for key, found in targets.items()}
    _mark_parts(known)
    _mark_kinds(known, first_kinds)
    for key, kind in shows.items():
        known[key] = replace(known.get(key) or Known(key, ()), kind_rank=SPAN_RANK, kinds=None, kind=kind)
    patterns = {key: known.pop(key) for key in list(known) if f".{INDEX}." in key or key.endswith(f".{REST}")}
    groups = [(key.removesuffix(REST), found) for key, found in patterns.items() if key.endswith(f".{REST}")]
    indexed = {key: found for key, found in patterns.items() if not key.endswith(f".{REST}")}
    return Vocabulary(known, indexed, groups, names)


def _mark_parts(known: dict[str, Known]) -> None:
    for row in PART_ROWS:
        if row.chosen_by:
            kinds = known.get(row.chosen_by) or Known(row.chosen_by, ())
            known[row.chosen_by] = replace(kinds, kind_rank=PART_RANK, kinds=row.kinds)
        for key, found in known.items():
            if key.startswith(row.prefixes):
                part = None if f".{INDEX}." in key else PartOf(row, "")
                known[key] = replace(found, part=part, kind_rank=PART_RANK, kinds=found.kinds, kind=row.kind)


def _mark_kinds(known: dict[str, Known], first_kinds: Sequence[KindRow]) -> None:
    for key, found in known.items():
        own = key.split(".")[1] if key.startswith("counterfoil.") else ""
        if own in OWN_OBJECTS:
            known[key] = replace(found, kind_rank=OWN_OBJECTS.index(own), kind=own)
    known["event.name"] = replace(known["event.name"], kind_rank=EVENT_RANK, kinds=EVENT_KINDS)
    ranked = chain(enumerate(first_kinds, start=len(OWN_OBJECTS)), enumerate(KIND_ROWS, start=SPAN_RANK + 1))
    for rank, row in ranked:
        before = known.get(row.attribute) or Known(row.attribute, ())
        known[row.attribute] = replace(before, kind_rank=rank, kinds=row.kinds)
