"""One export request as its transports see it: who calls, what is on its way to the disk, what is answered."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from counterfoil.ingest.media import Encoding
from counterfoil.ingest.signal import Signal
from counterfoil.log.batch import Appended
from counterfoil.mapping.draft import Item, Refused

PROMISE: Final = "counterfoil-promise"
HEARTBEAT: Final = "counterfoil-heartbeat"
DEFAULT_HEARTBEAT_S: Final = 60


@dataclass(frozen=True, slots=True)
class Call:
    """Who sends what to which log. `encoding` is None where Content-Type names none that OTLP has."""

    signal: Signal
    encoding: Encoding | None
    log_id: int
    writer: str
    receipts: Encoding | None = None
    """What the receipts of audit records are wanted in, where it is not `encoding`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A 200: its body in the encoding of the request, and the promise (a signed note) where something was appended."""

    encoding: Encoding
    body: bytes
    promise: bytes | None
    heartbeat_s: int
    """How often a producer shall say that it is alive (RECORD 7)."""

    @property
    def metadata(self) -> dict[str, str]:
        """What goes beside the body: headers over HTTP, trailing metadata over gRPC."""
        beside = {HEARTBEAT: str(self.heartbeat_s)}
        if self.promise is not None:
            beside[PROMISE] = base64.b64encode(self.promise).decode("ascii")
        return beside


@dataclass(slots=True)
class Pending:
    """A request, or a piece of one, on its way to the disk: what was handed to the log, and what was not."""

    appended: Future[Appended] | None
    ids: Sequence[tuple[bytes, bytes]]
    """Trace and span id of every item handed over; the items themselves are dropped while the disk works."""
    refused: list[Refused]
    recorded: Item | None
    """The refusal record in the same batch, behind the items."""
    total: int
    """Items of the request."""
    promises: list[bytes] = field(default_factory=list)
    """What was promised for the pieces that are on disk already."""
