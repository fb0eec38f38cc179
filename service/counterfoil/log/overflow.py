"""A leaf over 16 KiB moves its longest optional values to content (RECORD 1).

They go, under their leaf paths, into the content field `leaf_overflow`:

    {"absent": {...}, "handoff.context": [...]}

What identifies the record stays: ids, times, kind, source, mapping, producer, interaction, and whatever the kind
requires. If it does not fit even so, the item is refused (`leaf_too_large`).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson

from counterfoil.core.errors import InputError
from counterfoil.core.record import MAX_LEAF_BYTES
from counterfoil.core.schema import MAX_FIELDS, facts_of, leaf_rules

FIELD = "leaf_overflow"
_KEPT = frozenset(
    ("v", "log", "seq", "prev", "recorded_at", "kind", "source", "writer", "mapping", "producer", "trace_id", "span_id")
) | {"parent_span_id", "started_at", "ended_at", "interaction", "subject", "supersedes", "content"}
_OVERHEAD_BYTES = 128
"""What the digest of `leaf_overflow` adds to the leaf, generously."""


def move_longest(leaf: dict[str, Any], size: int, field_count: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A leaf that fits, and what was moved out of it by path. `size` is the bytes that the leaf has now."""
    kind = leaf["kind"]
    if field_count >= MAX_FIELDS:
        raise _too_large(size)
    whole = {key: value for key, value in leaf.items() if key not in _KEPT and key not in _required(kind)}
    candidates: list[tuple[int, str]] = []
    for key, value in whole.items():
        if isinstance(value, dict) and key != "absent":
            candidates += [(_bytes_of(inner), f"{key}.{name}") for name, inner in value.items()]
        else:
            candidates.append((_bytes_of(value), key))
    own = leaf.get(kind)
    if kind in _required(kind) and isinstance(own, dict):
        needed = _required_within(kind)
        candidates += [(_bytes_of(inner), f"{kind}.{name}") for name, inner in own.items() if name not in needed]
    shorter = {key: dict(value) if isinstance(value, dict) else value for key, value in leaf.items()}
    moved: dict[str, Any] = {}
    for length, path in sorted(candidates, reverse=True):
        if size + _OVERHEAD_BYTES <= MAX_LEAF_BYTES:
            break
        key, _, name = path.partition(".")
        if name:
            moved[path] = shorter[key].pop(name)
            if not shorter[key]:
                del shorter[key]
        else:
            moved[path] = shorter.pop(key)
        size -= length
    if size + _OVERHEAD_BYTES > MAX_LEAF_BYTES:
        raise _too_large(size)
    return shorter, moved


def _bytes_of(value: Any) -> int:
    return len(orjson.dumps(value))


@cache
def _required(kind: str) -> frozenset[str]:
    return leaf_rules(kind)[1]


@cache
def _required_within(kind: str) -> frozenset[str]:
    rule = leaf_rules(kind)[0].get(kind)
    return rule.required if rule is not None else frozenset(facts_of(kind))


def _too_large(size: int) -> InputError:
    return InputError("leaf_too_large", f"the facts of a record come to {size} bytes, over {MAX_LEAF_BYTES}")
