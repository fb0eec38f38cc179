"""The body of one request as it was sent, whatever brought it: its bytes, their coding, its size and digest."""

from __future__ import annotations

import hashlib
from typing import Final

from counterfoil.ingest.body import inflate
from counterfoil.ingest.limits import Limits
from counterfoil.ingest.turns import weight_of


class Sent:
    """A body as sent. Large ones are let go of once they are inflated; size and digest stay."""

    __slots__ = ("_body", "_coding", "_digest", "size")

    def __init__(self, body: bytes, coding: str = "identity") -> None:
        self._body = body
        self._coding = coding
        self._digest: bytes | None = None
        self.size = len(body)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the body as sent: it tells a request that is sent again. Empty where it was forgotten."""
        if self._digest is None:
            self._digest = hashlib.sha256(self._body).digest()
        return self._digest

    def weight(self, limits: Limits) -> int:
        """Bytes of the body once it is inflated, as far as one can tell without doing it."""
        return weight_of(self._body, self._coding, limits)

    def inflated(self, limits: Limits, room: int | None = None) -> bytes:
        """The body without its coding, up to `room` bytes. Errors: those of `inflate`."""
        return inflate(self._body, self._coding, limits, room)

    def forget(self) -> None:
        """Drop the bytes; the digest stays only where it was asked for, because it costs as much as inflating."""
        self._digest = self._digest or b""
        self._body = b""

    def release(self) -> None:
        """Keep size and digest, drop the bytes."""
        self._digest = self.digest
        self._body = b""


NOTHING_SENT: Final = Sent(b"")
"""What is known of a request that was refused before its body was there."""
