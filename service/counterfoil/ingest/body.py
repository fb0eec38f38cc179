"""The body of a request under limits: first as sent, then decompressed, never more than allowed in memory.

`read_body` runs on the event loop and only collects what is sent; `inflate` is CPU work for a thread. A decompressor is
never asked for more than the limit allows plus one byte, so a bomb costs its limit and not its size.

Content-Encoding: identity, gzip (RFC 1952, members may follow each other), deflate (RFC 1950, as RFC 9110 defines it)
and zstd (RFC 8878, window at most 8 MiB as in RFC 9659). One coding only. Whatever follows the end of the stream is an
error.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import zstandard

from counterfoil.ingest.limits import MAX_GZIP_MEMBERS, MAX_ZSTD_WINDOW_BYTES, Limits
from counterfoil.ingest.status import ExportError

_GZIP_WBITS: Final = 31
_ZLIB_WBITS: Final = 15
_ZSTD_STEP_BYTES: Final = 1024


def parse_content_length(value: str | None) -> int | None:
    """Bytes that Content-Length announces, or None; the HTTP server has already refused what is no number."""
    return int(value) if value is not None and value.isascii() and value.isdigit() else None


def check_content_length(length: int | None, limits: Limits) -> None:
    """Refuse a body that says itself that it is too large, before it is read."""
    if length is not None and length > limits.body_bytes:
        raise _too_large_as_sent(length, limits)


async def read_body(stream: AsyncIterator[bytes], limits: Limits, admit: Callable[[int], None]) -> bytes:
    """The body as sent. `admit(size so far)` may refuse more. Errors: 413 body_too_large, 503 body_timeout."""
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            async for chunk in stream:
                size += len(chunk)
                if size > limits.body_bytes:
                    raise _too_large_as_sent(size, limits)
                admit(size)
                chunks.append(chunk)
    except TimeoutError:
        message = f"the body did not arrive within {limits.body_timeout_s:g} s ({size} bytes did)"
        raise ExportError(503, "body_timeout", message) from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def parse_content_encoding(value: str | None) -> str:
    """The one coding that Content-Encoding names. Error: 415 unsupported_encoding."""
    coding = (value or "identity").strip().lower()
    if coding == "x-gzip":  # RFC 9110, 8.4.1.3: SHOULD be considered equivalent
        coding = "gzip"
    if coding != "identity" and coding not in _INFLATE:
        accepted = ", ".join(("identity", *_INFLATE))
        raise ExportError(
            415,
            "unsupported_encoding",
            f"Content-Encoding is {coding[:64]!r}; accepted are {accepted}, one of them",
            headers={"Accept-Encoding": accepted},
        )
    return coding


def inflate(body: bytes, coding: str, limits: Limits) -> bytes:
    """`body` without its coding. Errors: 413 body_too_large or ratio_too_high, 400 bad_compression."""
    if coding == "identity":
        return body
    if not body:
        raise _bad(coding, "the body is empty")
    allowed = min(limits.inflated_bytes, limits.ratio * len(body))
    inflated = _INFLATE[coding](body, allowed)
    if len(inflated) <= allowed:
        return inflated
    if allowed == limits.inflated_bytes:
        raise ExportError(
            413,
            "body_too_large",
            f"the body is larger than {allowed} bytes after decompression",
            limit=f"inflated_bytes={allowed}",
        )
    raise ExportError(
        413,
        "ratio_too_high",
        f"{len(body)} bytes decompress to more than {limits.ratio} times as many",
        limit=f"ratio={limits.ratio}",
    )


def _inflate_gzip(body: bytes, allowed: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    rest = body
    for _ in range(MAX_GZIP_MEMBERS):
        decompressor = zlib.decompressobj(_GZIP_WBITS)
        part = _decompress(decompressor, rest, allowed + 1 - size, "gzip")
        parts.append(part)
        size += len(part)
        if size > allowed or not decompressor.unused_data:
            return parts[0] if len(parts) == 1 else b"".join(parts)
        rest = decompressor.unused_data
        if not rest.startswith(b"\x1f\x8b"):
            raise _bad("gzip", f"{len(rest)} bytes follow the end of the stream")
    raise _bad("gzip", f"there are more than {MAX_GZIP_MEMBERS} members")


def _inflate_deflate(body: bytes, allowed: int) -> bytes:
    decompressor = zlib.decompressobj(_ZLIB_WBITS)
    inflated = _decompress(decompressor, body, allowed + 1, "deflate")
    if decompressor.unused_data:
        raise _bad("deflate", f"{len(decompressor.unused_data)} bytes follow the end of the stream")
    return inflated


def _decompress(decompressor: zlib._Decompress, body: bytes, most: int, coding: str) -> bytes:
    """At most `most` bytes; a stream that ends too early, or is damaged, is an error."""
    try:
        inflated = decompressor.decompress(body, most)
    except zlib.error as error:
        raise _bad(coding, str(error)) from None
    if len(inflated) < most and not decompressor.eof:
        raise _bad(coding, "the stream ends too early")
    return inflated


def _inflate_zstd(body: bytes, allowed: int) -> bytes:
    """Frames may follow each other (RFC 8878, 3.1), as gzip members may.

    The library has no bound on what one call returns, so the body goes in by small steps: a block is at least 4 bytes
    and at most 128 KiB, so a step returns 32 MiB at the very most.
    """
    parts: list[bytes] = []
    size = 0
    decompressor = _zstd_frame()
    try:
        for start in range(0, len(body), _ZSTD_STEP_BYTES):
            step = body[start : start + _ZSTD_STEP_BYTES]
            while step:
                if decompressor.eof:
                    decompressor = _zstd_frame()
                part = decompressor.decompress(step)
                parts.append(part)
                size += len(part)
                if size > allowed:
                    return b"".join(parts)
                step = decompressor.unused_data if decompressor.eof else b""
    except zstandard.ZstdError as error:
        raise _bad("zstd", str(error)) from None
    if not decompressor.eof:
        raise _bad("zstd", "the stream ends too early")
    return b"".join(parts)


def _zstd_frame() -> zstandard.ZstdDecompressionObj:
    return zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW_BYTES).decompressobj()


_INFLATE: Final[dict[str, Callable[[bytes, int], bytes]]] = {
    "gzip": _inflate_gzip,
    "deflate": _inflate_deflate,
    "zstd": _inflate_zstd,
}


def _too_large_as_sent(size: int, limits: Limits) -> ExportError:
    message = f"the body is {size} bytes or more as sent; at most {limits.body_bytes} are taken"
    return ExportError(413, "body_too_large", message, limit=f"body_bytes={limits.body_bytes}")


def _bad(coding: str, why: str) -> ExportError:
    return ExportError(400, "bad_compression", f"the body is not valid {coding}: {why}")
