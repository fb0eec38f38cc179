"""The floor: a bare server that parses each request with upb and commits the raw spans to SQLite with fsync.

One process, WAL, synchronous FULL, one transaction a request: what any durable Python receiver must at least do. It
is started by `bench.py` as `python -m tests.benchmarks.floor FILE PORT_FILE`.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
import sqlite3
import sys
from pathlib import Path
from typing import Any

import uvicorn
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

ANSWER = ExportTraceServiceResponse().SerializeToString()


def commit(connection: sqlite3.Connection, body: bytes) -> None:
    request = ExportTraceServiceRequest.FromString(gzip.decompress(body))
    rows = [
        (span.trace_id, span.SerializeToString())
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]
    with connection:
        connection.executemany("INSERT INTO spans (trace_id, body) VALUES (?, ?)", rows)


def application(path: str) -> Any:
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS spans (id INTEGER PRIMARY KEY, trace_id BLOB, body BLOB)")
    writing = asyncio.Lock()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        parts = []
        while True:
            message = await receive()
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                break
        async with writing:
            await asyncio.to_thread(commit, connection, b"".join(parts))
        headers = [(b"content-type", b"application/x-protobuf")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": ANSWER})

    return app


def main() -> None:
    path, port_file = sys.argv[1:]
    listener = socket.create_server(("127.0.0.1", 0))
    Path(port_file).write_text(str(listener.getsockname()[1]))
    config = uvicorn.Config(application(path), log_level="warning", access_log=False, lifespan="off", loop="uvloop")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
