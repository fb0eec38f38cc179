"""How many values a body holds, found without building them: the guard against small bodies that decode to large trees.

An empty message costs two bytes on the wire and fifty to two hundred in memory (measured: 4 MiB of empty spans take
350 MB in the protobuf library alone), so the limit on bytes is not a limit on memory. A body that cannot hold more than
the limit, at two bytes a value, is not looked at: ordinary batches cost nothing here.

Protobuf: a walk over the wire form (tag, length, skip) that knows from the descriptors which fields hold messages.
JSON: commas and brackets outside strings. Damaged input is counted as far as it can be read; the decoder says what is
wrong.
"""

from __future__ import annotations

import re
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from counterfoil.ingest.limits import Limits
from counterfoil.ingest.status import ExportError

LEAST_VALUE_BYTES: Final = 2
"""A value takes at least a tag and a length, or a digit and a comma."""

Table = dict[int, "Table"]
"""Field number of what repeats or holds a message, and the table of that message (empty for repeated scalars)."""

_JSON_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+\\?(?:"|\Z)', re.DOTALL)
"""A string, or what is left of one at the end: always matches at a quote, so a search never starts over."""


def check_protobuf(body: bytes, table: Table, limits: Limits) -> None:
    """Refuse a protobuf body with too many values: 413 too_many_values."""
    if len(body) > limits.values * LEAST_VALUE_BYTES and count_messages(body, table, limits.values) > limits.values:
        raise _too_many(limits)


def check_json(body: bytes, limits: Limits) -> None:
    """Refuse a JSON body with too many values: 413 too_many_values."""
    if len(body) <= limits.values * LEAST_VALUE_BYTES or _count_json(body) <= limits.values:
        return
    # Text is full of commas: look again without the strings.
    if _count_json(_JSON_STRING.sub(b"", body)) > limits.values:
        raise _too_many(limits)


def table_of(descriptor: Descriptor, known: dict[str, Table] | None = None) -> Table:
    """The table of a message type. Types that contain themselves share one table."""
    known = {} if known is None else known
    if descriptor.full_name in known:
        return known[descriptor.full_name]
    table: Table = {}
    known[descriptor.full_name] = table
    for field in descriptor.fields:
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            table[field.number] = table_of(_message_type(field), known)
        elif field.is_repeated:
            table[field.number] = {}
    return table


def count_messages(body: bytes, table: Table, most: int) -> int:
    """Values in `body`, or a number above `most` as soon as there are more. `body` may be damaged."""
    count = 0
    position, end = 0, len(body)
    outer: list[tuple[int, int, Table]] = []
    try:
        while True:
            while position < end:
                # One byte is the common case of tag and length; the call for longer ones would double the time.
                tag = body[position]
                position += 1
                if tag >= 0x80:
                    tag, position = _varint(body, position - 1)
                kind = tag & 7
                if kind == 2:
                    length = body[position]
                    position += 1
                    if length >= 0x80:
                        length, position = _varint(body, position - 1)
                    if (inner := table.get(tag >> 3)) is None:
                        position += length
                        continue
                    count += 1
                    if count > most:
                        return count
                    if length:
                        outer.append((position + length, end, table))
                        end, table = min(position + length, end), inner
                elif kind == 0:
                    _, position = _varint(body, position)
                elif kind == 1:
                    position += 8
                elif kind == 5:
                    position += 4
                else:
                    return count
            if not outer:
                return count
            position, end, table = outer.pop()
    except IndexError:
        return count


def _varint(body: bytes, position: int) -> tuple[int, int]:
    """The varint at `position` and where it ends. IndexError at the end of the body."""
    value = body[position]
    position += 1
    if value < 0x80:
        return value, position
    value &= 0x7F
    shift = 7
    while True:
        byte = body[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise IndexError("a varint is longer than ten bytes")


def _count_json(body: bytes) -> int:
    return body.count(b",") + body.count(b"{") + body.count(b"[")


def _message_type(field: FieldDescriptor) -> Any:
    return field.message_type


def _too_many(limits: Limits) -> ExportError:
    message = f"the body holds more than {limits.values} values (messages, attributes, list elements)"
    return ExportError(413, "too_many_values", message, limit=f"values={limits.values}")
