"""Trouble over gRPC: what may be tried again says so and when; nothing is acknowledged that is not on disk."""

from __future__ import annotations

import asyncio
import resource
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc  # type: ignore[import-untyped]  # grpcio has no py.typed
import pytest
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # it has no py.typed
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # as above

from counterfoil.ingest.readers import Readers
from counterfoil.ingest.rpc import METHODS
from counterfoil.ingest.signal import Signal
from tests.ingest.disk import open_disk
from tests.ingest.spans import traces
from tests.service.running import PROGRAM, Made, RunningService, check_clean, launch, start_service

EXPORT = {signal: path for path, signal in METHODS.items()}[Signal.TRACES]


def call(service: RunningService, body: bytes, timeout_s: float = 30.0) -> Any:
    """Export spans over a channel of its own; the error if there was one."""
    metadata = [("x-api-key", service.made.keys["writer"].key)]
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(service.grpc, options=options) as channel:
        try:
            channel.unary_unary(EXPORT)(body, metadata=metadata, timeout=timeout_s)
        except grpc.RpcError as error:
            return error
    return None


def retry_delay_s(error: Any) -> int | None:
    """Seconds that RetryInfo asks for, None without it."""
    status = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    for detail in status.details:
        if detail.Is(RetryInfo.DESCRIPTOR):
            info = RetryInfo()
            detail.Unpack(info)
            return int(info.retry_delay.seconds)
    return None


def test_a_full_disk_is_unavailable_with_retry_info_and_taken_once_there_is_room(service: RunningService) -> None:
    body = traces("grpc full disk", 40).SerializeToString()
    _, hard = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (8192, hard))
    try:
        error = call(service, body)
    finally:
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (hard, hard))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert retry_delay_s(error) == 1
    with open_disk(service.made) as disk:
        before = disk.size()
        assert call(service, body) is None
        assert disk.size() == before + 40


def test_a_full_queue_is_resource_exhausted_with_retry_info(made_directory: Made) -> None:
    with start_service(made_directory, environment={"COUNTERFOIL_IN_FLIGHT_ITEMS": "5"}) as service:
        holder = sqlite3.connect(made_directory.directory.ledger_file, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        waiting = threading.Thread(target=call, args=(service, traces("grpc waits", 4).SerializeToString()))
        waiting.start()
        time.sleep(1.0)
        error = call(service, traces("grpc does not fit", 4).SerializeToString())
        holder.execute("ROLLBACK")
        holder.close()
        waiting.join()
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert retry_delay_s(error) == 1
        assert call(service, traces("grpc does not fit", 4).SerializeToString()) is None
    check_clean(made_directory)


def test_a_stop_lets_calls_under_way_finish_and_they_are_on_disk(made_directory: Made) -> None:
    service = launch(made_directory)
    holder = sqlite3.connect(made_directory.directory.ledger_file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    told: list[Any] = []
    body = traces("grpc drained", 3).SerializeToString()
    under_way = threading.Thread(target=lambda: told.append(call(service, body)))
    under_way.start()
    time.sleep(1.0)
    stopping = threading.Thread(target=service.stop)
    stopping.start()
    time.sleep(0.5)
    holder.execute("ROLLBACK")
    holder.close()
    under_way.join()
    stopping.join()
    assert (told, service.process.returncode) == ([None], 0)
    late = call(service, body, 5)
    assert late.code() is grpc.StatusCode.UNAVAILABLE
    with open_disk(made_directory) as disk:
        assert len([leaf for leaf in disk.leaves() if leaf["kind"] == "model_call"]) == 3
    check_clean(made_directory)


def test_without_grpc_the_port_is_not_there(made_directory: Made) -> None:
    with start_service(made_directory, arguments=["--no-grpc"]) as service:
        assert service.grpc == "gRPC is off"
        assert service.client.get("/healthz").status_code == 200


def test_a_port_that_is_taken_ends_the_start_and_says_so(made_directory: Made) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [PROGRAM, "serve", "--data", made_directory.data, "--port", "0", "--grpc-port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port} for OTLP/gRPC; choose another --grpc-port, or --no-grpc" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("slow", [1, 2])
def test_a_message_that_does_not_arrive_keeps_no_other_writer_waiting(slow: int, service: RunningService) -> None:
    """A writer opens calls and sends nothing; another one, and while a turn is left the same one, is answered."""
    with open_disk(service.made) as disk:
        other = disk.new_key()
    ended = threading.Event()

    def nothing() -> Iterator[bytes]:
        ended.wait(30)
        yield from ()

    with grpc.insecure_channel(service.grpc) as channel:
        metadata = [("x-api-key", other.key)]
        stuck = [channel.stream_unary(EXPORT).future(nothing(), metadata=metadata) for _ in range(slow)]
        time.sleep(0.3)
        began = time.monotonic()
        assert call(service, traces(f"beside {slow}").SerializeToString()) is None
        assert time.monotonic() - began < 4.0
        if slow == 2:
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(EXPORT)(b"", metadata=metadata, timeout=20)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert retry_delay_s(caught.value) == 1
        ended.set()
        for one in stuck:
            assert one.exception(20).code() is grpc.StatusCode.INVALID_ARGUMENT


def test_turns_at_reading_are_bounded_for_all_and_for_each_and_are_given_back() -> None:
    async def run() -> list[int]:
        readers = Readers(3, 2)
        inside: dict[str, int] = {}
        most = [0, 0]

        async def read(writer: str) -> None:
            async with readers.take(writer, 5):
                inside[writer] = inside.get(writer, 0) + 1
                most[0] = max(most[0], sum(inside.values()))
                most[1] = max(most[1], *inside.values())
                await asyncio.sleep(0.01)
                inside[writer] -= 1

        await asyncio.gather(*(read(writer) for writer in "aaaabbbbcccc"))
        async with readers.take("a", 1), readers.take("a", 1):
            with pytest.raises(TimeoutError):
                async with readers.take("a", 0.05):
                    raise AssertionError("a third turn of one writer")
            async with readers.take("b", 1):
                with pytest.raises(TimeoutError):
                    async with readers.take("c", 0.05):
                        raise AssertionError("a fourth turn")
        async with readers.take("c", 1):
            return most

    assert asyncio.run(run()) == [3, 2]
