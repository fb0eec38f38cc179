"""`durable`: no record, no act. Against the real service, in sync and async code, and with its verifier key."""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from collections.abc import Callable

import pytest

import counterfoil.sdk as counterfoil
from counterfoil.core.note import parse_vkey
from counterfoil.core.promise import open_promise
from counterfoil.core.proof import parse_proof
from tests.sdk.reading import Reader
from tests.sdk.servers import gate
from tests.service.running import PROGRAM, RunningService


@pytest.fixture(scope="session")
def vkey(shared_service: RunningService) -> str:
    """The verifier key that the operator hands out."""
    import json

    listed = subprocess.run(
        [PROGRAM, "log", "list", "--data", shared_service.data, "--json"], capture_output=True, check=True
    )
    found: str = next(log["vkey"] for log in json.loads(listed.stdout) if log["name"] == "main")
    return found


def test_leaving_the_block_waits_for_the_promise_of_all_that_was_recorded(
    configure: Callable[..., None], reader: Reader, vkey: str
) -> None:
    configure(vkeys=vkey)
    with counterfoil.decision("durable-promise", durable=True) as d:
        d.fall_back("rules", trigger="timeout", origin="model")
        d.choose("deny", rationale="no")
    assert d.promise is not None
    promise = open_promise(d.promise, [parse_vkey(vkey)])
    (leaf,) = reader.leaves(1, decision_type="durable-promise")
    assert leaf["log"] == promise.origin


def test_a_receipt_is_waited_for_where_it_is_asked_for(
    configure: Callable[..., None], reader: Reader, vkey: str
) -> None:
    configure(vkeys=vkey)
    with counterfoil.decision("durable-receipt", durable="receipt", timeout_s=15) as d:
        d.fall_back("rules", trigger="timeout", origin="model")
        d.choose("deny")
    (leaf,) = reader.leaves(1, decision_type="durable-receipt")
    assert {parse_proof(receipt).index for receipt in d.receipts} == {leaf["seq"] - 1, leaf["seq"]}


def test_async_code_waits_without_blocking_its_loop(configure: Callable[..., None]) -> None:
    configure()

    async def main() -> int:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        async with counterfoil.decision("refund", durable="receipt", timeout_s=15) as d:
            d.choose("deny")
        assert d.promise is not None
        assert len(d.receipts) == 1
        ticking.cancel()
        return ticks

    assert asyncio.run(main()) > 5


def test_many_threads_wait_side_by_side(configure: Callable[..., None]) -> None:
    configure()
    promises: list[bytes | None] = []

    def decide() -> None:
        with counterfoil.decision("refund", durable=True, timeout_s=20) as d:
            d.choose("deny")
        promises.append(d.promise)

    threads = [threading.Thread(target=decide) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(promises) == 20
    assert None not in promises


def test_no_record_no_act_and_the_record_may_come_later(
    shared_service: RunningService, point_at: Callable[[str, str], None], reader: Reader
) -> None:
    acts: list[str] = []
    with gate(shared_service.url) as way:
        way.switch("closed")
        point_at(way.url, shared_service.made.keys["writer"].key)
        counterfoil.configure(spool=None, spans=False)
        try:
            with counterfoil.decision("durable-late", durable=True, timeout_s=0.3) as d:
                d.choose("approve")
            acts.append("paid")
        except counterfoil.NotRecorded:
            d.fall_back("tier-2", trigger="unavailable", mode="fail_closed", reason="not recorded in time")
            acts.append("handed over")
        assert acts == ["handed over"]
        way.switch("open")
        assert counterfoil.flush(20)
    (leaf,) = reader.leaves(1, decision_type="durable-late")
    assert leaf["decision"]["outcome"] == "approve"


def test_an_exception_that_leaves_the_block_is_not_waited_for(
    point_at: Callable[[str, str], None], shared_service: RunningService
) -> None:
    with gate(shared_service.url) as way:
        way.switch("closed")
        point_at(way.url, "cf_x")
        counterfoil.configure(spool=None, spans=False, shutdown_timeout_s=0.1)
        started = time.monotonic()
        with pytest.raises(ZeroDivisionError), counterfoil.decision("refund", durable=True, timeout_s=30):
            raise ZeroDivisionError
        assert time.monotonic() - started < 5


def test_a_wrong_key_is_refused_and_so_not_recorded(
    configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=cf_wrong")
    configure(shutdown_timeout_s=0.1)
    refused = counterfoil.decision("refund", durable=True)
    with pytest.raises(counterfoil.NotRecorded, match="status 401"), refused as d:
        d.choose("approve")


def test_a_promise_of_another_log_s_key_is_none(configure: Callable[..., None]) -> None:
    from counterfoil.core.note import NoteSigner

    configure(vkeys=NoteSigner.from_seed("audit.example.test/default/main", b"\7" * 32).vkey)
    other = counterfoil.decision("refund", durable=True)
    with pytest.raises(counterfoil.NotRecorded, match="does not check"), other as d:
        d.choose("approve")


def test_configure_refuses_a_verifier_key_that_is_none() -> None:
    with pytest.raises(ValueError, match="verifier key"):
        counterfoil.configure(vkeys="example.com+00000000+AAAA")
