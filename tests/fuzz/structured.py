"""Damage that keeps the form: JSON that is still JSON, protobuf whose lengths are still right, with other things in it.

Most random damage is refused by the parser; what comes through here reaches mapping and log.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any, Final

Field = tuple[int, int, bytes]
"""Tag, wire type, and what follows the tag without the length."""

ODD: Final[tuple[Callable[[Random], Any], ...]] = (
    lambda _: None,
    lambda _: "",
    lambda _: "\x00",
    lambda _: "\ud800",
    lambda _: "a" * 5_000,
    lambda _: "1" * 40,
    lambda _: "2026-13-40T99:99:99Z",
    lambda _: -1,
    lambda _: 2**63,
    lambda _: 2**64,
    lambda _: -(2**53) - 1,
    lambda _: 1e308,
    lambda _: 0.1,
    lambda _: "NaN",
    lambda _: True,
    lambda _: [],
    lambda _: {},
    lambda _: [[]] * 3,
    lambda chance: "".join(chr(chance.randrange(1, 0x2FFF)) for _ in range(chance.randrange(1, 40))),
    lambda chance: chance.randbytes(chance.choice((8, 16, 15, 32))).hex(),
    lambda chance: _nested(chance.choice((5, 31, 32, 33, 70))),
    lambda chance: {"key": chance.choice(_NAMES), "value": {"stringValue": chance.choice(_NAMES)}},
)
_NAMES = (
    "counterfoil.decision.id", "counterfoil.decision.confidence", "counterfoil.producer.n", "counterfoil.producer.id",
    "gen_ai.operation.name", "gen_ai.usage.input_tokens", "counterfoil.fallback.of", "user.id", "chat", "1.5", "-0",
    "counterfoil.interaction.id", "gen_ai.input.messages", "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\"}]}]", "{",
    "execute_tool", "counterfoil.decision.alternatives", "gen_ai.agent.name", "service.name", "openinference.span.kind",
    "AGENT", "TOOL",
)  # fmt: skip


def _nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"stringValue": "deep"}
    for level in range(depth):
        value = (
            {"arrayValue": {"values": [value]}}
            if level % 2
            else {"kvlistValue": {"values": [{"key": "k", "value": value}]}}
        )
    return value


def mutate_json(body: bytes, chance: Random) -> bytes:
    """The JSON document `body` with one to six nodes changed."""
    value = json.loads(body)
    for _ in range(chance.randint(1, 6)):
        _change(value, chance)
    return json.dumps(value, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")


def _change(value: Any, chance: Random) -> None:
    """Change one node, found by walking down at random."""
    at = value
    for _ in range(chance.randrange(2, 14)):
        children = list(at.values() if isinstance(at, dict) else at)
        inner = [child for child in children if isinstance(child, dict | list) and child]
        if not inner:
            break
        at = chance.choice(inner)
    if not at:
        return
    place = chance.choice(list(at) if isinstance(at, dict) else range(len(at)))
    action = chance.randrange(6)
    if action == 0:
        del at[place]
    elif action == 1 and isinstance(at, list):
        at.insert(place, at[place])
    elif action == 2 and isinstance(at, dict):
        at[chance.choice(list(at))] = at[place]
    elif action == 3 and isinstance(at, dict):
        at[chance.choice(_NAMES)] = at.pop(place)
    elif isinstance(at[place], str) and chance.random() < 0.4:
        at[place] = chance.choice(_NAMES)
    else:
        at[place] = chance.choice(ODD)(chance)


def mutate_wire(body: bytes, chance: Random) -> bytes:
    """The protobuf message `body` with one to six fields changed, at any depth, all lengths put right."""
    for _ in range(chance.randint(1, 6)):
        body = _within(body, chance, chance.randrange(1, 9))
    return body


def _within(body: bytes, chance: Random, depth: int) -> bytes:
    fields = _parse(body)
    if not fields:
        return body
    messages = [index for index, (_, kind, data) in enumerate(fields) if kind == 2 and _parse(data)]
    if depth and messages:
        index = chance.choice(messages)
        tag, kind, data = fields[index]
        fields[index] = (tag, kind, _within(data, chance, depth - 1))
    else:
        _change_field(fields, chance)
    return b"".join(_print(field) for field in fields)


def _change_field(fields: list[Field], chance: Random) -> None:
    index = chance.randrange(len(fields))
    tag, kind, data = fields[index]
    match chance.randrange(8):
        case 0:
            del fields[index]
        case 1:
            fields.insert(chance.randrange(len(fields) + 1), fields[index])
        case 2:
            chance.shuffle(fields)
        case 3:
            fields[index] = (chance.randrange(1, 40) << 3 | kind, kind, data)
        case 4:
            fields.append((chance.randrange(1, 2_000) << 3 | 2, 2, chance.randbytes(chance.randrange(30))))
        case 5 if kind == 2:
            fields[index] = (
                tag,
                kind,
                chance.choice((b"", b"\x00" * 16, b"\xff" * 8, b"\xc3\x28", b"x" * 5_000, data * 2)),
            )
        case 6 if kind == 2:
            fields[index] = (tag, kind, chance.choice(_NAMES).encode())
        case _:
            size = {1: 8, 5: 4}.get(kind)
            fields[index] = (
                tag,
                kind,
                chance.randbytes(size) if size else _varint(chance.getrandbits(64)) if kind == 0 else data,
            )


def _parse(data: bytes) -> list[Field]:
    """The fields of a message, [] where these bytes are none."""
    fields: list[Field] = []
    position = 0
    try:
        while position < len(data):
            tag, position = _read(data, position)
            kind = tag & 7
            if kind == 2:
                size, position = _read(data, position)
            elif kind == 0:
                size = _read(data, position)[1] - position
            else:
                size = {1: 8, 5: 4}[kind]
            if tag < 8 or position + size > len(data):
                return []
            fields.append((tag, kind, data[position : position + size]))
            position += size
    except (IndexError, KeyError):
        return []
    return fields


def _read(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise IndexError("too long")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _print(field: Field) -> bytes:
    tag, kind, data = field
    return _varint(tag) + (_varint(len(data)) if kind == 2 else b"") + data
