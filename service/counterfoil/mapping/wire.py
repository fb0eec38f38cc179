"""What the compiled part must know of the messages, from the descriptors of the installed opentelemetry-proto."""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from counterfoil.mapping.compiled import native
from counterfoil.mapping.decoded import Group, check_item_count, unknown_fields_of
from counterfoil.mapping.limits import MAX_ITEMS
from counterfoil.mapping.signals import Signal

# native.h, enum Kind. A type that is not here is left to the protobuf library.
_OTHER = 0
_KINDS = {
    FieldDescriptor.TYPE_UINT64: 1,
    FieldDescriptor.TYPE_INT64: 2,
    FieldDescriptor.TYPE_UINT32: 3,
    FieldDescriptor.TYPE_ENUM: 4,
    FieldDescriptor.TYPE_BOOL: 5,
    FieldDescriptor.TYPE_FIXED64: 6,
    FieldDescriptor.TYPE_FIXED32: 7,
    FieldDescriptor.TYPE_DOUBLE: 8,
    FieldDescriptor.TYPE_STRING: 9,
    FieldDescriptor.TYPE_BYTES: 10,
    FieldDescriptor.TYPE_MESSAGE: 11,
}


@cache
def _layout(root: Descriptor) -> Any:
    """The layout of an item and of everything below it."""
    assert native is not None  # noqa: S101 - asked for by `split` alone, which asked before
    order: dict[str, int] = {}
    descriptors: list[Descriptor] = []

    def number(descriptor: Descriptor) -> int:
        if descriptor.full_name not in order:
            order[descriptor.full_name] = len(descriptors)
            descriptors.append(descriptor)
            for field in descriptor.fields:
                if field.type == FieldDescriptor.TYPE_MESSAGE:
                    number(_type_of(field))
        return order[descriptor.full_name]

    number(root)
    pair, value = number(KeyValue.DESCRIPTOR), number(AnyValue.DESCRIPTOR)
    messages = [(message_factory.GetMessageClass(one), _fields(one, order)) for one in descriptors]
    return native.Layout(messages, pair, value)


def _fields(descriptor: Descriptor, order: dict[str, int]) -> list[tuple[str, int, int, int, int, int, int]]:
    """(name, number, kind, repeated, presence, oneof, message) of every field, by rising number."""
    return [
        (
            field.name,
            field.number,
            _KINDS.get(field.type, _OTHER),
            int(field.is_repeated),
            int(field.has_presence),
            -1 if field.containing_oneof is None else field.containing_oneof.index,
            order[_type_of(field).full_name] if field.type == FieldDescriptor.TYPE_MESSAGE else 0,
        )
        for field in sorted(descriptor.fields, key=lambda field: field.number)
    ]


def _type_of(field: FieldDescriptor) -> Any:
    return field.message_type


def split(signal: Signal, body: bytes) -> list[Group] | None:
    """The groups of a request whose envelope is plain; None where only the protobuf library can tell what it is.

    Items are `_native.Item` where their wire form is canonical, messages of opentelemetry-proto otherwise. Raises
    DecodeError where one of those cannot be read.
    """
    if native is None or type(body) is not bytes:
        return None
    outers = native.split(body, _layout(signal.item.DESCRIPTOR), MAX_ITEMS)
    if outers is None:
        return None
    groups: list[Group] = []
    count = 0
    resource_type, scope_type = _head_types(signal)
    for resource_index, (resource_wire, resource_url, inners) in enumerate(outers):
        resource = None if resource_wire is None else resource_type.FromString(resource_wire)
        for scope_index, (scope_wire, scope_url, items, foreign) in enumerate(inners):
            scope = None if scope_wire is None else scope_type.FromString(scope_wire)
            count += len(items)
            check_item_count(count)
            group = Group(resource_index, scope_index, resource, resource_url, scope, scope_url, items)
            for position in foreign:
                if (extra := unknown_fields_of(items[position])) is not None:
                    group.extras[position] = extra
            groups.append(group)
    return groups


@cache
def _head_types(signal: Signal) -> tuple[type[Any], type[Any]]:
    """The message classes of resource and scope."""
    outer = signal.request.DESCRIPTOR.fields_by_name[signal.resource_field].message_type
    inner = outer.fields_by_name[signal.scope_field].message_type
    resource, scope = outer.fields_by_name["resource"].message_type, inner.fields_by_name["scope"].message_type
    return message_factory.GetMessageClass(resource), message_factory.GetMessageClass(scope)
