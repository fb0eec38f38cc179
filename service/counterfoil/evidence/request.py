"""What was asked for: the statement of an export, before anything is read.

    {"log": "main", "form": "range", "filter": {"kind": "decision", "from": "2026-11-01T00:00:00Z"},
     "purpose": "complaint 2026-113", "content": "all"}

A **range** takes leaf filters only, since every reader must be able to ask again; index-only filters (`q`, `derived`,
`started_from`, `started_to`) are refused by name, `not_a_leaf_filter`. A **selection** takes explicit record numbers,
or any search, and claims no completeness.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from counterfoil.core.encoding import decode_base64, encode_base64
from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.core.filter import INDEX_FILTERS, Filter, parse_filter
from counterfoil.core.note import MAX_NOTE_BYTES
from counterfoil.evidence.scope import Scope, parse_scope

RANGE = "range"
SELECTION = "selection"
FORMS = (RANGE, SELECTION)

MAX_SEQS = 100_000
MAX_PURPOSE_CHARS = 2_000

Given = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """A checked request. `search` holds index-only filters, `seqs` explicit records: both for selections alone."""

    log: str
    form: str
    filter: Filter
    purpose: str
    scope: Scope = field(default_factory=Scope)
    search: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seqs: tuple[int, ...] | None = None
    since: bytes | None = None
    """A checkpoint (signed note) that the requester kept; the bundle proves consistency with it."""

    def parsed(self) -> dict[str, Any]:
        """The request as JSON; `parse_request` takes it back."""
        names: dict[str, Any] = dict(self.filter.parsed())
        names.update({name: list(values) for name, values in self.search.items()})
        value: dict[str, Any] = {
            "log": self.log,
            "form": self.form,
            "filter": names,
            "purpose": self.purpose,
            **self.scope.parsed(),
        }
        if self.seqs is not None:
            value["seqs"] = list(self.seqs)
        if self.since is not None:
            value["since"] = encode_base64(self.since)
        return value


def parse_request(given: Mapping[str, Any], *, may_read_content: bool = True) -> ExportRequest:
    """The request of a JSON object; InputErrors name the key at fault."""
    form = given.get("form", RANGE)
    if form not in FORMS:
        raise InputError("bad_form", f"form is one of {', '.join(FORMS)}", item="form")
    leaf_filter, search = parse_filters(form, given.get("filter") or {})
    seqs = _parse_seqs(form, given.get("seqs"))
    if form == SELECTION and seqs is None and not search and not leaf_filter.terms:
        raise InputError("empty_selection", "a selection names seqs or has a filter", item="seqs")
    if seqs is not None and search:
        raise InputError("bad_selection", "a selection takes seqs or a search, not both", item="seqs")
    scope = parse_scope(given.get("content", "all"), given.get("redactions") or (), permitted=may_read_content)
    return ExportRequest(
        log=str(given.get("log", "")),
        form=form,
        filter=leaf_filter,
        purpose=_parse_purpose(given.get("purpose")),
        scope=scope,
        search=search,
        seqs=seqs,
        since=_parse_since(given.get("since")),
    )


def parse_filters(form: str, given: Given) -> tuple[Filter, dict[str, tuple[str, ...]]]:
    """The leaf filter, and for a selection what only the index can answer."""
    if form == RANGE:
        return parse_filter(given), {}
    leaf = {name: value for name, value in given.items() if name not in INDEX_FILTERS}
    search: dict[str, tuple[str, ...]] = {}
    for name in sorted(INDEX_FILTERS & given.keys()):
        value = given[name]
        values = (value,) if isinstance(value, str) else tuple(value)
        if len(values) != 1 or not values[0]:
            raise InputError("bad_filter_value", f"filter {name} takes one text", item=name)
        search[name] = values
    return parse_filter(leaf), search


def _parse_seqs(form: str, seqs: object) -> tuple[int, ...] | None:
    if seqs is None:
        return None
    if form != SELECTION:
        raise InputError("bad_form", "seqs belong to a selection; a range takes from and to", item="seqs")
    if not isinstance(seqs, list | tuple) or not 1 <= len(seqs) <= MAX_SEQS:
        raise InputError("bad_selection", f"seqs is a list of 1 to {MAX_SEQS} record numbers", item="seqs")
    if not all(type(seq) is int and 0 <= seq < 2**53 for seq in seqs):
        raise InputError("bad_selection", "a record number is an integer from 0", item="seqs")
    return tuple(sorted(set(seqs)))


def _parse_purpose(purpose: object) -> str:
    if not isinstance(purpose, str) or not purpose.strip() or len(purpose) > MAX_PURPOSE_CHARS:
        raise InputError("bad_purpose", f"say why, in 1 to {MAX_PURPOSE_CHARS} characters", item="purpose")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in purpose):
        raise InputError("bad_purpose", "the purpose is not Unicode text", item="purpose")
    return purpose


def _parse_since(since: object) -> bytes | None:
    """The note itself as text, or base64 of it."""
    if since is None:
        return None
    if isinstance(since, str) and 0 < len(since) <= MAX_NOTE_BYTES:
        if "\n" in since:
            return since.encode("utf-8", "surrogatepass")
        try:
            return decode_base64(since)
        except EvidenceError:
            pass
    raise InputError("bad_since", "since is a checkpoint: a signed note, as text or base64", item="since")
