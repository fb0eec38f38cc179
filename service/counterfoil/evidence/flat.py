"""Records as flat rows: the same facts as in the leaves, in columns of a fixed order, for spreadsheets and pipelines.

A view of the bundle and never a second truth: `seq` and `leaf_hash` lead each row, and the verifier compares both with
the leaves. Columns are the leaf's keys with dots (`decision.policy.id`), in the order of the record's tables, for
producers' kinds; objects of the service's own kinds stand as JSON in `other_facts`. Content that was disclosed and that
is words (`WORDS`) stands in `content.<field>`, cut at `MAX_CELL_CHARS`; `not_disclosed` names every field that is not
there and why. Raw OpenTelemetry values (attributes, resource, messages) are in disclosures.ndjson only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from counterfoil.core.rules import Rule
from counterfoil.core.schema import PRODUCER_KINDS, common_facts, facts_of
from counterfoil.core.state import ContentState
from counterfoil.evidence.canonical import to_text

MAX_CELL_CHARS = 16_000
"""Half of what a spreadsheet cell takes (32,767 UTF-16 units), since a character may need two."""

WORDS = (
    *("rationale", "alternatives", "inputs", "output", "reason", "summary", "intent", "sentiment", "attempted"),
    *("verified_identity", "promises", "open_questions", "next_step", "shown", "effect", "text", "arguments"),
    *("result", "error", "detail"),
)
"""Content fields that a person reads, as columns."""
_WORDS = frozenset(WORDS)

_LEADING = ("seq", "leaf_hash", "recorded_at", "kind", "log", "source", "writer")
_NOT_FLAT = frozenset(("v", "prev", "content", "absent"))
OTHER_FACTS = "other_facts"
NOT_DISCLOSED = "not_disclosed"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FieldState:
    """What became of one field of one record, as this bundle gives it."""

    state: ContentState
    value: Any = None
    """The disclosed value; None where it is not disclosed, or is a blob."""
    by: int | None = None
    """The record that explains ERASED or EXPIRED."""
    blob_size: int | None = None
    """Bytes of a disclosed value that is a file of its own."""


def _columns_of(name: str, rule: Rule) -> Iterable[str]:
    if rule.keys is None:
        yield name
        return
    for key, inner in rule.keys.items():
        yield from _columns_of(f"{name}.{key}", inner)


def _all_columns() -> tuple[str, ...]:
    names = dict.fromkeys(_LEADING)
    for key, rule in common_facts().items():
        if key not in _NOT_FLAT:
            names.update(dict.fromkeys(_columns_of(key, rule)))
    for kind in sorted(PRODUCER_KINDS):
        for key, rule in facts_of(kind).items():
            names.update(dict.fromkeys(_columns_of(f"{kind}.{key}", rule)))
    names["absent"] = None
    names[OTHER_FACTS] = None
    names.update(dict.fromkeys(f"content.{field}" for field in WORDS))
    names[NOT_DISCLOSED] = None
    return tuple(names)


COLUMNS = _all_columns()
"""Every column of records.csv, in order; the same names are the keys of records.ndjson."""

Tree = dict[str, Any]
"""Key to the column of its value, or to the tree of what is inside."""


def _tree() -> Tree:
    tree: Tree = {}
    for column in COLUMNS:
        *path, last = column.split(".")
        inner = tree
        for key in path:
            inner = inner.setdefault(key, {})
        inner[last] = column
    return tree


_TREE = _tree()
_NO_TREE: Tree = {}
_SIMPLE = frozenset((str, int, bool))


def flatten(leaf: Mapping[str, Any], leaf_hash: str, fields: Mapping[str, FieldState]) -> Row:
    """One record as a row: only the columns that it has."""
    row: Row = {"seq": leaf["seq"], "leaf_hash": leaf_hash}
    others: dict[str, Any] = {}
    for key, value in leaf.items():
        place = _TREE.get(key)
        if type(place) is str and type(value) in _SIMPLE:
            row[place] = value
        elif key in _NOT_FLAT:
            continue
        elif type(value) is dict:
            _flatten_object(row, others, key, value, place if type(place) is dict else _NO_TREE)
        elif type(place) is str:
            row[place] = to_text(value)
        else:
            others[key] = value
    if "absent" in leaf:
        row["absent"] = to_text(leaf["absent"])
    if others:
        row[OTHER_FACTS] = to_text(others)
    missing = []
    for field in sorted(fields):
        content = fields[field]
        if content.state is not ContentState.DISCLOSED:
            missing.append(f"{field}={content.state}" + ("" if content.by is None else f":{content.by}"))
        elif field in _WORDS:
            row[f"content.{field}"] = words_of(leaf["seq"], field, content)
    if missing:
        row[NOT_DISCLOSED] = " ".join(missing)
    return row


def words_of(seq: int, field: str, content: FieldState) -> str:
    """A disclosed value as text of at most about `MAX_CELL_CHARS` characters."""
    if content.blob_size is not None:
        return f"[{content.blob_size} bytes: data/blobs/{seq}/{field}]"
    text = content.value if isinstance(content.value, str) else to_text(content.value)
    if len(text) > MAX_CELL_CHARS:
        return (
            f"{text[:MAX_CELL_CHARS]}… [cut at {MAX_CELL_CHARS} of {len(text)} characters: disclosures.ndjson has all]"
        )
    return text


def _flatten_object(row: Row, others: dict[str, Any], name: str, value: dict[str, Any], tree: Tree) -> None:
    for key, inner in value.items():
        place = tree.get(key)
        if type(place) is str:
            row[place] = inner if type(inner) in _SIMPLE else to_text(inner)
        elif type(inner) is dict:
            _flatten_object(row, others, f"{name}.{key}", inner, place or _NO_TREE)
        else:
            others[f"{name}.{key}"] = inner
