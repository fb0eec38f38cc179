"""One HTTP connection at a time, kept open, with a bound on everything: time, answer, redirects (none).

A request that fails on a connection that was kept open is sent once more on a fresh one: the server may have closed it.
Proxies are those of the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY).
"""

from __future__ import annotations

import base64
import http.client
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from counterfoil.sdk.destination import Destination

MAX_ANSWER_BYTES: Final = 1_048_576


class Unreachable(Exception):
    """No answer came; what was sent may have arrived."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (lower-case names) and body of a response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """A connection to a destination's server, opened when needed. Used by one thread."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._open: http.client.HTTPConnection | None = None
        self._deadline: float | None = None
        self._lock = threading.Lock()

    def request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout_s: float
    ) -> Answer:
        """One exchange within `timeout_s`. Unreachable where no whole answer came."""
        kept = self._open is not None
        try:
            return self._exchange(method, path, body, headers, timeout_s)
        except TimeoutError as error:
            raise Unreachable("no answer in time") from error
        except (http.client.HTTPException, OSError) as error:
            if not kept:
                raise Unreachable(type(error).__name__) from error
        try:
            return self._exchange(method, path, body, headers, timeout_s)
        except (http.client.HTTPException, OSError) as error:
            raise Unreachable(type(error).__name__) from error

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout_s: float
    ) -> Answer:
        self._deadline = time.monotonic() + timeout_s
        connection, prefix, extra = self._connect(timeout_s)
        keep = False
        try:
            connection.request(method, prefix + path, body, {**self._destination.headers, **extra, **headers})
            response = connection.getresponse()
            data = response.read(MAX_ANSWER_BYTES + 1)
            if response.length and len(data) <= MAX_ANSWER_BYTES:
                raise http.client.IncompleteRead(data, response.length)
            if response.length is None and not response.chunked:
                # http.client takes headers that end with the connection for whole ones. What has no stated end may
                # be cut short, and half an answer must not count as one.
                raise http.client.IncompleteRead(data)
            keep = not response.will_close and len(data) <= MAX_ANSWER_BYTES
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, data[:MAX_ANSWER_BYTES])
        finally:
            self._deadline = None
            if not keep:
                self.close()

    def _connect(self, timeout_s: float) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
        """The connection, what a path is prefixed with, and headers for a proxy."""
        url = self._destination.url
        host, secure = url.hostname or "", url.scheme == "https"
        port = url.port or (443 if secure else 80)
        proxy = None if proxy_bypass(f"{host}:{port}") else getproxies().get(url.scheme)
        extra, prefix, at, at_port = {}, "", host, port
        if proxy:
            via = urlsplit(proxy if "//" in proxy else f"//{proxy}")
            at, at_port = via.hostname or "", via.port or 80
            if via.username is not None:
                pair = f"{unquote(via.username)}:{unquote(via.password or '')}".encode()
                extra["Proxy-Authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
            if not secure:
                prefix = f"http://{url.netloc.rpartition('@')[2]}"
        if self._open is None:
            made: http.client.HTTPConnection
            if (context := self._destination.tls()) is not None:
                made = http.client.HTTPSConnection(at, at_port, timeout=timeout_s, context=context)
                if proxy:
                    made.set_tunnel(host, port, extra)
            else:
                made = http.client.HTTPConnection(at, at_port, timeout=timeout_s)
            made.connect()
            with self._lock:
                self._open = made
        opened = self._open
        if opened.sock is not None:
            opened.sock.settimeout(timeout_s)
        return opened, prefix, {} if secure else extra

    def cut_if_overdue(self) -> None:
        """Cut a request past its time: a socket's timeout is for each read, and a server may trickle. By any thread."""
        deadline = self._deadline
        if deadline is not None and time.monotonic() > deadline:
            self.abort()

    def abort(self) -> None:
        """Cut a request that is under way: it fails as Unreachable. By any thread."""
        with self._lock:
            if self._open is not None:
                _cut(self._open)

    def close(self) -> None:
        """Close; the next request connects again."""
        with self._lock:
            opened, self._open = self._open, None
        if opened is not None:
            opened.close()


def _cut(connection: http.client.HTTPConnection) -> None:
    sock = connection.sock
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
