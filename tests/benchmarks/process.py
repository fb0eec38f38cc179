"""The service and the floor as processes, and what the operating system says of them (memory, CPU, bytes on disk)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAMS = Path(sys.executable).parent
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Running:
    """A server under measurement."""

    url: str
    key: str
    reader_key: str
    pid: int
    grpc: str = ""
    """`HOST:PORT` of OTLP/gRPC."""

    def rss_mb(self) -> float:
        """Resident memory of the process and its children, in MB."""
        return sum(_rss_kb(pid) for pid in _family(self.pid)) / 1000

    def cpu_s(self) -> dict[int, float]:
        """CPU seconds used so far, by process id (the server itself first)."""
        return {pid: _cpu_s(pid) for pid in _family(self.pid)}


def command(*arguments: str) -> str:
    """Run `counterfoil ARGUMENTS` to its end and return what it printed."""
    done = subprocess.run([PROGRAMS / "counterfoil", *arguments], check=True, capture_output=True, text=True)
    return done.stdout


@contextmanager
def service(data: Path) -> Iterator[Running]:
    """`counterfoil serve` on `data`, which is made if it is not there."""
    keys = data.with_suffix(".keys.json")
    if not data.exists():
        command("init", "--data", str(data), "--json")
        made = {role: json.loads(_key(data, role))["key"] for role in ("writer", "auditor")}
        keys.write_text(json.dumps(made))
    known: dict[str, Any] = json.loads(keys.read_text())
    arguments = [PROGRAMS / "counterfoil", "serve", "--data", str(data), "--port", "0"]
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, text=True, env={**os.environ, "COUNTERFOIL_LOG_LEVEL": "WARNING"}
    )
    try:
        url, grpc = _listening(process)
        yield Running(url, known["writer"], known["auditor"], process.pid, grpc)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@contextmanager
def floor(path: Path) -> Iterator[Running]:
    """The bare server of floor.py on a new file."""
    port_file = path.with_suffix(".port")
    process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.floor", str(path), str(port_file)])
    try:
        while not port_file.exists() or not port_file.read_text():
            time.sleep(0.05)
        time.sleep(0.5)
        yield Running(f"http://127.0.0.1:{port_file.read_text()}", "none", "none", process.pid)
    finally:
        process.terminate()
        process.wait(30)


def load_by_client(
    running: Running, files: list[Path], *, connections: int, rate: float | None = None
) -> dict[str, Any]:
    """Post the prepared batches from a client process of its own; see client.py for the answer."""
    job = {
        "url": f"{running.url}/v1/traces",
        "key": running.key,
        "files": [str(file) for file in files],
        "connections": connections,
        "rate": rate,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.client"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the client failed: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def bytes_in(folder: Path) -> dict[str, int]:
    """Bytes on disk by file of `folder`, databases with their WAL."""
    sizes: dict[str, int] = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            name = file.name.removesuffix("-wal").removesuffix("-shm")
            sizes[name] = sizes.get(name, 0) + file.stat().st_size
    return sizes


def _key(data: Path, role: str) -> str:
    scope = ("--log", "main") if role == "writer" else ()
    return command("key", "create", "--data", str(data), "--role", role, "--name", f"bench {role}", "--json", *scope)


def _listening(process: subprocess.Popen[str]) -> tuple[str, str]:
    lines = iter(process.stdout or ())
    for line in lines:
        if line.startswith("listening on "):
            return line.removeprefix("listening on ").strip(), next(lines).removeprefix("gRPC listening on ").strip()
    raise SystemExit(f"the service did not start (exit {process.wait()})")


def _family(pid: int) -> list[int]:
    family = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            family += _family(int(child))
    return family


def _rss_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS
