"""`data/population.json`: what the bundle says it presents (docs/formats/bundle.md, section 5).

Parsing believes nothing: step 3 ties it to the attestation, step 5 to the checkpoint, steps 8 and 11 to the leaves.
"""

from dataclasses import dataclass
from typing import Any

from counterfoil.core.encoding import encode_base64
from counterfoil.core.errors import EvidenceError, InputError, UnsupportedError
from counterfoil.core.filter import Filter, parse_filter
from counterfoil.verify.documents import (
    check_keys,
    parse_object,
    refuse,
    take_hash,
    take_integer,
    take_object,
    take_text,
)

FORMAT = "counterfoil/bundle/1"
RANGE = "range"
SELECTION = "selection"

_REQUIRED = {
    *("a", "b", "border", "by_kind", "by_outcome", "count", "filter", "form", "format", "hash_total", "log", "origin"),
    *("root", "software", "states_as_of", "tree_size"),
}


@dataclass(frozen=True, slots=True)
class Totals:
    """Count, first and last seq, counts by kind and outcome, and the hash total of the records presented."""

    count: int
    first: int | None
    last: int | None
    by_kind: dict[str, int]
    by_outcome: dict[str, int]
    hash_total: bytes


@dataclass(frozen=True, slots=True)
class Population:
    """The sheet: `[a, b)` with borders, at the checkpoint of `tree_size` and `root`, filtered; totals as claimed."""

    form: str
    log: str
    origin: str
    tree_size: int
    root: bytes
    a: int
    b: int
    before: bool
    after: bool
    filter: Filter
    states_size: int
    states_root: bytes
    totals: Totals
    software: str

    @property
    def first_needed(self) -> int:
        """The first leaf that must be there: a, or the border before it."""
        return self.a - self.before

    @property
    def end_needed(self) -> int:
        """One past the last leaf that must be there."""
        return self.b + self.after

    def facts(self) -> dict[str, Any]:
        """What a report prints about it."""
        return {
            "form": self.form,
            "log": self.log,
            "origin": self.origin,
            "tree_size": self.tree_size,
            "root": encode_base64(self.root),
            "range": [self.a, self.b],
            "filter": self.filter.text(),
            "count": self.totals.count,
            "hash_total": encode_base64(self.totals.hash_total),
            "software": self.software,
        }


def _counts(value: dict[str, Any], key: str) -> dict[str, int]:
    found = take_object(value, key)
    return {name: take_integer(found, name) for name in found}


def _filter(value: dict[str, Any]) -> Filter:
    check_keys(value, {"parsed", "text"}, set(), "filter.")
    parsed, text = take_object(value, "parsed"), value["text"]
    for name, values in parsed.items():
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            raise refuse(f"filter.parsed.{name[:64]} must be an array of text")
    try:
        found = parse_filter(parsed)
    except InputError as error:
        raise EvidenceError("filter", error.message) from None
    if found.parsed() != parsed or found.text() != text:
        raise EvidenceError("filter", "text and parsed form are not the canonical ones of one filter")
    return found


def _totals(value: dict[str, Any]) -> Totals:
    count = take_integer(value, "count")
    if (count > 0) != ("first" in value) or ("first" in value) != ("last" in value):
        raise refuse("first and last are there exactly where count is not 0")
    first = take_integer(value, "first") if count else None
    last = take_integer(value, "last") if count else None
    hash_total = take_hash(value, "hash_total")
    return Totals(count, first, last, _counts(value, "by_kind"), _counts(value, "by_outcome"), hash_total)


def _check_range(found: Population) -> None:
    if not 0 <= found.a <= found.b <= found.tree_size:
        raise EvidenceError("range", f"[{found.a}, {found.b}) is no range of {found.tree_size} leaves")
    if found.form == SELECTION and (found.a, found.b) != (0, found.tree_size):
        raise EvidenceError("range", "a selection is taken from the whole log")
    names = dict(found.filter.terms)
    is_range = found.form == RANGE
    if found.before != (is_range and "from" in names and found.a > 0):
        raise EvidenceError("borders", "border.before must hold exactly for a filter with from and a > 0")
    if found.after != (is_range and "to" in names and found.b < found.tree_size):
        raise EvidenceError("borders", "border.after must hold exactly for a filter with to and b < tree_size")
    if found.states_size < found.tree_size or (found.states_size == found.tree_size) != (
        found.states_root == found.root
    ):
        raise EvidenceError("states_as_of", "must be the population's checkpoint or a later one")


def parse_population(data: bytes) -> Population:
    """The population of the file's bytes; UnsupportedError for another version of the format."""
    value = parse_object(data)
    form_at = take_text(value, "format")
    if form_at != FORMAT:
        raise UnsupportedError(f"bundle format {form_at[:64]!r}; this software knows {FORMAT}")
    check_keys(value, _REQUIRED, {"first", "last"}, "")
    form = take_text(value, "form")
    if form not in (RANGE, SELECTION):
        raise refuse("form must be range or selection")
    border, states, software = (take_object(value, key) for key in ("border", "states_as_of", "software"))
    check_keys(border, {"after", "before"}, set(), "border.")
    check_keys(states, {"root", "size"}, set(), "states_as_of.")
    check_keys(software, {"name", "version"}, {"digest"}, "software.")
    if not all(isinstance(border[key], bool) for key in ("after", "before")):
        raise refuse("border.before and border.after must be true or false")
    found = Population(
        form=form,
        log=take_text(value, "log"),
        origin=take_text(value, "origin"),
        tree_size=take_integer(value, "tree_size"),
        root=take_hash(value, "root"),
        a=take_integer(value, "a"),
        b=take_integer(value, "b"),
        before=border["before"],
        after=border["after"],
        filter=_filter(take_object(value, "filter")),
        states_size=take_integer(states, "size"),
        states_root=take_hash(states, "root"),
        totals=_totals(value),
        software=f"{take_text(software, 'name')} {take_text(software, 'version')}",
    )
    _check_range(found)
    return found
