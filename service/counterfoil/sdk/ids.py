"""Random ids: unique, not secret, and cheap."""

from __future__ import annotations

import random
from typing import Final

_VERSION_4 = 0x4 << 76 | 0x2 << 62
_FREE = ~(0xF << 76 | 0x3 << 62)
_random: Final = random.Random()
"""Seeded by the system; a child after fork must seed it again."""


def new_id() -> str:
    """A random UUID (RFC 9562, version 4), which a leaf takes as a token."""
    text = f"{_random.getrandbits(128) & _FREE | _VERSION_4:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def new_trace_id() -> int:
    """A random trace id, not zero."""
    return _random.getrandbits(128) | 1


def renew() -> None:
    """In a child after fork: ids of its own."""
    _random.seed()
