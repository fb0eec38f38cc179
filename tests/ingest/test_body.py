"""Bodies under limits, and Content-Encoding."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.ingest.body import (
    check_content_length,
    inflate,
    parse_content_encoding,
    parse_content_length,
    read_body,
)
from counterfoil.ingest.limits import MAX_GZIP_MEMBERS, Limits
from counterfoil.ingest.status import ExportError

LIMITS = Limits(body_bytes=10_000, inflated_bytes=100_000, ratio=50)
TEXT = b"".join(b"a decision and its reason, number %d\n" % n for n in range(400))

CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "identity": lambda data: data,
}


@pytest.mark.parametrize("coding", CODERS)
@given(data=st.binary(max_size=4096))
def test_every_coding_gives_back_what_was_sent(coding: str, data: bytes) -> None:
    limits = Limits(inflated_bytes=100_000)
    if data or coding == "identity":
        assert inflate(CODERS[coding](data), coding, limits) == data


@given(data=st.binary(max_size=4096), level=st.integers(0, 9))
def test_deflate_is_taken_with_and_without_its_wrapper(data: bytes, level: int) -> None:
    limits = Limits(inflated_bytes=100_000)
    wrapped = zlib.compress(data, level)
    assert inflate(wrapped, "deflate", limits) == data
    assert inflate(wrapped[2:-4], "deflate", limits) == data


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_members_and_frames_that_follow_each_other_are_one_body(coding: str) -> None:
    body = CODERS[coding](TEXT) + CODERS[coding](b"") + CODERS[coding](b"the end")
    assert inflate(body, coding, LIMITS) == TEXT + b"the end"


def test_more_gzip_members_than_the_limit_are_refused() -> None:
    with pytest.raises(ExportError, match=f"more than {MAX_GZIP_MEMBERS} members") as caught:
        inflate(gzip.compress(b"") * (MAX_GZIP_MEMBERS + 1), "gzip", LIMITS)
    assert (caught.value.http_status, caught.value.code) == (400, "bad_compression")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_every_truncation_of_a_compressed_body_is_refused(coding: str) -> None:
    body = CODERS[coding](b"what the agent did, and why " * 3)
    for size in range(len(body)):
        with pytest.raises(ExportError) as caught:
            inflate(body[:size], coding, LIMITS)
        assert (caught.value.http_status, caught.value.code) == (400, "bad_compression"), size


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("garbage", [b"\0", b"\x1f", b"garbage", bytes(100)])
def test_what_follows_the_end_of_the_stream_is_refused(coding: str, garbage: bytes) -> None:
    with pytest.raises(ExportError) as caught:
        inflate(CODERS[coding](TEXT) + garbage, coding, LIMITS)
    assert (caught.value.http_status, caught.value.code) == (400, "bad_compression")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_a_body_that_is_not_compressed_at_all_is_refused(coding: str) -> None:
    with pytest.raises(ExportError) as caught:
        inflate(TEXT, coding, LIMITS)
    assert caught.value.code == "bad_compression"


def test_a_damaged_checksum_is_refused() -> None:
    body = bytearray(gzip.compress(TEXT))
    body[-6] ^= 1
    with pytest.raises(ExportError, match="not valid gzip"):
        inflate(bytes(body), "gzip", LIMITS)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_the_size_after_decompression_is_limited_to_the_byte(coding: str) -> None:
    data = bytes(range(256)) * 8
    limits = Limits(inflated_bytes=len(data), ratio=200)
    assert inflate(CODERS[coding](data), coding, limits) == data
    with pytest.raises(ExportError) as caught:
        inflate(CODERS[coding](data + b"x"), coding, limits)
    assert (caught.value.http_status, caught.value.code) == (413, "body_too_large")
    assert caught.value.limit == f"inflated_bytes={len(data)}"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_the_ratio_is_limited_to_the_byte(coding: str) -> None:
    data = hashlib.shake_256(b"history repeats itself").digest(1000) * 20
    body = CODERS[coding](data)
    ratio = -(-len(data) // len(body))
    assert inflate(body, coding, Limits(ratio=ratio)) == data
    with pytest.raises(ExportError) as caught:
        inflate(body, coding, Limits(ratio=ratio - 1))
    assert (caught.value.http_status, caught.value.code) == (413, "ratio_too_high")
    assert caught.value.limit == f"ratio={ratio - 1}"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_a_bomb_costs_its_limit_and_not_its_size(coding: str) -> None:
    bomb = CODERS[coding](bytes(256 * 1024 * 1024))
    tracemalloc.start()
    try:
        with pytest.raises(ExportError) as caught:
            inflate(bomb, coding, Limits(inflated_bytes=8 * 1024 * 1024))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.http_status == 413
    assert peak < 64 * 1024 * 1024


def test_a_zstd_window_above_eight_mebibytes_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = compressor.compress(TEXT) + compressor.flush()
    with pytest.raises(ExportError, match="not valid zstd"):
        inflate(body, "zstd", LIMITS)


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (None, "identity"),
        ("", "identity"),
        ("identity", "identity"),
        ("GZIP ", "gzip"),
        ("x-gzip", "gzip"),
        ("zstd", "zstd"),
    ],
)
def test_content_encoding_names_one_coding(header: str | None, coding: str) -> None:
    assert parse_content_encoding(header) == coding


@pytest.mark.parametrize("header", ["br", "gzip, gzip", "compress", "gzip;q=1"])
def test_any_other_content_encoding_is_415_and_says_what_is_accepted(header: str) -> None:
    with pytest.raises(ExportError, match="identity, gzip, deflate, zstd") as caught:
        parse_content_encoding(header)
    assert caught.value.http_status == 415
    assert caught.value.headers == {"Accept-Encoding": "identity, gzip, deflate, zstd"}


@pytest.mark.parametrize(("header", "length"), [(None, None), ("12", 12), ("٣", None), ("-1", None), ("1_0", None)])
def test_content_length_is_ascii_digits(header: str | None, length: int | None) -> None:
    assert parse_content_length(header) == length


def test_a_body_that_announces_too_much_is_refused_unread() -> None:
    check_content_length(None, LIMITS)
    check_content_length(10_000, LIMITS)
    with pytest.raises(ExportError) as caught:
        check_content_length(10_001, LIMITS)
    assert (caught.value.http_status, caught.value.limit) == (413, "body_bytes=10000")


async def _chunks(*chunks: bytes, pause_s: float = 0) -> AsyncIterator[bytes]:
    for chunk in chunks:
        await asyncio.sleep(pause_s)
        yield chunk


def test_a_body_in_chunks_is_joined_and_admitted_as_it_grows() -> None:
    sizes: list[int] = []
    assert asyncio.run(read_body(_chunks(b"ab", b"", b"c"), LIMITS, sizes.append)) == b"abc"
    assert sizes == [2, 2, 3]


def test_a_body_that_announced_nothing_is_refused_where_it_passes_the_limit() -> None:
    sizes: list[int] = []
    with pytest.raises(ExportError) as caught:
        asyncio.run(read_body(_chunks(bytes(9_000), bytes(2_000), bytes(9_000)), LIMITS, sizes.append))
    assert (caught.value.http_status, caught.value.code) == (413, "body_too_large")
    assert sizes == [9_000]


def test_a_body_that_does_not_arrive_in_time_may_be_sent_again() -> None:
    limits = Limits(body_timeout_s=0.05)
    sizes: list[int] = []
    with pytest.raises(ExportError, match="2 bytes did") as caught:
        asyncio.run(read_body(_chunks(b"ab", b"c", pause_s=0.03), limits, sizes.append))
    assert caught.value.http_status == 503
