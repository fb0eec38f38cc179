"""The receipt of what a writer sent itself: 202 until a checkpoint covers it, then a proof that anybody can check."""

from __future__ import annotations

import time
from typing import Any

import grpc  # type: ignore[import-untyped]  # grpcio has no py.typed
import httpx
import pytest

from counterfoil.core.note import parse_vkey
from counterfoil.core.proof import check_proof, parse_proof
from counterfoil.ingest.rpc import METHODS
from counterfoil.ingest.signal import Signal
from counterfoil.log.records import read_leaf
from tests.ingest.disk import Disk
from tests.ingest.spans import digest, logs, traces
from tests.service.running import RunningService

PATHS = {signal: path for path, signal in METHODS.items()}
WAIT_S = 30.0


def send(transport: str, signal: Signal, body: bytes, service: RunningService) -> None:
    key = service.made.keys["writer"].key
    if transport == "http":
        headers = {"x-api-key": key, "Content-Type": "application/x-protobuf"}
        assert service.client.post(f"/v1/{signal}", content=body, headers=headers).status_code == 200
    else:
        with grpc.insecure_channel(service.grpc) as channel:
            channel.unary_unary(PATHS[signal])(body, metadata=[("x-api-key", key)], timeout=30)


def ask(service: RunningService, **query: str | int) -> httpx.Response:
    return service.client.get("/api/v1/receipts", params=query, headers=service.headers())


def wait_for(service: RunningService, **query: str | int) -> tuple[dict[str, Any], int]:
    """The receipts once a checkpoint covers them all, and how often they were pending before."""
    deadline = time.monotonic() + WAIT_S
    pending = 0
    while time.monotonic() < deadline:
        answer = ask(service, **query)
        if answer.status_code == 200:
            return answer.json(), pending
        assert answer.status_code == 202, answer.text
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["pending"]
        pending += 1
        time.sleep(0.05)
    raise AssertionError("no checkpoint covers what was sent")


@pytest.mark.parametrize("transport", ["http", "grpc"])
@pytest.mark.parametrize(("signal", "made"), [(Signal.TRACES, traces), (Signal.LOGS, logs)])
def test_a_writer_has_a_receipt_for_each_item_it_sent_over_either_transport(
    transport: str, signal: Signal, made: Any, service: RunningService, disk: Disk
) -> None:
    name = f"receipts {transport} {signal}"
    before = disk.size()
    send(transport, signal, made(name, 3).SerializeToString(), service)
    found, _ = wait_for(service, trace_id=digest(name, 16).hex())
    assert [item["seq"] for item in found["items"]] == [before, before + 1, before + 2]
    with disk.logs.ledger.read() as connection:
        for item in found["items"]:
            leaf = read_leaf(connection, disk.log().id, item["seq"])
            assert leaf is not None
            check_proof(parse_proof(item["proof"].encode()), leaf, item["origin"], [parse_vkey(disk.log().vkey)])
    one, _ = wait_for(service, trace_id=digest(name, 16).hex(), span_id=digest(f"{name} 1", 8).hex())
    assert one["items"] == [found["items"][1]]
    by_seq, _ = wait_for(service, log="main", seq=before + 2)
    assert by_seq["items"] == [found["items"][2]]


def test_before_a_checkpoint_covers_it_a_receipt_is_202_and_says_when_to_ask_again(service: RunningService) -> None:
    for attempt in range(20):
        name = f"pending {attempt}"
        send("http", Signal.TRACES, traces(name).SerializeToString(), service)
        if wait_for(service, trace_id=digest(name, 16).hex())[1]:
            return
    raise AssertionError("twenty times a checkpoint was there before the first question")


def test_the_receipts_of_another_writer_are_as_if_they_were_not_there(service: RunningService, disk: Disk) -> None:
    send("grpc", Signal.TRACES, traces("not yours").SerializeToString(), service)
    trace_id = digest("not yours", 16).hex()
    wait_for(service, trace_id=trace_id)
    other = {"x-api-key": disk.new_key().key}
    for headers in (other, service.headers(other=True)):
        answer = service.client.get("/api/v1/receipts", params={"trace_id": trace_id}, headers=headers)
        assert answer.status_code == 404
