"""Which content leaves the house: what the requester's role may read, what was asked for, and what is redacted.

    content: "all" | "none" | {"fields": ["rationale", "output"]}
    redactions: [{"field": "input", "seqs": [17, 18], "reason": "names a third party", "ground": "GDPR Art. 15(4)"}]

The narrowest wins, and nothing is left out silently: every field of every record presented that is not disclosed
stands in `states.ndjson` as WITHHELD, and in `redactions.csv` with the reason, the ground and who asked for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from counterfoil.core.errors import InputError
from counterfoil.core.schema import MAX_FIELDS

MAX_REDACTIONS = 1_000
MAX_REDACTED_SEQS = 10_000
MAX_REASON_CHARS = 500
MAX_FIELD_CHARS = 64

NOT_ASKED_FOR = "outside the content that was asked for"
NOT_PERMITTED = "the role of the requester may not read content"


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why one field of one record is not in this copy."""

    reason: str
    ground: str
    is_single: bool = False
    """Whether this record was named; else the field is withheld by a rule for all records."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """One field withheld: of the records `seqs`, or of every record (None)."""

    field: str
    seqs: frozenset[int] | None
    reason: str
    ground: str


@dataclass(frozen=True, slots=True)
class Scope:
    """What content a bundle may hold: these fields (None: all), less the redactions."""

    fields: frozenset[str] | None = None
    redactions: tuple[Redaction, ...] = ()
    permitted: bool = True
    """Whether the requester's role may read content at all."""
    _of_field: dict[str, tuple[Redaction, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        of_field: dict[str, tuple[Redaction, ...]] = {}
        for redaction in self.redactions:
            of_field[redaction.field] = (*of_field.get(redaction.field, ()), redaction)
        object.__setattr__(self, "_of_field", of_field)

    @property
    def is_empty(self) -> bool:
        """Whether nothing can be disclosed, so that nothing needs to be opened."""
        return not self.permitted or self.fields == frozenset()

    @property
    def is_whole(self) -> bool:
        """Whether every field may be disclosed."""
        return self.permitted and self.fields is None and not self.redactions

    @property
    def names_records(self) -> bool:
        """Whether a redaction is of single records."""
        return any(redaction.seqs is not None for redaction in self.redactions)

    def decide(self, seq: int, name: str) -> Withheld | None:
        """None where the field `name` may be disclosed."""
        if not self.permitted:
            return Withheld(NOT_PERMITTED, "role")
        for redaction in self._of_field.get(name, ()):
            if redaction.seqs is None or seq in redaction.seqs:
                return Withheld(redaction.reason, redaction.ground, redaction.seqs is not None)
        if self.fields is not None and name not in self.fields:
            return Withheld(NOT_ASKED_FOR, "scope")
        return None

    def parsed(self) -> dict[str, Any]:
        """The scope as run.json states it; `parse_scope` takes `content` and `redactions` back."""
        content: Any = "all"
        if self.fields is not None:
            content = {"fields": sorted(self.fields)} if self.fields else "none"
        redactions = []
        for redaction in self.redactions:
            entry: dict[str, Any] = {
                "field": redaction.field,
                "reason": redaction.reason,
                "ground": redaction.ground,
            }
            if redaction.seqs is not None:
                entry["seqs"] = sorted(redaction.seqs)
            redactions.append(entry)
        return {"content": content, "redactions": redactions}


def parse_scope(content: object, redactions: Sequence[Mapping[str, Any]] = (), *, permitted: bool = True) -> Scope:
    """The scope of a request; InputErrors `bad_content_scope`, `bad_redaction` name what is wrong with which item."""
    return Scope(_fields(content), tuple(_redaction(i, r) for i, r in enumerate(_limited(redactions))), permitted)


def _fields(content: object) -> frozenset[str] | None:
    if content == "all":
        return None
    if content == "none":
        return frozenset()
    names = content.get("fields") if isinstance(content, Mapping) and len(content) == 1 else None
    if not isinstance(names, list | tuple) or not 1 <= len(names) <= MAX_FIELDS:
        raise InputError(
            "bad_content_scope",
            f'content is "all", "none" or {{"fields": [1 to {MAX_FIELDS} names]}}',
            item="content",
        )
    return frozenset(_field_name(name, "content.fields") for name in names)


def _field_name(name: object, item: str) -> str:
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_FIELD_CHARS:
        raise InputError("bad_content_scope", f"a field name has 1 to {MAX_FIELD_CHARS} characters", item=item)
    return name


def _limited(redactions: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    if len(redactions) > MAX_REDACTIONS:
        raise InputError("bad_redaction", f"more than {MAX_REDACTIONS} redactions", item="redactions")
    return redactions


def _redaction(index: int, given: Mapping[str, Any]) -> Redaction:
    item = f"redactions[{index}]"
    unknown = set(given) - {"field", "seqs", "reason", "ground"}
    if unknown:
        raise InputError("bad_redaction", f"a redaction has no {min(unknown)!r}", item=item)
    seqs = given.get("seqs")
    if seqs is not None and not _are_seqs(seqs):
        raise InputError("bad_redaction", f"seqs is a list of 1 to {MAX_REDACTED_SEQS} record numbers", item=item)
    return Redaction(
        _field_name(given.get("field"), item),
        None if seqs is None else frozenset(seqs),
        _words(given.get("reason"), "reason", item),
        _words(given.get("ground"), "ground", item),
    )


def _are_seqs(seqs: object) -> bool:
    if not isinstance(seqs, list | tuple) or not 1 <= len(seqs) <= MAX_REDACTED_SEQS:
        return False
    return all(type(seq) is int and seq >= 0 for seq in seqs)


def _words(value: object, name: str, item: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_REASON_CHARS:
        raise InputError("bad_redaction", f"{name} is needed, at most {MAX_REASON_CHARS} characters", item=item)
    return value
