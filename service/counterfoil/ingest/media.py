"""Which of the two encodings of OTLP a request is in, read from Content-Type as a media type (RFC 9110, section 8.3).

    application/x-protobuf            application/json; charset=utf-8

Parameters are allowed and ignored (some exporters send a charset); case does not matter. Answers go out in the same
encoding; where a request named neither, errors go out as JSON, which a person can read.
"""

from __future__ import annotations

from enum import StrEnum


class Encoding(StrEnum):
    """An encoding of OTLP over HTTP; the value is its media type."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


_ENCODINGS = {encoding.value: encoding for encoding in Encoding}


def parse_content_type(value: str | None) -> Encoding | None:
    """The encoding that `value` (a Content-Type header) names, or None."""
    if value is None:
        return None
    return _ENCODINGS.get(value.partition(";")[0].strip().lower())
