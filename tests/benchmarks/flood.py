"""A flood: more than the service can take, over both transports, in sizes up to the limits. What it must show:

- nothing acknowledged is lost: every acknowledged span is in the log
- what was not taken was told to come again: 429 or 503 with Retry-After, over gRPC RESOURCE_EXHAUSTED or UNAVAILABLE
  with RetryInfo
- memory stays flat: resident memory of the serving process, read from /proc while the flood lasts

    .venv/bin/python tests/benchmarks/flood.py [--seconds 20] [--senders 1]

Senders never wait and never slow down, as no exporter would behave: one that is told to come again sends the next
request at once. `--senders` multiplies how many there are of each kind.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import grpc  # type: ignore[import-untyped]  # grpcio has no py.typed
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # it has no py.typed
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # as above
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from counterfoil.log.initialise import open_logs
from counterfoil.log.records import head, read_leaves
from counterfoil.store.directory import Directory
from tests.benchmarks import process

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
TRACE_ID = bytes(range(0xA0, 0xB0))
"""Stands in every template; each request has its own instead."""
SAMPLE_EVERY_S = 0.02
Send = Callable[[bytes], "str | None"]
"""Sends a body: None where it was acknowledged, else what the answer was ("retry 429", "failed 500", …)."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of sender: how many side by side, and what each request holds."""

    name: str
    senders: int
    spans: int
    words: int
    gzipped: bool
    over_grpc: bool

    def template(self) -> bytes:
        """The request, not compressed."""
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add()
        group.resource.attributes.add(key="service.name").value.string_value = "flood"
        spans = group.scope_spans.add().spans
        for number in range(self.spans):
            span = spans.add(trace_id=TRACE_ID, span_id=(number + 1).to_bytes(8, "big"), name="chat")
            span.start_time_unix_nano = 1_790_000_000_000_000_000 + number
            span.end_time_unix_nano = span.start_time_unix_nano + 5
            span.attributes.add(key="gen_ai.operation.name").value.string_value = "chat"
            span.attributes.add(key="number").value.int_value = number
            text = os.urandom(self.words // 20).hex() + f"{number} words " * (self.words // 13)
            span.attributes.add(key="gen_ai.output.messages").value.string_value = text
        return request.SerializeToString()


KINDS = (
    Kind("HTTP, 512 spans, gzip", 12, 512, 1_000, gzipped=True, over_grpc=False),
    Kind("HTTP, 15 MiB", 12, 9_000, 1_600, gzipped=False, over_grpc=False),
    Kind("HTTP, 60 MiB as gzip of 15", 3, 9_900, 6_000, gzipped=True, over_grpc=False),
    Kind("gRPC, 512 spans, gzip", 12, 512, 1_000, gzipped=True, over_grpc=True),
    Kind("gRPC, 15 MiB", 12, 9_000, 1_600, gzipped=False, over_grpc=True),
)


@dataclass(slots=True)
class Outcome:
    """What the senders of one kind were told."""

    acknowledged: dict[bytes, int] = field(default_factory=dict)
    """Spans by trace id."""
    answers: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Memory:
    """Resident memory of a process, sampled."""

    before_mb: float
    samples_mb: list[float] = field(default_factory=list)

    @property
    def peak_mb(self) -> float:
        return max(self.samples_mb)


def flood(
    url: str, rpc: str, key: str, pid: int, seconds: float, kinds: Sequence[Kind]
) -> tuple[dict[str, Outcome], Memory]:
    """Send for `seconds` with all senders at once; what they were told, and the memory of process `pid` meanwhile."""
    outcomes = {kind.name: Outcome() for kind in kinds}
    memory = Memory(rss_mb(pid))
    ending = time.monotonic() + seconds
    lock = threading.Lock()

    def send_on(kind: Kind, template: bytes) -> None:
        send = _grpc_sender(rpc, key, gzipped=kind.gzipped) if kind.over_grpc else _http_sender(url, key, kind)
        outcome = outcomes[kind.name]
        while time.monotonic() < ending:
            trace_id = os.urandom(16)
            answer = send(template.replace(TRACE_ID, trace_id))
            with lock:
                outcome.answers[answer or "acknowledged"] += 1
                if answer is None:
                    outcome.acknowledged[trace_id] = kind.spans

    threads = [
        threading.Thread(target=send_on, args=(kind, template))
        for kind in kinds
        for template in (kind.template(),)
        for _ in range(kind.senders)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        memory.samples_mb.append(rss_mb(pid))
        time.sleep(SAMPLE_EVERY_S)
    return outcomes, memory


def _http_sender(url: str, key: str, kind: Kind) -> Send:
    where = urlsplit(url)
    headers = {"Content-Type": "application/x-protobuf", "x-api-key": key}
    if kind.gzipped:
        headers["Content-Encoding"] = "gzip"
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=120)

    def send(body: bytes) -> str | None:
        try:
            connection.request("POST", "/v1/traces", gzip.compress(body, 1) if kind.gzipped else body, headers)
            response = connection.getresponse()
            response.read()
        except (ConnectionError, http.client.HTTPException) as error:
            # A server that refuses a body before it was sent may close the connection: nothing was acknowledged.
            connection.close()
            return f"retry {type(error).__name__}"
        if response.status == 200:
            return None
        told = response.status in (429, 503) and response.headers.get("Retry-After") is not None
        return f"{'retry' if told else 'failed'} {response.status}"

    return send


def _grpc_sender(rpc: str, key: str, *, gzipped: bool) -> Send:
    # A channel of its own for each sender: by default they would all share one connection.
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    compression = grpc.Compression.Gzip if gzipped else grpc.Compression.NoCompression
    export = grpc.insecure_channel(rpc, options=options, compression=compression).unary_unary(EXPORT)

    def send(body: bytes) -> str | None:
        try:
            export(body, metadata=(("x-api-key", key),), timeout=120)
        except grpc.RpcError as error:
            return f"{'retry' if _is_retryable(error) else 'failed'} {error.code().name}"
        return None

    return send


def _is_retryable(error: grpc.RpcError) -> bool:
    found = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    told = any(detail.Is(RetryInfo.DESCRIPTOR) for detail in Status.FromString(found).details)
    return told and error.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)


def lost(data: Path, outcomes: Mapping[str, Outcome]) -> int:
    """How many acknowledged spans are not in the log `main` of an embedded directory."""
    found: Counter[str] = Counter()
    logs = open_logs(Directory.at(data))
    try:
        log = next(log for log in logs.all() if log.name == "main")
        with logs.ledger.read() as connection:
            for _, leaf in read_leaves(connection, log.id, 0, head(connection, log.id).size):
                at = leaf.find(b'"trace_id":"')
                if at >= 0:
                    found[leaf[at + 12 : at + 44].decode()] += 1
    finally:
        logs.close()
    return sum(
        max(0, spans - found[trace_id.hex()])
        for outcome in outcomes.values()
        for trace_id, spans in outcome.acknowledged.items()
    )


def rss_mb(pid: int) -> float:
    """Resident memory of one process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1_000_000
    return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--senders", type=int, default=1, help="times as many senders of each kind")
    parser.add_argument("--only", default="", help="kinds whose name contains this")
    given = parser.parse_args()
    kinds = [replace(kind, senders=kind.senders * given.senders) for kind in KINDS if given.only in kind.name]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "audit"
        with process.service(data) as running:
            outcomes, memory = flood(running.url, running.grpc, running.key, running.pid, given.seconds, kinds)
        for kind in kinds:
            answers = ", ".join(f"{count} {name}" for name, count in sorted(outcomes[kind.name].answers.items()))
            print(f"{kind.name:<32} {kind.senders:>3} senders   {answers}")
        spans = sum(sum(outcome.acknowledged.values()) for outcome in outcomes.values())
        missing = lost(data, outcomes)
        print(f"acknowledged {spans:,} spans, {missing} of them lost")
        middle = memory.samples_mb[len(memory.samples_mb) // 2]
        print(
            f"memory: {memory.before_mb:.0f} MB before, {middle:.0f} MB half-way, {memory.peak_mb:.0f} MB at its peak"
        )
        failed = sum(
            count for outcome in outcomes.values() for name, count in outcome.answers.items() if "failed" in name
        )
        clean = json.loads(process.command("fsck", "--data", str(data), "--json"))
        print(f"not told to come again: {failed}; fsck: {'clean' if not clean.get('findings') else 'damaged'}")
    sys.exit(1 if missing or failed else 0)


if __name__ == "__main__":
    main()
