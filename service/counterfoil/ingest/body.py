"""The body of a request under limits: first as sent, then decompressed, never more than allowed in memory.

`read_body` runs on the event loop and only collects what is sent; `inflate` is CPU work for a thread. A decompressor is
never asked for more than the limit allows plus one byte, so a bomb costs its limit and not its size. What arrives or is
inflated goes into one buffer that grows in place: parts that are joined would be in memory twice.

Content-Encoding: identity, gzip (RFC 1952, members may follow each other), deflate (RFC 1950, as RFC 9110 defines it;
RFC 1951 without the wrapper is tolerated, because some senders do that) and zstd (RFC 8878, window at most 8 MiB as in
RFC 9659). One coding only. Whatever follows the end of the stream is an error.
"""

from __future__ import annotations

import asyncio
import io
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import zstandard

from counterfoil.ingest.limits import MAX_GZIP_MEMBERS, MAX_ZSTD_WINDOW_BYTES, Limits
from counterfoil.ingest.status import ExportError

_GZIP_WBITS: Final = 31
_ZLIB_WBITS: Final = 15
_RAW_WBITS: Final = -15
_ZSTD_STEP_BYTES: Final = 1024
_STEP_IN_BYTES: Final = 64 * 1024
_STEP_OUT_BYTES: Final = 256 * 1024
"""zlib gets its input and gives its output by steps; what it has not used of a step it copies."""


def parse_content_length(value: str | None) -> int | None:
    """Bytes that Content-Length announces, or None; the HTTP server has already refused what is no number."""
    return int(value) if value is not None and value.isascii() and value.isdigit() else None


def check_content_length(length: int | None, limits: Limits) -> None:
    """Refuse a body that says itself that it is too large, before it is read."""
    if length is not None and length > limits.body_bytes:
        raise too_large_as_sent(length, limits)


async def read_body(stream: AsyncIterator[bytes], limits: Limits, admit: Callable[[int], None]) -> bytes:
    """The body as sent. `admit(size so far)` may refuse more. Errors: 413 body_too_large, 503 body_timeout."""
    body = io.BytesIO()
    size = 0
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            async for chunk in stream:
                size += len(chunk)
                if size > limits.body_bytes:
                    raise too_large_as_sent(size, limits)
                admit(size)
                body.write(chunk)
    except TimeoutError:
        message = f"the body did not arrive within {limits.body_timeout_s:g} s ({size} bytes did)"
        raise ExportError(503, "body_timeout", message) from None
    return body.getvalue()


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


class LargerThanAsked(Exception):
    """The body is within the limits and larger than the caller has room for now."""


def inflate(body: bytes, coding: str, limits: Limits, room: int | None = None) -> bytes:
    """`body` without its coding. Errors: 413 body_too_large or ratio_too_high, 400 bad_compression.

    With `room`, LargerThanAsked where it has more bytes than that; no more of it is made then.
    """
    if coding == "identity":
        return body
    if not body:
        raise _bad(coding, "the body is empty")
    allowed = min(limits.inflated_bytes, limits.ratio * len(body))
    most = allowed if room is None else min(allowed, room)
    inflated = _INFLATE[coding](body, most)
    if len(inflated) <= most:
        return inflated
    if most < allowed:
        raise LargerThanAsked
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


def _inflate_gzip(body: bytes, most: int) -> bytes:
    """`most` bytes, or one more where there are more; as all three."""
    inflated = io.BytesIO()
    start = 0
    for _ in range(MAX_GZIP_MEMBERS):
        start = _decompress(zlib.decompressobj(_GZIP_WBITS), body, start, inflated, most + 1, "gzip")
        if inflated.tell() > most or start == len(body):
            return inflated.getvalue()
        if not body.startswith(b"\x1f\x8b", start):
            raise _bad("gzip", f"{len(body) - start} bytes follow the end of the stream")
    raise _bad("gzip", f"there are more than {MAX_GZIP_MEMBERS} members")


def _inflate_deflate(body: bytes, most: int) -> bytes:
    inflated = io.BytesIO()
    decompressor = zlib.decompressobj(_ZLIB_WBITS if _has_zlib_header(body) else _RAW_WBITS)
    end = _decompress(decompressor, body, 0, inflated, most + 1, "deflate")
    if inflated.tell() <= most and end < len(body):
        raise _bad("deflate", f"{len(body) - end} bytes follow the end of the stream")
    return inflated.getvalue()


def _has_zlib_header(body: bytes) -> bool:
    """RFC 1950, 2.2: method 8, and the first two bytes as a number are a multiple of 31.

    A stream of RFC 1951 does not begin so: it would be a stored block with a padding bit set, which no encoder writes.
    """
    return len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0


def _decompress(
    decompressor: zlib._Decompress, body: bytes, start: int, into: io.BytesIO, most: int, coding: str
) -> int:
    """Write the stream that begins at `start`, until `into` holds `most` bytes; where it ends in the body.

    A stream that ends too early, or is damaged, is an error.
    """
    left = b""
    try:
        while not decompressor.eof and into.tell() < most:
            step = left or body[start : start + _STEP_IN_BYTES]
            start += 0 if left else len(step)
            part = decompressor.decompress(step, min(_STEP_OUT_BYTES, most - into.tell()))
            left = decompressor.unconsumed_tail
            into.write(part)
            if not step and not part:
                raise _bad(coding, "the stream ends too early")
    except zlib.error as error:
        raise _bad(coding, str(error)) from None
    return start - len(decompressor.unused_data)


def _inflate_zstd(body: bytes, most: int) -> bytes:
    """Frames may follow each other (RFC 8878, 3.1), as gzip members may.

    The library has no bound on what one call returns, so the body goes in by small steps: a block is at least 4 bytes
    and at most 128 KiB, so a step returns 32 MiB at the very most.
    """
    inflated = io.BytesIO()
    decompressor = _zstd_frame()
    try:
        for start in range(0, len(body), _ZSTD_STEP_BYTES):
            step = body[start : start + _ZSTD_STEP_BYTES]
            while step:
                if decompressor.eof:
                    decompressor = _zstd_frame()
                inflated.write(decompressor.decompress(step))
                if inflated.tell() > most:
                    return inflated.getvalue()
                step = decompressor.unused_data if decompressor.eof else b""
    except zstandard.ZstdError as error:
        raise _bad("zstd", str(error)) from None
    if not decompressor.eof:
        raise _bad("zstd", "the stream ends too early")
    return inflated.getvalue()


def _zstd_frame() -> zstandard.ZstdDecompressionObj:
    return zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW_BYTES).decompressobj()


_INFLATE: Final[dict[str, Callable[[bytes, int], bytes]]] = {
    "gzip": _inflate_gzip,
    "deflate": _inflate_deflate,
    "zstd": _inflate_zstd,
}


def too_large_as_sent(size: int, limits: Limits) -> ExportError:
    """413 for a body of `size` bytes or more."""
    message = f"the body is {size} bytes or more as sent; at most {limits.body_bytes} are taken"
    return ExportError(413, "body_too_large", message, limit=f"body_bytes={limits.body_bytes}")


def _bad(coding: str, why: str) -> ExportError:
    return ExportError(400, "bad_compression", f"the body is not valid {coding}: {why}")
