"""The record's leaf, format version 1: RFC 8785 JSON that is hashed, chained and handed out (RECORD 1 to 3).

    {"kind":"decision","log":"example.com/log","prev":"AAAA...=","recorded_at":"2026-11-22T10:48:39.000123Z",
     "seq":0,"source":"otlp:logs","v":1,"writer":"k-refunds", ...}

A leaf is UTF-8 JSON in canonical form (see `encoding`), at most 16,384 bytes, and follows the tables in `schema`. The
stored bytes are what is hashed; nothing is ever printed again in order to verify. Reading is strict: a leaf of version
1 with anything else in it raises EvidenceError("record"), naming the key and what is wanted; a leaf of a later version
raises UnsupportedError, so that a verifier says INCOMPLETE and never REJECTED.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from counterfoil.core.encoding import encode_base64, load_canonical, print_canonical
from counterfoil.core.errors import EvidenceError, InputError, UnsupportedError
from counterfoil.core.merkle import HASH_SIZE
from counterfoil.core.pattern import TABLES, leaf_pattern, named_kind
from counterfoil.core.rules import Rule, Test, is_token
from counterfoil.core.schema import (
    ENVELOPE_KEYS,
    FORMAT_VERSION,
    KINDS,
    MAX_LEAF_BYTES,
    OTLP_SOURCES,
    PRODUCER_KINDS,
    SERVICE_KINDS,
    leaf_rules,
)
from counterfoil.core.tiles import MAX_ENTRY_BYTES

__all__ = [
    "FIRST_PREV",
    "FORMAT_VERSION",
    "KINDS",
    "MAX_LEAF_BYTES",
    "PRODUCER_KINDS",
    "SERVICE_KINDS",
    "check_draft",
    "check_record",
    "format_record",
    "is_token",
    "parse_record",
    "read_usual",
]

FIRST_PREV = encode_base64(bytes(HASH_SIZE))
"""`prev` of the record at seq 0."""

_DRAFT_SETS = ENVELOPE_KEYS | {"kind"}


@cache
def _tests(kind: str) -> tuple[dict[str, Test], frozenset[str]]:
    """The precompiled table of a kind: a test for each key, and the keys that must be there."""
    rules, required = leaf_rules(kind)
    return {key: rule.test for key, rule in rules.items()}, required


def _explain(key: object, value: object, rules: Mapping[str, Rule]) -> str:
    """What is wrong with a key whose rule does not accept its value."""
    rule = rules.get(str(key))
    if rule is None:
        return f"{str(key)[:64]} is not a key of a record of this kind"
    return rule.explain(value, str(key))


def _fault_between(leaf: Mapping[str, Any]) -> str | None:
    """What is wrong between the keys of a leaf, each of which is right by itself."""
    source = leaf.get("source")
    if source == "service" and "mapping" in leaf:
        return "mapping does not go with source service"
    if source in OTLP_SOURCES and "mapping" not in leaf:
        return "mapping is missing: a record from OTLP names the table that named its facts"
    producer = leaf.get("producer")
    if producer is not None and "n" in producer and "id" not in producer:
        return "producer.id is missing beside producer.n"
    if leaf["kind"] == "key" and "vkey" in leaf["key"] and "credential" in leaf["key"]:
        return "key names a vkey or a credential, not both"
    return None


def _fault(leaf: object) -> str | None:
    """Why a value is no leaf of version 1, or None."""
    if not isinstance(leaf, dict):
        return "a record is a JSON object"
    kind = leaf.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        return f"kind {str(kind)[:64]!r} is none of version {FORMAT_VERSION}"
    tests, required = _tests(kind)
    if not required <= leaf.keys():
        return f"{min(required - leaf.keys())} is missing"
    for key, value in leaf.items():
        test = tests.get(key)
        if test is None or not test(value):
            return _explain(key, value, leaf_rules(kind)[0])
    return _fault_of_whole(leaf)


def _fault_of_whole(leaf: dict[str, Any]) -> str | None:
    """What is wrong with a leaf all of whose keys are there and right by themselves."""
    if ("writer" in leaf) == (leaf["source"] == "service"):
        return "writer is the credential of whoever wrote it, and absent exactly for source service"
    if (leaf["seq"] == 0) != (leaf["prev"] == FIRST_PREV):
        return "prev is 32 zero bytes at seq 0 and nowhere else"
    if leaf.get("supersedes", -1) >= leaf["seq"]:
        return "supersedes must be lower than seq"
    return _fault_between(leaf)


def check_record(leaf: object) -> None:
    """`leaf` is a complete leaf of version 1 (its size is checked where it has bytes)."""
    if (fault := _fault(leaf)) is not None:
        raise EvidenceError("record", fault)


def format_record(leaf: dict[str, Any]) -> bytes:
    """The leaf's bytes; InputError "bad_record" names what is wrong with it."""
    if (fault := _fault(leaf)) is not None:
        raise InputError("bad_record", fault)
    data = print_canonical(leaf)
    if len(data) > MAX_LEAF_BYTES:
        raise InputError("leaf_too_large", f"a leaf of {len(data)} bytes is over the limit of {MAX_LEAF_BYTES}")
    return data


def _later_version(data: bytes) -> int | None:
    """The version of a leaf that is plainly of a later one, whatever rules that one may have."""
    if len(data) > MAX_ENTRY_BYTES:
        return None
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    version = value.get("v") if isinstance(value, dict) else None
    return version if type(version) is int and version > FORMAT_VERSION else None


_names = re.compile(rb'"([a-z][a-z0-9_]{0,63})":').findall


def read_usual(data: bytes, load: Callable[[bytes], Any] = json.loads) -> dict[str, Any] | None:
    """The leaf, where the pattern of its kind says that it is one; None says nothing, and `parse_record` has the word.

    `load` reads JSON that is known to be canonical.
    """
    kind = named_kind(data) if len(data) <= MAX_LEAF_BYTES else None
    pattern = None if kind is None else leaf_pattern(kind)
    match = None if pattern is None else pattern.fullmatch(data)
    if match is None:
        return None
    for key in TABLES:
        names = _names(match[key] or b"")
        if names != sorted({*names}):
            return None
    leaf: dict[str, Any] = load(data)
    return leaf if _fault_of_whole(leaf) is None else None


def parse_record(data: bytes) -> dict[str, Any]:
    """The leaf of its bytes, strictly. UnsupportedError for a later version, EvidenceError("record") otherwise."""
    if (usual := read_usual(data)) is not None:
        return usual
    try:
        leaf = load_canonical(data, limit=MAX_LEAF_BYTES)
        fault = _fault(leaf)
    except EvidenceError as error:
        fault = error.message
    if fault is None:
        return leaf  # type: ignore[no-any-return]  # _fault() has seen that it is an object with text keys
    if (version := _later_version(data)) is not None:
        raise UnsupportedError(f"a record of version {version}; this software knows version {FORMAT_VERSION}")
    raise EvidenceError("record", fault)


def check_draft(kind: str, facts: Mapping[str, Any]) -> None:
    """The facts of a record to be: a leaf without `ENVELOPE_KEYS`, which the service adds.

    `facts` may hold `source`, and then what depends on it is checked too. InputError "bad_record", `item` is the key.
    """
    if kind not in KINDS:
        raise InputError("bad_record", f"kind {kind[:64]!r} is none of version {FORMAT_VERSION}", item="kind")
    rules, required = leaf_rules(kind)
    for key in sorted(required - _DRAFT_SETS - {"source"} - facts.keys()):
        raise InputError("bad_record", f"{key} is missing", item=key)
    for key, value in facts.items():
        rule = None if key in _DRAFT_SETS else rules.get(key)
        if rule is None:
            raise InputError("bad_record", f"{str(key)[:64]} is not a key of a {kind} draft", item=str(key)[:64])
        if not rule.test(value):
            raise InputError("bad_record", rule.explain(value, key), item=key)
    if (fault := _fault_between({**facts, "kind": kind})) is not None:
        raise InputError("bad_record", fault, item=fault.partition(" ")[0])
