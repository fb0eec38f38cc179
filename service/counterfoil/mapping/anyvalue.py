"""OTLP values as OTLP/JSON: AnyValue, KeyValue, and the messages around them (OTLP 1.9, "JSON Protobuf Encoding").

Order, type, duplicates and presence survive: `{"key": "a"}` (no value), `{"key": "a", "value": {}}` (an empty value)
and `{"key": "a", "value": {"stringValue": ""}}` are three things. Integers are decimal strings, bytes base64, NaN and
infinities strings. Values nested over the limit raise ItemError.

Strings are looked at first: nine values in ten are strings, and asking a message which value it holds costs more than
reading the string.
"""

from __future__ import annotations

from base64 import b64encode
from math import isfinite
from typing import Any

from counterfoil.mapping.limits import MAX_NESTING, nesting_error


def double_json(value: float) -> float | str:
    """A double as ProtoJSON prints it: a number, or "NaN", "Infinity", "-Infinity"."""
    if isfinite(value):
        return value
    if value != value:
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def value_json(value: Any, depth: int = 1) -> dict[str, Any]:
    """An AnyValue as OTLP/JSON; {} where nothing is set."""
    if depth > MAX_NESTING:
        raise nesting_error()
    which = value.WhichOneof("value")
    if which == "string_value":
        return {"stringValue": value.string_value}
    if which is None:
        return {}
    if which == "int_value":
        return {"intValue": str(value.int_value)}
    if which == "bool_value":
        return {"boolValue": value.bool_value}
    if which == "double_value":
        return {"doubleValue": double_json(value.double_value)}
    if which == "array_value":
        return {"arrayValue": {"values": [value_json(inner, depth + 1) for inner in value.array_value.values]}}
    if which == "kvlist_value":
        return {"kvlistValue": {"values": [pair_json(pair, depth + 1) for pair in value.kvlist_value.values]}}
    if which == "bytes_value":
        return {"bytesValue": b64encode(value.bytes_value).decode("ascii")}
    return {"stringValueStrindex": value.string_value_strindex}


def pair_json(pair: Any, depth: int = 1) -> dict[str, Any]:
    """A KeyValue as OTLP/JSON."""
    out: dict[str, Any] = {"key": pair.key}
    if index := pair.key_strindex:
        out["keyStrindex"] = index
    value = pair.value
    if string := value.string_value:
        if depth > MAX_NESTING:
            raise nesting_error()
        out["value"] = {"stringValue": string}
    elif pair.HasField("value"):
        out["value"] = value_json(value, depth)
    return out


def content_json(value: Any) -> Any:
    """An AnyValue as a content value: an OTLP string is that JSON string, anything else an AnyValue object."""
    return value.string_value or _unwrapped(value_json(value))


def _unwrapped(value: dict[str, Any]) -> Any:
    return value.get("stringValue", value)


def resource_json(resource: Any) -> dict[str, Any]:
    """A Resource as OTLP/JSON."""
    out: dict[str, Any] = {"attributes": [pair_json(pair) for pair in resource.attributes]}
    if dropped := resource.dropped_attributes_count:
        out["droppedAttributesCount"] = dropped
    if entities := resource.entity_refs:
        out["entityRefs"] = [_entity_json(entity) for entity in entities]
    return out


def _entity_json(entity: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if entity.schema_url:
        out["schemaUrl"] = entity.schema_url
    if entity.type:
        out["type"] = entity.type
    if entity.id_keys:
        out["idKeys"] = list(entity.id_keys)
    if entity.description_keys:
        out["descriptionKeys"] = list(entity.description_keys)
    return out


def scope_json(scope: Any) -> dict[str, Any]:
    """An InstrumentationScope as OTLP/JSON."""
    out: dict[str, Any] = {}
    if scope.name:
        out["name"] = scope.name
    if scope.version:
        out["version"] = scope.version
    if scope.attributes:
        out["attributes"] = [pair_json(pair) for pair in scope.attributes]
    if dropped := scope.dropped_attributes_count:
        out["droppedAttributesCount"] = dropped
    return out


def event_json(event: Any) -> dict[str, Any]:
    """A span event as OTLP/JSON."""
    out: dict[str, Any] = {}
    if time := event.time_unix_nano:
        out["timeUnixNano"] = str(time)
    if event.name:
        out["name"] = event.name
    if attributes := event.attributes:
        out["attributes"] = [pair_json(pair) for pair in attributes]
    if dropped := event.dropped_attributes_count:
        out["droppedAttributesCount"] = dropped
    return out


def link_json(link: Any) -> dict[str, Any]:
    """A span link as OTLP/JSON."""
    out: dict[str, Any] = {}
    if link.trace_id:
        out["traceId"] = link.trace_id.hex()
    if link.span_id:
        out["spanId"] = link.span_id.hex()
    if link.trace_state:
        out["traceState"] = link.trace_state
    if attributes := link.attributes:
        out["attributes"] = [pair_json(pair) for pair in attributes]
    if dropped := link.dropped_attributes_count:
        out["droppedAttributesCount"] = dropped
    if flags := link.flags:
        out["flags"] = flags
    return out
