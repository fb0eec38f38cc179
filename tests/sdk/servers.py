"""Servers that misbehave, on real sockets: one hangs, one answers by a script, a port has nobody listening."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord


@dataclass(frozen=True, slots=True)
class Reply:
    """What a scripted server answers."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


NOT_FOUND = Reply(404)
Script = Callable[[list[LogRecord], Mapping[str, str]], Reply]


@dataclass(slots=True)
class Scripted:
    """A server, and the log events of each request that it was sent."""

    url: str
    requests: list[list[LogRecord]]

    def numbers(self) -> list[int]:
        """The producer's numbers of all requests, in order of arrival."""
        return [attribute(record, "counterfoil.producer.n").int_value for r in self.requests for record in r]


def attribute(record: LogRecord, name: str):  # type: ignore[no-untyped-def]  # an AnyValue, read by its members
    """The value of an attribute of an event."""
    return next(pair.value for pair in record.attributes if pair.key == name)


def partial(rejected: int, message: str) -> Reply:
    """A 200 with a partial success."""
    response = ExportLogsServiceResponse()
    response.partial_success.rejected_log_records = rejected
    response.partial_success.error_message = message
    return Reply(200, {"Content-Type": "application/x-protobuf"}, response.SerializeToString())


@contextmanager
def scripted(script: Script, receipts: Reply = NOT_FOUND) -> Iterator[Scripted]:
    """A server that answers OTLP requests as `script` says, and whoever asks for receipts with `receipts`."""
    requests: list[list[LogRecord]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            records = list(ExportLogsServiceRequest.FromString(body).resource_logs[0].scope_logs[0].log_records)
            requests.append(records)
            self.answer(script(records, dict(self.headers.items())))

        def do_GET(self) -> None:
            self.answer(receipts)

        def answer(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield Scripted(f"http://127.0.0.1:{server.server_port}", requests)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def hanging() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def unused_url() -> str:
    """An address of loopback where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


class Gate:
    """A way to a service that can be shut: `open`, `closed` (connections are reset), `deaf` (answers get lost)."""

    def __init__(self, url: str) -> None:
        self._port = int(url.rpartition(":")[2])
        self._server = socket.create_server(("127.0.0.1", 0))
        self._ways: list[socket.socket] = []
        self._mode = "open"
        self.answers_lost = 0
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def switch(self, mode: str) -> None:
        """Another mode, for connections that are open too."""
        self._mode = mode
        for way in self._ways:
            end(way)
        self._ways.clear()

    def close(self) -> None:
        """The end."""
        self._server.close()
        self.switch("closed")

    def _accept(self) -> None:
        while True:
            try:
                inner, _ = self._server.accept()
            except OSError:
                return
            if self._mode == "closed":
                inner.close()
                continue
            outer = socket.create_connection(("127.0.0.1", self._port))
            self._ways += [inner, outer]
            threading.Thread(target=self._pump, args=(inner, outer, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(outer, inner, self._mode == "deaf"), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, lose: bool) -> None:
        try:
            while data := source.recv(1 << 16):
                if lose:
                    self.answers_lost += 1
                    break
                sink.sendall(data)
        except OSError:
            pass  # the other side is gone: so is this one
        end(sink)


def end(connection: socket.socket) -> None:
    """Close a connection that another thread may be reading from."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # closed already


@contextmanager
def gate(url: str) -> Iterator[Gate]:
    """A gate in front of a service."""
    made = Gate(url)
    try:
        yield made
    finally:
        made.close()
