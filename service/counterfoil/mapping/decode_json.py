"""OTLP/JSON requests (OTLP 1.11, "JSON Protobuf Encoding") to the same messages that protobuf gives.

Trace and span ids are hex in either case, not base64; 64-bit integers decimal strings or numbers; enumerations
integers, names too; other bytes base64 in any ProtoJSON spelling; NaN and infinities strings; `null` is absence; keys
that we do not know are ignored at any depth. Stricter than ProtoJSON where evidence needs it: a key that stands twice
in one object refuses the request, since parsers disagree on which of the two counts.

What is wrong inside one item (a type, a range, nesting over the limit) refuses that item; inside a resource or scope,
the items below it. The converters are made from the protobuf descriptors, so a field of a newer opentelemetry-proto
needs no line here.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from counterfoil.core.errors import InputError
from counterfoil.mapping.decoded import Decoded, Group, check_item_count
from counterfoil.mapping.draft import Refused
from counterfoil.mapping.limits import MAX_NESTING, ItemError, nesting_error
from counterfoil.mapping.signals import OTHER_KEYS, Signal

Convert = Callable[[Any, int], Any]
"""(JSON value, nesting level) to what the message's constructor takes; ItemError where it cannot be."""

_HEX_FIELDS = frozenset({"trace_id", "span_id", "parent_span_id"})
_INTEGER = re.compile(r"-?[0-9]{1,20}").fullmatch
_VALUE = "opentelemetry.proto.common.v1.AnyValue"


def _wrong(wanted: str, value: Any) -> ItemError:
    seen = "a string of another form" if isinstance(value, str) else f"a JSON {_TYPE_NAMES[type(value)]}"
    return ItemError("bad_type", f"wanted {wanted}, got {seen}")


_TYPE_NAMES = {
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
    type(None): "null",
}


def _string(value: Any, _level: int) -> str:
    if type(value) is not str:
        raise _wrong("a string", value)
    return value


def _boolean(value: Any, _level: int) -> bool:
    if type(value) is not bool:
        raise _wrong("true or false", value)
    return value


def _hex(value: Any, _level: int) -> bytes:
    if type(value) is str and value.isalnum():
        try:
            return bytes.fromhex(value)
        except ValueError:
            pass
    elif value == "":
        return b""
    raise _wrong("an id in hex", value)


def _base64(value: Any, _level: int) -> bytes:
    """ProtoJSON: the standard or the URL-safe alphabet, with or without padding."""
    if type(value) is str:
        try:
            standard = value.replace("-", "+").replace("_", "/").rstrip("=")
            return b64decode(standard + "=" * (-len(standard) % 4), validate=True)
        except ValueError:
            pass
    raise _wrong("base64", value)


def _integer(low: int, high: int) -> Convert:
    wanted = f"an integer from {low} to {high}, as a number or a decimal string"

    def convert(value: Any, _level: int) -> int:
        kind = type(value)
        if kind is int:
            number = value
        elif (kind is str and _INTEGER(value)) or (kind is float and value.is_integer()):
            number = int(value)
        else:
            raise _wrong(wanted, value)
        if not low <= number <= high:
            raise ItemError("out_of_range", f"wanted {wanted}")
        return int(number)

    return convert


def _enumeration(field: FieldDescriptor) -> Convert:
    enumeration: Any = field.enum_type
    names = {value.name: value.number for value in enumeration.values}
    number = _integer(-(2**31), 2**31 - 1)

    def convert(value: Any, level: int) -> int:
        known = names.get(value) if type(value) is str else None
        return int(number(value, level)) if known is None else known

    return convert


def _double(value: Any, _level: int) -> float:
    """A number, its text, or "NaN", "Infinity", "-Infinity"."""
    if type(value) in (int, float):
        return float(value)
    if type(value) is str and value == value.strip() and "_" not in value:
        try:
            number = float(value)
        except ValueError:
            number = None
        # Python reads more names than ProtoJSON has ("nan", "inf"): only its three.
        if number is not None and (value in {"NaN", "Infinity", "-Infinity"} or value[-1:].isdigit()):
            return number
    raise _wrong("a number", value)


_SCALARS: dict[int, Convert] = {
    FieldDescriptor.TYPE_STRING: _string,
    FieldDescriptor.TYPE_BOOL: _boolean,
    FieldDescriptor.TYPE_DOUBLE: _double,
    FieldDescriptor.TYPE_BYTES: _base64,
    FieldDescriptor.TYPE_INT32: _integer(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: _integer(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: _integer(0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: _integer(0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED64: _integer(0, 2**64 - 1),
}


def _converter(field: FieldDescriptor) -> Convert:
    single: Convert
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        message_type: Any = field.message_type
        single = _message_converter(message_type)
    elif field.type == FieldDescriptor.TYPE_ENUM:
        single = _enumeration(field)
    elif field.name in _HEX_FIELDS:
        single = _hex
    else:
        single = _SCALARS[field.type]
    if not field.is_repeated:
        return single

    def convert(value: Any, level: int) -> list[Any]:
        if type(value) is not list:
            raise _wrong("an array", value)
        return [single(inner, level) for inner in value]

    return convert


@cache
def _fields(descriptor: Descriptor) -> dict[str, tuple[str, Convert]]:
    return {field.json_name: (field.name, _converter(field)) for field in descriptor.fields}


def _message_converter(descriptor: Descriptor) -> Convert:
    """The constructor arguments of a message. AnyValue is a level deeper than what it stands in, and has one value."""
    is_value = descriptor.full_name == _VALUE

    def convert(value: Any, level: int) -> dict[str, Any]:
        if type(value) is not dict:
            raise _wrong("an object", value)
        if is_value and (level := level + 1) > MAX_NESTING:
            raise nesting_error()
        fields = _fields(descriptor)
        out = {}
        for key, inner in value.items():
            known = fields.get(key)
            if known is not None and inner is not None:
                try:
                    out[known[0]] = known[1](inner, level)
                except ItemError as error:
                    if error.code not in {"bad_type", "out_of_range"}:
                        raise
                    raise ItemError(error.code, f"{key}: {error.message}") from None
        if is_value and len(out) > 1:
            raise ItemError("bad_type", f"wanted one value, got {', '.join(sorted(value))[:200]}")
        return out

    return convert


def build_message(stock: type[Any], value: Any) -> Any:
    """A message of its OTLP/JSON object; ItemError where it cannot be."""
    return stock(**_message_converter(stock.DESCRIPTOR)(value, 0))


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # set.add returns None: false, and now the key is in it
        raise InputError("duplicate_key", f"the JSON body has the key {twice[:64]!r} twice in one object")
    return out


def parse_body(body: bytes) -> Any:
    """The JSON value of a body, which has no key twice in one object; InputError "bad_json" or "duplicate_key"."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InputError("bad_json", f"the body is not JSON in UTF-8: {error.msg}") from None
    # orjson keeps the last of two equal keys without a word, so a second, slower parser looks for them.
    try:
        json.loads(body, object_pairs_hook=_refuse_duplicates)
    except (ValueError, RecursionError):
        raise InputError("bad_json", "the body is not JSON in UTF-8, or nested too deeply") from None
    return value


def _members(value: Any, key: str, path: str) -> Sequence[Any]:
    """The array at `key` of an envelope object; absent is empty."""
    if type(value) is not dict:
        raise InputError("bad_json", f"{path or 'the body'} is not an object", item=path or None)
    inner = value.get(key)
    if inner is None:
        return ()
    if type(inner) is not list:
        raise InputError("bad_json", f"{path}{'.' if path else ''}{key} is not an array", item=path or None)
    return inner


def _schema_url(value: dict[str, Any]) -> str:
    url = value.get("schemaUrl")
    return "" if url is None else _string(url, 0)


def decode_json(signal: Signal, body: bytes) -> Decoded:
    """The request; InputError where its JSON or its envelope is bad."""
    request = parse_body(body)
    outers = _members(request, signal.resource_key, "")
    if not outers and (others := OTHER_KEYS & request.keys() - {signal.resource_key}):
        raise InputError("wrong_signal", f"wanted {signal.resource_key}, got {min(others)}")
    decoded = Decoded(signal, [], [])
    count = 0
    for resource_index, outer in enumerate(outers):
        outer_path = f"{signal.resource_key}[{resource_index}]"
        for scope_index, inner in enumerate(_members(outer, signal.scope_key, outer_path)):
            inner_path = f"{outer_path}.{signal.scope_key}[{scope_index}]"
            values = _members(inner, signal.item_key, inner_path)
            count += len(values)
            check_item_count(count)
            _read_group(decoded, resource_index, outer, scope_index, inner, values)
    return decoded


def _read_group(
    decoded: Decoded, resource_index: int, outer: dict[str, Any], scope_index: int, inner: dict[str, Any], values: Any
) -> None:
    signal = decoded.signal
    items: list[Any] = []
    indexes: list[int] = []
    heads: tuple[Any, str, Any, str] = (None, "", None, "")
    broken: ItemError | None = None
    try:
        heads = (*_head(Resource, outer, "resource"), *_head(InstrumentationScope, inner, "scope"))
    except ItemError as error:
        broken = error
    for index, value in enumerate(values):
        try:
            if broken is not None:
                raise broken
            items.append(build_message(signal.item, value))
            indexes.append(index)
        except ItemError as error:
            path = signal.path(resource_index, scope_index, index)
            decoded.refused.append(Refused(path, error.code, error.message, error.limit))
    decoded.groups.append(Group(resource_index, scope_index, *heads, items, indexes))


def _head(stock: type[Any], value: dict[str, Any], key: str) -> tuple[Any, str]:
    """Resource or scope of an envelope object, and the schema URL beside it."""
    inner = value.get(key)
    return None if inner is None else build_message(stock, inner), _schema_url(value)
