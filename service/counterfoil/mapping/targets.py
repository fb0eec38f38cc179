"""Rows of the tables, made ready for use: a target each, with a converter.

A converter takes a raw value (a string, integer, double or boolean as itself, anything else an AnyValue object) to the
fact that may stand in the leaf, or None where it does not fit the rule of `core.schema`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, cast

import orjson

from counterfoil.core.encoding import MAX_TIME_NS, format_time_ns
from counterfoil.core.rules import MAX_TOKEN_CHARS, Rule, is_token
from counterfoil.mapping.conventions.own import INTERACTION, SUBJECT
from counterfoil.mapping.conventions.rows import REST, PartRow, Row
from counterfoil.mapping.tables import SPECIAL, rule_at

Raw = str | int | float | bool | dict[str, Any]
"""An attribute's value: string, integer, double and boolean as themselves, anything else an AnyValue object."""
Convert = Callable[[Raw], Any]
"""A raw value to the fact, or None where it does not fit."""

_CONTENT = "content:"
EVENT_RANK: Final = -1
SPAN_RANK: Final = 100
"""Kind ranks from here on count for spans only."""
PART_RANK: Final = 1_000
"""Kind ranks from here on are those of parts: they name the kind of an item only where nothing else does."""
NO_RANK: Final = 1_000_000
MAX_INSIDE_CHARS: Final = 16_384
"""A JSON object longer than this is not opened for one of its members."""

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
    goes_on: bool = False
    """Whether the attribute is offered to its next targets even so: it was only asked about something."""
    gathers: bool = False
    """Whether every attribute of the group goes to the field together."""


@dataclass(frozen=True, slots=True)
class PartOf:
    """The record of its own that an attribute belongs to: which row of `PART_ROWS`, and which index, if it has one."""

    row: PartRow
    index: str


@dataclass(frozen=True, slots=True)
class Known:
    """What the tables know of one attribute key."""

    key: str
    targets: tuple[Target, ...]
    kind_rank: int = NO_RANK
    kinds: Mapping[str, str] | None = None
    """Kind by value; None where the key alone shows `kind`."""
    kind: str = ""
    part: PartOf | None = None


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


def _renamed(values: Mapping[str, str]) -> Convert:
    """Their words to ours."""
    return lambda raw: values.get(raw.lower()) if type(raw) is str and len(raw) <= MAX_TOKEN_CHARS else None


def _inside(member: str, convert: Convert | None) -> Convert:
    """A member of a JSON object that came as text, or of a map."""

    def convert_member(raw: Raw) -> Any:
        inner = _member(raw, member)
        if inner is None or inner == "":
            return None
        if convert is None:
            return inner if type(inner) is str and fits_token(inner) else None
        return convert(inner)

    return convert_member


@lru_cache(64)
def _object(text: str) -> Mapping[str, Any]:
    """A JSON object that came as text; empty where it is none. Several rows ask for members of the same one."""
    try:
        return cast("dict[str, Any]", orjson.loads(text))
    except orjson.JSONDecodeError:
        return {}


def _member(raw: Raw, member: str) -> Raw | None:
    if type(raw) is str:
        value = _object(raw).get(member) if raw[:1] == "{" and len(raw) <= MAX_INSIDE_CHARS else None
        return value if isinstance(value, str | int | float) else None
    if type(raw) is not dict or "kvlistValue" not in raw:
        return None
    for pair in raw["kvlistValue"]["values"]:
        if pair["key"] == member:
            value = pair.get("value", {})
            return value.get("stringValue") or (int(value["intValue"]) if "intValue" in value else None)
    return None


def _convert_for(path: str, kind: str) -> Convert | None:
    if path in SPECIAL:
        return _text
    rule = rule_at(path, kind)
    if path == COUNTED:
        return _count(rule)
    return None if rule.name == "token" else _CONVERTERS.get(rule.name, _pattern)(rule)


def target_of(rank: int, row: Row, key: str = "") -> Target:
    """A row made ready; `key` is the attribute's, where the row has a pattern."""
    name = row.target.removeprefix(_CONTENT) if row.target.startswith(_CONTENT) else ""
    path = name or row.target
    kind = row.kinds[0] if row.kinds else "operation"
    convert = _content if name else _convert_for(path, kind)
    goes_on = path == COUNTED
    if row.values:
        convert = _renamed(row.values)
    elif row.means:
        means = row.means
        convert, goes_on = (lambda _raw: means), True
    elif row.inside:
        convert, goes_on = _inside(row.inside, convert), True
    return Target(
        rank,
        path,
        () if name or path in (INTERACTION, SUBJECT) else tuple(path.split(".")),
        name,
        frozenset(row.kinds),
        convert,
        path != SUBJECT and not goes_on,
        {"key": key or row.attribute, "promoted": path},
        goes_on,
        row.attribute.endswith(f".{REST}"),
    )


NAME_TARGET: Final = target_of(EVENT_RANK, Row("", "name"))
PRODUCER_ID_TARGET: Final = target_of(NO_RANK, Row("", "producer.id"))
