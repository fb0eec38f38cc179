"""`serve`: one process that answers, one child that keeps checkpoints and index.

Order of the start: fork the child (before there are threads or open stores), take the directory's lock, let the child
begin, listen, say so. Order of the stop (SIGTERM, SIGINT): stop listening, let requests under way finish (gRPC, then
HTTP), stop the writers, close the child's pipe and wait for it. A killed parent closes that pipe too, so the child
never outlives it.

A child that ends by itself takes the service with it: a watcher says so and starts the same orderly stop, and the exit
status is then `BACKGROUND_ENDED`, so that whoever supervises the service starts it again. Appending on without
checkpoints would acknowledge records that nothing signs.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from counterfoil import background
from counterfoil.app import create_app
from counterfoil.composition import Services, open_services
from counterfoil.core.errors import Fault, InputError
from counterfoil.ingest.service import Ingest
from counterfoil.settings import Settings
from counterfoil.store.directory import Directory
from counterfoil.trails.prepare import prepare_index

if TYPE_CHECKING:
    from counterfoil.ingest.rpc_server import RpcServer

StartRpc = Callable[[], Awaitable["tuple[RpcServer, int]"]]

DRAIN_TIMEOUT_S = 30
KEEP_ALIVE_S = 75
BACKLOG = 2048
WATCH_INTERVAL_S = 0.25
STOPPED = 0
BACKGROUND_ENDED = 3
"""Exit status where the service ended because its background process did."""
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
"""Parameters of mallopt(3), malloc.h."""
_LIBC = ctypes.CDLL(None)
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TRIM_ABOVE_BYTES = 160 * 1024 * 1024
"""Resident memory from which free memory is looked for; a service at rest, or with ordinary batches, has less."""
LARGE_BLOCK_BYTES = 1024 * 1024
ARENAS = 2
COLLECT_AFTER = 50_000
"""Objects made, less those freed, before the young ones are walked."""

_log = logging.getLogger("counterfoil")


class Announcing(uvicorn.Server):
    """Serves HTTP, and gRPC on the same event loop; says where once both answer.

    Prints `listening on URL` and then `gRPC listening on HOST:PORT` (or `gRPC is off`), so that a program that started
    us knows. gRPC begins first and ends first: a port that is taken ends the start before anything else is running.
    """

    def __init__(self, config: uvicorn.Config, host: str, start_rpc: StartRpc | None) -> None:
        super().__init__(config)
        self._shown = f"[{host}]" if ":" in host else host
        self._start_rpc = start_rpc
        self._rpc: RpcServer | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        rpc_port = None
        if self._start_rpc is not None:
            self._rpc, rpc_port = await self._start_rpc()
        await super().startup(sockets)
        if self.started and sockets:
            port = sockets[0].getsockname()[1]
            rpc = "is off" if rpc_port is None else f"listening on {self._shown}:{rpc_port}"
            print(f"listening on http://{self._shown}:{port}\ngRPC {rpc}", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._rpc is not None:
            await self._rpc.stop(DRAIN_TIMEOUT_S)
        await super().shutdown(sockets)


def _rpc_of(services: Services, ingest: Ingest, settings: Settings) -> StartRpc | None:
    """What starts gRPC, None where it is off."""
    port = settings.rpc_port
    if port is None:
        return None

    async def start() -> tuple[RpcServer, int]:
        # Not before: the background process must be forked before the library is loaded.
        from counterfoil.ingest.rpc_server import RpcServer

        server = RpcServer(ingest, services.identity, services.logs, settings.limits)
        return server, await server.start(settings.host, port)

    return start


def serve_directory(directory: Directory, settings: Settings) -> int:
    """Serve `directory` until told to stop; the exit status, `STOPPED` or `BACKGROUND_ENDED`."""
    logging.basicConfig(level=settings.log_level, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    directory.open()
    with _background(directory, settings) as child, directory.lock_serving():
        services = open_services(directory, listening=True)
        prepare_index(services.index)
        try:
            with _listening(settings.host, settings.port) as listener:
                child.begin()
                app = create_app(services, settings, background_alive=child.is_alive)
                config = uvicorn.Config(
                    app,
                    loop="uvloop",
                    http="httptools",
                    access_log=False,
                    log_level=settings.log_level.lower(),
                    server_header=False,
                    timeout_keep_alive=KEEP_ALIVE_S,
                    timeout_graceful_shutdown=DRAIN_TIMEOUT_S,
                )
                server = Announcing(config, settings.host, _rpc_of(services, app.state.ingest, settings))

                def stop(*_: object) -> None:
                    """End in order. Also what a signal does before uvicorn listens to signals itself.

                    uvicorn sends itself the signal again once it has stopped; with the default handler that would end
                    the process before the stores are closed and the child is waited for.
                    """
                    server.should_exit = True

                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, stop)
                _calm_the_collector()
                _return_large_blocks()
                with _watching(child, stop) as ended:
                    server.run(sockets=[listener])
                return BACKGROUND_ENDED if ended.is_set() else STOPPED
        finally:
            services.close()


def _calm_the_collector() -> None:
    """Leave what is loaded for good out of garbage collection, and collect less often.

    A span makes some hundred short-lived objects and no cycles; with the default threshold each batch of 512 would
    walk the young ones dozens of times, and now and then everything that was ever imported.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)


def _return_large_blocks() -> None:
    """Have the C library give large blocks back to the system at once, where it is glibc (mallopt(3)).

    It would else raise the size from which it does so with every large request, and keep a heap for each thread: after
    a flood the process would stay at twice what it needs.
    """
    mallopt = getattr(_LIBC, "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
        mallopt(_M_ARENA_MAX, ARENAS)


def _trim() -> None:
    """Give free memory back to the system where the process has grown: what is left between blocks that are in use.

    gRPC reads messages in small blocks, which no size tells from those that stay (malloc_trim(3), glibc).
    """
    trim = getattr(_LIBC, "malloc_trim", None)
    if trim is not None and _resident_bytes() > TRIM_ABOVE_BYTES:
        trim(0)


def _resident_bytes() -> int:
    """Resident memory of this process (proc(5), statm), 0 where there is no such file."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


@contextmanager
def _watching(child: Child, stop: Callable[[], None]) -> Iterator[threading.Event]:
    """Call `stop` once `child` ends by itself, and set the event that is yielded; keep an eye on memory meanwhile."""
    ended, leaving = threading.Event(), threading.Event()

    def watch() -> None:
        while not leaving.wait(WATCH_INTERVAL_S):
            _trim()
            if not child.is_alive():
                _log.error("the background process ended: checkpoints and index are not kept, so the service ends")
                ended.set()
                stop()
                return

    watcher = threading.Thread(target=watch, name="watcher", daemon=True)
    watcher.start()
    try:
        yield ended
    finally:
        leaving.set()
        watcher.join()


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise InputError(
            "address_in_use", f"cannot listen on {host}:{port}: {error.strerror}; choose another --port"
        ) from None
    with listener:
        yield listener


class Child:
    """The background process, as its parent sees it: a pipe that says begin, and end by being closed.

    Any thread may ask whether it is alive. A process is waited for once (waitpid(2)), so that is done under a lock.
    """

    def __init__(self, pid: int, pipe: int) -> None:
        self._pid = pid
        self._pipe = pipe
        self._ended = False
        self._lock = threading.Lock()

    def begin(self) -> None:
        """The lock is ours: checkpoints and index may be kept."""
        try:
            os.write(self._pipe, b"begin")
        except BrokenPipeError:
            raise Fault("the background process ended before it began") from None

    def is_alive(self) -> bool:
        """Whether it still runs."""
        with self._lock:
            return not self._waited(os.WNOHANG)

    def end(self) -> None:
        """Close the pipe and wait; one that does not end in time is killed."""
        os.close(self._pipe)
        deadline = time.monotonic() + DRAIN_TIMEOUT_S
        while self.is_alive():
            if time.monotonic() > deadline:
                _log.error("the background process did not end in %s s and is killed", DRAIN_TIMEOUT_S)
                with self._lock:
                    if not self._waited(os.WNOHANG):  # else the number may be another process's by now
                        os.kill(self._pid, signal.SIGKILL)
                        self._waited(0)
                return
            time.sleep(0.02)

    def _waited(self, options: int) -> bool:
        """Whether it has ended; the caller holds the lock."""
        if not self._ended:
            try:
                self._ended = os.waitpid(self._pid, options)[0] == self._pid
            except ChildProcessError:  # somebody else waited for it, so it has ended
                self._ended = True
        return self._ended


@contextmanager
def _background(directory: Directory, settings: Settings) -> Iterator[Child]:
    reading, writing = os.pipe()
    # Forked, not started anew: what is imported is shared, and a start costs half. There is one thread as yet.
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        os.setsid()  # Ctrl-C in a terminal reaches the parent alone, which then ends the child in order
        os._exit(background.main(directory, settings, reading))
    os.close(reading)
    child = Child(pid, writing)
    try:
        yield child
    finally:
        child.end()
