"""Bytes of an OTLP request to its decoded form, whatever the encoding.

    decode_traces(body, "application/x-protobuf") == decode_traces(json_body, "application/json; charset=utf-8")

Raises InputError where the request as a whole is bad: `unsupported_content_type`, `bad_protobuf`, `bad_json`,
`duplicate_key`, `wrong_signal`, `too_many_items`. What is bad in one item alone is in `Decoded.refused`.

Protobuf is read by the compiled part, where there is one and the bytes are what a deterministic encoder prints
(`wire`); else by the stock decoder. That refuses a whole request for one string that is not UTF-8, or one value
nested too deeply; then the request is read again item by item (`decode_bytes`).
"""

from __future__ import annotations

from google.protobuf.message import DecodeError

from counterfoil.core.errors import InputError
from counterfoil.mapping.decode_bytes import decode_item_by_item
from counterfoil.mapping.decode_json import decode_json
from counterfoil.mapping.decoded import Decoded, Group, check_item_count, unknown_fields_of
from counterfoil.mapping.signals import LOGS, TRACES, Signal
from counterfoil.mapping.wire import split

PROTOBUF = "application/x-protobuf"
JSON = "application/json"


def decode_traces(body: bytes, content_type: str) -> Decoded:
    """An ExportTraceServiceRequest."""
    return _decode(TRACES, body, content_type)


def decode_logs(body: bytes, content_type: str) -> Decoded:
    """An ExportLogsServiceRequest."""
    return _decode(LOGS, body, content_type)


def media_type(content_type: str) -> str:
    """The media type without its parameters, in lower case: `application/json; charset=utf-8` is JSON too."""
    return content_type.partition(";")[0].strip().lower()


def _decode(signal: Signal, body: bytes, content_type: str) -> Decoded:
    media = media_type(content_type)
    if media == PROTOBUF:
        return _decode_protobuf(signal, body)
    if media == JSON:
        return decode_json(signal, body)
    raise InputError("unsupported_content_type", f"OTLP comes as {PROTOBUF} or {JSON}")


def _decode_protobuf(signal: Signal, body: bytes) -> Decoded:
    try:
        if (split_groups := split(signal, body)) is not None:
            return Decoded(signal, split_groups, [])
        request = signal.request.FromString(body)
    except DecodeError:
        return decode_item_by_item(signal, body)
    scope_field, item_field = signal.scope_field, signal.item_field
    groups = []
    count = 0
    for resource_index, outer in enumerate(getattr(request, signal.resource_field)):
        resource = outer.resource if outer.HasField("resource") else None
        for scope_index, inner in enumerate(getattr(outer, scope_field)):
            items = getattr(inner, item_field)
            count += len(items)
            check_item_count(count)
            group = Group(
                resource_index,
                scope_index,
                resource,
                outer.schema_url,
                inner.scope if inner.HasField("scope") else None,
                inner.schema_url,
                items,
            )
            for position, item in enumerate(items):
                if (extra := unknown_fields_of(item)) is not None:
                    group.extras[position] = extra
            groups.append(group)
    return Decoded(signal, groups, [])
