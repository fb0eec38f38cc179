"""Describes what becomes of a request, byte by byte, so that two processes can be compared: one with the compiled part
and one without.

    python -m tests.mapping.twin < frames > answers

A frame is a signal (1 byte, 0 traces, 1 logs), a size (4 bytes, big-endian) and a protobuf request; an answer is a size
and JSON. Signal 2 is one of `CASES`, by number. Salts and nonces are a counter's, so what is sealed is the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from hashlib import sha256
from typing import IO, Any, Final

import orjson

from counterfoil.core.errors import CounterfoilError
from counterfoil.log.batch import LogInfo
from counterfoil.log.keystore import DataKey, Selector
from counterfoil.log.lawful import check_facts
from counterfoil.log.sealer import INLINE_BYTES, Plan, PreparedRecord, Sealer
from counterfoil.mapping.compiled import PURE_VARIABLE, native
from counterfoil.mapping.decode import PROTOBUF, decode_logs, decode_traces
from counterfoil.mapping.draft import Draft, Item
from counterfoil.mapping.map import map_logs, map_traces
from counterfoil.trails.facts import read_facts, words_of

LOG = LogInfo(1, 1, "t", "main", "audit.test/t/main", "interactions", None, "", (), 0)
_SELECTOR = Selector("batch", b"", 202611)
_KEY = DataKey(bytes(range(16)), bytes(range(32)))
_SIZE_BYTES = 4
_NOBODYS = Item("traces", b"", b"", None, b"", 0, [])

CASE: Final = 2
CASES: Final[tuple[list[tuple[str, Any]], ...]] = (
    [],
    [("text", "x")],
    [("text", "")],
    [("b", 1), ("a", 2), ("ab", 3), ("B", 4)],
    [("text", "x"), ("text", "y")],
    [("text", "\ud800")],
    [("text", {"inside": "\udfff"})],
    [("number", 2**70)],
    [("number", [1.5, -0.0, 1e300])],
    [("bytes", b"no JSON")],
    [("later", "x" * (INLINE_BYTES - 40))],
    [("later", "x" * (INLINE_BYTES - 39))],
    [("later", "x" * INLINE_BYTES), ("text", "beside it")],
    [("later", "\n" * (INLINE_BYTES // 2))],
    [("later", orjson.Fragment(b'"%b"' % (b"x" * INLINE_BYTES)))],
    [("nam\u00e9", "x")],
    [('quo"te', "x")],
    [(f"field{number}", number) for number in range(300)],
    [("list", [None, True, {"a": []}])],
)
"""Content fields that are out of the ordinary."""


def describe(number: int, body: bytes) -> bytes:
    """Everything that decoding, mapping, checking and sealing make of a request, as JSON."""
    if number == CASE:
        return orjson.dumps(_sealed(Draft("operation", "service", {}, CASES[body[0]]), _NOBODYS))
    try:
        mapped = map_traces(decode_traces(body, PROTOBUF)) if number == 0 else map_logs(decode_logs(body, PROTOBUF))
    except CounterfoilError as error:
        return orjson.dumps({"error": str(error)})
    items = [[_item(item), [_draft(draft, item) for draft in item.drafts]] for item in mapped.items]
    refused = [[one.item, one.code, one.message, one.limit] for one in mapped.refused]
    return orjson.dumps({"items": items, "refused": refused}, option=orjson.OPT_PASSTHROUGH_DATACLASS)


def _item(item: Item) -> list[Any]:
    ids = [item.trace_id.hex(), item.span_id.hex()]
    return [item.signal, *ids, item.producer, sha256(item.identity).hexdigest(), item.ordinal]


def _draft(draft: Draft, item: Item) -> list[Any]:
    who = [draft.interaction_id, draft.subject_id, draft.persons]
    return [draft.kind, draft.source, draft.facts, draft.fields, who, _sealed(draft, item)]


def _sealed(draft: Draft, item: Item) -> Any:
    """The record as it would be prepared: pieces of the leaf, and what is sealed."""
    tokens: dict[str, str] = defaultdict(lambda: "p_somebody")
    plan = Plan(draft, _SELECTOR, [], False)
    sealer = Sealer(LOG, "w1", {_SELECTOR: _KEY}, tokens, _Counter().bytes, 1, [plan])
    try:
        if draft.source != "service":
            check_facts(draft)
        record = sealer.prepare(plan, draft.facts.get("producer"), item)
    except (CounterfoilError, TypeError, ValueError) as error:
        return [type(error).__name__, str(error)]
    pieces = [record.before_prev, record.before_recorded_at, record.before_seq, record.after_seq, record.sealed]
    blobs = [[name, part, sha256(sealed).hexdigest()] for name, part, sealed in record.blobs]
    return [*(piece.hex() for piece in pieces), record.cut, record.may_supersede, blobs, sealer.size, _indexed(record)]


def _indexed(record: PreparedRecord) -> list[Any]:
    """What the index makes of the leaf."""
    time = b'"2026-11-22T10:48:39.000123Z"'
    leaf = b'%b"prev"%b%b%b1%b' % (
        record.before_prev,
        record.before_recorded_at,
        time,
        record.before_seq,
        record.after_seq,
    )
    facts = read_facts(leaf)
    return [facts.recorded_us, facts.started_us, facts.interaction, facts.coded, words_of(facts.leaf)]


class _Counter:
    """Bytes that are never the same, and the same in every process."""

    def __init__(self) -> None:
        self.count = 0

    def bytes(self, size: int) -> bytes:
        """The next `size` of them."""
        self.count += 1
        return sha256(b"%d" % self.count).digest() * (size // 32) + bytes([self.count % 251]) * (size % 32)


class PureTwin:
    """A process without the compiled part."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.mapping.twin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, PURE_VARIABLE: "1"},
        )

    def describe(self, number: int, body: bytes) -> bytes:
        """`describe` in that process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(bytes([number]) + len(body).to_bytes(_SIZE_BYTES, "big") + body)
        self._process.stdin.flush()
        size = self._process.stdout.read(_SIZE_BYTES)
        assert len(size) == _SIZE_BYTES, "the process without the compiled part ended"
        return self._process.stdout.read(int.from_bytes(size, "big"))

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=30)


def main(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer until there is nothing more to read."""
    assert native is None, f"{PURE_VARIABLE} is not set"
    while head := requests.read(1 + _SIZE_BYTES):
        answer = describe(head[0], requests.read(int.from_bytes(head[1:], "big")))
        answers.write(len(answer).to_bytes(_SIZE_BYTES, "big") + answer)
        answers.flush()


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
