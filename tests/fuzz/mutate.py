"""Damage, in ways that decoders meet: bytes at random, and the structure of protobuf and JSON turned inside out.

Every mutation is made of a `random.Random`, so a seed and a number name an input for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

PIECES: Final = (
    b"\x00", b'"', b"{", b"]", b"\\u0000", b"\xed\xa0\x80", b"1e999", b"\x80" * 11, b"\xff" * 10, b"-0", b"NaN",
    b'"Infinity"', b"9223372036854775808", b"-9223372036854775809", b"\\ud800", b"null", b"[[[[[[[[", b'{"a":' * 40,
    b"\x0a\x00" * 60, b"\x7f", b"\xef\xbb\xbf", b'"__proto__":{},', b"1" * 400, b"\x12\x80\x80\x80\x80\x08", b"true",
    b"\xf4\x90\x80\x80", b"\x0b", b"\x0c", b"\x3f",
)  # fmt: skip
KEYS: Final = (
    b"traceId", b"spanId", b"parentSpanId", b"attributes", b"events", b"links", b"status", b"resource", b"scope",
    b"stringValue", b"intValue", b"doubleValue", b"arrayValue", b"kvlistValue", b"bytesValue", b"boolValue", b"values",
    b"startTimeUnixNano", b"kind", b"body", b"eventName", b"flags", b"counterfoil.decision.id",
)  # fmt: skip
MOST_CHANGES: Final = 4
MAX_GROWTH: Final = 64 * 1024


def mutate(body: bytes, others: list[bytes], chance: Random) -> bytes:
    """`body` with one to `MOST_CHANGES` changes; `others` lend pieces."""
    changed = bytearray(body)
    for _ in range(chance.randint(1, MOST_CHANGES)):
        chance.choice(_CHANGES)(changed, others, chance)
        if not changed:
            changed = bytearray(b"\x0a")
        del changed[len(body) + MAX_GROWTH :]
    return bytes(changed)


def _where(changed: bytearray, chance: Random) -> tuple[int, int]:
    at = chance.randrange(len(changed) + 1)
    return at, min(len(changed), at + chance.choice((1, 1, 2, 4, 8, 64, 4096)))


def _cut(changed: bytearray, _: list[bytes], chance: Random) -> None:
    at, end = _where(changed, chance)
    del changed[at:end]


def _end(changed: bytearray, _: list[bytes], chance: Random) -> None:
    del changed[chance.randrange(len(changed) + 1) :]


def _double(changed: bytearray, _: list[bytes], chance: Random) -> None:
    at, end = _where(changed, chance)
    changed[at:at] = bytes(changed[at:end]) * chance.randint(1, 4)


def _noise(changed: bytearray, _: list[bytes], chance: Random) -> None:
    at, end = _where(changed, chance)
    changed[at:end] = chance.randbytes(end - at)


def _bit(changed: bytearray, _: list[bytes], chance: Random) -> None:
    if changed:
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)


def _piece(changed: bytearray, _: list[bytes], chance: Random) -> None:
    at, end = _where(changed, chance)
    changed[at : chance.choice((at, end))] = chance.choice(PIECES)


def _move(changed: bytearray, _: list[bytes], chance: Random) -> None:
    at, end = _where(changed, chance)
    piece = bytes(changed[at:end])
    del changed[at:end]
    where = chance.randrange(len(changed) + 1)
    changed[where:where] = piece


def _borrow(changed: bytearray, others: list[bytes], chance: Random) -> None:
    other = chance.choice(others)
    start = chance.randrange(len(other) + 1)
    at, end = _where(changed, chance)
    changed[at:end] = other[start : start + chance.choice((2, 8, 64, 1024))]


def _key(changed: bytearray, _: list[bytes], chance: Random) -> None:
    old, new = chance.choice(KEYS), chance.choice(KEYS)
    at = changed.find(old, chance.randrange(len(changed) + 1))
    if at >= 0:
        changed[at : at + len(old)] = new


def _length(changed: bytearray, _: list[bytes], chance: Random) -> None:
    """A byte that may be the length of a field of protobuf: a little less, a little more, or far more."""
    if changed:
        at = chance.randrange(len(changed))
        changed[at] = (changed[at] + chance.choice((-2, -1, 1, 2, 128))) % 256


def _number(changed: bytearray, _: list[bytes], chance: Random) -> None:
    """A digit of JSON becomes another number."""
    digits = [at for at in range(min(len(changed), 4096)) if 0x30 <= changed[at] <= 0x39]
    if digits:
        at = chance.choice(digits)
        changed[at : at + 1] = chance.choice((b"-1", b"0.5", b"1e5", b"18446744073709551616", b'"1"', b"00"))


_CHANGES: Final[tuple[Callable[[bytearray, list[bytes], Random], None], ...]] = (
    _cut, _end, _double, _noise, _bit, _bit, _piece, _piece, _move, _borrow, _key, _length, _length, _number,
)  # fmt: skip
