"""What a producer says of itself (RECORD 7): start, heartbeat, loss, end.

A producer is one process after `configure`, and each child of a fork: an id of its own, numbers from 0. `start` carries
the declared coverage as content (what the SDK is, what it covers, what it captures) and its digest in the leaf; a
random salt in it keeps the digest from being guessed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from typing import Any

from counterfoil.sdk.encode import SCOPE, sdk_version
from counterfoil.sdk.outbox import Loss
from counterfoil.sdk.record import Fact, Record
from counterfoil.sdk.settings import Settings

DEFAULT_HEARTBEAT_S = 60
_LETTERS = str.maketrans("0123456789", "ghijklmnop")


def new_producer_id() -> str:
    """A random token of 128 bits; letters only, so no run of digits keeps it from the leaf."""
    return f"py-{os.urandom(16).hex().translate(_LETTERS)}"


def coverage_text(settings: Settings) -> str:
    """The declared coverage as JSON, salted."""
    capture = settings.capture
    said: dict[str, Any] = {
        "sdk": SCOPE,
        "version": sdk_version(),
        "covers": settings.coverage or "every counterfoil event of this process",
        "captures": sorted(capture.fields),
        "redacts": [*capture.rules, *(getattr(function, "__qualname__", "function") for function in capture.functions)],
        "salt": base64.b64encode(os.urandom(16)).decode("ascii"),
    }
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def started(settings: Settings) -> Record:
    """The producer begins."""
    text = coverage_text(settings)
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()).decode("ascii")
    return _event("start", settings, {"coverage": digest}, {"counterfoil.producer.covers": text})


def heartbeat(settings: Settings) -> Record:
    """The producer is alive."""
    return _event("heartbeat", settings, {})


def lost(settings: Settings, loss: Loss) -> Record:
    """Numbers that will not come."""
    count = loss.last - loss.first + 1
    return _event("loss", settings, {"from": loss.first, "to": loss.last, "count": count, "reason": loss.reason})


def ended(settings: Settings, last: int) -> Record:
    """The producer is closed; `last` is this record's own number."""
    return _event("end", settings, {"last": last})


def _event(name: str, settings: Settings, facts: dict[str, Fact], more: dict[str, Fact] | None = None) -> Record:
    return Record(
        "producer", time.time_ns(), 0, 0, 0, settings.agent, {"event": name, **facts}, {}, {}, more or {}, 200
    )
