"""The answer to a request that was taken: `Export<Signal>ServiceResponse`, in the encoding of the request.

All kept: partial_success unset (OTLP 1.11: MUST be), so the body is empty or `{}`. Some refused for good: their number
and an itemised message. Nothing refused but something to say (metrics are not kept): a warning, number 0 and a message.
Partial success is never used for what could be tried again, because clients do not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from counterfoil.ingest.limits import MAX_ITEM_CHARS, MAX_NAMED_ITEMS, MAX_REASON_CHARS
from counterfoil.ingest.media import Encoding
from counterfoil.ingest.signal import SHAPES, Signal
from counterfoil.ingest.status import shorten
from counterfoil.mapping.draft import Refused

METRICS_WARNING = "metrics are accepted and not kept: this service records traces and logs"


def format_response(signal: Signal, encoding: Encoding, rejected: int = 0, message: str = "") -> bytes:
    """The body of a 200: `rejected` items were refused for good; `message` says which and why, or warns."""
    shape = SHAPES[signal]
    if encoding is Encoding.JSON:
        if not message:
            return b"{}"
        # Protobuf's JSON form: a 64-bit integer is a string, and a zero is left out.
        counted = {shape.rejected_json: str(rejected)} if rejected else {}
        return json.dumps({"partialSuccess": {**counted, "errorMessage": message}}, ensure_ascii=False).encode()
    response = shape.response()
    if message:
        setattr(response.partial_success, shape.rejected, rejected)
        response.partial_success.error_message = message
    return response.SerializeToString()


def describe_refusals(signal: Signal, refused: Sequence[Refused], total: int) -> str:
    """The message of a partial success: the first items with their reasons, then how many more there are."""
    named = "; ".join(
        f"{shorten(one.item, MAX_ITEM_CHARS)}: {one.code}: {shorten(one.message, MAX_REASON_CHARS)}"
        for one in refused[:MAX_NAMED_ITEMS]
    )
    more = len(refused) - MAX_NAMED_ITEMS
    tail = f"; and {more} more" if more > 0 else ""
    return f"{len(refused)} of {total} {SHAPES[signal].plural} refused for good, not to be sent again: {named}{tail}"
