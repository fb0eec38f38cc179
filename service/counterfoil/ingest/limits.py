"""Every limit of what comes in (RECORD 9), as named numbers that an operator may lower and not raise.

| what | limit | over it |
| --- | --- | --- |
| body as sent | 16 MiB | 413 |
| body after decompression (OTLP 1.11: MUST be limited there) | 64 MiB | 413 |
| decompressed : sent | 200 | 413 |
| one item (span, log record) of a body over 2 MiB, decompressed | 16 MiB | that item is refused |
| a body that cannot be cut into pieces: damaged or oddly built, or an audit batch | 4 MiB | 413 |
| resource and scope, counted once for each of their items | 64 MiB | 413 |
| gzip members in one body | 1,000 | 400 |
| values (spans, events, attributes, list elements) in one body | 500,000 | 413 |
| items (spans, log records) in one request | 10,000 | the rest refused item by item |
| seconds until a body is complete | 30 | 503 |
| bytes of bodies in memory, of them of one writer | 24 MiB, two thirds | 429 |
| items between decoding and commit | 50,000 | 429 |
| decompressed bytes being decoded and mapped | 16 MiB | they wait for their turn |
| gRPC calls under way | 1,024 | RESOURCE_EXHAUSTED |
| gRPC messages being read at once, of them of one writer | 4, 2 | they wait 5 s, then RESOURCE_EXHAUSTED |
| items named in the answer to a partial success | 20, then "and N more" | |
| characters of one reason | 300 | cut, with an ellipsis |

Twenty names of 512 and reasons of 300 characters keep an answer under 20 KiB, far below the 4 MiB that OTLP allows.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

MIB: Final = 1024 * 1024

MAX_BODY_BYTES: Final = 16 * MIB
MAX_INFLATED_BYTES: Final = 64 * MIB
MAX_RATIO: Final = 200
MAX_ITEM_BYTES: Final = 16 * MIB
MAX_UNCUT_BYTES: Final = 4 * MIB
"""Decoded and mapped, a body takes about thirteen times its bytes, so a large one is only taken piece by piece."""
MAX_REPEATED_BYTES: Final = 64 * MIB
"""Each record carries its resource and scope: one resource of 1 MiB over 10,000 small items would be 10 GiB."""
MAX_GZIP_MEMBERS: Final = 1_000
MAX_ZSTD_WINDOW_BYTES: Final = 8 * MIB
"""RFC 9659: a decoder of `Content-Encoding: zstd` needs no window above 8 MiB."""
MAX_VALUES: Final = 500_000
MAX_ITEMS: Final = 10_000
BODY_TIMEOUT_S: Final = 30.0
MAX_IN_FLIGHT_BYTES: Final = 24 * MIB
MAX_AT_WORK_BYTES: Final = 16 * MIB
MAX_IN_FLIGHT_ITEMS: Final = 50_000
MAX_CALLS: Final = 1_024
MAX_MESSAGES_READ: Final = 4
MAX_MESSAGES_READ_EACH: Final = 2
"""Of one writer. gRPC tells nobody how long a message will be, and the library holds about four times its size."""
READ_TURN_S: Final = 5.0
MAX_STATUS_BYTES: Final = 3_072
"""A Status in trailing metadata: clients take 8 KiB of metadata, and base64 adds a third."""
MAX_NAMED_ITEMS: Final = 20
MAX_ITEM_CHARS: Final = 512
MAX_REASON_CHARS: Final = 300
RETRY_AFTER_S: Final = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one service. A value above the default, or not positive, is an operator's mistake: ValueError."""

    body_bytes: int = MAX_BODY_BYTES
    inflated_bytes: int = MAX_INFLATED_BYTES
    ratio: int = MAX_RATIO
    values: int = MAX_VALUES
    items: int = MAX_ITEMS
    body_timeout_s: float = BODY_TIMEOUT_S
    in_flight_bytes: int = MAX_IN_FLIGHT_BYTES
    at_work_bytes: int = MAX_AT_WORK_BYTES
    in_flight_items: int = MAX_IN_FLIGHT_ITEMS

    def __post_init__(self) -> None:
        for field in fields(self):
            value, highest = getattr(self, field.name), field.default
            if not 0 < value <= highest:
                raise ValueError(f"limit {field.name} is {value}; it must be above 0 and at most {highest}")
