"""From the host's threads to the service: a queue, and two threads in the background.

    host threads --put--> outbox --packer--> backlog (memory, spool) --courier--> service

The packer takes batches from the outbox, redacts and encodes them, and keeps the producer alive (start, heartbeat,
declared losses). A parcel that the courier cannot take at once is written to the spool, and so is one that hangs for a
second; from then on it survives SIGKILL. The courier does nothing but send, so a service that hangs delays no packing.
Without a spool parcels wait in memory up to a bound, then the queue fills, then new records are dropped and declared.

Threads are daemons and start with `start`; in a child after fork with its first record. `stop` is bounded.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Final

from counterfoil.sdk import encode, producer
from counterfoil.sdk.backlog import Backlog
from counterfoil.sdk.capture import UNAVAILABLE
from counterfoil.sdk.complaints import complaints, describe
from counterfoil.sdk.connection import Connection
from counterfoil.sdk.courier import Courier
from counterfoil.sdk.inheritance import Inheritance
from counterfoil.sdk.outbox import Outbox
from counterfoil.sdk.parcel import Parcel
from counterfoil.sdk.promises import fetch_receipts
from counterfoil.sdk.record import Delivered, Numbered, Record
from counterfoil.sdk.settings import Settings
from counterfoil.sdk.spool import Spool, SpoolFull

PERSIST_AFTER_S: Final = 1.0
IDLE_S: Final = 3_600.0
POLITE_RECORDS, POLITE_S = 4, 0.0001
"""The packer lets the interpreter lock go after so many records: the host never waits for a whole batch."""


class Pipeline:
    """The way of one producer's records to the service."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.capture = settings.capture
        self.agent = settings.agent
        self.producer_id = producer.new_producer_id()
        self._outbox = Outbox(settings.queue_items, settings.queue_bytes, settings.batch_items)
        self._backlog = Backlog()
        self._connection = Connection(settings.destination)
        self._watched: list[Connection] = [self._connection]
        self._resource = {**settings.resource, "counterfoil.producer.id": self.producer_id}
        self._courier = Courier(self._backlog, self._outbox, self._connection, settings)
        self._spool: Spool | None = None
        self._threads: list[threading.Thread] = []
        self._starting = threading.RLock()  # a signal handler may record while we start
        self._begun = False
        self._stopped = False

    # -- the host's side ---------------------------------------------------------------------------------------------

    def put(self, record: Record, waiter: Delivered | None = None) -> None:
        """Take a record; returns at once."""
        if not self._begun:
            self.start()
        if self._outbox.put(record, waiter) < 0:
            complaints.add("shut_down", "recorded after shutdown: nothing is kept")

    def start(self) -> None:
        """Open the producer and start both threads, once."""
        with self._starting:
            if self._begun or self._stopped:
                return
            self._begun = True
            self._outbox.put(producer.started(self.settings), room=True)
            self._threads = [
                threading.Thread(target=run, name=f"counterfoil-{name}", daemon=True)
                for name, run in (("packer", self._pack_all), ("courier", self._courier.run))
            ]
            _stop_with_multiprocessing(self)
            try:
                for thread in self._threads:
                    thread.start()
            except RuntimeError as error:
                # The interpreter is ending: what is recorded now goes to the spool, if there is one.
                complaints.note("no_threads", f"nothing can be sent: {error}")

    def flush(self, timeout_s: float) -> bool:
        """Wait until nothing taken so far is under way any more. True: the service has all of it, nothing is lost."""
        target = self._outbox.next_number
        self._outbox.poke()
        self._backlog.hurry()
        return self._outbox.wait_settled(target, timeout_s) and not self._outbox.lost()

    def stop(self, timeout_s: float) -> bool:
        """Close the producer: send what is left until time is up, spool the rest. True: all of it is acknowledged."""
        with self._starting:
            if self._stopped:
                return True
            self._stopped = True
        if not self._begun:
            return True  # never started: nothing was ever taken
        end = time.monotonic() + timeout_s
        self._outbox.declare(lambda loss: producer.lost(self.settings, loss))
        target = self._outbox.close(lambda n: producer.ended(self.settings, n))
        self._backlog.hurry()
        done = self._outbox.wait_settled(target, timeout_s)
        self._backlog.stop()
        self._outbox.poke()
        if not done:
            self._connection.abort()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.05, end - time.monotonic()))
        self._leave()
        return done and not self._outbox.lost()

    def status(self) -> dict[str, int]:
        """Numbers of this producer."""
        return {
            "produced": self._outbox.next_number,
            "delivered": self._courier.delivered,
            "waiting": sum(parcel.count for parcel in self._backlog.parcels()) + self._outbox.queued(),
            "lost": self._outbox.lost(),
        }

    def receipts(self, promise: bytes, trace_id: int, span_id: int, deadline: float) -> list[bytes]:
        """Ask the service, on a connection of the caller's own; cut off by the clock as the courier's is."""
        made = Connection(self.settings.destination)
        self._watched.append(made)
        self._outbox.poke()  # so that the packer looks at the clock
        ids = (f"{trace_id:032x}", f"{span_id:016x}" if span_id else "")
        try:
            return fetch_receipts(made, self.settings.destination, self.settings.keys, promise, *ids, deadline)
        finally:
            self._watched.remove(made)
            made.close()

    def renewed(self) -> Pipeline:
        """In a child after fork: another producer with the same settings; what is queued here is the parent's."""
        if self._spool is not None:
            self._spool.forget()
        child = Pipeline(self.settings)
        child._stopped = self._stopped
        return child

    # -- packing -----------------------------------------------------------------------------------------------------

    def _pack_all(self) -> None:
        complaints.never_raise_here()
        self._open_spool()
        beat_at = time.monotonic() + self._courier.heartbeat_s
        while not self._backlog.is_stopped():
            try:
                busy = not self._backlog.is_empty() or len(self._watched) > 1
                idle_s = max(0.0, min(beat_at - time.monotonic(), PERSIST_AFTER_S if busy else IDLE_S))
                if self._may_take():
                    self._outbox.wait(idle_s, PERSIST_AFTER_S if self._backlog.is_held() else self.settings.delay_s)
                else:
                    time.sleep(self.settings.delay_s)
                beat_at = min(beat_at, time.monotonic() + self._courier.heartbeat_s)
                if time.monotonic() >= beat_at and self._may_take() and not self._stopped:
                    self._outbox.put(producer.heartbeat(self.settings), room=True)
                    beat_at = time.monotonic() + self._courier.heartbeat_s
                self._pack_some()
                for watched in list(self._watched):
                    watched.cut_if_overdue()
            except Exception as error:  # noqa: BLE001 - the outermost edge of the thread: it must outlive any fault
                complaints.note("packer", describe(error))
                time.sleep(PERSIST_AFTER_S)

    def _pack_some(self) -> None:
        """Batches to parcels; parcels that wait, to the spool."""
        if self._may_take():
            self._outbox.declare(lambda loss: producer.lost(self.settings, loss))
        while self._may_take() and (batch := self._outbox.take(self.settings.batch_bytes)):
            parcel = self._packed(batch)
            if self._backlog.is_held() or not self._backlog.is_empty():
                self._save(parcel)
            self._backlog.add(parcel)
        for parcel in self._backlog.in_memory():
            if time.monotonic() - parcel.made_at >= PERSIST_AFTER_S:
                self._save(parcel)

    def _packed(self, batch: list[Numbered]) -> Parcel:
        return Parcel(
            self.producer_id,
            batch[0].n,
            batch[-1].n,
            self._encoded(batch),
            [(item.n, item.waiter) for item in batch if item.waiter is not None],
            [(item.n, *item.declares) for item in batch if item.declares is not None],
        )

    def _may_take(self) -> bool:
        return self._backlog.memory_bytes() < self.settings.memory_bytes

    def _encoded(self, batch: list[Numbered]) -> bytes:
        request = encode.Request(self._resource)
        for number, item in enumerate(batch, start=1):
            if number % POLITE_RECORDS == 0:
                time.sleep(POLITE_S)
            try:
                request.add(item, self.capture)
            except Exception as error:  # noqa: BLE001 - one record that cannot be encoded must not take the batch along
                complaints.note("not_encoded", f"a record is sent without content: {describe(error)}")
                record = item.record
                bare = record._replace(fields={}, facts={}, more={}, absent=dict.fromkeys(record.fields, UNAVAILABLE))
                request.add(item._replace(record=bare), self.capture)
        return request.serialise()

    def _open_spool(self) -> None:
        """In the background, since it reads folders; before anything is packed."""
        settings = self.settings
        with self._starting:  # the thread that stops us may want it too, and there is one lock on disk
            if settings.spool_root is None or self._spool is not None:
                return
            try:
                spool = Spool(settings.spool_root, self.producer_id, settings.spool_bytes, settings.spool_age_s)
            except OSError as error:
                complaints.note("no_spool", f"nothing is spooled: {type(error).__name__}: {error.strerror or error}")
                return
            self._spool = self._courier.spool = spool
            self._courier.inheritance = Inheritance(spool, self._connection, settings, self._resource)

    def _save(self, parcel: Parcel) -> None:
        if self._spool is None:
            return
        try:
            self._spool.save(parcel)
        except SpoolFull as error:
            complaints.note("spool_full", f"the spool is full ({error}): records wait in memory")
        except OSError as error:
            complaints.note("spool", f"the spool cannot be written: {error.strerror}", subject=str(error.errno))

    # -- the end -------------------------------------------------------------------------------------------------------

    def _leave(self) -> None:
        """What is not acknowledged goes to the spool for the next process; without one it is lost, and counted."""
        self._open_spool()  # where no thread could be started
        while batch := self._outbox.take(self.settings.batch_bytes):
            self._backlog.add(self._packed(batch))
        lost = 0
        for parcel in self._backlog.parcels():
            self._save(parcel)
            parcel.failed("the SDK is shut down")
            if parcel.path is None and not parcel.settled:
                lost += parcel.count
        if lost:
            complaints.note("lost_at_shutdown", f"{lost} records were neither acknowledged nor spooled", count=lost)
        if self._courier.inheritance is not None:
            self._courier.inheritance.close()
        if self._spool is not None:
            self._spool.close()


def _stop_with_multiprocessing(pipeline: Pipeline) -> None:
    """Children of `multiprocessing` end without `atexit`; they run its own finalizers, so be one of those."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, pipeline.stop, [pipeline.settings.shutdown_timeout_s], exitpriority=1)
