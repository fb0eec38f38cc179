"""One export request from headers to answer: read, inflate, decode, map, append, and say what became of it.

What happens where: the event loop reads the body and waits; one of a few threads does the CPU work (inflate, decode,
map, and the log's own preparation inside `Logs.append`); the log's writer commits. The answer comes after the commit:

    1. limits that the headers break, and room for the body           413, 415, 429: nothing is read
    2. the body, as sent                                               413, 429, 503
    3. inflate, decode, map                                            400, 413; single items: refused, the rest goes on
    4. append, with the record of what was refused in the same batch   429, 503: nothing is kept, send again
    5. the commit                                                      200 with the promise

A crash, or an error, before 5 leaves nothing acknowledged. After it the client may not hear of it and sends again: the
log's arrivals recognise every item, and the answer is the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from counterfoil.core.errors import CounterfoilError
from counterfoil.ingest.admission import Admission, Ticket
from counterfoil.ingest.body import (
    check_content_length,
    inflate,
    parse_content_encoding,
    parse_content_length,
    read_body,
)
from counterfoil.ingest.decoding import check_metrics, decode_and_map
from counterfoil.ingest.limits import Limits
from counterfoil.ingest.media import Encoding
from counterfoil.ingest.refusals import RefusalBook, Rejection, code_of
from counterfoil.ingest.response import METRICS_WARNING, describe_refusals, format_response
from counterfoil.ingest.signal import Signal
from counterfoil.ingest.status import ExportError, error_of, shorten
from counterfoil.ingest.turns import Turns, weight_of
from counterfoil.log.batch import Appended, Batch
from counterfoil.log.logs import Logs
from counterfoil.mapping.draft import Item, Mapped, Refused

_log = logging.getLogger("counterfoil.ingest")

LEAST_REQUEST_BYTES: Final = 4096
"""What a request weighs at least while it is under way: its connection, headers and objects."""

WHOLE_REQUEST: Final = "request"
"""The item named by a refusal that concerns all of a request."""

_RECORDED: Final = frozenset({400, 413, 415})
"""Answers that tell a client never to send this again: what they refuse is recorded."""


@dataclass(frozen=True, slots=True)
class Call:
    """Who sends what to which log. `encoding` is None where Content-Type names none that OTLP has."""

    signal: Signal
    encoding: Encoding | None
    log_id: int
    writer: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A 200: its body in the encoding of the request, and the promise (a signed note) where something was appended."""

    encoding: Encoding
    body: bytes
    promise: bytes | None


@dataclass(frozen=True, slots=True)
class Pending:
    """A request on its way to the disk: what was handed to the log, and what was not."""

    appended: Future[Appended] | None
    ids: Sequence[tuple[bytes, bytes]]
    """Trace and span id of every item handed over; the items themselves are dropped while the disk works."""
    refused: list[Refused]
    recorded: Item | None
    """The refusal record in the same batch, behind the items."""
    total: int
    """Items of the request."""


class Ingest:
    """The service behind the OTLP endpoints."""

    def __init__(
        self,
        logs: Logs,
        *,
        limits: Limits | None = None,
        threads: int = 2,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logs = logs
        self._limits = limits or Limits()
        self._admission = Admission(self._limits)
        self._refusals = RefusalBook(now_s)
        self._turns = Turns(self._limits.at_work_bytes)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ingest")

    @property
    def in_flight(self) -> tuple[int, int]:
        """Bytes and items under way."""
        return self._admission.in_flight

    def close(self) -> None:
        """Finish what is under way and write the refusals that were only counted. Call before `Logs.close`."""
        self._pool.shutdown(wait=True)
        for log_id, item in self._refusals.close():
            try:
                self._logs.append(log_id, Batch(None, [item])).result()
            except CounterfoilError as error:
                _log.error("a count of refusals is not recorded (log %s): %s", log_id, error)

    async def export(self, call: Call, headers: Mapping[str, str], stream: AsyncIterator[bytes]) -> Answer:
        """Take one request. Error: ExportError, already recorded where it is for good."""
        body = b""
        try:
            with self._admission.request() as ticket:
                if call.encoding is None:
                    raise _wrong_type(headers.get("content-type"))
                coding = parse_content_encoding(headers.get("content-encoding"))
                length = parse_content_length(headers.get("content-length"))
                check_content_length(length, self._limits)
                ticket.grow(max(length or 0, LEAST_REQUEST_BYTES))
                body = await read_body(stream, self._limits, ticket.grow)
                return await self._take(call, call.encoding, coding, body, ticket)
        except CounterfoilError as error:
            refusal = error_of(error)
            await self._record(call, refusal, body)
            raise refusal from error
        except ExportError as error:
            await self._record(call, error, body)
            raise

    async def _take(self, call: Call, encoding: Encoding, coding: str, body: bytes, ticket: Ticket) -> Answer:
        loop = asyncio.get_running_loop()
        if call.signal is Signal.METRICS:
            await loop.run_in_executor(self._pool, self._check_metrics, encoding, coding, body)
            return Answer(encoding, format_response(call.signal, encoding, 0, METRICS_WARNING if body else ""), None)
        async with self._turns.take(weight_of(body, coding, self._limits)):
            pending = await loop.run_in_executor(self._pool, self._prepare, call, encoding, coding, body, ticket)
        return await self.finish(call, encoding, pending, body)

    def _check_metrics(self, encoding: Encoding, coding: str, body: bytes) -> None:
        check_metrics(inflate(body, coding, self._limits), encoding, self._limits)

    def _prepare(self, call: Call, encoding: Encoding, coding: str, body: bytes, ticket: Ticket) -> Pending:
        """Steps 3 and 4, in a thread of the pool."""
        mapped = decode_and_map(call.signal, inflate(body, coding, self._limits), encoding, self._limits)
        if mapped.refused and not mapped.items:
            raise _all_refused(call.signal, mapped.refused)
        ticket.add_items(len(mapped.items))
        ticket.body_done()
        return self.submit(call, mapped, body)

    def submit(self, call: Call, mapped: Mapped, body: bytes) -> Pending:
        """Step 4: items and the record of what was refused, in one batch. Raises what `Logs.append` raises."""
        recorded = (
            self._refusals.refuse_some(call.log_id, _rejection(call, mapped.refused, body))
            if mapped.refused
            else self._refusals.overdue(call.log_id, call.writer, call.signal)
        )
        batch = Batch(call.writer, mapped.items if recorded is None else [*mapped.items, recorded])
        if not batch.items:
            return Pending(None, (), [], None, 0)
        try:
            appended = self._logs.append(call.log_id, batch)
        except CounterfoilError:
            self._give_back(call, recorded)
            raise
        ids = [(item.trace_id, item.span_id) for item in mapped.items]
        return Pending(appended, ids, mapped.refused, recorded, len(ids) + len(mapped.refused))

    async def finish(self, call: Call, encoding: Encoding, pending: Pending, body: bytes) -> Answer:
        """Step 5: the answer, once the batch is on disk."""
        promise = None
        if pending.appended is not None:
            try:
                appended = await _committed(pending.appended)
            except CounterfoilError:
                self._give_back(call, pending.recorded)
                raise
            promise = appended.promise
            if appended.refused:
                await self._record_late(call, pending, appended, body)
        message = ""
        if pending.refused:
            message = describe_refusals(call.signal, pending.refused, pending.total)
        return Answer(encoding, format_response(call.signal, encoding, len(pending.refused), message), promise)

    async def _record_late(self, call: Call, pending: Pending, appended: Appended, body: bytes) -> None:
        """Items that the log itself found unlawful: named in the answer, and recorded in a batch of their own.

        A mapping that is right sends none, so each is a fault to be looked at; the client loses one item and no more.
        """
        late: list[Refused] = []
        for index, error in sorted(appended.refused.items()):
            _log.error("the log refused what mapping made: %s: %s", error.code, error.message)
            if index < len(pending.ids):
                late.append(Refused(_name_of(index, *pending.ids[index]), error.code, error.message))
        if late:
            pending.refused.extend(late)
            await self._append_one(call, self._refusals.refuse_some(call.log_id, _rejection(call, late, body)))

    def _give_back(self, call: Call, recorded: Item | None) -> None:
        if recorded is not None:
            self._refusals.give_back(call.log_id, call.writer, recorded)

    async def _append_one(self, call: Call, item: Item) -> None:
        loop = asyncio.get_running_loop()
        appended = await loop.run_in_executor(self._pool, self._logs.append, call.log_id, Batch(call.writer, [item]))
        await _committed(appended)

    async def _record(self, call: Call, error: ExportError, body: bytes) -> None:
        """The refusal of a whole request in the log, as far as its window has room. Never changes the answer."""
        if error.http_status not in _RECORDED:
            return
        items = error.refused or (Refused(error.item or WHOLE_REQUEST, error.code, error.message, error.limit),)
        rejection = _rejection(call, items, body)
        item = self._refusals.refuse_all(call.log_id, rejection)
        if item is None:
            return
        try:
            await self._append_one(call, item)
        except CounterfoilError:
            # The log is busy or its disk is in trouble: the client hears its 4xx all the same, the count stays.
            self._refusals.give_back(call.log_id, call.writer, item)
            self._refusals.count(call.log_id, rejection)


async def _committed(appended: Future[Appended]) -> Appended:
    """Wait for the disk. Shielded: a client that hangs up must not cancel what the writer has already taken."""
    return await asyncio.shield(asyncio.wrap_future(appended))


def _name_of(index: int, trace_id: bytes, span_id: bytes) -> str:
    """An item that the log refused, by its number among those that were mapped and by its ids."""
    return f"item[{index}] trace_id={trace_id.hex() or 'none'} span_id={span_id.hex() or 'none'}"


def _rejection(call: Call, refused: Sequence[Refused], body: bytes) -> Rejection:
    return Rejection(call.signal, call.writer, refused, len(body), hashlib.sha256(body).digest())


def _all_refused(signal: Signal, refused: Sequence[Refused]) -> ExportError:
    """Nothing can be kept: 400, which exporters report, and not a partial success, which they hardly look at."""
    code = code_of(refused)
    return ExportError(400, code, describe_refusals(signal, refused, len(refused)), refused=refused)


def _wrong_type(value: str | None) -> ExportError:
    accepted = " or ".join(Encoding)
    seen = "missing" if value is None else repr(shorten(value, 64))
    return ExportError(415, "unsupported_media_type", f"Content-Type is {seen}; accepted is {accepted}")
