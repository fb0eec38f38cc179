"""Which content leaves the process, and in what form.

`capture` says which fields are taken at all: "all", "none", or a set of names (`{"rationale", "reason"}`). What is not
taken is said: `counterfoil.absent.<field>` = not_recorded. `redact` is applied in the background, before anything is
encoded or spooled: named rules (see `redaction`), then the host's own functions

    def mask(field: str, value):      # "decision.rationale", plain data
        return value                  # None: withhold the field

in the order given. A field that a rule changed, or that was withheld, is marked `redacted`. If a function raises, the
field is withheld: nothing goes out unredacted because redaction failed. Facts (tokens, enumerations, numbers) and
identifiers of interactions and people are not content: what is personal among them becomes a pseudonym at the service.
A fact that is a free text goes through `redact` too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from counterfoil.core.rules import is_token
from counterfoil.sdk.complaints import complaints
from counterfoil.sdk.plain import Plain, Unavailable, snapshot
from counterfoil.sdk.redaction import RULES, redact

Redactor = Callable[[str, Plain], Plain]

FIELDS: Final = frozenset(
    (
        *("rationale", "alternatives", "inputs", "output", "reason", "summary", "intent", "sentiment", "attempted"),
        *("verified_identity", "promises", "open_questions", "next_step", "shown", "effect", "text", "error"),
    )
)
"""Every content field that the SDK sends."""
REDACTED, UNAVAILABLE, NOT_RECORDED = "redacted", "unavailable", "not_recorded"


@dataclass(frozen=True, slots=True)
class Capture:
    """What is taken and how it is redacted. `field_bytes` bounds one field, `record_bytes` all of a record."""

    fields: frozenset[str] = FIELDS
    rules: tuple[str, ...] = ()
    functions: tuple[Redactor, ...] = ()
    field_bytes: int = 1_048_576
    record_bytes: int = 4_194_304
    redacts: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "redacts", bool(self.rules or self.functions))

    def take(self, given: Mapping[str, object]) -> tuple[dict[str, Plain], dict[str, str], int]:
        """Copy the fields that are taken: (values, absent, bytes). None is nothing given. In the host's thread."""
        taken: dict[str, Plain] = {}
        absent: dict[str, str] = {}
        total = 0
        for name, value in given.items():
            if value is None:
                continue
            if name not in self.fields:
                absent[name] = NOT_RECORDED
                continue
            try:
                plain, size = snapshot(value, min(self.field_bytes, self.record_bytes - total))
            except Unavailable as error:
                absent[name] = UNAVAILABLE
                complaints.add("field_unavailable", f"{name} is left out: {error}", subject=name)
            else:
                taken[name] = plain
                total += size
        return taken, absent, total

    def redact(self, path: str, value: Plain) -> tuple[Plain, bool]:
        """The value to send (None: withheld) and whether it is not what it was. In the background."""
        changed = False
        try:
            if self.rules:
                value, changed = redact(self.rules, value)
            for function in self.functions:
                before = value
                value = function(path, value)
                if value is None:
                    return None, True
                value, _ = snapshot(value, self.record_bytes)
                changed = changed or value != before
        except Exception as error:  # noqa: BLE001 - the host's own function: whatever it raises, nothing goes out raw
            complaints.add("redaction_failed", f"{path} is withheld: {type(error).__name__}", subject=path)
            return None, True
        return value, changed

    def redact_fact(self, path: str, value: Any) -> Any:
        """A fact to send; a text that is no token may say anything, so it is redacted as content is."""
        if not self.redacts or not isinstance(value, str) or is_token(value):
            return value
        return self.redact(path, value)[0]


def parse_capture(
    capture: Literal["all", "none"] | Collection[str],
    rules: str | Redactor | Collection[str | Redactor],
    field_bytes: int,
) -> Capture:
    """The arguments of `configure`. ValueError names what is wrong."""
    if capture == "all":
        fields = FIELDS
    elif capture == "none":
        fields = frozenset()
    elif isinstance(capture, str):
        raise ValueError(f"capture is 'all', 'none' or a set of field names, not {capture!r}")
    else:
        fields = frozenset(capture)
        if unknown := sorted(str(name) for name in fields - FIELDS):
            raise ValueError(f"capture names unknown fields {', '.join(unknown)}; known: {', '.join(sorted(FIELDS))}")
    if isinstance(rules, str) or callable(rules):
        rules = (rules,)
    names = tuple(rule for rule in rules if isinstance(rule, str))
    if wrong := [name for name in names if name not in RULES]:
        raise ValueError(f"redact names unknown rules {', '.join(wrong)}; known are {', '.join(RULES)}")
    functions = tuple(rule for rule in rules if not isinstance(rule, str))
    if not all(map(callable, functions)):
        raise ValueError("redact takes names of rules and functions of (field, value)")
    if not 1_024 <= field_bytes <= 4_194_304:
        raise ValueError("field_bytes is from 1024 to 4194304")
    return Capture(fields, names, functions, field_bytes)
