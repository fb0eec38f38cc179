"""Trouble with the store is 503 or 429 with Retry-After, never 500; nothing is acknowledged that is not on disk.

The stores are real: a disk that is full (a limit on file size set on the running service), a ledger that another
process holds, a database rolled back behind its head store, a clock that went back.
"""

from __future__ import annotations

import asyncio
import resource
import shutil
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # it has no py.typed
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from sqlalchemy import event
from starlette.requests import ClientDisconnect

from counterfoil.ingest.call import Answer, Call
from counterfoil.ingest.decoding import decode_and_map
from counterfoil.ingest.endpoint import router
from counterfoil.ingest.limits import Limits
from counterfoil.ingest.media import Encoding
from counterfoil.ingest.refusals import MAX_REFUSAL_RECORDS, REFUSAL_WINDOW_S
from counterfoil.ingest.sent import Sent
from counterfoil.ingest.service import Ingest
from counterfoil.ingest.signal import Signal
from counterfoil.ingest.status import ExportError, headers_of
from counterfoil.log.checkpoints import Checkpointer
from counterfoil.log.clock import SystemClock
from counterfoil.log.heads import HeadStore
from counterfoil.log.initialise import open_logs
from counterfoil.log.logs import Logs
from counterfoil.log.records import head
from counterfoil.log.signing import load_signer
from tests.ingest.disk import Disk, open_disk
from tests.ingest.spans import traces
from tests.service.running import LOG, Made, RunningService, check_clean, check_ledger_clean, launch, start_service

PROTOBUF = "application/x-protobuf"
US_PER_S = 1_000_000


def post(service: RunningService, body: bytes) -> httpx.Response:
    return service.client.post("/v1/traces", content=body, headers={**service.headers(), "Content-Type": PROTOBUF})


# -- over a real server -------------------------------------------------------------------------------------------


def test_a_full_disk_is_503_and_the_same_request_is_taken_once_there_is_room(
    service: RunningService, disk: Disk
) -> None:
    body = traces("full disk", 40).SerializeToString()
    before = disk.size()
    largest = max(file.stat().st_size for file in service.data.rglob("*") if file.is_file())
    _, hard = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (min(largest, 8192), hard))
    try:
        refused = post(service, body)
    finally:
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (hard, hard))
    assert refused.status_code == 503, refused.content
    assert refused.headers["retry-after"] == "1"
    assert Status.FromString(refused.content).code == 14
    assert disk.size() == before
    deadline = time.monotonic() + 20
    while (again := post(service, body)).status_code == 503 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert again.status_code == 200
    assert [leaf["kind"] for leaf in disk.leaves(before)] == ["model_call"] * 40


def test_a_client_that_hangs_up_in_the_middle_of_a_body_leaves_nothing(service: RunningService, disk: Disk) -> None:
    before = disk.size()
    body = traces("hung up", 3).SerializeToString()
    where = urlsplit(service.url)
    assert where.hostname is not None
    with socket.create_connection((where.hostname, where.port or 80), timeout=10) as connection:
        head_lines = (
            f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\n"
            f"x-api-key: {service.made.keys['writer'].key}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        connection.sendall(head_lines.encode() + body[:50])
        time.sleep(0.2)
    assert post(service, traces("after the hang-up").SerializeToString()).status_code == 200
    assert disk.size() == before + 1


def test_many_connections_at_once_are_each_acknowledged_after_their_commit(service: RunningService, disk: Disk) -> None:
    before = disk.size()

    def send(number: int) -> int:
        size = disk.size()
        status = post(service, traces(f"parallel {number}", 20).SerializeToString()).status_code
        assert disk.size() >= size + 20
        return status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, range(40))) == {200}
    leaves = disk.leaves(before)
    assert len(leaves) == 800
    assert len({leaf["span_id"] for leaf in leaves}) == 800


def test_garbage_of_one_key_makes_a_few_records_and_the_rest_is_counted_when_the_service_stops(
    made_directory: Made,
) -> None:
    with start_service(made_directory) as service, open_disk(made_directory) as disk:
        before = disk.size()
        for number in range(MAX_REFUSAL_RECORDS + 5):
            assert post(service, b"\xff" * (number + 1)).status_code == 400
        assert [leaf["kind"] for leaf in disk.leaves(before)] == ["refusal"] * MAX_REFUSAL_RECORDS
        assert service.stop() == 0
        last = disk.leaves(before)[-1]
        assert disk.size() == before + MAX_REFUSAL_RECORDS + 1
        assert last["refusal"] == {"signal": "traces", "code": "bad_protobuf", "count": 5}
        assert disk.content(last)["detail"]["earlier"] == {"bad_protobuf": 5}
    check_clean(made_directory)


def test_what_was_acknowledged_is_there_after_a_kill(made_directory: Made) -> None:
    service = launch(made_directory)
    answers = [post(service, traces(f"killed {number}", 30).SerializeToString()).status_code for number in range(5)]
    service.kill()
    assert answers == [200] * 5
    with open_disk(made_directory) as disk:
        leaves = [leaf for leaf in disk.leaves() if leaf["kind"] == "model_call"]
        assert len(leaves) == 150
    with start_service(made_directory) as again, open_disk(made_directory) as disk:
        size = disk.size()
        assert post(again, traces("killed 4", 30).SerializeToString()).status_code == 200
        assert disk.size() == size
    check_clean(made_directory)


# -- in one process, with the real rooms ----------------------------------------------------------------------------


class SetClock:
    """The clock of the machine, moved by as much as the test says."""

    def __init__(self) -> None:
        self.moved_us = 0
        self._clock = SystemClock()

    def now_us(self) -> int:
        return self._clock.now_us() + self.moved_us


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def logs(made_directory: Made, clock: SetClock) -> Iterator[Logs]:
    """The logs of a fresh directory; a ledger that is held is given up on after 50 ms instead of 10 s."""
    opened = open_logs(made_directory.directory, clock)

    @event.listens_for(opened.ledger.engine, "connect")
    def _impatient(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA busy_timeout=50")

    opened.ledger.engine.dispose()
    yield opened
    opened.close()
    check_ledger_clean(made_directory)


async def _stream(body: bytes) -> AsyncIterator[bytes]:
    yield body


def export(ingest: Ingest, logs: Logs, made: Made, body: bytes) -> Answer:
    """One request, as the endpoint hands it on."""
    return asyncio.run(_export(ingest, logs, made, body))


async def _export(ingest: Ingest, logs: Logs, made: Made, body: bytes) -> Answer:
    call = Call(Signal.TRACES, Encoding.PROTOBUF, log_of(logs), made.keys["writer"].id)
    return await ingest.export(call, {"content-length": str(len(body))}, _stream(body))


def log_of(logs: Logs) -> int:
    return next(log.id for log in logs.all() if log.name == LOG)


def size_of(logs: Logs) -> int:
    with logs.ledger.read() as connection:
        return head(connection, log_of(logs)).size


def refused(ingest: Ingest, logs: Logs, made: Made, body: bytes) -> ExportError:
    with pytest.raises(ExportError) as caught:
        export(ingest, logs, made, body)
    assert headers_of(caught.value) == {"Retry-After": "1"}
    assert ingest.in_flight == (0, 0)
    return caught.value


def test_a_ledger_held_by_another_process_is_503_and_taken_afterwards(made_directory: Made, logs: Logs) -> None:
    ingest = Ingest(logs)
    body = traces("held", 3).SerializeToString()
    before = size_of(logs)
    holder = sqlite3.connect(made_directory.directory.ledger_file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    error = refused(ingest, logs, made_directory, body)
    holder.execute("ROLLBACK")
    holder.close()
    assert (error.http_status, error.code) == (503, "storage_unavailable")
    assert size_of(logs) == before
    assert export(ingest, logs, made_directory, body).promise is not None
    assert size_of(logs) == before + 3
    ingest.close()


def test_a_refusal_that_cannot_be_written_is_answered_all_the_same_and_written_later(
    made_directory: Made, logs: Logs
) -> None:
    ingest = Ingest(logs)
    before = size_of(logs)
    holder = sqlite3.connect(made_directory.directory.ledger_file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(ExportError) as caught:
        export(ingest, logs, made_directory, b"\xff")
    holder.execute("ROLLBACK")
    holder.close()
    assert (caught.value.http_status, caught.value.code) == (400, "bad_protobuf")
    assert size_of(logs) == before
    ingest.close()
    assert size_of(logs) == before + 1


def test_more_items_than_may_wait_are_429(made_directory: Made, logs: Logs) -> None:
    ingest = Ingest(logs, limits=Limits(in_flight_items=5))
    holder = sqlite3.connect(made_directory.directory.ledger_file, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")

    async def both() -> list[Answer | BaseException]:
        return await asyncio.gather(
            *(
                _export(ingest, logs, made_directory, traces(name, 4).SerializeToString())
                for name in ("waits", "does not fit")
            ),
            return_exceptions=True,
        )

    answers = asyncio.run(both())
    holder.execute("ROLLBACK")
    holder.close()
    errors = sorted(error.http_status for error in answers if isinstance(error, ExportError))
    assert errors == [429, 503]
    assert ingest.in_flight == (0, 0)
    ingest.close()


def test_bodies_that_do_not_fit_beside_each_other_are_429_before_they_are_read(
    made_directory: Made, logs: Logs
) -> None:
    ingest = Ingest(logs, limits=Limits(in_flight_bytes=10_000))
    read: list[int] = []

    async def slow(body: bytes) -> AsyncIterator[bytes]:
        read.append(len(body))
        await asyncio.sleep(0.1)
        yield body

    async def both() -> list[Answer | BaseException]:
        call = Call(Signal.TRACES, Encoding.PROTOBUF, log_of(logs), made_directory.keys["writer"].id)
        requests = [traces(name, count).SerializeToString() for name, count in (("a", 60), ("b", 61))]
        assert all(len(body) > 6000 for body in requests)
        return await asyncio.gather(
            *(ingest.export(call, {"content-length": str(len(body))}, slow(body)) for body in requests),
            return_exceptions=True,
        )

    first, second = asyncio.run(both())
    assert isinstance(first, Answer)
    assert isinstance(second, ExportError)
    assert (second.http_status, second.code) == (429, "busy")
    assert len(read) == 1
    ingest.close()


def test_a_clock_that_went_back_far_is_503_and_a_little_is_not(
    made_directory: Made, logs: Logs, clock: SetClock
) -> None:
    ingest = Ingest(logs)
    clock.moved_us = 100 * US_PER_S
    export(ingest, logs, made_directory, traces("later").SerializeToString())
    clock.moved_us = 0
    error = refused(ingest, logs, made_directory, traces("earlier").SerializeToString())
    assert (error.http_status, error.code) == (503, "clock_behind")
    clock.moved_us = 50 * US_PER_S
    assert export(ingest, logs, made_directory, traces("a little earlier").SerializeToString()).promise is not None
    ingest.close()


def test_a_database_behind_its_head_store_is_503(made_directory: Made, tmp_path: Path) -> None:
    older = tmp_path / "older.db"
    directory = made_directory.directory
    first = open_logs(directory)
    with sqlite3.connect(directory.ledger_file) as source, sqlite3.connect(older) as target:
        source.backup(target)
    ingest = Ingest(first)
    export(ingest, first, made_directory, traces("signed", 3).SerializeToString())
    heads = HeadStore(directory.heads)
    checkpointer = Checkpointer(first.ledger, heads, partial(load_signer, directory.keys), SystemClock())
    assert checkpointer.run_once(log_of(first)) is not None
    ingest.close()
    first.close()
    first.ledger.dispose()
    for file in directory.path.glob("ledger.db*"):
        file.unlink()
    shutil.copy(older, directory.ledger_file)
    second = open_logs(directory)
    ingest = Ingest(second)
    before = size_of(second)
    error = refused(ingest, second, made_directory, traces("unsigned").SerializeToString())
    assert (error.http_status, error.code) == (503, "log_rolled_back")
    assert size_of(second) == before
    ingest.close()
    second.close()


def test_a_client_that_is_gone_gives_back_what_it_was_admitted_for(made_directory: Made, logs: Logs) -> None:
    ingest = Ingest(logs)

    async def gone() -> AsyncIterator[bytes]:
        yield b"half"
        raise ClientDisconnect

    async def run() -> None:
        call = Call(Signal.TRACES, Encoding.PROTOBUF, log_of(logs), made_directory.keys["writer"].id)
        await ingest.export(call, {}, gone())

    with pytest.raises(ClientDisconnect):
        asyncio.run(run())
    assert ingest.in_flight == (0, 0)
    ingest.close()


def test_an_item_that_only_the_log_finds_unlawful_is_named_and_recorded_and_the_rest_is_kept(
    made_directory: Made, logs: Logs
) -> None:
    ingest = Ingest(logs)
    body = traces("late", 3).SerializeToString()
    mapped = decode_and_map(Signal.TRACES, body, Encoding.PROTOBUF, Limits())
    mapped.items[1].drafts[0].facts["name"] = "no token at all, but words"
    call = Call(Signal.TRACES, Encoding.PROTOBUF, log_of(logs), made_directory.keys["writer"].id)
    before = size_of(logs)
    answer = asyncio.run(
        ingest.finish(call, Encoding.PROTOBUF, ingest.submit(call, mapped, Sent(body)), Sent(body), 60)
    )
    partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
    assert partial.rejected_spans == 1
    assert f"span_id={mapped.items[1].span_id.hex()}" in partial.error_message
    assert partial.error_message.startswith("1 of 3 spans refused")
    ingest.close()
    with open_disk(made_directory) as disk:
        assert [leaf["kind"] for leaf in disk.leaves(before)] == ["model_call", "model_call", "refusal"]


def test_counts_in_a_batch_that_was_not_written_are_kept(made_directory: Made, logs: Logs) -> None:
    now_s = [0.0]
    ingest = Ingest(logs, now_s=lambda: now_s[0])
    for number in range(MAX_REFUSAL_RECORDS + 3):
        with pytest.raises(ExportError):
            export(ingest, logs, made_directory, b"\xff" * (number + 1))
    now_s[0] = REFUSAL_WINDOW_S
    holder = sqlite3.connect(made_directory.directory.ledger_file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    refused(ingest, logs, made_directory, traces("with counts").SerializeToString())
    holder.execute("ROLLBACK")
    holder.close()
    before = size_of(logs)
    export(ingest, logs, made_directory, traces("with counts").SerializeToString())
    ingest.close()
    with open_disk(made_directory) as disk:
        leaves = disk.leaves(before)
        assert [leaf["kind"] for leaf in leaves] == ["model_call", "refusal"]
        assert leaves[1]["refusal"]["count"] == 3


def test_a_mistake_of_ours_is_500_as_a_status_that_tells_nothing() -> None:
    app = FastAPI()
    app.include_router(router)  # and no services: every request meets an AttributeError

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            return await client.post("/v1/traces", content=b"", headers={"Content-Type": PROTOBUF, "x-api-key": "k"})

    response = asyncio.run(send())
    assert response.status_code == 500
    status = Status.FromString(response.content)
    assert status.code == 13
    assert "State" not in status.message
