"""What dead processes left in the spool: sent under their own producer and numbers, oldest first.

One parcel at a time, in turn with our own. What is damaged, too old, or refused is declared lost for its producer, by a
record without a number: which number would be the dead producer's next, nobody knows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from typing import Any, Final

from counterfoil.sdk import encode, producer
from counterfoil.sdk.complaints import complaints
from counterfoil.sdk.connection import Connection
from counterfoil.sdk.delivery import Later, Refused, Taken, deliver
from counterfoil.sdk.outbox import Loss
from counterfoil.sdk.parcel import Parcel
from counterfoil.sdk.record import Numbered
from counterfoil.sdk.settings import Settings
from counterfoil.sdk.spool import Damaged, Spool

UNNUMBERED: Final = -1


class Inheritance:
    """The parcels of producers that are gone. Used by the courier."""

    def __init__(self, spool: Spool, connection: Connection, settings: Settings, resource: Mapping[str, Any]) -> None:
        self._spool = spool
        self._connection = connection
        self._settings = settings
        self._resource = resource
        self._parcels = _all(spool)
        self._current: Parcel | None = None
        self.done = False
        """Nothing is left."""

    def send_next(self) -> Later | None:
        """Settle one parcel; Later where the service does not take it now."""
        parcel = self._current or next(self._parcels, None)
        if parcel is None:
            self.done = True
            return None
        self._current = parcel
        try:
            outcome, reason = self._send(parcel)
        except OSError as error:
            complaints.note("unreadable", f"a spooled file cannot be read, and stays: {error.strerror}")
            self._current = None
            return None
        if isinstance(outcome, Later):
            return outcome
        if later := self._declare(parcel, _losses(parcel, outcome, reason)):
            return later
        if reason == "damaged":
            self._spool.set_aside(parcel)
        self._spool.drop(parcel)
        self._current = None
        return None

    def close(self) -> None:
        """Let go of the folder that is being read."""
        with contextlib.suppress(ValueError):  # the courier is in it, and ends with the process
            self._parcels.close()

    def _send(self, parcel: Parcel) -> tuple[Taken | Later | Refused, str]:
        """What became of a parcel, and the reason where it is lost."""
        if self._spool.is_old(parcel):
            return Refused("too_old"), "too_old"
        try:
            body = self._spool.load(parcel)
        except Damaged as error:
            complaints.note("damaged", f"a spooled file is set aside: {error}")
            return Refused("damaged"), "damaged"
        return deliver(self._connection, self._settings.destination, body, parcel.count), "refused"

    def _declare(self, parcel: Parcel, losses: list[Loss]) -> Later | None:
        if not losses:
            return None
        complaints.note("lost", f"records of an earlier process are lost: {losses[0].reason}", count=len(losses))
        request = encode.Request({**self._resource, "counterfoil.producer.id": parcel.producer})
        for loss in losses:
            request.add(Numbered(UNNUMBERED, producer.lost(self._settings, loss)), self._settings.capture)
        outcome = deliver(self._connection, self._settings.destination, request.serialise(), len(losses))
        return outcome if isinstance(outcome, Later) else None


def _losses(parcel: Parcel, outcome: Taken | Refused, reason: str) -> list[Loss]:
    if isinstance(outcome, Refused):
        return [Loss(parcel.first, parcel.last, reason)]
    numbers = (parcel.first + position for position in sorted(outcome.refused))
    return [Loss(number, number, reason) for number in numbers]


def _all(spool: Spool) -> Generator[Parcel, None, None]:
    for _, parcels in spool.orphans():
        yield from parcels
