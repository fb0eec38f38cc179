"""Our own conventions: `counterfoil.<object>.<key>` for every fact and field of RECORD 3 (CONVENTIONS 2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from counterfoil.core.rules import INTEGER, SPAN_ID, TOKEN, TRACE_ID, Rule
from counterfoil.core.schema import facts_of
from counterfoil.mapping.conventions.rows import Row

INTERACTION: Final = "interaction.id"
SUBJECT: Final = "subject"

OWN_OBJECTS: Final = ("decision", "fallback", "handoff", "oversight", "outcome", "notice")
"""Our own objects by which an item shows its kind, first match first."""

OWN_FIELDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "decision": ("rationale", "alternatives", "inputs", "output"),
        "fallback": ("reason",),
        "handoff": (
            *("summary", "intent", "sentiment", "attempted", "verified_identity", "promises", "open_questions"),
            "next_step",
        ),
        "oversight": ("reason", "shown"),
        "outcome": ("effect",),
        "notice": ("text",),
    }
)
"""Content fields of each of our objects (RECORD 3)."""

GENERAL_FIELDS: Final = ("input", "output", "error", "arguments", "result")
"""Content fields that any kind may have, by meaning."""

OF_RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {"id": TOKEN, "trace_id": TRACE_ID, "span_id": SPAN_ID, "seq": INTEGER}
)
"""The keys of an `of`, of which one form is used: id, trace_id with span_id, or seq (RECORD 1)."""

EVENTS: Final[Mapping[str, str]] = {f"counterfoil.{kind}": kind for kind in (*OWN_OBJECTS, "interaction", "producer")}


def _paths(prefix: str, rules: Mapping[str, Rule]) -> Iterator[str]:
    """Every leaf path below `prefix`: those of an object, and those of each form that an `of` may have."""
    for key, rule in rules.items():
        if rule.keys is not None:
            yield from _paths(f"{prefix}.{key}", rule.keys)
        elif key == "of":
            yield from (f"{prefix}.of.{inner}" for inner in OF_RULES)
        else:
            yield f"{prefix}.{key}"


def _rows() -> Iterator[Row]:
    yield Row("counterfoil.interaction.id", INTERACTION)
    yield Row("counterfoil.subject.id", SUBJECT)
    for kind in OWN_OBJECTS:
        for path in _paths(kind, facts_of(kind)):
            yield Row(f"counterfoil.{path}", path, (kind,))
            if path.endswith(".of.id"):
                yield Row(f"counterfoil.{path.removesuffix('.id')}", path, (kind,))
        for name in OWN_FIELDS[kind]:
            yield Row(f"counterfoil.{kind}.{name}", f"content:{name}", (kind,))
    yield Row("counterfoil.decision.policy", "decision.policy.id", ("decision",))
    for key in ("phase", "channel", "type", "language", "region"):
        yield Row(f"counterfoil.interaction.{key}", f"interaction.{key}")
    yield Row("counterfoil.producer.id", "producer.id")
    yield Row("counterfoil.producer.n", "producer.n")
    for key in facts_of("producer"):
        if key not in {"id", "n", "part"}:
            yield Row(f"counterfoil.producer.{key}", f"producer.{key}", ("producer",))
    for name in dict.fromkeys((*(name for names in OWN_FIELDS.values() for name in names), *GENERAL_FIELDS, "body")):
        yield Row(f"counterfoil.absent.{name}", f"absent.{name}")


ROWS: Final = tuple(_rows())
