"""A record as the attributes that are sent: redacted, named as in the conventions, its facts looked at once more.

    decision, outcome "deny", rationale "..."  ->  counterfoil.decision.outcome, counterfoil.decision.rationale

A fact that the service's table does not take as a fact (RECORD 3: an enumeration, a token, a decimal) is sent all the
same and kept there as content; here it is complained of, so that a developer hears of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from counterfoil.core.rules import Rule
from counterfoil.core.schema import facts_of
from counterfoil.sdk.capture import REDACTED, Capture
from counterfoil.sdk.complaints import complaints
from counterfoil.sdk.record import Record

# Kept by the service as pseudonyms, so any text will do; `of` is a reference.
_FREE = frozenset({"person", "to", "of", "id"})
_IDENTIFIERS = frozenset({"person", "of.id", "id"})


def attributes_of(record: Record, n: int, capture: Capture) -> list[tuple[str, Any]]:
    """Every attribute of the log event, in a fixed order, ready to be encoded; a negative `n` is none."""
    prefix = f"counterfoil.{record.subject}."
    out: list[tuple[str, Any]] = [("counterfoil.producer.n", n)] if n >= 0 else []
    out.extend(record.common.items())
    for key, value in record.facts.items():
        fact = value if _is_identifier(record, key) else capture.redact_fact(f"{record.subject}.{key}", value)
        if fact is not None:
            _check(record.subject, key, fact)
            out.append((prefix + key, fact))
    absent = dict(record.absent)
    for name, value in record.fields.items():
        if capture.redacts:
            value, changed = capture.redact(f"{record.subject}.{name}", value)
            if changed:
                absent[name] = REDACTED
            if value is None:
                continue
        out.append((_FIELD_NAMES.get(name) or prefix + name, value))
    out.extend(record.more.items())
    out.extend((f"counterfoil.absent.{name}", state) for name, state in absent.items())
    return out


def _is_identifier(record: Record, key: str) -> bool:
    """Of a person, or of what we gave the id of: two people whose addresses are redacted would become one."""
    return key in _IDENTIFIERS or (key == "to" and record.facts.get("to_kind") == "human")


_FIELD_NAMES: Mapping[str, str] = {"error": "exception.message"}
"""Fields that have an attribute of OpenTelemetry's own."""


@cache
def rules_of(subject: str) -> Mapping[str, Rule]:
    """The facts of one of our objects by key, those of nested objects with a dot."""
    return dict(_flat("", facts_of(subject)))


def _flat(prefix: str, rules: Mapping[str, Rule]) -> Iterator[tuple[str, Rule]]:
    for key, rule in rules.items():
        if rule.keys is not None:
            yield from _flat(f"{prefix}{key}.", rule.keys)
        else:
            yield prefix + key, rule


def _check(subject: str, key: str, value: Any) -> None:
    if key.partition(".")[0] in _FREE or subject in {"interaction", "producer"}:
        return
    rule = rules_of(subject).get(key)
    if rule is None or rule.accepts(value):
        return
    if rule.name == "decimal" and type(value) in (int, float) and 0 <= value <= 1:
        return
    complaints.add(
        "no_fact", f"{subject}.{key} is not {rule.wanted}: it is kept as content", subject=f"{subject}.{key}"
    )
