"""Collectors between an agent and the service, each a process of its own on loopback: started, waited for, stopped.

    with start_rotel(service.url, key, "http") as rotel:      # OTLP in over HTTP and gRPC, OTLP out
        OTLPSpanExporter(f"{rotel.http}/v1/traces")
    with start_collector(service.url, key, log_file) as _:    # the OpenTelemetry Collector: filelog, batch, otlphttp

Both come as binaries inside packages of deploy/requirements/agents.txt. Neither keeps its queue on disk.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.clients.frameworks import packages

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
ROTEL = Path("rotel", "rotel-agent")
_PORTS = range(20_000, 32_000)
COLLECTOR = Path("otel_collector", "bin", "otelcol-contrib_linux_amd64")


@dataclass(frozen=True, slots=True)
class Rotel:
    """Where a running Rotel takes OTLP."""

    http: str
    grpc: str


@contextmanager
def start_rotel(endpoint: str, key: str, protocol: str, folder: Path) -> Iterator[Rotel]:
    """Rotel in front of `endpoint`, which it speaks to by `protocol` ("http" or "grpc"), with gzip."""
    http, grpc = free_ports(2)
    arguments = {
        "pid-file": folder / "rotel.pid",
        "otlp-http-endpoint": f"127.0.0.1:{http}",
        "otlp-grpc-endpoint": f"127.0.0.1:{grpc}",
        "batch-timeout": "100ms",
        "exporter": "otlp",
        "otlp-exporter-endpoint": endpoint,
        "otlp-exporter-protocol": protocol,
        "otlp-exporter-compression": "gzip",
        "otlp-exporter-custom-headers": f"x-api-key={key}",
        "otlp-exporter-retry-initial-backoff": "200ms",
        "otlp-exporter-retry-max-backoff": "1s",
    }
    command = [str(word) for name, value in arguments.items() for word in (f"--{name}", value)]
    with _running(ROTEL, ["start", *command], {}, folder):
        for port in (http, grpc):
            _wait_for_port(port)
        yield Rotel(f"http://127.0.0.1:{http}", f"http://127.0.0.1:{grpc}")


@contextmanager
def start_collector(
    endpoint: str, key: str, watched: Path, folder: Path, *, compression: str = "gzip", encoding: str = "proto"
) -> Iterator[Path]:
    """The OpenTelemetry Collector, which follows the file `watched` and sends its lines; yields its own log."""
    variables = {"ENDPOINT": endpoint, "API_KEY": key, "WATCHED": str(watched)}
    config = folder / "collector.json"
    config.write_text(json.dumps(_configuration(compression, encoding)))
    with _running(COLLECTOR, ["--config", str(config)], variables, folder) as log:
        yield log


def _configuration(compression: str, encoding: str) -> dict[str, object]:
    """Each line of the file is a JSON object: `trace_id` and `span_id` go where they belong, the rest is attributes."""
    moved = [{"type": "remove", "field": f"attributes.{name}"} for name in ("trace_id", "span_id")]
    return {
        "receivers": {
            "filelog": {
                "include": ["${env:WATCHED}"],
                "start_at": "beginning",
                "poll_interval": "50ms",
                "operators": [
                    {"type": "json_parser", "parse_to": "attributes"},
                    {
                        "type": "trace_parser",
                        "trace_id": {"parse_from": "attributes.trace_id"},
                        "span_id": {"parse_from": "attributes.span_id"},
                    },
                    *moved,
                ],
            }
        },
        "processors": {"batch": {"timeout": "100ms", "send_batch_size": 50, "send_batch_max_size": 50}},
        "exporters": {
            "otlphttp": {
                "endpoint": "${env:ENDPOINT}",
                "headers": {"x-api-key": "${env:API_KEY}"},
                "compression": compression,
                "encoding": encoding,
                "retry_on_failure": {"initial_interval": "200ms", "max_interval": "1s"},
            }
        },
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {
                "logs": {"receivers": ["filelog"], "processors": ["batch"], "exporters": ["otlphttp"]},
            },
        },
    }


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now.

    Below those that the system gives to connections, so that one stays free while what listened on it is dead.
    """
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as taken:
            try:
                taken.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise AssertionError(f"there are no {count} free ports")


@contextmanager
def _running(binary: Path, arguments: Sequence[str], variables: Mapping[str, str], folder: Path) -> Iterator[Path]:
    """The process, stopped at the end by its own id; yields the file that it logs to."""
    log = folder / f"{binary.name}.log"
    # Nothing of this process's environment is handed on: a collector needs no more than it is told here.
    with log.open("ab") as output:
        process = subprocess.Popen(
            [packages() / binary, *arguments],
            env={"PATH": os.defpath, **variables},
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        time.sleep(0.2)
        assert process.poll() is None, log.read_text(errors="replace")
        yield log
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port} after {START_TIMEOUT_S:g} s")
