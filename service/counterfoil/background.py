"""The child process of `serve` that keeps checkpoints and index, and notices producers that fall silent.

Ingest and these would otherwise share one interpreter lock. The child reads the ledger like anybody else, signs a
checkpoint a second, follows the log with the index, and notes in the log that a producer fell silent. It ends when its
pipe closes, so it never outlives a parent that was killed. An error of one log is said once a minute and tried again: a
rolled-back log must not keep the others from being signed.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from counterfoil.composition import Services, open_services
from counterfoil.core.errors import CounterfoilError, Fault
from counterfoil.settings import Settings
from counterfoil.store.directory import Directory

COMPLAIN_EVERY_S = 60.0
JANITOR_INTERVAL_S = 3600.0
SILENCE_INTERVAL_S = 1.0

_log = logging.getLogger("counterfoil.background")


class Repeated:
    """A thread that does `work` until `stopping`, waiting `interval_s` after each round that found nothing.

    One round comes after the stop: what was acknowledged last is signed and indexed before the process ends.
    """

    def __init__(self, name: str, work: Callable[[], int], interval_s: float, stopping: threading.Event) -> None:
        self._work = work
        self._interval_s = interval_s
        self._stopping = stopping
        self._complained: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        last = False
        while not last:
            last = self._stopping.is_set()
            try:
                found = self._work()
            except CounterfoilError as error:
                self._complain(str(error))
                found = 0
            except Exception:  # noqa: BLE001 - the outermost edge of a round: said, and tried again
                _log.exception("%s failed", self._thread.name)
                found = 0
            if not found:
                self._stopping.wait(self._interval_s)

    def _complain(self, message: str) -> None:
        now = time.monotonic()
        if now - self._complained.get(message, -COMPLAIN_EVERY_S) >= COMPLAIN_EVERY_S:
            self._complained = {message: now}
            _log.error("%s: %s", self._thread.name, message)


def run(
    services: Services, *, checkpoint_interval_s: float, project_interval_s: float, stopping: threading.Event
) -> None:
    """Keep checkpoints and index until `stopping`."""
    checkpointer, projector, watcher = services.checkpointer(), services.projector(), services.silence_watcher()

    def checkpoint() -> int:
        """One round over all logs; a log that fails is named and does not stop the others."""
        failed = checkpointer.run_all()
        if failed:
            raise Fault("; ".join(str(error) for error in failed.values()))
        return 0

    def clean_up() -> int:
        """Destroy the arrival keys whose retry window has ended (RECORD 8)."""
        services.logs.keystore.destroy_arrival_keys(services.logs.clock.now_us())
        return 0

    def watch() -> int:
        """Notes of silence, while there is somebody left to sign and index them."""
        if not stopping.is_set():
            watcher.run_once()
        return 0

    workers = (
        Repeated("janitor", clean_up, JANITOR_INTERVAL_S, stopping),
        Repeated("checkpoints", checkpoint, checkpoint_interval_s, stopping),
        Repeated("index", projector.run_once, project_interval_s, stopping),
        Repeated("silence", watch, SILENCE_INTERVAL_S, stopping),
    )
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def main(directory: Directory, settings: Settings, pipe: int) -> int:
    """Wait for the parent's word on `pipe`, work until it is closed; the exit status."""
    if not os.read(pipe, 16):
        return 0  # the parent could not start
    stopping = threading.Event()

    def wait_for_parent() -> None:
        os.read(pipe, 1)
        stopping.set()

    threading.Thread(target=wait_for_parent, name="parent", daemon=True).start()
    try:
        services = open_services(directory, listening=True)
        try:
            run(
                services,
                checkpoint_interval_s=settings.checkpoint_interval_s,
                project_interval_s=settings.project_interval_s,
                stopping=stopping,
            )
        finally:
            services.close()
    except Exception:  # noqa: BLE001 - the outermost edge of this process; readiness says that it ended, this why
        _log.exception("the background process failed")
        return 1
    return 0
