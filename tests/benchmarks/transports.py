"""OTLP/gRPC beside OTLP/HTTP: the same batches, the same service, round about. Target: at least 90 % of HTTP's rate.

    .venv/bin/python tests/benchmarks/transports.py [--batches 60] [--rounds 3]

512-span batches, 4 connections, gzip as made before the clock starts. The library of a gRPC client would compress while
the clock runs, on the same cores; here it is handed the compressed bytes, which the server tells by how they begin.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import grpc  # type: ignore[import-untyped]  # grpcio has no py.typed

from tests.benchmarks import load, process
from tests.benchmarks.client import post_all
from tests.benchmarks.flood import EXPORT

CONNECTIONS = 4


def export_all(rpc: str, key: str, bodies: list[bytes]) -> float:
    """Seconds until every batch is acknowledged over gRPC; a batch that is told to come again comes again."""
    queue: SimpleQueue[bytes] = SimpleQueue()
    for body in bodies:
        queue.put(body)
    failed: list[str] = []

    def work() -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        channel = grpc.insecure_channel(rpc, options=options)
        export = channel.unary_unary(EXPORT)
        while True:
            try:
                body = queue.get_nowait()
            except Empty:
                return
            while True:
                try:
                    export(body, metadata=(("x-api-key", key),), timeout=60)
                    break
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                        failed.append(error.details())
                        return
                    time.sleep(1)

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise SystemExit(failed[0])
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    rates: dict[str, list[float]] = {"HTTP": [], "gRPC": []}
    costs: dict[str, list[float]] = {"HTTP": [], "gRPC": []}
    spans = given.batches * load.SPANS_A_BATCH
    with tempfile.TemporaryDirectory() as folder, process.service(Path(folder) / "audit") as running:

        def over_http(bodies: list[bytes]) -> None:
            post_all(f"{running.url}/v1/traces", running.key, bodies, connections=CONNECTIONS, rate=None)

        def over_grpc(bodies: list[bytes]) -> None:
            export_all(running.grpc, running.key, bodies)

        transports: dict[str, Callable[[list[bytes]], None]] = {"HTTP": over_http, "gRPC": over_grpc}
        for number in range(given.rounds * 2):
            name = ("HTTP", "gRPC")[number % 2]
            bodies = list(load.batches(spans, seed=100 + number))
            cpu, began = sum(running.cpu_s().values()), time.perf_counter()
            transports[name](bodies)
            rates[name].append(spans / (time.perf_counter() - began))
            time.sleep(2.0)  # the index catches up, so that the next round does not pay for this one
            costs[name].append((sum(running.cpu_s().values()) - cpu) / spans * 1e6)
    for name in rates:
        rate, cost = statistics.median(rates[name]), statistics.median(costs[name])
        print(f"{name}  {rate:>9,.0f} spans/s   {cost:>6.1f} us of CPU a span, index and checkpoints included")
    print(f"gRPC is {statistics.median(rates['gRPC']) / statistics.median(rates['HTTP']):.0%} of HTTP")


if __name__ == "__main__":
    main()
