"""What a value in a leaf may be: rules, each a fast test, words for a person, and JSON Schema for everyone else.

A *token* is the only text of a producer that a leaf may hold (RECORD 1): `[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}` without
a run of seven or more digits, since such a run may be a person's telephone, card or account number. Excepted are
random ids, standing alone or set apart by the token's own punctuation: UUIDs, ULIDs, and hex ids of 16, 32 or 64
digits (the last two kinds only with at least one letter: sixteen decimal digits are a card number).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from counterfoil.core.encoding import MAX_JSON_INTEGER, is_time_ns, is_time_us

MAX_TOKEN_CHARS = 128
MAX_ITEMS = 1_024

Test = Callable[[Any], bool]
Schema = dict[str, Any]
OTHER = "other"

TOKEN_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}"  # noqa: S105 - a pattern, no password
_ID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=[0-9]*[a-z])([0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{16})"
_ULID = r"(?=[0-9]*[a-z])[0-7][0-9abcdefghjkmnpqrstvwxyz]{25}"
_token = re.compile(TOKEN_PATTERN).fullmatch
_digit_run = re.compile(r"[0-9]{7}").search
_random_id = re.compile(rf"(?<![a-z0-9])({_ID}|{_ULID})(?![a-z0-9])", re.IGNORECASE | re.ASCII)


def is_token(value: object) -> bool:
    """Whether a producer's string may stand in a leaf."""
    if type(value) is not str or _token(value) is None:
        return False
    return _digit_run(value) is None or _digit_run(_random_id.sub("-", value)) is None


@dataclass(frozen=True, slots=True)
class Rule:
    """What one key takes. `name` is the type (`token`, `enum`, `integer`, ...); `values` are an enumeration's."""

    name: str
    wanted: str
    test: Test = field(repr=False)
    schema: Schema = field(repr=False)
    values: tuple[str, ...] = ()
    keys: Mapping[str, "Rule"] | None = field(default=None, repr=False)
    required: frozenset[str] = frozenset()
    item: "Rule | None" = field(default=None, repr=False)
    options: "tuple[Rule, ...]" = field(default=(), repr=False)

    def accepts(self, value: object) -> bool:
        """Whether the value may stand in the leaf."""
        return self.test(value)

    def explain(self, value: object, path: str) -> str:
        """Where inside a value that is not accepted the fault lies, and what is wanted there."""
        if self.keys is not None and isinstance(value, dict):
            for key in sorted(self.required - value.keys()):
                return f"{path}.{key} is missing"
            for key, inner in value.items():
                if (rule := self.keys.get(key)) is None:
                    return f"{path}.{str(key)[:64]} is not a key of this kind of record"
                if not rule.test(inner):
                    return rule.explain(inner, f"{path}.{key}")
        if self.item is not None and isinstance(value, list):
            for index, inner in enumerate(value):
                if not self.item.test(inner):
                    return self.item.explain(inner, f"{path}[{index}]")
        return f"{path} must be {self.wanted}"


def text(name: str, pattern: str, wanted: str, *, limit: int = 4_096) -> Rule:
    """A string that a pattern matches as a whole."""
    match = re.compile(pattern).fullmatch
    return Rule(
        name,
        wanted,
        lambda value: type(value) is str and len(value) <= limit and match(value) is not None,
        {"type": "string", "pattern": f"^(?:{pattern})$", "maxLength": limit},
    )


def integer(low: int = 0, high: int = MAX_JSON_INTEGER) -> Rule:
    """An integer within bounds (JSON booleans are none)."""
    return Rule(
        "integer",
        f"an integer from {low} to {high}",
        lambda value: type(value) is int and low <= value <= high,
        {"type": "integer", "minimum": low, "maximum": high},
    )


def enum(*values: str, other: bool = True) -> Rule:
    """One of the values, or `other` (RECORD 3)."""
    every = (*values, OTHER) if other else values
    known = frozenset(every)
    return Rule(
        "enum",
        f"one of {', '.join(every)}",
        lambda value: type(value) is str and value in known,
        {"enum": list(every)},
        values=every,
    )


def mapping_of(keys: Mapping[str, Rule], *required: str) -> Rule:
    """An object with at least one key, none but these, and the required ones."""
    tests = {key: rule.test for key, rule in keys.items()}
    needed = frozenset(required)

    def test(value: object) -> bool:
        if not isinstance(value, dict) or not value or not needed <= value.keys():
            return False
        for key, inner in value.items():
            inner_test = tests.get(key)
            if inner_test is None or not inner_test(inner):
                return False
        return True

    schema: Schema = {
        "type": "object",
        "properties": {key: rule.schema for key, rule in keys.items()},
        "additionalProperties": False,
        "minProperties": 1,
    }
    if required:
        schema["required"] = sorted(required)
    wanted = f"an object with keys among {', '.join(keys)}"
    return Rule("object", wanted, test, schema, keys=dict(keys), required=needed)


def list_of(item: Rule, limit: int = MAX_ITEMS) -> Rule:
    """An array of 1 to `limit` items."""
    inner = item.test
    return Rule(
        "list",
        f"an array of 1 to {limit} items",
        lambda value: type(value) is list and 0 < len(value) <= limit and all(map(inner, value)),
        {"type": "array", "items": item.schema, "minItems": 1, "maxItems": limit},
        item=item,
    )


def table_of(name: Rule, item: Rule, limit: int) -> Rule:
    """An object of 1 to `limit` keys that are free within the rule `name`."""
    name_test, item_test = name.test, item.test

    def test(value: object) -> bool:
        if not isinstance(value, dict) or not 0 < len(value) <= limit:
            return False
        return all(map(name_test, value)) and all(map(item_test, value.values()))

    schema = {
        "type": "object",
        "propertyNames": name.schema,
        "additionalProperties": item.schema,
        "minProperties": 1,
        "maxProperties": limit,
    }
    return Rule("table", f"an object of 1 to {limit} keys ({name.wanted}), each {item.wanted}", test, schema)


def either(*rules: Rule) -> Rule:
    """A value that one of the rules takes."""
    tests = tuple(rule.test for rule in rules)
    return Rule(
        "either",
        " or ".join(rule.wanted for rule in rules),
        lambda value: any(test(value) for test in tests),
        {"anyOf": [rule.schema for rule in rules]},
        options=rules,
    )


def _are_ranges(value: object) -> bool:
    if type(value) is not list or not 0 < len(value) <= MAX_ITEMS:
        return False
    before = -1
    for pair in value:
        if type(pair) is not list or len(pair) != 2 or not all(type(seq) is int for seq in pair):
            return False
        if not before < pair[0] <= pair[1] <= MAX_JSON_INTEGER:
            return False
        before = pair[1]
    return True


TOKEN = Rule(
    "token",
    f"a token: {TOKEN_PATTERN} without seven digits in a row (random ids excepted)",
    is_token,
    {
        "type": "string",
        "pattern": f"^{TOKEN_PATTERN}$",
        "description": "No run of seven or more digits outside UUIDs, ULIDs and hex ids of 16, 32 or 64 digits.",
    },
)
BOOLEAN = Rule("boolean", "true or false", lambda value: type(value) is bool, {"type": "boolean"})
INTEGER = integer()
DECIMAL = text(
    "decimal",
    r"0|1|0\.[0-9]{0,8}[1-9]",
    "a decimal string from 0 to 1, at most nine fraction digits, no trailing zero",
    limit=11,
)
ORIGIN = text("origin", r"[A-Za-z0-9][A-Za-z0-9._:/~-]{0,254}", "a log's origin: a schema-less URL", limit=255)
TRACE_ID = text("trace_id", r"(?!0{32})[0-9a-f]{32}", "32 lower-case hex digits, not all zero", limit=32)
SPAN_ID = text("span_id", r"(?!0{16})[0-9a-f]{16}", "16 lower-case hex digits, not all zero", limit=16)
FIELD = text("field", r"[a-z][a-z0-9_]{0,63}", "a field name: [a-z][a-z0-9_]{0,63}", limit=64)
_BASE64_32 = r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="
_BASE64URL_32 = r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"
HASH = text("hash", _BASE64_32, "32 bytes as padded base64", limit=44)
FIELD_DIGEST = text("field_digest", _BASE64URL_32, "32 bytes as base64url without padding", limit=43)
DIGEST = text(
    "digest",
    f"{_BASE64_32}|{_BASE64URL_32}|[0-9a-f]{{64}}",
    "32 bytes as padded base64, base64url or lower-case hex",
    limit=64,
)
VKEY = text(
    "vkey", r"[^\s+\x00-\x1f]{1,255}\+[0-9a-f]{8}\+[A-Za-z0-9+/]{4,1800}={0,2}", "a C2SP verifier key", limit=2_100
)
TIME_US = Rule(
    "time_us",
    "an RFC 3339 UTC time with exactly six fraction digits",
    lambda value: type(value) is str and is_time_us(value),
    {"type": "string", "format": "date-time", "pattern": r"^[0-9T:-]{19}\.[0-9]{6}Z$"},
)
TIME_NS = Rule(
    "time_ns",
    "an RFC 3339 UTC time with exactly nine fraction digits",
    lambda value: type(value) is str and is_time_ns(value),
    {"type": "string", "format": "date-time", "pattern": r"^[0-9T:-]{19}\.[0-9]{9}Z$"},
)
RANGES = Rule(
    "ranges",
    f"1 to {MAX_ITEMS} pairs [first, last] of seq that rise and do not overlap",
    _are_ranges,
    {
        "type": "array",
        "items": {"type": "array", "prefixItems": [INTEGER.schema, INTEGER.schema], "minItems": 2, "maxItems": 2},
        "minItems": 1,
        "maxItems": MAX_ITEMS,
    },
)
