"""The gRPC port: bind, serve on the running event loop, drain.

Imported only by the process that serves, after the background process was forked: the library has threads of its own,
and a fork must not find them.

No TLS here, as on the HTTP port: loopback unless told otherwise, and a proxy that ends TLS in front of both.
"""

from __future__ import annotations

import grpc  # type: ignore[import-untyped]  # grpcio has no py.typed
import grpc.aio  # type: ignore[import-untyped]  # as above

from counterfoil.core.errors import InputError
from counterfoil.identity.service import Identity
from counterfoil.ingest.limits import Limits
from counterfoil.ingest.rpc import ExportHandler
from counterfoil.ingest.service import Ingest
from counterfoil.log.logs import Logs

MAX_STREAMS = 128
"""Calls under way on one connection; HTTP/2 makes a client wait with more."""
KEEP_ALIVE_MS = 60_000
LEAST_PING_INTERVAL_MS = 10_000


class RpcServer:
    """OTLP/gRPC on one port. Made and used on one event loop."""

    def __init__(self, ingest: Ingest, identity: Identity, logs: Logs, limits: Limits) -> None:
        options = [
            ("grpc.max_receive_message_length", limits.body_bytes),
            # Messages stay as they were sent: what they inflate to is bounded in `body`.
            ("grpc.per_message_decompression", 0),
            ("grpc.max_concurrent_streams", MAX_STREAMS),
            # The library would else widen the windows of fast connections to megabytes that nobody has asked to read.
            ("grpc.http2.bdp_probe", 0),
            ("grpc.so_reuseport", 0),  # a port in use is an error, and not shared with whoever has it
            ("grpc.keepalive_time_ms", KEEP_ALIVE_MS),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", LEAST_PING_INTERVAL_MS),
        ]
        self._server = grpc.aio.server(options=options)
        self._server.add_generic_rpc_handlers((ExportHandler(ingest, identity, logs, limits),))

    async def start(self, host: str, port: int) -> int:
        """Listen; the port taken (0 asks for a free one). InputError `address_in_use`."""
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            taken: int = self._server.add_insecure_port(address)
        except RuntimeError:
            raise InputError(
                "address_in_use",
                f"cannot listen on {address} for OTLP/gRPC; choose another --grpc-port, or --no-grpc",
            ) from None
        await self._server.start()
        return taken

    async def stop(self, drain_s: float) -> None:
        """Take no more calls and let those under way finish, for `drain_s` at most."""
        await self._server.stop(drain_s)
