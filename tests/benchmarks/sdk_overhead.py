"""What a decision with content costs the agent: `python tests/benchmarks/sdk_overhead.py`.

A decision block with inputs, two alternatives and a rationale, 2,000 of them in bursts of 50 and 2,000 one every half
millisecond (then each finds the processor's caches cold), against a service that takes them, and against servers that
hang, refuse (503, 429) and are away. Wall time of each call; CPU of the calling thread; CPU of the background for each.
The longest call shows that none ever waits for the network: what it
has in it is the machine, so beside it stands the longest of as many calls of `json.dumps` on the same content.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import counterfoil.sdk as counterfoil
from tests.service.running import make_directory, start_service

DECISIONS = 2_000
PAUSE_S = 0.0005
BURST, BURST_PAUSE_S = 50, 0.02
RATIONALE = (
    "The order was delivered 41 days ago and policy R-12 allows thirty; the customer asked for goodwill once " * 2
)
Row = tuple[str, float, str]


def decide(number: int) -> None:
    """The decision that is measured."""
    with counterfoil.decision(
        "refund", risk="medium", autonomy="autonomous", inputs={"order": f"A-{number}", "days": 41, "total": "129.90"}
    ) as d:
        d.consider("approve", score=0.35, because="outside the 30-day window")
        d.consider("deny", score=0.65)
        d.choose("deny", rationale=RATIONALE, confidence=0.65, policy="R-12", rationale_source="model_stated")


@contextlib.contextmanager
def healthy(work: Path) -> Iterator[tuple[str, str]]:
    """A service of our own."""
    with start_service(make_directory(work / "audit")) as service:
        yield service.url, service.made.keys["writer"].key


@contextlib.contextmanager
def hanging(_: Path) -> Iterator[tuple[str, str]]:
    """Accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}", "cf_none"


@contextlib.contextmanager
def away(_: Path) -> Iterator[tuple[str, str]]:
    """Nobody listens: connection refused."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield f"http://127.0.0.1:{port}", "cf_none"


def refusing(status: int) -> contextlib.AbstractContextManager[tuple[str, str]]:
    """Answers every request with a status."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            """Say nothing."""

    @contextlib.contextmanager
    def serve() -> Iterator[tuple[str, str]]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", "cf_none"
        finally:
            server.shutdown()
            server.server_close()

    return serve()


def undisturbed() -> list[Row]:
    """What the machine does to any short piece of work, at the same pace and with nothing in the background."""
    content = {"rationale": RATIONALE, "alternatives": [{"option": "approve", "score": 0.35}] * 2, "days": 41}
    times = []
    for _ in range(DECISIONS):
        start = time.perf_counter_ns()
        for _ in range(4):
            json.dumps(content)
        times.append(time.perf_counter_ns() - start)
        time.sleep(PAUSE_S)
    return [
        ("Without SDK: content printed as JSON four times, median", statistics.median(times) / 1e3, "us"),
        ("  99th percentile", statistics.quantiles(times, n=100)[98] / 1e3, "us"),
        ("  longest", max(times) / 1e3, "us"),
    ]


def measure(name: str, url: str, key: str, spool: Path) -> list[Row]:
    """One server: median, 99th percentile and longest call, CPU of the caller and of the background."""
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = url
    os.environ["OTEL_EXPORTER_OTLP_HEADERS"] = f"x-api-key={key}"
    counterfoil.configure(agent="refunds", version="2.3.1", spool=spool, spans=False, shutdown_timeout_s=0.5)
    bursts: list[int] = []
    times: list[int] = []
    own = 0
    with counterfoil.interaction("conv-bench", channel="chat", subject="cust-7"):
        for number in range(DECISIONS):
            start = time.perf_counter_ns()
            decide(number)
            bursts.append(time.perf_counter_ns() - start)
            if number % BURST == BURST - 1:
                time.sleep(BURST_PAUSE_S)
        whole, mine = time.process_time_ns(), time.thread_time_ns()
        for number in range(DECISIONS):
            cpu, start = time.thread_time_ns(), time.perf_counter_ns()
            decide(number)
            times.append(time.perf_counter_ns() - start)
            own += time.thread_time_ns() - cpu
            time.sleep(PAUSE_S)
        mine = time.thread_time_ns() - mine
    flushed = counterfoil.flush(20 if name == "healthy" else 0.2)
    background = time.process_time_ns() - whole - mine
    counterfoil.shutdown()
    if flushed != (name == "healthy"):
        raise SystemExit(f"{name}: flushed is {flushed}")
    return [
        (f"SDK, service {name}: a decision with content, in bursts, median", statistics.median(bursts) / 1e3, "us"),
        ("  one by one, median", statistics.median(times) / 1e3, "us"),
        ("  99th percentile", statistics.quantiles(times, n=100)[98] / 1e3, "us"),
        ("  longest", max(times) / 1e3, "us"),
        ("  CPU of the caller", own / DECISIONS / 1e3, "us"),
        ("  CPU in the background", background / DECISIONS / 1e3, "us"),
    ]


def rows() -> list[Row]:
    """(name, value, unit) of every server in turn."""
    logging.getLogger("counterfoil.sdk").setLevel(logging.ERROR)
    found = undisturbed()
    with tempfile.TemporaryDirectory(prefix="counterfoil-sdk-") as folder:
        work = Path(folder)
        servers = {
            "healthy": healthy(work),
            "hanging": hanging(work),
            "away": away(work),
            "answering 503": refusing(503),
            "answering 429": refusing(429),
        }
        for name, server in servers.items():
            with server as (url, key):
                found += measure(name, url, key, work / "spool")
    return found


if __name__ == "__main__":
    for what, value, unit in rows():
        print(f"{what:<70} {value:>10,.1f} {unit}")
