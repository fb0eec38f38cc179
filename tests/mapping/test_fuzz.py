"""Damaged requests: decode and map raise InputError or nothing, whatever a byte was turned into."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from counterfoil.core.errors import InputError
from counterfoil.mapping.decode import JSON, PROTOBUF
from counterfoil.mapping.signals import LOGS, TRACES
from tests.mapping.storage import JSON_FILES, PROTOBUF_FILES, decode, map_decoded, signal_of, stored

MUTATIONS = 25
MAX_BYTES = 35_000
FILES = [path for path in (*PROTOBUF_FILES, *JSON_FILES) if path.stat().st_size <= MAX_BYTES]

Mutate = Callable[[random.Random, bytearray], None]


def _flip(rng: random.Random, body: bytearray) -> None:
    for _ in range(rng.randrange(1, 8)):
        body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)


def _overwrite(rng: random.Random, body: bytearray) -> None:
    at = rng.randrange(len(body))
    body[at : at + rng.randrange(1, 20)] = rng.randbytes(rng.randrange(20))


def _cut(rng: random.Random, body: bytearray) -> None:
    del body[rng.randrange(len(body)) :]


def _splice(rng: random.Random, body: bytearray) -> None:
    start, end = sorted(rng.randrange(len(body)) for _ in range(2))
    at = rng.randrange(len(body))
    body[at:at] = body[start : min(end, start + 2_000)]


MUTATORS: dict[str, Mutate] = {"flip": _flip, "overwrite": _overwrite, "cut": _cut, "splice": _splice}


@pytest.mark.parametrize("mutator", MUTATORS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_damaged_request_raises_nothing_but_input_errors(path: Path, mutator: str) -> None:
    original = path.read_bytes()
    rng = random.Random(f"{path}{mutator}")
    for _ in range(MUTATIONS):
        body = bytearray(original)
        MUTATORS[mutator](rng, body)
        for signal in (TRACES, LOGS):
            try:
                mapped = map_decoded(decode(signal, bytes(body), PROTOBUF if path.suffix == ".bin" else JSON))
            except InputError:
                continue
            for item in mapped.items:
                for draft in item.drafts:
                    stored(draft)
            for refused in mapped.refused:
                assert refused.code
                assert refused.item.startswith(("resourceSpans[", "resourceLogs["))


def test_damage_leaves_most_items_readable() -> None:
    path = next(path for path in PROTOBUF_FILES if "strands" in path.name)
    rng = random.Random(1)
    read = refused = 0
    for _ in range(60):
        body = bytearray(path.read_bytes())
        body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
        try:
            mapped = map_decoded(decode(signal_of(path), bytes(body), PROTOBUF))
        except InputError:
            continue
        read += len(mapped.items)
        refused += len(mapped.refused)
    assert read > 20 * refused
