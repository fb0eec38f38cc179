"""An OTLP request in protobuf, indexed and joined by its wire form alone: tag, length, skip.

    request > field 1: resource group > field 2: scope group > field 2: item

Every other field of a group belongs to its head and is carried as it stands: protobuf does not care in which order
fields come. What lies inside an item is not looked at.

Standard: Protocol Buffers encoding, "Message Structure".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from counterfoil.ingest.runs import MAX_HEAD_BYTES, Run
from counterfoil.ingest.structure import read_varint
from counterfoil.mapping.signals import Signal as Names

_RESOURCE_TAG: Final = 1 << 3 | 2
_INNER_TAG: Final = 2 << 3 | 2
"""Both the scope groups of a resource group and the items of a scope group are field 2 (opentelemetry-proto 1.9)."""


class _Odd(Exception):
    """Not built as expected; the decoder says why."""


def index_wire(_: Names, body: bytes, most_items: int) -> list[Run] | None:
    """The runs of a request, None where it is damaged. Stops one run after `most_items`."""
    runs: list[Run] = []
    count = 0
    try:
        for resource, (start, end) in enumerate(_split(body, 0, len(body), _RESOURCE_TAG)[1]):
            resource_head, scopes = _split(body, *_payload(body, start, end), _INNER_TAG)
            for scope, (inner_start, inner_end) in enumerate(scopes):
                scope_head, items = _split(body, *_payload(body, inner_start, inner_end), _INNER_TAG)
                count += len(items)
                runs.append(Run(resource, scope, 0, resource_head, scope_head, items))
                if count > most_items:
                    return runs
    except (_Odd, IndexError):
        return None
    return runs


def join_wire(_: Names, body: bytes, groups: Sequence[Sequence[Run]]) -> bytes:
    """A request of these runs, those of one resource group together."""
    outer: list[bytes] = []
    for runs in groups:
        inner: list[bytes] = [runs[0].resource_head]
        for run in runs:
            parts = [run.scope_head, *(body[start:end] for start, end in run.items)]
            inner.append(_field(_INNER_TAG, b"".join(parts)))
        outer.append(_field(_RESOURCE_TAG, b"".join(inner)))
    return b"".join(outer)


def count_fields(body: bytes, item: tuple[int, int], most: int) -> int:
    """Fields of an item at its top level, known or not, or a number above `most` as soon as there are more."""
    count = 0
    try:
        for count, _ in enumerate(_fields(body, *_payload(body, *item)), 1):
            if count > most:
                break
    except (_Odd, IndexError):
        pass  # damaged: the decoder says how
    return count


def _split(body: bytes, start: int, end: int, wanted: int) -> tuple[bytes, list[tuple[int, int]]]:
    """The fields of a message with the tag `wanted`, where they begin and end, and all others together.

    The others may be millions of two bytes each, so no more of them is looked at than a head may have.
    """
    head: list[bytes] = []
    size = 0
    found: list[tuple[int, int]] = []
    for tag, begin, after in _fields(body, start, end):
        if tag == wanted:
            found.append((begin, after))
        else:
            size += after - begin
            if size > MAX_HEAD_BYTES:
                raise _Odd
            head.append(body[begin:after])
    return b"".join(head), found


def _fields(body: bytes, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Tag, begin and end of every field of a message."""
    while position < end:
        begin = position
        tag, position = read_varint(body, position)
        kind = tag & 7
        if kind == 2:
            length, position = read_varint(body, position)
            position += length
        elif kind == 0:
            _, position = read_varint(body, position)
        elif kind == 1:
            position += 8
        elif kind == 5:
            position += 4
        else:
            raise _Odd
        if position > end:
            raise _Odd
        yield tag, begin, position


def _payload(body: bytes, start: int, end: int) -> tuple[int, int]:
    """Where the message inside a length-delimited field begins and ends."""
    _, position = read_varint(body, start)
    _, position = read_varint(body, position)
    return position, end


def _field(tag: int, payload: bytes) -> bytes:
    length = len(payload)
    prefix = bytearray((tag,))
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + payload
