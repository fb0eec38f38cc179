"""SIGKILL under load, again and again, on one growing store: nothing acknowledged is lost, nothing is torn.

Each round starts the real service, lets clients post, kills it (the service, its background process, or both) at a
random moment and goes on with the same directory. At the end every acknowledged span is in the log exactly once, every
promise that was given holds, and fsck of the whole store is clean.
"""

from __future__ import annotations

import base64
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx
import orjson
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from counterfoil.core.merkle import leaf_hash
from counterfoil.core.note import parse_vkey
from counterfoil.core.promise import open_promise
from tests.service.running import Made, RunningService, launch, make_directory

ROUNDS = 50
SPANS_A_REQUEST = 40
CLIENTS = 2
PROGRAM = Path(sys.executable).parent / "counterfoil"


@dataclass(slots=True)
class Clients:
    """What was acknowledged, and the promises it came with."""

    acknowledged: set[bytes] = field(default_factory=set)
    """trace id and span id of each span in an answered request."""
    promises: list[bytes] = field(default_factory=list)
    again: list[ExportTraceServiceRequest] = field(default_factory=list)
    """Requests whose answer was lost: an exporter sends them again, so the next round does."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def post(self, service: RunningService, stopping: threading.Event, random: Random) -> None:
        """Post until the service is gone."""
        headers = {**service.headers("writer"), "Content-Type": "application/x-protobuf"}
        with httpx.Client(base_url=service.url, timeout=30) as client:
            while not stopping.is_set():
                request = self._next(random)
                try:
                    answer = client.post("/v1/traces", content=request.SerializeToString(), headers=headers)
                except httpx.HTTPError:
                    with self.lock:
                        self.again.append(request)
                    return
                with self.lock:
                    if answer.status_code == 200:
                        spans = request.resource_spans[0].scope_spans[0].spans
                        self.acknowledged.update(span.trace_id + span.span_id for span in spans)
                        self.promises.append(base64.b64decode(answer.headers["counterfoil-promise"]))
                    else:
                        self.again.append(request)

    def _next(self, random: Random) -> ExportTraceServiceRequest:
        with self.lock:
            if self.again:
                return self.again.pop()
        request = ExportTraceServiceRequest()
        scope_spans = request.resource_spans.add().scope_spans.add()
        trace_id = random.randbytes(16)
        for number in range(SPANS_A_REQUEST):
            span = scope_spans.spans.add(trace_id=trace_id, span_id=random.randbytes(8), name=f"step {number}")
            span.start_time_unix_nano = time.time_ns()
            attribute = span.attributes.add(key="gen_ai.input.messages")
            attribute.value.string_value = f"words of message {random.random()}"
        return request


@pytest.mark.kill
@pytest.mark.timeout(420)
def test_nothing_acknowledged_is_lost_in_fifty_kills(tmp_path: Path) -> None:
    random = Random(20261122)
    made = make_directory(tmp_path / "audit")
    clients = Clients()
    for number in range(ROUNDS):
        _one_round(made, clients, random, victim=("service", "background", "both")[number % 3])
    assert len(clients.acknowledged) > ROUNDS * SPANS_A_REQUEST, "the load never got going"

    service = launch(made)  # recovery runs the normal path; what was never answered is sent again, as exporters do
    clients.post(service, _after(0.5), random)
    assert service.stop() == 0

    leaves = _leaves(made)
    recorded = [bytes.fromhex(leaf["trace_id"] + leaf["span_id"]) for leaf, _ in leaves if "span_id" in leaf]
    assert len(recorded) == len(set(recorded)), "a retry made a second record"
    lost = clients.acknowledged - set(recorded)
    assert not lost, f"{len(lost)} acknowledged spans are not in the log"
    _check_promises(made, clients.promises, [stored for _, stored in leaves])

    fsck = subprocess.run([PROGRAM, "fsck", "--data", made.data], capture_output=True, text=True, check=False)
    assert fsck.returncode == 0, fsck.stdout + fsck.stderr


def _one_round(made: Made, clients: Clients, random: Random, victim: str) -> None:
    service = launch(made)
    stopping = threading.Event()
    seeds = [random.random() for _ in range(CLIENTS)]
    threads = [threading.Thread(target=clients.post, args=(service, stopping, Random(seed))) for seed in seeds]
    for thread in threads:
        thread.start()
    time.sleep(random.uniform(0.02, 0.5))
    if victim in ("background", "both"):
        for child in Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
    if victim == "background":
        time.sleep(0.05)  # the service goes on acknowledging without its background process, and is then killed too
    service.kill()
    stopping.set()
    for thread in threads:
        thread.join()


def _after(seconds: float) -> threading.Event:
    event = threading.Event()
    threading.Timer(seconds, event.set).start()
    return event


def _leaves(made: Made) -> list[tuple[dict[str, object], bytes]]:
    with closing(sqlite3.connect(made.directory.ledger_file)) as connection:
        query = "SELECT leaf FROM records JOIN logs ON logs.id = log_id WHERE origin = ? ORDER BY seq"
        return [(orjson.loads(leaf), leaf) for (leaf,) in connection.execute(query, (made.origin,))]


def _check_promises(made: Made, promises: list[bytes], leaves: list[bytes]) -> None:
    with closing(sqlite3.connect(made.directory.ledger_file)) as connection:
        (vkey,) = connection.execute("SELECT vkey FROM logs WHERE origin = ?", (made.origin,)).fetchone()
    assert promises
    for note in promises:
        promise = open_promise(note, [parse_vkey(vkey)])
        highest = max(last for _, last in promise.ranges)
        assert promise.leaf_hash == leaf_hash(leaves[highest])
