"""Reads a protobuf request item by item, keeping strings that are not UTF-8.

The stock decoder refuses a whole request for one bad string or one value nested too deeply. On the wire `string` and
`bytes` are the same (length-delimited, wire type 2), so the same messages with `bytes` in place of `string` read what
it refuses. Two sets of messages are made from the stock descriptors:

- *envelopes*, in which resource, scope and items are `bytes`: they slice the request without looking into it;
- *byte messages*, in which every `string` is `bytes`: they read one bad item, resource or scope.

Only what is itself broken is refused: an item, or every item of a broken resource or scope.
"""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from counterfoil.core.errors import InputError
from counterfoil.mapping.decoded import Decoded, Extra, Group, check_item_count, unknown_fields_of
from counterfoil.mapping.draft import Refused
from counterfoil.mapping.limits import ItemError, nesting_error
from counterfoil.mapping.signals import Signal

_BYTES = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
_STRING = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
_MESSAGE = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
_OPTIONAL = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
_REPEATED = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED

INVALID_KEY = "invalidUtf8"


@cache
def _byte_pool() -> descriptor_pool.DescriptorPool:
    """The stock messages of both signals with every `string` a `bytes`."""
    pool = descriptor_pool.DescriptorPool()
    for module in (common_pb2, resource_pb2, trace_pb2, logs_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        pending = list(file.message_type)
        while pending:
            message = pending.pop()
            pending.extend(message.nested_type)
            for field in message.field:
                if field.type == _STRING:
                    field.type = _BYTES
        pool.Add(file)
    return pool


def _byte_message(stock: type[Message]) -> type[Any]:
    return message_factory.GetMessageClass(_byte_pool().FindMessageTypeByName(stock.DESCRIPTOR.full_name))


def unknown_fields(stock: type[Message], wire: bytes) -> UnknownFieldSet:
    """The fields at the top level of `wire` that this version of OTLP does not know, whatever its strings hold."""
    return UnknownFieldSet(_byte_message(stock).FromString(wire))


@cache
def _envelope() -> type[Any]:
    """Request > groups (resource = 1, inner = 2, schema_url = 3) > groups (scope = 1, items = 2, schema_url = 3)."""
    file = descriptor_pb2.FileDescriptorProto(name="counterfoil/envelope.proto", package="counterfoil", syntax="proto3")
    request = file.message_type.add(name="Request")
    request.field.add(name="groups", number=1, type=_MESSAGE, label=_REPEATED, type_name=".counterfoil.Outer")
    outer = file.message_type.add(name="Outer")
    # `head` is repeated: a message that is sent in two pieces is merged, which means its bytes are joined.
    outer.field.add(name="head", number=1, type=_BYTES, label=_REPEATED)
    outer.field.add(name="groups", number=2, type=_MESSAGE, label=_REPEATED, type_name=".counterfoil.Inner")
    outer.field.add(name="schema_url", number=3, type=_BYTES, label=_OPTIONAL)
    inner = file.message_type.add(name="Inner")
    inner.field.add(name="head", number=1, type=_BYTES, label=_REPEATED)
    inner.field.add(name="items", number=2, type=_BYTES, label=_REPEATED)
    inner.field.add(name="schema_url", number=3, type=_BYTES, label=_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("counterfoil.Request"))


def _free_prefix(body: bytes) -> str:
    """A text that occurs nowhere in the request, since no body can hold its own hash, and that begins no token."""
    return f"\x00invalid UTF-8 {sha256(body).hexdigest()}: "


def decode_item_by_item(signal: Signal, body: bytes) -> Decoded:
    """The request, with whatever can be read of it; InputError "bad_protobuf" where its envelope is broken."""
    try:
        request = _envelope().FromString(body)
    except DecodeError:
        raise InputError("bad_protobuf", f"the body is not an OTLP {signal.name} request in protobuf") from None
    reader = _Reader(signal, _free_prefix(body))
    check_item_count(sum(len(inner.items) for outer in request.groups for inner in outer.groups))
    for resource_index, outer in enumerate(request.groups):
        for scope_index, inner in enumerate(outer.groups):
            reader.read_group(resource_index, outer, scope_index, inner)
    return Decoded(signal, reader.groups, reader.refused, reader.prefix)


class _Reader:
    """Gathers the groups and refusals of one request."""

    def __init__(self, signal: Signal, prefix: str) -> None:
        self.signal = signal
        self.prefix = prefix
        self.groups: list[Group] = []
        self.refused: list[Refused] = []

    def read_group(self, resource_index: int, outer: Any, scope_index: int, inner: Any) -> None:
        """The items of one scope; all refused where resource or scope cannot be read."""
        items: list[Any] = []
        indexes: list[int] = []
        extras: dict[int, Extra] = {}
        resource = scope = None
        resource_wire = scope_wire = b""
        broken = None
        try:
            if outer.head:
                resource, resource_wire = self._head(Resource, outer.head)
            if inner.head:
                scope, scope_wire = self._head(InstrumentationScope, inner.head)
        except ItemError as error:
            broken = error
        for index, wire in enumerate(inner.items):
            try:
                if broken is not None:
                    raise broken
                item, extra = self._message(self.signal.item, wire)
            except ItemError as error:
                path = self.signal.path(resource_index, scope_index, index)
                self.refused.append(Refused(path, error.code, error.message, error.limit))
                continue
            if extra is not None:
                extras[len(items)] = extra
            items.append(item)
            indexes.append(index)
        self.groups.append(
            Group(
                resource_index,
                scope_index,
                resource,
                self._text(outer.schema_url),
                scope,
                self._text(inner.schema_url),
                items,
                indexes,
                extras,
                (resource_wire, outer.schema_url, scope_wire, inner.schema_url),
            )
        )

    def _head(self, stock: type[Any], pieces: Any) -> tuple[Any, bytes]:
        """Resource or scope, and its deterministic bytes as it was sent."""
        message, extra = self._message(stock, b"".join(pieces))
        return message, message.SerializeToString(deterministic=True) if extra is None else extra.wire

    def _message(self, stock: type[Any], wire: bytes) -> tuple[Any, Extra | None]:
        """One message of its bytes, bad strings replaced."""
        try:
            message = stock.FromString(wire)
            return message, unknown_fields_of(message)
        except DecodeError:
            pass
        try:
            message = _byte_message(stock).FromString(wire)
        except DecodeError as error:
            # upb says why only in words; a message that it cannot even slice is refused as broken protobuf.
            if "MaxDepth" in str(error):
                raise nesting_error() from None
            raise ItemError("bad_protobuf", f"not a {stock.DESCRIPTOR.full_name} in protobuf") from None
        extra = Extra(message.SerializeToString(deterministic=True), unknown=unknown_fields_of(message) is not None)
        self._replace(message, stock)
        return stock.FromString(message.SerializeToString()), extra

    def _text(self, data: bytes) -> str:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return self.prefix + b64encode(data).decode("ascii")

    def _replace(self, message: Any, stock: type[Message]) -> None:
        """Put the replacement in place of every string below `message` that is not UTF-8."""
        pending: list[tuple[Any, Any]] = [(message, stock.DESCRIPTOR)]
        while pending:
            current, wanted = pending.pop()
            for field, value in current.ListFields():
                stock_field = wanted.fields_by_number[field.number]
                if field.type == FieldDescriptor.TYPE_MESSAGE:
                    children = value if field.is_repeated else (value,)
                    pending.extend((child, stock_field.message_type) for child in children)
                elif stock_field.type == FieldDescriptor.TYPE_STRING:
                    if field.is_repeated:
                        value[:] = [self._text(data).encode() for data in value]
                    else:
                        setattr(current, field.name, self._text(value).encode())


def restore_invalid(value: Any, prefix: str) -> Any:
    """The JSON value with `{"invalidUtf8": base64}` in place of each replacement."""
    if isinstance(value, str):
        return {INVALID_KEY: value[len(prefix) :]} if value.startswith(prefix) else value
    if isinstance(value, dict):
        return {key: restore_invalid(inner, prefix) for key, inner in value.items()}
    if isinstance(value, list):
        return [restore_invalid(inner, prefix) for inner in value]
    return value
