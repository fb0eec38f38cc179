"""A service that hangs, refuses or is away: the host goes on, bounded, and nothing is lost without being said."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

import counterfoil.sdk as counterfoil
from counterfoil.sdk.state import current_sink
from tests.sdk.reading import Reader
from tests.sdk.servers import Reply, gate, hanging, scripted, unused_url
from tests.service.running import RunningService

Point = Callable[[str, str], None]
PATIENCE_S = 5.0
"""Far more than the calls below need, far less than any time limit of the network."""


def decide(count: int, **facts: Any) -> None:
    for number in range(count):
        with counterfoil.decision("refund", **facts) as d:
            d.choose(f"o{number}", rationale="as the policy says")


class Packing:
    """A redaction of the host's that takes its time: the packer falls behind for as long as it is held."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._free = threading.Event()
        self._free.set()

    def __call__(self, field: str, value: Any) -> Any:
        del field
        self._reached.set()
        self._free.wait()
        return value

    @contextmanager
    def held(self) -> Iterator[None]:
        """The packer is busy with one decision, and takes no other."""
        self._free.clear()
        decide(1)
        assert self._reached.wait(20)
        yield
        self._free.set()


@pytest.mark.parametrize("kind", ["hangs", "away", "refuses", "overloaded"])
def test_a_service_that_is_no_help_does_not_hold_the_host_up(kind: str, point_at: Point, tmp_path: Path) -> None:
    def script(records: Any, headers: Any) -> Reply:
        return Reply(503 if kind == "refuses" else 429, {"Retry-After": "30"})

    with hanging() as hangs, scripted(script) as refuses:
        point_at({"hangs": hangs, "away": unused_url()}.get(kind, refuses.url), "cf_x")
        counterfoil.configure(spool=tmp_path, spans=False, shutdown_timeout_s=0.3)
        started = time.monotonic()
        decide(500)
        assert time.monotonic() - started < PATIENCE_S
        started = time.monotonic()
        assert not counterfoil.flush(0.3)
        assert not counterfoil.shutdown()
        assert time.monotonic() - started < PATIENCE_S
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.parcel")) > 500 * 20


def test_a_durable_decision_ends_in_time_when_the_service_hangs(point_at: Point) -> None:
    with hanging() as url:
        point_at(url, "cf_x")
        counterfoil.configure(spool=None, spans=False, shutdown_timeout_s=0.1)
        started = time.monotonic()
        with (
            pytest.raises(counterfoil.NotRecorded, match=r"no promise within 0[.]5 s"),
            counterfoil.decision("refund", durable=True, timeout_s=0.5) as d,
        ):
            d.choose("approve")
        assert 0.5 <= time.monotonic() - started < PATIENCE_S


def test_a_server_that_trickles_is_cut_off_by_the_clock(
    point_at: Point, monkeypatch: pytest.MonkeyPatch, soon: Callable[[Callable[[], bool], str], None]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    connections = []

    def trickle(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            connections.append(connection)
            threading.Thread(target=drip, args=(connection,), daemon=True).start()

    def drip(connection: socket.socket) -> None:
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while True:
                connection.sendall(b"a")
                time.sleep(0.1)
        except OSError:
            return

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=trickle, args=(server,), daemon=True).start()
        point_at(f"http://127.0.0.1:{server.getsockname()[1]}", "cf_x")
        counterfoil.configure(spool=None, spans=False, shutdown_timeout_s=0.1)
        decide(1)
        soon(lambda: len(connections) >= 2, "a second attempt, after the first was cut off")


def test_what_finds_no_room_is_dropped_counted_and_declared(configure: Callable[..., None], reader: Reader) -> None:
    packing = Packing()
    configure(spool=None, queue_items=50, redact=packing)
    sink: Any = current_sink()
    with packing.held():
        decide(80)
    assert not counterfoil.flush(20)
    produced = counterfoil.status()["produced"]
    assert counterfoil.status()["lost"] == 80 - 50
    assert not counterfoil.shutdown(20)
    said = reader.producer(sink.producer_id, "complete")
    assert said["lost"]["ranges"] == [[52, 81]]
    assert said["produced"] == said["delivered"] + 30 == produced + 1


def test_what_was_kept_while_the_service_was_away_arrives_in_order_when_it_is_back(
    shared_service: RunningService,
    point_at: Point,
    reader: Reader,
    tmp_path: Path,
    soon: Callable[[Callable[[], bool], str], None],
) -> None:
    with gate(shared_service.url) as way:
        way.switch("closed")
        point_at(way.url, shared_service.made.keys["writer"].key)
        counterfoil.configure(spool=tmp_path, spans=False)
        sink: Any = current_sink()
        for part in range(3):
            decide(20)
            soon(lambda part=part: len(list(tmp_path.rglob("*.parcel"))) > part, "a parcel in the spool")  # type: ignore[misc]  # mypy cannot type a lambda's defaults
        way.switch("open")
        assert counterfoil.flush(20)
        assert counterfoil.shutdown(20)
    said = reader.producer(sink.producer_id, "complete")
    assert (said["produced"], said["delivered"]) == (62, 62)
    leaves = reader.leaves(62, producer=sink.producer_id)
    assert [leaf["producer"]["n"] for leaf in leaves] == list(range(62))
    assert list(tmp_path.rglob("*.parcel")) == []


def test_an_answer_that_was_lost_is_no_second_record(
    shared_service: RunningService,
    point_at: Point,
    reader: Reader,
    soon: Callable[[Callable[[], bool], str], None],
) -> None:
    with gate(shared_service.url) as way:
        way.switch("deaf")
        point_at(way.url, shared_service.made.keys["writer"].key)
        counterfoil.configure(spool=None, spans=False)
        sink: Any = current_sink()
        decide(3)
        soon(lambda: way.answers_lost > 0, "an answer that got lost")
        way.switch("open")
        assert counterfoil.shutdown(20)
    leaves = reader.leaves(5, producer=sink.producer_id)
    assert [leaf["producer"]["n"] for leaf in leaves] == [0, 1, 2, 3, 4]


def test_a_queue_that_overflows_while_the_service_is_away_is_complete_with_declared_losses(
    shared_service: RunningService, point_at: Point, reader: Reader
) -> None:
    with gate(shared_service.url) as way:
        way.switch("closed")
        point_at(way.url, shared_service.made.keys["writer"].key)
        packing = Packing()
        counterfoil.configure(spool=None, spans=False, queue_items=30, queue_bytes=30_000, redact=packing)
        sink: Any = current_sink()
        with packing.held():
            decide(100)
        way.switch("open")
        assert not counterfoil.flush(20)
        assert not counterfoil.shutdown(20)
    said = reader.producer(sink.producer_id, "complete")
    assert said["lost"]["numbers"] >= 70
    assert said["delivered"] + said["lost"]["numbers"] == said["produced"]


def test_a_spooled_file_of_our_own_that_is_damaged_is_declared_lost(
    shared_service: RunningService,
    point_at: Point,
    reader: Reader,
    tmp_path: Path,
    soon: Callable[[Callable[[], bool], str], None],
) -> None:
    with gate(shared_service.url) as way:
        way.switch("closed")
        point_at(way.url, shared_service.made.keys["writer"].key)
        counterfoil.configure(spool=tmp_path, spans=False)
        sink: Any = current_sink()
        decide(5)
        soon(lambda: len(list(tmp_path.rglob("*-0000000000000005.parcel"))) > 0, "the last of the five in the spool")
        for path in tmp_path.rglob("*.parcel"):
            path.write_bytes(b"?" + path.read_bytes()[1:])
        way.switch("open")
        assert not counterfoil.flush(20)
        assert not counterfoil.shutdown(20)
    said = reader.producer(sink.producer_id, "complete")
    assert said["lost"]["ranges"] == [[0, 5]]
    assert said["delivered"] == said["produced"] - 6
    assert list(tmp_path.rglob("damaged/*"))


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_happens_on_the_way_delivered_and_declared_lost_are_what_was_produced(
    seed: int, shared_service: RunningService, point_at: Point, reader: Reader, tmp_path: Path
) -> None:
    """The way opens and closes and loses answers at random; the queue and the spool are far too small."""
    random = Random(seed)
    with gate(shared_service.url) as way:
        point_at(way.url, shared_service.made.keys["writer"].key)
        counterfoil.configure(spool=tmp_path, spans=False, spool_bytes=20_000, queue_items=20)
        sink: Any = current_sink()
        for _ in range(25):
            way.switch(random.choice(("open", "closed", "deaf")))
            decide(random.randrange(60))
            time.sleep(random.random() / 10)
            counterfoil.flush(0)
        way.switch("open")
        assert not counterfoil.flush(30)
        assert not counterfoil.shutdown(30)
    said = reader.producer(sink.producer_id, "complete")
    assert said["delivered"] + said["lost"]["numbers"] == said["produced"]
    assert said["gaps"]["numbers"] == 0
    assert said["lost"]["numbers"] > 0
