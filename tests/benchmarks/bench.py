"""`make bench`: every rate beside its floor, from one run, as a table a person reads and as JSON.

    .venv/bin/python tests/benchmarks/bench.py [--records 1000000] [--rounds 3] [--json FILE]

Rates are medians of interleaved rounds; floor and service get the same batches, the same client and a fresh store.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from counterfoil.composition import open_services
from counterfoil.log.finding import Finding
from counterfoil.log.fsck import Depth, Sources, check_ledger
from counterfoil.log.masterkey import load_master_key
from counterfoil.log.signing import load_signer
from counterfoil.store.directory import Directory
from tests.benchmarks import client, flood, load, process, sdk_overhead, transports
from tests.benchmarks.reading import measure_reading

CONNECTIONS = 4
FLOOD_S = 20.0
SEARCH_SIZES = (100_000, 1_000_000)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `target` is what the design aims at in the end; `floor` the same run's floor."""

    what: str
    value: float
    unit: str
    target: str = ""
    floor: float | None = None


class Table:
    """Prints rows as they are measured and keeps them for the JSON."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(self, what: str, value: float, unit: str, *, target: str = "", floor: float | None = None) -> None:
        row = Row(what, round(value, 3), unit, target, None if floor is None else round(floor, 3))
        self.rows.append(row)
        beside = "" if floor is None else f"floor {floor:,.0f} ({value / floor:.0%})"
        print(f"{what:<58} {value:>12,.1f} {unit:<10} {target:<22} {beside}", flush=True)


def prepare(folder: Path, spans: int, seed: int) -> list[Path]:
    """Write the batches of a round into files, before any clock starts."""
    folder.mkdir()
    files = []
    for number, body in enumerate(load.batches(spans, seed)):
        file = folder / f"{number:06}.gz"
        file.write_bytes(body)
        files.append(file)
    return files


def measure_ingest(work: Path, table: Table, rounds: int, spans: int) -> float:
    """Interleaved rounds against fresh stores; returns our median rate in spans/s."""
    ours, bare, latencies, cpu_us, behind_us = [], [], [], [], []
    for number in range(rounds):
        files = prepare(work / f"round-{number}", spans, seed=100 + number)
        with process.floor(work / f"floor-{number}.db") as running:
            result = process.load_by_client(running, files, connections=CONNECTIONS)
            bare.append(result["spans"] / result["wall_s"])
        with process.service(work / f"store-{number}") as running:
            process.load_by_client(running, files[:4], connections=CONNECTIONS)  # warm
            before = running.cpu_s()
            result = process.load_by_client(running, files[4:], connections=CONNECTIONS)
            after = running.cpu_s()
            ours.append(result["spans"] / result["wall_s"])
            latencies += result["latencies_ms"]
            server, *children = after
            cpu_us.append((after[server] - before[server]) / result["spans"] * 1e6)
            behind_us.append(sum(after[p] - before.get(p, 0.0) for p in children) / result["spans"] * 1e6)
    rate, floor_rate = statistics.median(ours), statistics.median(bare)
    table.add(
        "durable OTLP/HTTP ingest, sealed, chained, indexed", rate, "spans/s", target=">= 12,000", floor=floor_rate
    )
    table.add("  acknowledgement p50, full load", quantile(latencies, 0.5), "ms")
    table.add("  acknowledgement p99, full load", quantile(latencies, 0.99), "ms")
    table.add("  CPU of the server for a span", statistics.median(cpu_us), "us", target="<= 60")
    table.add(
        "  CPU beside it (projector, checkpointer) for a span", statistics.median(behind_us), "us", target="<= 40"
    )
    return rate


def measure_grpc(work: Path, table: Table, rounds: int, spans: int) -> None:
    """OTLP/gRPC and HTTP in turn on one store; the client compresses gRPC's messages while the clock runs."""
    rates: dict[str, list[float]] = {"http": [], "grpc": []}
    with process.service(work / "store-0") as running:
        for number in range(2 * rounds):
            bodies = list(load.batches(spans // 2, seed=200 + number))
            if number % 2:
                bodies = [gzip.decompress(body) for body in bodies]
                wall_s = transports.export_all(running.grpc, running.key, bodies)
                rates["grpc"].append(len(bodies) * load.SPANS_A_BATCH / wall_s)
            else:
                url = f"{running.url}/v1/traces"
                result = client.post_all(url, running.key, bodies, connections=CONNECTIONS, rate=None)
                rates["http"].append(len(bodies) * load.SPANS_A_BATCH / float(str(result["wall_s"])))
    over_http, over_grpc = (statistics.median(rates[name]) for name in ("http", "grpc"))
    table.add(
        "durable OTLP/gRPC ingest (floor: HTTP in the same rounds)",
        over_grpc,
        "spans/s",
        target=">= 90 %",
        floor=over_http,
    )


def measure_flood(work: Path, table: Table) -> None:
    """More than can be taken, for 20 s, over both transports: memory, and what was acknowledged and lost."""
    data = work / "flood"
    with process.service(data) as running:
        outcomes, memory = flood.flood(running.url, running.grpc, running.key, running.pid, FLOOD_S, flood.KINDS)
    refused = sum(sum(one.answers.values()) - one.answers["acknowledged"] for one in outcomes.values())
    table.add(f"flood of {FLOOD_S:.0f} s: memory before", memory.before_mb, "MB")
    table.add("  memory at its peak", memory.peak_mb, "MB", target="<= 300, flat")
    table.add("  requests told to come again", refused, "requests")
    table.add("  acknowledged spans that are not in the log", flood.lost(data, outcomes), "spans", target="0")


def measure_sdk(table: Table) -> None:
    """What a decision costs the agent, with a service that is well and with servers that are not."""
    for what, value, unit in sdk_overhead.rows():
        table.add(what, value, unit, target="<= 50" if unit == "us" and "healthy" in what else "")


def measure_half_load(work: Path, table: Table, rate: float) -> None:
    """Acknowledgement and visibility at half the rate just measured."""
    files = prepare(work / "half", int(rate * 5), seed=7)
    with process.service(work / "store-0") as running:
        result = process.load_by_client(running, files, connections=CONNECTIONS, rate=rate / 2)
    table.add("acknowledgement p50, half load", quantile(result["latencies_ms"], 0.5), "ms")
    table.add("acknowledgement p99, half load", quantile(result["latencies_ms"], 0.99), "ms", target="<= 100")


def measure_growth(work: Path, table: Table, records: int) -> Path:
    """Sustained ingest into one store; memory, disk, and reading at each size on the way."""
    data = work / "grown"
    sizes = [size for size in SEARCH_SIZES if size < records] + [records]
    done = 0
    rss: list[float] = []
    for size in sizes:
        files = prepare(work / f"grow-{size}", size - done, seed=size)
        with process.service(data) as running:
            started = time.perf_counter()
            half = len(files) // 2
            process.load_by_client(running, files[:half], connections=CONNECTIONS)
            rss.append(running.rss_mb())
            result = process.load_by_client(running, files[half:], connections=CONNECTIONS)
            rss.append(running.rss_mb())
            rate = (size - done) / (time.perf_counter() - started)
            table.add(f"sustained ingest up to {size:,} records", rate, "spans/s", target=">= 12,000")
            table.add("  acknowledgement p99", quantile(result["latencies_ms"], 0.99), "ms")
            done = size
            measure_reading(running, table.add, size)
        for file in files:
            file.unlink()
    table.add("memory of the service after half of the first load", rss[0], "MB", target="<= 300, flat")
    table.add("memory of the service at the end", rss[-1], "MB", target="<= 300, flat")
    stores = process.bytes_in(data)
    for name in ("ledger.db", "keystore.db", "index.db"):
        table.add(f"disk for a span: {name}", stores[name] / done, "bytes")
    table.add(
        f"disk for a span of {load.span_bytes():,.0f} bytes, everything",
        sum(stores.values()) / done,
        "bytes",
        target="<= 1,500",
    )
    return data


def measure_start(data: Path, table: Table) -> None:
    started = time.perf_counter()
    with process.service(data) as running:
        del running
        table.add("start to ready", time.perf_counter() - started, "s", target="<= 2")


def measure_evidence(work: Path, data: Path, table: Table, records: int) -> None:
    """fsck, export and verification of what was written."""
    directory = Directory.at(data)
    services = open_services(directory)
    keys = {log.origin: load_signer(directory.keys, log.origin).verifier_key for log in services.logs.all()}
    services.close()
    master_key = load_master_key(directory.keys)
    sources = Sources(directory.ledger_url, directory.heads, keys, directory.keystore_url, master_key)
    bytes_only = Depth(parse=False, contents=False, arrivals=False)
    took = timed(lambda: clean(list(check_ledger(sources, depth=bytes_only))))
    table.add("verification, chain and tree on leaf bytes", records / took, "leaves/s", target=">= 150,000")
    took = timed(lambda: clean(list(check_ledger(sources))))
    table.add("verification, every byte of leaves, contents, arrivals", records / took, "records/s", target=">= 30,000")
    took = timed(lambda: process.command("fsck", "--data", str(data)))
    table.add("fsck as a command, the index derived again and compared", records / took, "records/s")

    small = work / "small"
    with process.service(small) as running:
        process.load_by_client(running, prepare(work / "ten", 10_000, seed=3), connections=CONNECTIONS)
        time.sleep(3)
        took = timed(lambda: process.command("export", "--data", str(small), "--out", str(work / "ten.zip")))
    table.add("range bundle of 10,000 records, built and verified", took, "s", target="<= 1.5")

    source, bundle, policy = work / "store-0", work / "store-0.zip", work / "policy.toml"
    policy.write_text(process.command("policy", "show", "--data", str(source)))
    logs = json.loads(process.command("log", "list", "--data", str(source), "--json"))
    size = next(log["tree_size"] for log in logs if log["name"] == "main")
    took = timed(lambda: process.command("export", "--data", str(source), "--out", str(bundle)))
    table.add(f"export with contents, {size:,} records, verified", size / took, "records/s", target=">= 20,000")
    took = timed(lambda: verify(bundle, policy))
    table.add(f"counterfoil-verify of that bundle, {size:,} records", size / took, "records/s", target=">= 30,000")


def clean(findings: list[Finding]) -> None:
    """A rate of a check that found damage would mean nothing."""
    if findings:
        raise SystemExit(f"the store is damaged: {findings[:3]}")


def verify(bundle: Path, policy: Path) -> None:
    subprocess.run(
        [process.PROGRAMS / "counterfoil-verify", bundle, "--policy", policy], check=True, stdout=subprocess.DEVNULL
    )


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def quantile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--records", type=int, default=1_000_000, help="size of the store that grows (default 1,000,000)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds of ingest (default 3)")
    parser.add_argument("--spans", type=int, default=51_200, help="spans of a round (default 51,200)")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    table = Table()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    print(f"{time.strftime('%Y-%m-%d')}  {machine}\n")
    with tempfile.TemporaryDirectory(prefix="counterfoil-bench-") as folder:
        work = Path(folder)
        rate = measure_ingest(work, table, options.rounds, options.spans)
        measure_half_load(work, table, rate)
        measure_grpc(work, table, options.rounds, options.spans)
        measure_flood(work, table)
        measure_sdk(table)
        data = measure_growth(work, table, options.records)
        measure_start(data, table)
        measure_evidence(work, data, table, options.records)
    if options.json:
        document = {"date": time.strftime("%Y-%m-%d"), "machine": machine, "rows": [asdict(row) for row in table.rows]}
        options.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
