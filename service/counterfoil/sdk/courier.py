"""The courier: one thread that takes parcels to the service, one after the other, and tells what became of them.

A parcel is settled when the service has it, or when it is lost and its numbers are to be declared; until then it is put
back and sent again, later and later. Parcels that dead processes left take turns with our own.
"""

from __future__ import annotations

import random
from typing import Final

from counterfoil.sdk import producer
from counterfoil.sdk.backlog import Backlog
from counterfoil.sdk.complaints import complaints, describe
from counterfoil.sdk.connection import Connection
from counterfoil.sdk.delivery import Later, Refused, Taken, deliver
from counterfoil.sdk.inheritance import Inheritance
from counterfoil.sdk.not_recorded import NotRecorded
from counterfoil.sdk.outbox import DECLARED_AGAIN, Outbox
from counterfoil.sdk.parcel import Parcel
from counterfoil.sdk.promises import read_promise
from counterfoil.sdk.settings import Settings
from counterfoil.sdk.spool import Damaged, Spool

FIRST_BACKOFF_S: Final = 0.5
MAX_BACKOFF_S: Final = 30.0
IDLE_S: Final = 3_600.0


class Courier:
    """Sends what is in the backlog."""

    def __init__(self, backlog: Backlog, outbox: Outbox, connection: Connection, settings: Settings) -> None:
        self._backlog = backlog
        self._outbox = outbox
        self._connection = connection
        self._settings = settings
        self._failures = 0
        self.spool: Spool | None = None
        self.inheritance: Inheritance | None = None
        self.heartbeat_s = producer.DEFAULT_HEARTBEAT_S
        """The cadence that the service wants."""
        self.delivered = 0
        """Records that the service has."""

    def run(self) -> None:
        """Until the backlog is stopped."""
        complaints.never_raise_here()
        while not self._backlog.is_stopped():
            try:
                parcel = self._backlog.next(IDLE_S if self.inheritance is None else self._backlog.held_s())
                if parcel is not None:
                    self._carry(parcel)
                # Ours and those of the dead take turns, so that neither waits for all of the other.
                if self.inheritance is not None and not self._backlog.is_held() and not self._backlog.is_stopped():
                    later = self.inheritance.send_next()
                    if later is not None:
                        self._wait(later)
                    elif self.inheritance.done:
                        self.inheritance = None
            except Exception as error:  # noqa: BLE001 - the outermost edge of the thread: it must outlive any fault
                complaints.note("courier", describe(error))
                self._backlog.put_back()
                self._backlog.hold(MAX_BACKOFF_S, firm=False)
        self._connection.close()

    def _carry(self, parcel: Parcel) -> None:
        """One parcel of our own: settled, or put back for later."""
        try:
            body = self._body(parcel)
        except Damaged as error:
            complaints.note("damaged", f"a spooled file is set aside: {error}")
            self._lose(parcel, "damaged")
            return
        except OSError as error:
            complaints.note("unreadable", f"a spooled file cannot be read: {error.strerror}")
            self._lose(parcel, "unreadable")
            return
        outcome = deliver(self._connection, self._settings.destination, body, parcel.count)
        if isinstance(outcome, Later):
            self._wait(outcome)
            self._backlog.put_back()
            self._outbox.poke()  # so that it goes to the spool now
        elif isinstance(outcome, Refused):
            complaints.note("refused", f"the service refuses records: {outcome.reason}", subject=outcome.reason)
            self._hold(None)
            self._lose(parcel, "refused", f"the service refused it: {outcome.reason}")
        else:
            self._taken(parcel, outcome)

    def _body(self, parcel: Parcel) -> bytes:
        if self.spool is not None:
            return self.spool.load(parcel)
        if parcel.body is None:
            raise Damaged("it was never written")
        return parcel.body

    def _wait(self, outcome: Later) -> None:
        complaints.note("away", f"records are not taken now ({outcome.reason}); they are kept and sent again")
        self._hold(outcome.wait_s)

    def _hold(self, wait_s: float | None) -> None:
        """Nothing is sent for a while: as long as the service said, else twice as long as before, with jitter."""
        backoff = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2 ** min(self._failures, 10)) * random.uniform(0.5, 1.0)
        self._failures += 1
        self._backlog.hold(backoff if wait_s is None else wait_s, firm=wait_s is not None)

    def _taken(self, parcel: Parcel, outcome: Taken) -> None:
        self._failures = 0
        if outcome.heartbeat_s is not None and outcome.heartbeat_s != self.heartbeat_s:
            self.heartbeat_s = outcome.heartbeat_s
            self._outbox.poke()
        refused = {parcel.first + position for position in outcome.refused}
        for n in sorted(refused):
            self._outbox.lose(n, n, "refused")
        for n, first, last in parcel.declares:
            if n in refused:
                self._outbox.lose(first, last, DECLARED_AGAIN)
        self._promise(parcel, outcome)
        self.delivered += parcel.count - len(refused)
        self._settle(parcel)

    def _promise(self, parcel: Parcel, outcome: Taken) -> None:
        """Tell those who wait, each by its own number."""
        for n, waiter in parcel.waiters:
            position = n - parcel.first
            if waiter.done():
                continue  # shut down meanwhile
            if position in outcome.refused:
                waiter.set_exception(NotRecorded("the service refused the record"))
                continue
            try:
                waiter.set_result(read_promise(outcome.promise_of(position), self._settings.keys))
            except NotRecorded as error:
                complaints.note("bad_promise", error.reason)
                waiter.set_exception(error)
        parcel.waiters.clear()

    def _lose(self, parcel: Parcel, reason: str, said: str = "it was lost") -> None:
        self._outbox.lose(parcel.first, parcel.last, reason)
        for _, first, last in parcel.declares:
            self._outbox.lose(first, last, DECLARED_AGAIN)
        parcel.failed(said)
        if reason == "damaged" and self.spool is not None:
            self.spool.set_aside(parcel)
        self._settle(parcel)

    def _settle(self, parcel: Parcel) -> None:
        if self.spool is not None:
            self.spool.drop(parcel)
        self._backlog.done()
        self._outbox.settle(parcel.first, parcel.last)
