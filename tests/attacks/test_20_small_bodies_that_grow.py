"""Attack 20, continued: small lawful-looking bodies of a valid key that grow once they are inflated, cut or mapped.

Each of these once took the serving process from 0.5 to several GB. Memory is read from /proc while they are sent.
"""

from __future__ import annotations

import gzip
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.attacks.test_20_malformed_input import field
from tests.benchmarks.flood import rss_mb
from tests.ingest.disk import open_disk
from tests.ingest.spans import traces
from tests.service.running import RunningService

MIB = 1024 * 1024
MOST_MB = 300.0
"""The design's limit, for the process as a whole."""
RESOURCE, SCOPE, ITEM, VARINT_15 = 10, 18, 18, b"\x78\x00"


def spans(count: int, text_bytes: int, resource_bytes: int = 0) -> bytes:
    """A request of `count` spans; text that gzip takes to a hundredth, so that no ratio tells."""
    request = traces(f"grows {count} {text_bytes} {resource_bytes}", count)
    group = request.resource_spans[0]
    if resource_bytes:
        group.resource.attributes.add(key="large").value.string_value = os.urandom(resource_bytes // 2).hex()
    words = os.urandom(1000).hex()
    for span in group.scope_spans[0].spans:
        span.attributes.add(key="text").value.string_value = (words * (text_bytes // 2000 + 1))[:text_bytes]
    return bytes(request.SerializeToString())


def with_unknown_fields(count: int) -> bytes:
    """One span with `count` fields that OTLP does not know, two bytes each."""
    span = traces("unknown fields").resource_spans[0].scope_spans[0].spans[0].SerializeToString()
    return field(RESOURCE, field(SCOPE, field(ITEM, span + VARINT_15 * count)))


def hidden_size() -> bytes:
    """60 MiB as gzip of two members: the trailer tells the size of the last one, which is empty."""
    request = ExportTraceServiceRequest.FromString(spans(2_000, 30_000))
    for span in request.resource_spans[0].scope_spans[0].spans:
        span.trace_id = b"short"  # refused, so that the test does not wait for the disk
    return gzip.compress(request.SerializeToString(), 6) + gzip.compress(b"")


ATTACKS: dict[str, tuple[Callable[[], bytes], int, set[int]]] = {
    # name: body in gzip, how many at once, status
    "a size that the trailer hides": (hidden_size, 5, {400}),
    "one span of 60 MiB": (lambda: gzip.compress(spans(1, 60 * MIB), 6), 1, {400}),
    "a resource of 300 kB over 9,000 spans": (lambda: gzip.compress(spans(9_000, 5_000, 300_000), 6), 1, {413}),
    "a resource of 1 MB over 9,000 small spans": (lambda: gzip.compress(spans(9_000, 10, 1_000_000), 6), 2, {413}),
    "fields between groups": (
        lambda: gzip.compress(VARINT_15 * (28 * MIB) + field(26, os.urandom(400_000)), 6),
        1,
        {413},
    ),
    "fields inside a span": (
        lambda: gzip.compress(with_unknown_fields(7 * MIB) + field(26, os.urandom(90_000)), 6),
        1,
        {400},
    ),
    "empty JSON strings": (
        lambda: gzip.compress(b'{"a":"%b","b":[%b""]}' % (os.urandom(250_000).hex().encode(), b'"", ' * (12 * MIB)), 6),
        1,
        {413},
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_small_body_that_grows_costs_its_limit(name: str, shared_service: RunningService) -> None:
    make, senders, statuses = ATTACKS[name]
    body = make()
    with open_disk(shared_service.made) as disk:
        key = disk.new_key().key
    media = "application/json" if "JSON" in name else "application/x-protobuf"
    headers = {"x-api-key": key, "Content-Type": media, "Content-Encoding": "gzip"}

    def send() -> int:
        return httpx.post(f"{shared_service.url}/v1/traces", content=body, headers=headers, timeout=120).status_code

    ended, samples = threading.Event(), [rss_mb(shared_service.pid)]

    def watch() -> None:
        while not ended.wait(0.02):
            samples.append(rss_mb(shared_service.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ThreadPoolExecutor(senders) as pool:
            told = [future.result() for future in [pool.submit(send) for _ in range(senders)]]
    finally:
        ended.set()
        watcher.join()
    assert set(told) <= statuses, told
    assert max(samples) < MOST_MB, f"{samples[0]:.0f} MB before, {max(samples):.0f} MB at its peak"
    after = traces(f"after {name} {time.monotonic_ns()}").SerializeToString()
    headers = {"x-api-key": key, "Content-Type": "application/x-protobuf"}
    assert shared_service.client.post("/v1/traces", content=after, headers=headers).status_code == 200
