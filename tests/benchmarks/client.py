"""A client process: keeps `connections` to one server and posts prepared batches as fast as they are acknowledged.

Run as a program it reads a job as JSON from standard input and prints its result as JSON:
{"url", "key", "files": [...], "connections", "rate": spans/s or null} -> {"wall_s", "spans", "latencies_ms", "retried"}
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

from tests.benchmarks.load import SPANS_A_BATCH


def post_all(url: str, key: str, bodies: list[bytes], *, connections: int, rate: float | None) -> dict[str, object]:
    """Post every body; a 429 or 503 is tried again after its Retry-After, as an exporter would."""
    queue: SimpleQueue[tuple[int, bytes]] = SimpleQueue()
    for numbered in enumerate(bodies):
        queue.put(numbered)
    latencies: list[float] = []
    retried = 0
    lock = threading.Lock()
    started = time.perf_counter()

    def work() -> None:
        nonlocal retried
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", "x-api-key": key}
        while True:
            try:
                number, body = queue.get_nowait()
            except Empty:
                return
            if rate is not None:
                due = started + number * SPANS_A_BATCH / rate
                time.sleep(max(0.0, due - time.perf_counter()))
            began = time.perf_counter()
            while True:
                connection.request("POST", parts.path, body, headers)
                response = connection.getresponse()
                response.read()
                if response.status == 200:
                    break
                if response.status not in (429, 503):
                    raise SystemExit(f"{url} answered {response.status}")
                with lock:
                    retried += 1
                time.sleep(float(response.headers.get("Retry-After", "1")))
            with lock:
                latencies.append((time.perf_counter() - began) * 1000)

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall_s = time.perf_counter() - started
    if len(latencies) != len(bodies):
        raise SystemExit(f"only {len(latencies)} of {len(bodies)} batches were acknowledged")
    return {
        "wall_s": wall_s,
        "spans": len(bodies) * SPANS_A_BATCH,
        "latencies_ms": sorted(latencies),
        "retried": retried,
    }


def main() -> None:
    job = json.load(sys.stdin)
    bodies = [Path(name).read_bytes() for name in job["files"]]
    print(json.dumps(post_all(job["url"], job["key"], bodies, connections=job["connections"], rate=job["rate"])))


if __name__ == "__main__":
    main()
