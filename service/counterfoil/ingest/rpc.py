"""OTLP/gRPC: `Export` of the three services, over the same `Ingest` as HTTP (OTLP 1.11, "OTLP/gRPC").

    /opentelemetry.proto.collector.trace.v1.TraceService/Export      and LogsService, MetricsService

A call is met before its message is read: first the key (metadata `authorization: Bearer KEY` or `x-api-key`), the
permission and the log (`counterfoil-log`), then room, then the message. So who has no key cannot make the service hold
anything. On the wire a unary call is a stream of one message; it is taken as a stream because a unary handler is only
called once its message is in memory.

The transport does not undo the compression of messages (option of `start_rpc`): that happens in `body`, under our
limits, in a thread. What it does not tell is whether a message was compressed, so its first bytes do (`coding_of`).

Answers: OK with `Export…ServiceResponse`; else a status of gRPC with the same google.rpc.Status as over HTTP in
`grpc-status-details-bin`. Clients try UNAVAILABLE again, and RESOURCE_EXHAUSTED only where RetryInfo comes with it.
Trailing metadata: `counterfoil-promise`, `counterfoil-heartbeat`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc  # type: ignore[import-untyped]  # grpcio has no py.typed

from counterfoil.core.errors import CounterfoilError, Fault
from counterfoil.identity.service import Identity
from counterfoil.ingest.admission import Ticket
from counterfoil.ingest.body import too_large_as_sent
from counterfoil.ingest.call import Answer, Call
from counterfoil.ingest.caller import identify
from counterfoil.ingest.limits import (
    MAX_CALLS,
    MAX_MESSAGES_READ,
    MAX_MESSAGES_READ_EACH,
    MAX_STATUS_BYTES,
    READ_TURN_S,
    Limits,
)
from counterfoil.ingest.media import Encoding
from counterfoil.ingest.readers import Readers
from counterfoil.ingest.sent import Sent
from counterfoil.ingest.service import LEAST_REQUEST_BYTES, Ingest
from counterfoil.ingest.signal import Signal
from counterfoil.ingest.status import ExportError, error_of, small_status
from counterfoil.log.logs import Logs

METHODS: Final = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": Signal.TRACES,
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": Signal.LOGS,
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": Signal.METRICS,
}
STATUS_DETAILS: Final = "grpc-status-details-bin"

_GZIP_MAGIC: Final = b"\x1f\x8b\x08"
_ZLIB_32K: Final = 0x78
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

_log = logging.getLogger("counterfoil.ingest")


class ExportHandler(grpc.GenericRpcHandler):  # type: ignore[misc]  # an untyped base
    """Finds the signal of a call and exports it. For one event loop."""

    def __init__(self, ingest: Ingest, identity: Identity, logs: Logs, limits: Limits) -> None:
        self._ingest = ingest
        self._identity = identity
        self._logs = logs
        self._limits = limits
        self._calls = 0
        self._readers = Readers(MAX_MESSAGES_READ, MAX_MESSAGES_READ_EACH)

    def service(self, details: Any) -> Any:
        """The handler of a method, None where it is not OTLP's (the caller hears UNIMPLEMENTED)."""
        signal = METHODS.get(details.method)
        return None if signal is None else grpc.stream_unary_rpc_method_handler(self._behaviour(signal))

    def _behaviour(self, signal: Signal) -> Callable[[Any, Any], Awaitable[bytes]]:
        async def export(_: Any, context: Any) -> bytes:
            answer = await self._answer(signal, context)
            if isinstance(answer, Answer):
                context.set_trailing_metadata(tuple(answer.metadata.items()))
                return answer.body
            # The library keeps what `abort` raises beside the call, a cycle that is only collected now and then. So no
            # error of ours is under way any more: through its traceback it would keep the message.
            await context.abort(_CODES[answer.code], answer.message, ((STATUS_DETAILS, answer.SerializeToString()),))
            raise AssertionError("abort raises")

        return export

    async def _answer(self, signal: Signal, context: Any) -> Any:
        """The `Answer` of a call that is taken, the google.rpc.Status of one that is not."""
        try:
            return await self._export(signal, context)
        except ExportError as error:
            return _status_of(error)
        except CounterfoilError as error:
            return _status_of(error_of(error), cause=error)
        except Exception as error:  # noqa: BLE001 - the outermost edge: a client must hear of our mistakes too
            return _status_of(error_of(Fault(str(error))), cause=error)

    async def _export(self, signal: Signal, context: Any) -> Answer:
        async with self._counted():
            metadata = _text_of(context.invocation_metadata())
            loop = asyncio.get_running_loop()
            caller = await loop.run_in_executor(None, identify, self._identity, self._logs, metadata)

            async def collect(ticket: Ticket) -> Sent:
                ticket.grow(LEAST_REQUEST_BYTES)
                message = await self._read(context, caller.writer)
                ticket.grow(len(message))
                return Sent(message, coding_of(message))

            return await self._ingest.take(Call(signal, Encoding.PROTOBUF, caller.log_id, caller.writer), collect)

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        if self._calls >= MAX_CALLS:
            raise ExportError(429, "busy", f"{self._calls} calls are under way", limit=f"calls={MAX_CALLS}")
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1

    async def _read(self, context: Any, writer: str) -> bytes:
        """The one message of a call. Errors: 429 busy, 503 body_timeout, 400 bad_call, 413 body_too_large."""
        try:
            async with self._readers.take(writer, READ_TURN_S):
                message = await self._message(context)
        except TimeoutError:
            seen = f"{MAX_MESSAGES_READ} messages are being read, at most {MAX_MESSAGES_READ_EACH} of one writer"
            raise ExportError(429, "busy", seen, limit=f"messages_read={MAX_MESSAGES_READ}") from None
        if len(message) > self._limits.body_bytes:
            raise too_large_as_sent(len(message), self._limits)
        return message

    async def _message(self, context: Any) -> bytes:
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                message = await context.read()
                if message is grpc.aio.EOF or await context.read() is not grpc.aio.EOF:
                    raise ExportError(400, "bad_call", "Export takes one message, no more and no less")
                return bytes(message)
        except TimeoutError:
            seen = f"the message did not arrive within {self._limits.body_timeout_s:g} s"
            raise ExportError(503, "body_timeout", seen) from None


def coding_of(message: bytes) -> str:
    """`gzip`, `deflate` (RFC 1950, window of 32 KiB) or `identity`, by the first bytes of a message.

    0x1F is no tag of protobuf, so gzip is certain. 0x78 is the tag of a field 15, which no OTLP request has; with a
    check value of RFC 1950 behind it, it is deflate.
    """
    if message.startswith(_GZIP_MAGIC):
        return "gzip"
    if len(message) > 1 and message[0] == _ZLIB_32K and int.from_bytes(message[:2], "big") % 31 == 0:
        return "deflate"
    return "identity"


def _text_of(metadata: Any) -> dict[str, str]:
    """Metadata as headers; where a key comes twice the first counts, as over HTTP."""
    found: dict[str, str] = {}
    for key, value in metadata or ():
        if isinstance(value, str):
            found.setdefault(key, value)
    return found


def _status_of(error: ExportError, cause: BaseException | None = None) -> Any:
    if error.http_status == 500:
        _log.error("an export failed", exc_info=cause or error.__cause__ or error)
    return small_status(error, MAX_STATUS_BYTES)
