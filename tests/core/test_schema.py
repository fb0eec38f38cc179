"""The generated JSON Schema accepts every leaf that the code accepts, and refuses what it can express."""

import json
import re
import runpy
from typing import Any

import pytest

from counterfoil.core import schema
from counterfoil.core.record import check_record
from counterfoil.core.rules import Rule

SCHEMA = schema.json_schema()
LEAF: dict[str, Any] = {
    "v": 1,
    "log": "example.com/log",
    "seq": 1,
    "prev": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "recorded_at": "2026-11-22T10:48:39.000123Z",
    "kind": "decision",
    "source": "api",
    "writer": "k-1",
    "links": [{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7"}],
    "decision": {"risk": "high", "confidence": "0.5", "policy": {"id": "R-12", "digest": "A" * 43}},
    "absent": {"input": "redacted"},
    "content": {"rationale": "A" * 43},
}

TYPES: dict[str, Any] = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}
KNOWN = {
    *(
        "$schema",
        "$ref",
        "$defs",
        "title",
        "description",
        "format",
        "type",
        "enum",
        "const",
        "pattern",
        "maxLength",
        "minimum",
    ),
    *("maximum", "properties", "additionalProperties", "required", "items", "prefixItems", "minItems", "maxItems"),
    *("minProperties", "maxProperties", "propertyNames", "anyOf", "oneOf", "unevaluatedProperties"),
}


def is_valid(value: Any, rule: Any) -> bool:
    """JSON Schema 2020-12, as much of it as we write: each keyword applies to values of its own type."""
    if isinstance(rule, bool):
        return rule
    assert set(rule) <= KNOWN
    if "$ref" in rule:
        return is_valid(value, SCHEMA["$defs"][rule["$ref"].removeprefix("#/$defs/")])
    verdicts = [
        "type" not in rule
        or (isinstance(value, TYPES[rule["type"]]) and (rule["type"] == "boolean" or not isinstance(value, bool))),
        "enum" not in rule or value in rule["enum"],
        "const" not in rule or value == rule["const"],
        "anyOf" not in rule or any(is_valid(value, inner) for inner in rule["anyOf"]),
        "oneOf" not in rule or sum(is_valid(value, inner) for inner in rule["oneOf"]) == 1,
    ]
    if isinstance(value, str):
        verdicts += [
            re.search(rule.get("pattern", ""), value) is not None,
            len(value) <= rule.get("maxLength", len(value)),
        ]
    elif isinstance(value, int):
        verdicts += [rule.get("minimum", value) <= value <= rule.get("maximum", value)]
    elif isinstance(value, list):
        prefix = rule.get("prefixItems", [])
        verdicts += [
            rule.get("minItems", 0) <= len(value) <= rule.get("maxItems", len(value)),
            all(is_valid(item, inner) for item, inner in zip(value, prefix, strict=False)),
            all(is_valid(item, rule.get("items", True)) for item in value[len(prefix) :]),
        ]
    elif isinstance(value, dict):
        properties, rest = rule.get("properties", {}), rule.get("additionalProperties", True)
        applied = [set(inner["properties"]) for inner in rule.get("oneOf", []) if is_valid(value, inner)]
        verdicts += [
            rule.get("minProperties", 0) <= len(value) <= rule.get("maxProperties", len(value)),
            set(rule.get("required", [])) <= set(value),
            all(is_valid(key, rule.get("propertyNames", True)) for key in value),
            all(is_valid(value[key], properties.get(key, rest)) for key in value),
            rule.get("unevaluatedProperties", True) or set(value) <= set(properties).union(*applied),
        ]
    return all(verdicts)


def samples(rule: Rule) -> list[Any]:
    """A few values that a rule accepts."""
    pool: list[Any] = [
        *(True, 0, 1, 7, "refunds", "all", "0.5", "start", "A" * 43, "A" * 43 + "=", "0" * 63 + "1"),
        *("00f067aa0ba902b7", "4bf92f3577b34da6a3ce929d0e0e4736", ["rationale"], [[0, 3]], {"id": "d"}, {"seq": 3}),
        *("2026-11-22T10:48:39.000123Z", "2026-11-22T10:48:39.000123456Z", {"a": "A" * 43}, {"a": "redacted"}),
        *("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", *rule.values),
    ]
    found = [value for value in pool if rule.accepts(value)]
    if rule.keys is not None:
        found.append({key: samples(inner)[0] for key, inner in rule.keys.items()})
    if rule.item is not None:
        found.append([samples(rule.item)[0]])
    assert found
    return found


def test_the_schema_accepts_a_leaf_and_says_what_it_is() -> None:
    check_record(LEAF)
    assert is_valid(LEAF, SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(SCHEMA["properties"]["kind"]["enum"]) == schema.KINDS


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"kind": "unknown"},
        {"kind": "fallback"},
        {"source": "service"},
        {"seq": -1},
        {"seq": True},
        {"unknown": 1},
        {"fallback": {"step": 1}},
        {"links": []},
        {"links": [{"span_id": "00f067aa0ba902b7"}]},
        {"decision": {}},
        {"decision": {"risk": "huge"}},
        {"decision": {"confidence": 0.5}},
        {"decision": {"policy": {"unknown": 1}}},
        {"absent": {"input": "forgotten"}},
        {"content": {"Rationale": "A" * 43}},
        {"content": {"rationale": "A" * 42}},
        {"name": "two words"},
        {"recorded_at": "2026-11-22T10:48:39Z"},
    ],
    ids=str,
)
def test_the_schema_refuses_what_the_code_refuses(change: dict[str, Any]) -> None:
    assert not is_valid({**LEAF, **change}, SCHEMA)


@pytest.mark.parametrize("key", ["v", "log", "seq", "prev", "recorded_at", "kind", "source"])
def test_the_schema_asks_for_what_every_leaf_has(key: str) -> None:
    assert not is_valid({k: v for k, v in LEAF.items() if k != key}, SCHEMA)


@pytest.mark.parametrize("kind", sorted(schema.KINDS))
def test_every_value_that_a_rule_accepts_is_valid_under_its_schema(kind: str) -> None:
    rules, required = schema.leaf_rules(kind)
    base = {key: samples(rules[key])[0] for key in required}
    assert is_valid(base, SCHEMA)
    for key, rule in rules.items():
        for value in samples(rule):
            assert is_valid(value, rule.schema)
            assert is_valid({**base, key: value}, SCHEMA)
        if rule.keys is not None:
            for inner_key, inner in rule.keys.items():
                assert all(is_valid(value, rule.schema["properties"][inner_key]) for value in samples(inner))


def test_the_schema_is_printed_by_the_module_itself(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(schema.__file__), run_name="__main__")
    printed = capsys.readouterr().out
    assert json.loads(printed) == SCHEMA
    assert printed.endswith("}\n")
