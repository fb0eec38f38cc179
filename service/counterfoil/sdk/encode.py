"""Log events as an OTLP request: `ExportLogsServiceRequest`, one resource, one scope."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from counterfoil.sdk.capture import Capture
from counterfoil.sdk.finish import attributes_of
from counterfoil.sdk.record import Numbered

SCOPE = "counterfoil.sdk"
_TOP, _LOWEST = 2**63 - 1, -(2**63)


@cache
def sdk_version() -> str:
    """The version of this package."""
    try:
        return importlib.metadata.version("counterfoil")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def fill_value(message: AnyValue, value: Any) -> None:
    """A plain value into an AnyValue. Lone surrogates, which UTF-8 cannot say, are written as `\\udc80`."""
    kind = type(value)
    if kind is str:
        message.string_value = value if value.isascii() else _utf8(value)
    elif kind is bool:
        message.bool_value = value
    elif kind is int:
        if _LOWEST <= value <= _TOP:
            message.int_value = value
        else:
            message.string_value = str(value)
    elif kind is float:
        message.double_value = value
    elif kind is bytes:
        message.bytes_value = value
    elif kind is dict:
        message.kvlist_value.SetInParent()
        fill_pairs(message.kvlist_value.values, value.items())
    elif kind is list:
        message.array_value.SetInParent()
        add = message.array_value.values.add
        for inner in value:
            fill_value(add(), inner)


def fill_pairs(messages: Any, pairs: Iterable[tuple[str, Any]]) -> None:
    """Attributes into a repeated KeyValue."""
    add = messages.add
    for key, value in pairs:
        pair = add(key=key if key.isascii() else _utf8(key))
        if type(value) is str and value.isascii():
            pair.value.string_value = value
        else:
            fill_value(pair.value, value)


def _utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


class Request:
    """An `ExportLogsServiceRequest` under construction: one resource, our scope, events as they come."""

    def __init__(self, resource: Mapping[str, Any]) -> None:
        self._whole = ExportLogsServiceRequest()
        outer = self._whole.resource_logs.add()
        fill_pairs(outer.resource.attributes, ((key, _resource_value(value)) for key, value in resource.items()))
        inner = outer.scope_logs.add()
        inner.scope.name, inner.scope.version = SCOPE, sdk_version()
        self._records = inner.log_records

    def add(self, item: Numbered, capture: Capture) -> None:
        """One event. Whatever is raised, the request is as it was before."""
        record = item.record
        made = self._records.add(
            time_unix_nano=record.time_ns,
            observed_time_unix_nano=record.time_ns,
            event_name=f"counterfoil.{record.subject}",
            flags=record.flags,
        )
        try:
            if record.trace_id:
                made.trace_id = record.trace_id.to_bytes(16, "big")
            if record.span_id:
                made.span_id = record.span_id.to_bytes(8, "big")
            fill_pairs(made.attributes, attributes_of(record, item.n, capture))
        except BaseException:
            del self._records[-1]
            raise

    def serialise(self) -> bytes:
        """The request as it is sent."""
        return self._whole.SerializeToString()


def _resource_value(value: Any) -> Any:
    """A resource's value may be a tuple."""
    return list(value) if isinstance(value, tuple) else value


def split(body: bytes) -> tuple[bytes, bytes]:
    """A request of two or more events as two requests of half of them each."""
    halves = []
    for half in (0, 1):
        whole = ExportLogsServiceRequest.FromString(body)
        records = whole.resource_logs[0].scope_logs[0].log_records
        middle = len(records) // 2
        del records[slice(middle, None) if half == 0 else slice(0, middle)]
        halves.append(whole.SerializeToString())
    return halves[0], halves[1]
