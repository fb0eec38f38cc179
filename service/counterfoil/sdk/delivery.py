"""One parcel to the service, by OTLP's rules (specification 1.11, "OTLP/HTTP Response").

- 200: on disk. `partialSuccess` with rejected events: those are refused for good. Which ones is found by the message
  where it names them, else by sending halves: the service recognises what it has (RECORD 8).
- 429, 502, 503, 504, and no answer: the same again later, not before Retry-After.
- 413: too large together: halves. Any other status: refused for good, not to be sent again.

The answer's `counterfoil-promise` (RECORD 6) is checked before anybody is told that a record is durable;
`counterfoil-heartbeat` is the cadence that the service wants.
"""

from __future__ import annotations

import gzip
import math
import re
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from counterfoil.sdk import encode
from counterfoil.sdk.complaints import complaints
from counterfoil.sdk.connection import Answer, Connection, Unreachable
from counterfoil.sdk.destination import Destination

RETRYABLE: Final = frozenset({429, 502, 503, 504})
MAX_RETRY_AFTER_S: Final = 3_600.0
MAX_HEARTBEAT_S: Final = 86_400
_NAMED = re.compile(r"logRecords\[([0-9]{1,5})\]")


@dataclass(frozen=True, slots=True)
class Taken:
    """The service has it, but for `refused` (positions in the request)."""

    promises: tuple[tuple[int, str], ...]
    """(events, header as it came) of each request that it was sent in, in order; empty without one."""
    refused: frozenset[int]
    heartbeat_s: int | None

    def promise_of(self, position: int) -> str:
        """The header that came for the event at `position`: each half of a request has a promise of its own."""
        for count, header in self.promises:
            if position < count:
                return header
            position -= count
        return ""


@dataclass(frozen=True, slots=True)
class Later:
    """To be sent again; `wait_s` where the service said when."""

    reason: str
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Never to be sent again."""

    reason: str


def deliver(connection: Connection, destination: Destination, body: bytes, count: int) -> Taken | Later | Refused:
    """Send a request of `count` events."""
    try:
        answer = _post(connection, destination, body)
    except Unreachable as error:
        return Later(str(error))
    if answer.status == 200:
        return _taken(connection, destination, body, count, answer)
    if answer.status in RETRYABLE:
        return Later(f"status {answer.status}", retry_after_s(answer.headers))
    if answer.status == 413 and count > 1:
        return _halves(connection, destination, body, count)
    return Refused(f"status {answer.status}")


def _post(connection: Connection, destination: Destination, body: bytes) -> Answer:
    headers = {"Content-Type": "application/x-protobuf", "User-Agent": f"counterfoil-sdk/{encode.sdk_version()}"}
    if destination.compression == "gzip":
        body = gzip.compress(body, 6, mtime=0)
        headers["Content-Encoding"] = "gzip"
    elif destination.compression == "deflate":
        body = zlib.compress(body)
        headers["Content-Encoding"] = "deflate"
    path = destination.url.path + (f"?{destination.url.query}" if destination.url.query else "")
    return connection.request("POST", path, body, headers, destination.timeout_s)


def _taken(
    connection: Connection, destination: Destination, body: bytes, count: int, answer: Answer
) -> Taken | Later | Refused:
    promise, heartbeat_s = answer.headers.get("counterfoil-promise", ""), _heartbeat_s(answer.headers)
    partial = ExportLogsServiceResponse()
    if answer.headers.get("content-type", "").partition(";")[0].strip() == "application/x-protobuf":
        try:
            partial = ExportLogsServiceResponse.FromString(answer.body)
        except DecodeError:
            complaints.note("bad_answer", "an answer of 200 is no ExportLogsServiceResponse")
    rejected = min(max(partial.partial_success.rejected_log_records, 0), count)
    if not rejected:
        return Taken(((count, promise),), frozenset(), heartbeat_s)
    complaints.note("refused", "the service refused events for good (partial success)", count=rejected)
    named = frozenset(int(found) for found in _NAMED.findall(partial.partial_success.error_message))
    if rejected == count:
        return Taken(((count, ""),), frozenset(range(count)), heartbeat_s)
    if len(named) == rejected and max(named) < count:
        return Taken(((count, promise),), named, heartbeat_s)
    return _halves(connection, destination, body, count)


def _halves(connection: Connection, destination: Destination, body: bytes, count: int) -> Taken | Later | Refused:
    """Both halves; positions in the second follow those of the first."""
    refused: set[int] = set()
    promises: list[tuple[int, str]] = []
    heartbeat_s, offset = None, 0
    for half, size in zip(encode.split(body), (count // 2, count - count // 2), strict=True):
        outcome = deliver(connection, destination, half, size)
        if isinstance(outcome, Later):
            return outcome
        if isinstance(outcome, Refused):
            refused.update(range(offset, offset + size))
            promises.append((size, ""))
        else:
            refused.update(offset + position for position in outcome.refused)
            promises += outcome.promises
            heartbeat_s = outcome.heartbeat_s or heartbeat_s
        offset += size
    return Taken(tuple(promises), frozenset(refused), heartbeat_s)


def _heartbeat_s(headers: Mapping[str, str]) -> int | None:
    text = headers.get("counterfoil-heartbeat", "")
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_HEARTBEAT_S))):
        return None
    return int(text) if 1 <= int(text) <= MAX_HEARTBEAT_S else None


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Retry-After (RFC 9110 section 10.2.3), at most an hour; None where there is none that can be read."""
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S) if math.isfinite(seconds) else None
