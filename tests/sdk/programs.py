"""Small programs that record, run as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from tests.service.running import RunningService


def environment(service: RunningService | None, home: Path) -> dict[str, str]:
    """The environment of an agent: endpoint and key, a home of its own, nothing else of OpenTelemetry's."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "XDG_"))}
    mine["HOME"] = str(home)
    if service is not None:
        mine["OTEL_EXPORTER_OTLP_ENDPOINT"] = service.url
        mine["OTEL_EXPORTER_OTLP_HEADERS"] = f"x-api-key={service.made.keys['writer'].key}"
    return mine


def start(program: str, environ: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a program; what it prints can be read."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=dict(environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(program: str, environ: Mapping[str, str]) -> str:
    """Run a program to its end, which must be a good one; what it printed."""
    process = start(program, environ)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out
