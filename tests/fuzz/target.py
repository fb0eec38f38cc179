"""What is fuzzed: a request from its bytes to the log and back, without a socket, into a real log on disk.

Whatever is sent, the answer must be one that OTLP has, in time, and never a mistake of ours, and the log must stay
whole. Anything else is a crash: the input is kept under tests/data/crashes.
"""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random

from counterfoil.ingest.call import Answer, Call
from counterfoil.ingest.limits import MAX_STATUS_BYTES, Limits
from counterfoil.ingest.media import Encoding
from counterfoil.ingest.rpc import coding_of
from counterfoil.ingest.sent import Sent
from counterfoil.ingest.service import Ingest
from counterfoil.ingest.signal import Signal
from counterfoil.ingest.status import ExportError, format_status, headers_of, small_status
from counterfoil.log.logs import Logs
from tests.ingest.spans import agent_span_files, audit, is_logs, logs, otlp_json, traces

SLOW_S = 10.0
"""CPU seconds for one input of at most a few hundred kilobytes; more is a finding."""
LAWFUL = frozenset({400, 409, 413, 415})
CODINGS = ("identity", "identity", "identity", "gzip", "deflate", "zstd")
LIMITS = Limits(items=2_000, values=200_000)


@dataclass(frozen=True, slots=True)
class Seed:
    """A real request that is damaged."""

    name: str
    signal: Signal
    encoding: Encoding
    body: bytes


@dataclass(frozen=True, slots=True)
class Input:
    """One input: all that a client decides."""

    signal: Signal
    encoding: Encoding
    coding: str
    body: bytes
    over_grpc: bool = False


def seeds(most_bytes: int = 256 * 1024) -> list[Seed]:
    """The recorded exports of agent frameworks in both encodings, and small ones of each signal."""
    found = [
        Seed(
            path.name,
            Signal.LOGS if is_logs(path) else Signal.TRACES,
            Encoding.JSON if path.suffix == ".json" else Encoding.PROTOBUF,
            path.read_bytes(),
        )
        for suffix in (".bin", ".otlp.json")
        for path in agent_span_files(suffix)
    ]
    for signal, request in (
        (Signal.AUDIT, audit("a1", "a2")),
        (Signal.TRACES, traces("t", 3)),
        (Signal.LOGS, logs("l", 3)),
    ):
        found.append(Seed(f"{signal}.bin", signal, Encoding.PROTOBUF, request.SerializeToString()))
        found.append(Seed(f"{signal}.json", signal, Encoding.JSON, otlp_json(request)))
    found.append(Seed("metrics.json", Signal.METRICS, Encoding.JSON, b'{"resourceMetrics":[{"scopeMetrics":[]}]}'))
    return [seed for seed in found if len(seed.body) <= most_bytes]


def encode(body: bytes, coding: str, chance: Random) -> bytes:
    """`body` in a coding, now and then damaged there as well."""
    if coding == "gzip":
        body = gzip.compress(body, 1)
    elif coding == "deflate":
        body = zlib.compress(body, 1) if chance.random() < 0.5 else zlib.compress(body, 1)[2:-4]
    elif coding == "zstd":
        import zstandard

        body = zstandard.ZstdCompressor(level=1).compress(body)
    if coding != "identity" and chance.random() < 0.3:
        damaged = bytearray(body)
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        body = bytes(damaged)
    return body


class Target:
    """The service under fuzzing, on one event loop."""

    def __init__(self, all_logs: Logs, log_id: int) -> None:
        self.ingest = Ingest(all_logs, limits=LIMITS)
        self._log_id = log_id
        self._number = 0

    async def send(self, one: Input) -> Answer | ExportError:
        """The answer to one input. Raises whatever is a crash."""
        self._number += 1
        call = Call(
            one.signal, one.encoding, self._log_id, f"fuzz{self._number // 10_000:04}-{self._number % 10_000:04}"
        )
        started = time.process_time()
        try:
            answer: Answer | ExportError = await self._export(call, one)
        except ExportError as error:
            if error.http_status not in LAWFUL:
                raise AssertionError(f"answered {error}") from error
            answer = error
            # What the client would read must be printable whatever was sent.
            for encoding in Encoding:
                format_status(error, encoding)
            headers_of(error)
            if small_status(error, MAX_STATUS_BYTES).ByteSize() > MAX_STATUS_BYTES:
                raise AssertionError("the status does not fit into trailing metadata") from error
        spent = time.process_time() - started
        assert spent < SLOW_S, f"{spent:.1f} s of CPU for {len(one.body)} bytes"
        assert self.ingest.in_flight == (0, 0)
        return answer

    async def _export(self, call: Call, one: Input) -> Answer:
        if one.over_grpc:

            async def collect(_: object) -> Sent:
                return Sent(one.body, coding_of(one.body))

            return await self.ingest.take(call, collect)

        async def stream() -> AsyncIterator[bytes]:
            half = len(one.body) // 2
            yield one.body[:half]
            yield one.body[half:]

        return await self.ingest.export(call, {"content-encoding": one.coding}, stream())

    def close(self) -> None:
        """Write what is under way."""
        self.ingest.close()


def run(target: Target, inputs: list[Input]) -> list[Answer | ExportError]:
    """Send inputs one after the other."""

    async def all_of_them() -> list[Answer | ExportError]:
        return [await target.send(one) for one in inputs]

    return asyncio.run(all_of_them())
