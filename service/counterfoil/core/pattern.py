"""The table of a kind as one regular expression over a leaf's bytes: `record` without walking the value.

What the pattern of a kind matches is a leaf of that kind in canonical form (keys in order, no spaces, no escapes) with
every key right by itself: it is made from the same rules as everything else. It is *sufficient*, never necessary: what
no pattern says (ranges, verifier keys, tokens with seven digits in a row, 29 February, record 0) is left out, and a
leaf that it does not match is read by `record` in the long way, which also says what is wrong. So a pattern that is too
narrow costs time and nothing else.

    \\{(?:"agent":\\{...\\}(?:,(?!\\})|(?=\\})))?...(?:"kind":"decision"(?:,(?!\\})|(?=\\})))...\\}

Left to the caller: the size, that names in `content` and `absent` ascend (groups of these names hold the members), and
what `record` checks between keys.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from counterfoil.core.rules import TOKEN_PATTERN, Rule
from counterfoil.core.schema import KINDS, leaf_rules

TABLES = ("content", "absent")
"""Objects whose names are free: a pattern cannot say that they ascend, each once."""

_DAY = (
    r"(?:19[7-9][0-9]|2[0-4][0-9]{2})-"
    r"(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)
_TIME = _DAY + r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\."
_NO_DIGIT_RUN = r'(?![^"]*[0-9]{7})'
_INTEGER = r"(?:0|[1-9][0-9]{0,14})"
_AFTER_0 = r"[1-9][0-9]{0,14}"
_NOT_FIRST = r'(?!"A{43}=")'
_TEXTS = frozenset(("decimal", "origin", "trace_id", "span_id", "field", "hash", "field_digest", "digest"))
"""Rules whose own patterns take nothing that JSON writes with an escape, and keep to their limit."""

_END = r"(?:,(?!\})|(?=\}))"
"""After a member: a comma and one more member, or the end of the object."""

_SIMPLE = {
    "token": f'"{_NO_DIGIT_RUN}{TOKEN_PATTERN}"',
    "time_us": f'"{_TIME}[0-9]{{6}}Z"',
    "time_ns": f'"{_TIME}[0-9]{{9}}Z"',
    "boolean": "(?:true|false)",
}


@cache
def leaf_pattern(kind: str) -> re.Pattern[bytes] | None:
    """The pattern of leaves of this kind; None where there is none, KeyError for no kind."""
    rules, required = leaf_rules(kind)
    parts = _parts(rules) | {"seq": _AFTER_0}
    parts["prev"] = _NOT_FIRST + parts["prev"]
    for key in TABLES:
        parts[key] = rf"\{{(?P<{key}>{parts[key][2:-2]})\}}"
    found = _object(parts, required)
    return None if found is None else re.compile(found.encode())


def named_kind(leaf: bytes) -> str | None:
    """The kind that a leaf names, where it is one; what else the leaf says is for the pattern of that kind."""
    start = leaf.find(b'"kind":"') + 8
    kind = leaf[start : leaf.find(b'"', start)].decode("ascii", "replace")
    return kind if kind in KINDS else None


def _parts(rules: Mapping[str, Rule]) -> dict[str, str]:
    """The pattern of each key that has one."""
    return {key: found for key, rule in rules.items() if (found := _pattern(rule)) is not None}


def _pattern(rule: Rule) -> str | None:
    """What JSON values of this rule look like; None where no pattern says it."""
    schema = rule.schema
    if rule.name in _SIMPLE:
        return _SIMPLE[rule.name]
    if rule.name in _TEXTS or rule.name == "enum":
        return _text(schema)
    if rule.name == "integer":
        low, high = schema["minimum"], schema["maximum"]
        return str(low) if low == high else _INTEGER
    if rule.name == "table":
        name, value = _text(schema["propertyNames"]), _text(schema["additionalProperties"])
        return rf"\{{(?:{name}:{value}{_END}){{1,{schema['maxProperties']}}}\}}"
    if rule.name == "either":
        options = [found for option in rule.options if (found := _pattern(option)) is not None]
        return f"(?:{'|'.join(options)})"
    if rule.item is not None and (item := _pattern(rule.item)) is not None:
        return rf"\[{item}(?:,{item}){{0,{schema['maxItems'] - 1}}}\]"
    return None if rule.keys is None else _object(_parts(rule.keys), rule.required)


def _text(schema: dict[str, Any]) -> str:
    """A string as JSON writes it: of an enumeration, or of a pattern."""
    values = "|".join(map(re.escape, schema["enum"])) if "enum" in schema else schema["pattern"][1:-1]
    return f'"(?:{values})"'


def _object(parts: Mapping[str, str], required: frozenset[str]) -> str | None:
    """An object of these members in the order of their names, at least one of them."""
    if not required <= parts.keys():
        return None
    members = (f'(?:"{key}":{parts[key]}{_END}){"" if key in required else "?"}' for key in sorted(parts))
    return rf"\{{(?!\}}){''.join(members)}\}}"
