"""Attack 20: oversized, deeply nested, compressed or malformed input, by a producer with a valid key.

What each must cost is its limit, over both transports. Afterwards the service answers as before, its memory is what it
was, the refusals are on record and the log is whole.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import grpc  # type: ignore[import-untyped]  # grpcio has no py.typed
import pytest
import zstandard

from tests.benchmarks.flood import EXPORT, rss_mb
from tests.ingest.disk import open_disk
from tests.ingest.spans import traces
from tests.service.running import RunningService

MIB = 1024 * 1024
MOST_GROWTH_MB = 200
"""Over what the service had before: an attack that costs its size and not its limit would cost gigabytes."""


def nested(depth: int) -> bytes:
    """A span whose attribute is a list in a list in a list."""
    request = traces(f"nested {depth}")
    value = request.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="deep").value
    for _ in range(depth):
        value = value.array_value.values.add()
    value.string_value = "bottom"
    return bytes(request.SerializeToString())


def empty_spans(count: int) -> bytes:
    """Two bytes each on the wire, a hundred and more once decoded."""
    return field(10, field(18, b"\x12\x00" * count))


def field(tag: int, payload: bytes) -> bytes:
    """A length-delimited field of protobuf."""
    length = len(payload)
    prefix = bytearray((tag,))
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + payload


ATTACKS: dict[str, tuple[Callable[[], bytes], str, set[int], set[str]]] = {
    # name: body, coding, HTTP status, gRPC code
    "over the limit as sent": (lambda: bytes(16 * MIB + 1), "identity", {413}, {"RESOURCE_EXHAUSTED"}),
    "gzip bomb": (lambda: gzip.compress(bytes(300 * MIB), 1), "gzip", {413}, {"RESOURCE_EXHAUSTED"}),
    "deflate bomb": (lambda: zlib.compress(bytes(300 * MIB), 1), "deflate", {413}, {"RESOURCE_EXHAUSTED"}),
    "zstd bomb": (lambda: zstandard.ZstdCompressor(1).compress(bytes(300 * MIB)), "zstd", {413}, {"INVALID_ARGUMENT"}),
    "empty spans": (lambda: empty_spans(4_000_000), "identity", {413}, {"RESOURCE_EXHAUSTED"}),
    "nested over the limit": (lambda: nested(60), "identity", {400}, {"INVALID_ARGUMENT"}),
    "nested beyond any parser": (lambda: nested(95) * 3, "identity", {400}, {"INVALID_ARGUMENT"}),
    "half a request": (lambda: traces("half", 50).SerializeToString()[:-7], "identity", {400}, {"INVALID_ARGUMENT"}),
    "no protobuf": (lambda: b"\xff" * 50_000, "identity", {400}, {"INVALID_ARGUMENT"}),
    "half a gzip": (lambda: gzip.compress(b"x" * 5_000)[:-9], "gzip", {400}, {"INVALID_ARGUMENT"}),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_body_costs_its_limit_and_is_refused_over_both_transports(
    name: str, shared_service: RunningService
) -> None:
    make, coding, statuses, codes = ATTACKS[name]
    body = make()
    with open_disk(shared_service.made) as disk:
        key = disk.new_key().key
        first = disk.size()
    before_mb = rss_mb(shared_service.pid)
    headers = {"x-api-key": key, "Content-Type": "application/x-protobuf", "Content-Encoding": coding}
    response = shared_service.client.post("/v1/traces", content=body, headers=headers)
    assert response.status_code in statuses
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(shared_service.grpc, options=options) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(EXPORT)(body, metadata=[("x-api-key", key)], timeout=60)
        assert caught.value.code().name in codes
        channel.unary_unary(EXPORT)(
            traces(f"after {name}").SerializeToString(), metadata=[("x-api-key", key)], timeout=60
        )
    assert rss_mb(shared_service.pid) - before_mb < MOST_GROWTH_MB
    with open_disk(shared_service.made) as disk:
        kinds = [leaf["kind"] for leaf in disk.leaves(first) if leaf["kind"] != "key"]
    assert kinds[-1] == "model_call"
    assert set(kinds[:-1]) == {"refusal"}
