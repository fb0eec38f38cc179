"""How many values a body holds, found without building them: the guard against small bodies that decode to large trees.

An empty element of a list costs two bytes on the wire and a hundred and more in memory (measured: 4 MiB of empty spans
take 350 MB in the protobuf library alone), so the limit on bytes is not a limit on memory. What is counted are the
elements of repeated fields and JSON arrays: spans, events, attributes, values. Three looks, the next only where the one
before does not settle it, so that ordinary batches cost nothing and large honest ones a few microseconds a span:

1. the size: an element takes two bytes at least
2. protobuf: every element has a tag, so there are no more elements than bytes that could be one; JSON: commas, brackets
3. protobuf: a walk over the wire form (tag, length, skip), with the fields' types from the descriptors; JSON: the same
   count without the strings, because text is full of commas. No look makes a copy of the body

Damaged input is counted as far as it can be read; the decoder says what is wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from counterfoil.ingest.limits import Limits
from counterfoil.ingest.status import ExportError

LEAST_VALUE_BYTES: Final = 2
"""A value takes at least a tag and a length, or a digit and a comma."""

_LENGTH_DELIMITED: Final = 2
"""Wire type of strings, messages and packed lists."""

Table = dict[int, "tuple[Table, int]"]
"""By number of a field that repeats or holds a message: the table of that message (empty for repeated scalars), and 1
where the field repeats, so that each occurrence counts."""


@dataclass(frozen=True, slots=True)
class Structure:
    """What the guard knows of a request message."""

    table: Table
    tags: bytes
    """Every byte that the tag of a counted field may begin with, minimally encoded or not."""


_JSON_PART: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+\\?(?:"|\Z)|[,{\[]', re.DOTALL)
"""A string, or what is left of one at the end (it always matches at a quote, so a search never starts over); or what
begins a value."""
_STRINGS_A_VALUE: Final = 2
"""A member of an object has two strings, its key and its value, and one comma or brace before it."""
_STEP_BYTES: Final = 1024 * 1024
_QUOTE: Final = ord('"')


def check_protobuf(body: bytes, structure: Structure, limits: Limits) -> None:
    """Refuse a protobuf body with too many values: 413 too_many_values."""
    if len(body) <= limits.values * LEAST_VALUE_BYTES:
        return
    if _count_bytes(body, structure.tags) <= limits.values:
        return
    if count_elements(body, structure.table, limits.values) > limits.values:
        raise _too_many(limits)


def check_json(body: bytes, limits: Limits) -> None:
    """Refuse a JSON body with too many values: 413 too_many_values."""
    if len(body) <= limits.values * LEAST_VALUE_BYTES or _count_json(body) <= limits.values:
        return
    if _count_outside_strings(body, limits.values) > limits.values:  # text is full of commas
        raise _too_many(limits)


def structure_of(descriptor: Descriptor) -> Structure:
    """What there is to know of a message type and the types below it."""
    tables: dict[str, Table] = {}
    table = _table_of(descriptor, tables)
    numbers = {number for each in tables.values() for number, (_, counts) in each.items() if counts}
    firsts = {(number << 3 | _LENGTH_DELIMITED) & 0x7F for number in numbers}
    # A tag may be spelled with more bytes than it needs; then its first byte has the continuation bit.
    return Structure(table, bytes(sorted(firsts | {first | 0x80 for first in firsts})))


def _table_of(descriptor: Descriptor, known: dict[str, Table]) -> Table:
    """The table of a message type. Types that contain themselves share one table."""
    if descriptor.full_name in known:
        return known[descriptor.full_name]
    table: Table = {}
    known[descriptor.full_name] = table
    for field in descriptor.fields:
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            table[field.number] = (_table_of(_message_type(field), known), int(field.is_repeated))
        elif field.is_repeated:
            table[field.number] = ({}, 1)
    return table


def count_elements(body: bytes, table: Table, most: int) -> int:
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
                    tag, position = read_varint(body, position - 1)
                kind = tag & 7
                if kind == _LENGTH_DELIMITED:
                    length = body[position]
                    position += 1
                    if length >= 0x80:
                        length, position = read_varint(body, position - 1)
                    if (entry := table.get(tag >> 3)) is None:
                        position += length
                        continue
                    inner, one = entry
                    count += one
                    if count > most:
                        return count
                    if length:
                        outer.append((position + length, end, table))
                        end, table = min(position + length, end), inner
                elif kind == 0:
                    _, position = read_varint(body, position)
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


def read_varint(body: bytes, position: int) -> tuple[int, int]:
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


def _count_outside_strings(body: bytes, most: int) -> int:
    """As `_count_json`, without the strings; a number above `most` as soon as there are more.

    A text of more strings than so many values can have is no JSON, and not read to its end.
    """
    count = strings = 0
    for match in _JSON_PART.finditer(body):
        if body[match.start()] != _QUOTE:
            count += 1
        else:
            strings += 1
        if count > most or strings > _STRINGS_A_VALUE * most + 1:
            return most + 1
    return count


def _count_bytes(body: bytes, wanted: bytes) -> int:
    """How many bytes of `body` are one of `wanted`. By steps: the count makes a copy."""
    steps = (body[start : start + _STEP_BYTES] for start in range(0, len(body), _STEP_BYTES))
    return sum(len(step) - len(step.translate(None, wanted)) for step in steps)


def _message_type(field: FieldDescriptor) -> Any:
    return field.message_type


def _too_many(limits: Limits) -> ExportError:
    message = f"the body holds more than {limits.values} values (spans, events, attributes, list elements)"
    return ExportError(413, "too_many_values", message, limit=f"values={limits.values}")
