"""One export request from its first byte to the answer: read, inflate, decode, map, append, and say what became of it.

The same for every transport: how a body is read is the transport's (`body` for HTTP, `rpc` for gRPC), the rest is here.

What happens where: the event loop reads the body and waits; one of a few threads does the CPU work (inflate, decode,
map, and the log's own preparation inside `Logs.append`); the log's writer commits. The answer comes after the commit:

    1. limits that the headers break, and room for the body           413, 415, 429: nothing is read
    2. the body, as sent (both by `collect`)                           413, 429, 503
    3. inflate, decode, map                                            400, 413; single items: refused, the rest goes on
    4. append, with the record of what was refused in the same batch   429, 503: nothing is kept, send again
    5. the commit                                                      200 with the promise

A crash, or an error, before 5 leaves nothing acknowledged. After it the client may not hear of it and sends again: the
log's arrivals recognise every item, and the answer is the same.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from counterfoil.core.errors import CounterfoilError
from counterfoil.ingest.admission import Admission, Ticket
from counterfoil.ingest.audit_service import Audit, format_audit_response
from counterfoil.ingest.body import (
    LargerThanAsked,
    check_content_length,
    parse_content_encoding,
    parse_content_length,
    read_body,
)
from counterfoil.ingest.call import DEFAULT_HEARTBEAT_S, Answer, Call, Pending
from counterfoil.ingest.decoding import check_metrics, map_piece, read_request
from counterfoil.ingest.limits import Limits
from counterfoil.ingest.media import Encoding
from counterfoil.ingest.pieces import Counting, Cut, Piece
from counterfoil.ingest.refusals import RefusalBook, Rejection, code_of
from counterfoil.ingest.response import METRICS_WARNING, describe_refusals, format_response
from counterfoil.ingest.sent import NOTHING_SENT, Sent
from counterfoil.ingest.signal import Signal
from counterfoil.ingest.status import ExportError, error_of, shorten
from counterfoil.ingest.turns import Turns
from counterfoil.log.batch import Appended, Batch
from counterfoil.log.logs import Logs
from counterfoil.log.promises import join_promises
from counterfoil.mapping.draft import Item, Mapped, Refused

_log = logging.getLogger("counterfoil.ingest")

LEAST_REQUEST_BYTES: Final = 4096
"""What a request weighs at least while it is under way: its connection, headers and objects."""

WHOLE_REQUEST: Final = "request"
"""The item named by a refusal that concerns all of a request."""

_RECORDED: Final = frozenset({400, 409, 413, 415})
"""Answers that tell a client never to send this again: what they refuse is recorded."""


Collect = Callable[[Ticket], Awaitable[Sent]]
"""Reads the body of one request, growing the ticket with it."""


class Ingest:
    """The service behind the OTLP endpoints."""

    def __init__(
        self,
        logs: Logs,
        *,
        limits: Limits | None = None,
        threads: int = 2,
        now_s: Callable[[], float] = time.monotonic,
        heartbeat_s: Callable[[int], int] = lambda _: DEFAULT_HEARTBEAT_S,
    ) -> None:
        self._logs = logs
        self._limits = limits or Limits()
        self._admission = Admission(self._limits)
        self._refusals = RefusalBook(now_s)
        self._heartbeat_s = heartbeat_s
        self._turns = Turns(self._limits.at_work_bytes)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ingest")
        self._audit = Audit(logs, self._limits, self._pool)

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
        """Take one request over HTTP. Error: ExportError, already recorded where it is for good."""

        async def collect(ticket: Ticket) -> Sent:
            if call.encoding is None:
                raise _wrong_type(headers.get("content-type"))
            coding = parse_content_encoding(headers.get("content-encoding"))
            length = parse_content_length(headers.get("content-length"))
            check_content_length(length, self._limits)
            ticket.grow(max(length or 0, LEAST_REQUEST_BYTES))
            return Sent(await read_body(stream, self._limits, ticket.grow), coding)

        return await self.take(call, collect)

    async def take(self, call: Call, collect: Collect) -> Answer:
        """Take one request whose body `collect` reads, under a ticket. Error: ExportError, recorded as above."""
        sent = NOTHING_SENT
        try:
            with self._admission.request(call.writer) as ticket:
                sent = await collect(ticket)
                return await self._take(call, call.encoding or Encoding.PROTOBUF, sent, ticket)
        except CounterfoilError as error:
            # Not named: an error that a frame of its own traceback holds would keep the body until the next collection.
            await self._record(call, error_of(error), sent)
            raise error_of(error) from error
        except ExportError as error:
            await self._record(call, error, sent)
            raise

    async def _take(self, call: Call, encoding: Encoding, sent: Sent, ticket: Ticket) -> Answer:
        loop = asyncio.get_running_loop()
        heartbeat_s = await loop.run_in_executor(self._pool, self._heartbeat_s, call.log_id)
        try:
            taken = await self._take_turn(call, encoding, sent, ticket, sent.weight(self._limits))
        except LargerThanAsked:
            taken = await self._take_turn(call, encoding, sent, ticket, self._limits.inflated_bytes)
        if isinstance(taken, Pending):
            return await self.finish(call, encoding, taken, sent, heartbeat_s)
        return Answer(*taken, heartbeat_s)

    async def _take_turn(
        self, call: Call, encoding: Encoding, sent: Sent, ticket: Ticket, weight: int
    ) -> Pending | tuple[Encoding, bytes, bytes | None]:
        """Steps 3 and 4, for metrics and audit up to the answer, in a turn of `weight`. Error: LargerThanAsked."""
        loop = asyncio.get_running_loop()
        async with self._turns.take(weight):
            if call.signal is Signal.AUDIT:
                return await self._take_audit(call, encoding, sent, ticket, weight)
            if call.signal is Signal.METRICS:
                await loop.run_in_executor(self._pool, self._check_metrics, encoding, sent, weight)
                warning = METRICS_WARNING if sent.size else ""
                return encoding, format_response(call.signal, encoding, 0, warning), None
            pending = await loop.run_in_executor(self._pool, self._prepare, call, encoding, sent, ticket, weight)
            if not isinstance(pending, Cut):
                return pending
            return await self._take_pieces(call, encoding, pending, sent, ticket)

    async def _take_audit(
        self, call: Call, encoding: Encoding, sent: Sent, ticket: Ticket, room: int
    ) -> tuple[Encoding, bytes, bytes | None]:
        """Steps 3 to 5 for the audit signal, which is all or nothing."""
        loop = asyncio.get_running_loop()
        records = await loop.run_in_executor(self._pool, self._audit.read, sent, encoding, room)
        ticket.add_items(len(records))
        appended, receipts = await self._audit.append(call.log_id, call.writer, records)
        answered = call.receipts or encoding
        body = format_audit_response(answered, receipts)
        return answered, body, None if appended is None else appended.promise

    def _check_metrics(self, encoding: Encoding, sent: Sent, room: int) -> None:
        check_metrics(sent.inflated(self._limits, room), encoding, self._limits)

    def _prepare(self, call: Call, encoding: Encoding, sent: Sent, ticket: Ticket, room: int) -> Pending | Cut:
        """Steps 3 and 4, in a thread of the pool; for a large request only how to cut it."""
        read = read_request(call.signal, sent.inflated(self._limits, room), encoding, self._limits)
        if isinstance(read, Cut):
            sent.release()
            ticket.body_done()
            return read
        if read.refused and not read.items:
            raise _all_refused(call.signal, read.refused)
        ticket.add_items(len(read.items))
        ticket.body_done()
        pending = self.submit(call, read, sent)
        sent.forget()  # it is not counted any more, and a slow disk may keep thousands waiting
        return pending

    async def _take_pieces(self, call: Call, encoding: Encoding, large: Cut, sent: Sent, ticket: Ticket) -> Pending:
        """Steps 3 to 5 for a large request, piece by piece; what is left to wait for, and what was refused.

        One piece is on its way to the disk while the next is prepared: more would wait in memory. If a later one
        cannot be taken, the client sends all of it again, and arrivals answer for those that are on disk.
        """
        loop = asyncio.get_running_loop()
        pieces, counting = large.pieces(), Counting()
        whole = Pending(None, [], [], None, 0)
        waiting: Pending | None = None
        while True:
            pending = await loop.run_in_executor(
                self._pool, self._prepare_piece, call, encoding, large, pieces, counting, ticket
            )
            if waiting is not None:
                await self._settle(call, waiting, whole, sent)
                ticket.items_done(len(waiting.ids))
            if pending is None:
                break
            waiting = pending
        whole.refused.extend(large.surplus)
        whole.total += len(large.surplus)
        if whole.refused and len(whole.refused) == whole.total:
            raise _all_refused(call.signal, whole.refused)
        if whole.refused:
            rejection = _rejection(call, whole.refused, sent)
            await self._append_one(call, self._refusals.refuse_some(call.log_id, rejection))
        return whole

    def _prepare_piece(
        self,
        call: Call,
        encoding: Encoding,
        large: Cut,
        pieces: Iterator[Piece],
        counting: Counting,
        ticket: Ticket,
    ) -> Pending | None:
        """Steps 3 and 4 for the next piece, in a thread of the pool; None where there is none."""
        piece = next(pieces, None)
        if piece is None:
            return None
        mapped = map_piece(call.signal, large, piece, encoding, self._limits, counting)
        ticket.add_items(len(mapped.items))
        pending = self.submit(call, Mapped(mapped.items, []), NOTHING_SENT)
        pending.refused.extend(mapped.refused)
        pending.total = len(pending.ids) + len(mapped.refused)
        return pending

    async def _settle(self, call: Call, piece: Pending, whole: Pending, sent: Sent) -> None:
        """Wait until a piece is on disk, and add what became of it to the whole."""
        if (promise := await self._committed(call, piece, sent)) is not None:
            whole.promises.append(promise)
        whole.refused.extend(piece.refused)
        whole.total += piece.total

    def submit(self, call: Call, mapped: Mapped, sent: Sent) -> Pending:
        """Step 4: items and the record of what was refused, in one batch. Raises what `Logs.append` raises."""
        recorded = (
            self._refusals.refuse_some(call.log_id, _rejection(call, mapped.refused, sent))
            if mapped.refused
            else self._refusals.overdue(call.log_id, call.writer, call.signal)
        )
        batch = Batch(call.writer, mapped.items if recorded is None else [*mapped.items, recorded])
        if not batch.items:
            return Pending(None, [], [], None, 0)
        try:
            appended = self._logs.append(call.log_id, batch)
        except CounterfoilError:
            self._give_back(call, recorded)
            raise
        ids = [(item.trace_id, item.span_id) for item in mapped.items]
        return Pending(appended, ids, mapped.refused, recorded, len(ids) + len(mapped.refused))

    async def finish(self, call: Call, encoding: Encoding, pending: Pending, sent: Sent, heartbeat_s: int) -> Answer:
        """Step 5: the answer, once everything is on disk."""
        if (last := await self._committed(call, pending, sent)) is not None:
            pending.promises.append(last)
        message = ""
        if pending.refused:
            message = describe_refusals(call.signal, pending.refused, pending.total)
        body = format_response(call.signal, encoding, len(pending.refused), message)
        promise = join_promises(self._logs.appender(call.log_id), pending.promises) if pending.promises else None
        return Answer(encoding, body, promise, heartbeat_s)

    async def _committed(self, call: Call, pending: Pending, sent: Sent) -> bytes | None:
        """Wait for the disk; the promise. What only the log found unlawful joins what was refused."""
        if pending.appended is None:
            return None
        try:
            appended = await _on_disk(pending.appended)
        except CounterfoilError:
            self._give_back(call, pending.recorded)
            raise
        if appended.refused:
            await self._record_late(call, pending, appended, sent)
        return appended.promise

    async def _record_late(self, call: Call, pending: Pending, appended: Appended, sent: Sent) -> None:
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
            await self._append_one(call, self._refusals.refuse_some(call.log_id, _rejection(call, late, sent)))

    def _give_back(self, call: Call, recorded: Item | None) -> None:
        if recorded is not None:
            self._refusals.give_back(call.log_id, call.writer, recorded)

    async def _append_one(self, call: Call, item: Item) -> None:
        loop = asyncio.get_running_loop()
        appended = await loop.run_in_executor(self._pool, self._logs.append, call.log_id, Batch(call.writer, [item]))
        await _on_disk(appended)

    async def _record(self, call: Call, error: ExportError, sent: Sent) -> None:
        """The refusal of a whole request in the log, as far as its window has room. Never changes the answer."""
        if error.http_status not in _RECORDED:
            return
        items = error.refused or (Refused(error.item or WHOLE_REQUEST, error.code, error.message, error.limit),)
        rejection = _rejection(call, items, sent)
        item = self._refusals.refuse_all(call.log_id, rejection)
        if item is None:
            return
        try:
            await self._append_one(call, item)
        except CounterfoilError:
            # The log is busy or its disk is in trouble: the client hears its 4xx all the same, the count stays.
            self._refusals.give_back(call.log_id, call.writer, item)
            self._refusals.count(call.log_id, rejection)


async def _on_disk(appended: Future[Appended]) -> Appended:
    """Wait for the disk. Shielded: a client that hangs up must not cancel what the writer has already taken."""
    return await asyncio.shield(asyncio.wrap_future(appended))


def _name_of(index: int, trace_id: bytes, span_id: bytes) -> str:
    """An item that the log refused, by its number among those that were mapped and by its ids."""
    return f"item[{index}] trace_id={trace_id.hex() or 'none'} span_id={span_id.hex() or 'none'}"


def _rejection(call: Call, refused: Sequence[Refused], sent: Sent) -> Rejection:
    return Rejection(call.signal, call.writer, refused, sent.size, sent.digest)


def _all_refused(signal: Signal, refused: Sequence[Refused]) -> ExportError:
    """Nothing can be kept: 400, which exporters report, and not a partial success, which they hardly look at."""
    code = code_of(refused)
    return ExportError(400, code, describe_refusals(signal, refused, len(refused)), refused=refused)


def _wrong_type(value: str | None) -> ExportError:
    accepted = " or ".join(Encoding)
    seen = "missing" if value is None else repr(shorten(value, 64))
    return ExportError(415, "unsupported_media_type", f"Content-Type is {seen}; accepted is {accepted}")
