"""The tables of `tables`, made ready for use: for each attribute key its targets, each with a converter.

A converter takes a raw value (a string, integer, double or boolean as itself, anything else an AnyValue object) to the
fact that may stand in the leaf, or None where it does not fit the rule of `core.schema`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Final, cast

import orjson

from counterfoil.core.encoding import MAX_TIME_NS, format_time_ns
from counterfoil.core.rules import MAX_TOKEN_CHARS, Rule, is_token
from counterfoil.mapping.tables import (
    EVENT_KINDS,
    INTERACTION,
    KIND_ROWS,
    OWN_OBJECTS,
    ROWS,
    SPECIAL,
    SUBJECT,
    Row,
    rule_at,
)

Raw = str | int | float | bool | dict[str, Any]
"""An attribute's value: string, integer, double and boolean as themselves, anything else an AnyValue object."""
Convert = Callable[[Raw], Any]
"""A raw value to the fact, or None where it does not fit."""

_CONTENT = "content:"
EVENT_RANK: Final = -1
SPAN_RANK: Final = 100
"""Kind ranks from here on count for spans only."""
NO_RANK: Final = 10_000

cached_is_token = lru_cache(16_384)(is_token)


def fits_token(text: str) -> bool:
    """`is_token`, remembered: attribute values repeat."""
    return len(text) <= MAX_TOKEN_CHARS and cached_is_token(text)


@dataclass(frozen=True, slots=True)
class Target:
    """One row, ready for use: a value that `convert` accepts becomes `path`, if the record's kind is among `kinds`."""

    rank: int
    path: str
    parts: tuple[str, ...]
    """The leaf path in pieces; empty where the target is not in the leaf."""
    field: str
    """The content field, or empty."""
    kinds: frozenset[str]
    convert: Convert | None
    """None for a token, the commonest: asked without a call."""
    promotes: bool
    """Whether the value may leave the content: a pseudonym does not give back what it stood for, nor a count a list."""
    promoted: dict[str, Any]
    """What then stands in its place: one dict for all, never changed."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the tables know of one attribute key."""

    key: str
    targets: tuple[Target, ...]
    kind_rank: int = NO_RANK
    kinds: Mapping[str, str] | None = None
    """Kind by value; None where the key alone shows `kind`."""
    kind: str = ""


def raw_json(raw: Raw) -> dict[str, Any]:
    """The AnyValue object of a raw value."""
    if type(raw) is str:
        return {"stringValue": raw}
    if type(raw) is int:
        return {"intValue": str(raw)}
    if type(raw) is bool:
        return {"boolValue": raw}
    return {"doubleValue": raw} if type(raw) is float else cast("dict[str, Any]", raw)


def _text(raw: Raw) -> str | None:
    """Identifiers come as strings, or as integers."""
    if type(raw) is str:
        return raw
    return str(raw) if type(raw) is int else None


def _content(raw: Raw) -> Any:
    """A field holds an OTLP string as text and anything else as AnyValue object."""
    return raw if type(raw) is str else raw_json(raw)


def _pattern(rule: Rule) -> Convert:
    """A string that the rule accepts: an enumeration, a digest, an id. A boolean says yes or no."""
    accepts = rule.test
    yes_no = "yes" in rule.values and "no" in rule.values

    def convert(raw: Raw) -> Any:
        if type(raw) is str:
            return raw if accepts(raw) else None
        return ("yes" if raw else "no") if yes_no and type(raw) is bool else None

    return convert


def _integer_or_boolean(rule: Rule) -> Convert:
    accepts = rule.test
    return lambda raw: raw if accepts(raw) else None


def _decimal(rule: Rule) -> Convert:
    """A decimal string as it is; a double or integer as the shortest decimal that reads back as it."""

    def convert(raw: Raw) -> Any:
        if type(raw) is str:
            text = raw
        elif type(raw) is int:
            text = str(raw)
        elif type(raw) is float:
            text = format(Decimal(repr(raw)), "f")
            text = text.rstrip("0").rstrip(".") if "." in text else text
        else:
            return None
        return text if rule.test(text) else None

    return convert


def _time(rule: Rule) -> Convert:
    """RFC 3339 with nine digits as it is; an integer as nanoseconds since the epoch."""

    def convert(raw: Raw) -> Any:
        if type(raw) is str:
            return raw if rule.test(raw) else None
        return format_time_ns(raw) if type(raw) is int and 0 < raw <= MAX_TIME_NS else None

    return convert


def _list(rule: Rule) -> Convert:
    """An array of strings."""

    def convert(raw: Raw) -> Any:
        if type(raw) is not dict or "arrayValue" not in raw:
            return None
        value = [inner.get("stringValue") for inner in raw["arrayValue"]["values"]]
        return value if rule.test(value) else None

    return convert


def _count(_rule: Rule) -> Convert:
    """How many alternatives there were: the length of a list, whether it came as an array or as JSON."""

    def convert(raw: Raw) -> Any:
        if type(raw) is dict:
            return len(raw["arrayValue"]["values"]) if "arrayValue" in raw else None
        if type(raw) is not str:
            return None
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return None
        return len(value) if type(value) is list else None

    return convert


_CONVERTERS: Final[Mapping[str, Callable[[Rule], Convert]]] = {
    "integer": _integer_or_boolean,
    "boolean": _integer_or_boolean,
    "decimal": _decimal,
    "time_ns": _time,
    "list": _list,
}
COUNTED: Final = "decision.alternatives"


def _convert_for(path: str, kind: str) -> Convert | None:
    if path in SPECIAL:
        return _text
    rule = rule_at(path, kind)
    if path == COUNTED:
        return _count(rule)
    return None if rule.name == "token" else _CONVERTERS.get(rule.name, _pattern)(rule)


def _target(rank: int, row: Row) -> Target:
    name = row.target.removeprefix(_CONTENT) if row.target.startswith(_CONTENT) else ""
    path = name or row.target
    return Target(
        rank,
        path,
        () if name or path in (INTERACTION, SUBJECT) else tuple(path.split(".")),
        name,
        frozenset(row.kinds),
        _content if name else _convert_for(path, row.kinds[0] if row.kinds else "operation"),
        path not in (SUBJECT, COUNTED),
        {"key": row.attribute, "promoted": path},
    )


NAME_TARGET: Final = _target(EVENT_RANK, Row("", "name"))
PRODUCER_ID_TARGET: Final = _target(NO_RANK, Row("", "producer.id"))


def _compile() -> dict[str, Known]:
    targets: dict[str, list[Target]] = {}
    for rank, row in enumerate(row for rows in ROWS.values() for row in rows):
        targets.setdefault(row.attribute, []).append(_target(rank, row))
    known = {key: Known(key, tuple(rows)) for key, rows in targets.items()}
    for key, rows in targets.items():
        own = key.split(".")[1] if key.startswith("counterfoil.") else ""
        if own in OWN_OBJECTS:
            known[key] = Known(key, tuple(rows), OWN_OBJECTS.index(own), None, own)
    known["event.name"] = Known("event.name", known["event.name"].targets, EVENT_RANK, EVENT_KINDS)
    for index, kind_row in enumerate(KIND_ROWS):
        before = known.get(kind_row.attribute)
        known[kind_row.attribute] = Known(
            kind_row.attribute, before.targets if before else (), SPAN_RANK + index, kind_row.kinds
        )
    return known


@cache
def known_attributes() -> Mapping[str, Known]:
    """The compiled tables, by attribute key."""
    return _compile()
