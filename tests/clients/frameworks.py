"""Runs one agent of `agents/` as its user does: an environment with its framework, OTEL_* variables, nothing of ours.

    run_agent(service, "pydantic_ai_refunds.py", "conv-7")
    trail = read_trail(service, "conv-7-handoff", disk.size())

The environment `.venv-agents` is made by `make test` from deploy/requirements/agents.txt.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.service.running import RunningService

ROOT = Path(__file__).parents[2]
AGENTS = Path(__file__).parent / "agents"
ENVIRONMENT = ROOT / ".venv-agents"
BIN = ENVIRONMENT / "bin"
RUN_TIMEOUT_S = 120.0
WAIT_S = 30.0


def packages() -> Path:
    """Where the environment keeps its packages."""
    need_environment()
    return next(ENVIRONMENT.glob("lib/python3*/site-packages"))


def need_environment() -> None:
    """Fail with what to do where the frameworks are not installed."""
    if not (ENVIRONMENT / ".ready").exists():
        raise AssertionError("the frameworks are not installed: run `make agents` (or `make test`), which does it once")


def otel_variables(endpoint: str, key: str, name: str) -> dict[str, str]:
    """The variables that point any agent at the service, as docs/agents/README.md prints them."""
    return {
        "OTEL_SERVICE_NAME": name,
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={key}",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "none",
    }


def agent_environment(service: RunningService) -> dict[str, str]:
    """Those, and what a program needs to start; nothing else of this process's own."""
    return {
        **otel_variables(service.url, service.made.keys["writer"].key, "refund-desk"),
        "PATH": f"{BIN}{os.pathsep}{os.defpath}",
        "HOME": os.environ.get("HOME", "/"),
        # Several instrumentations of one framework are installed here; each script switches on the one that it shows.
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "openai_agents,langchain",
    }


def run_agent(service: RunningService, script: str, *arguments: str, **variables: str) -> str:
    """Run `agents/script` to its end under `opentelemetry-instrument`; what it printed."""
    need_environment()
    done = subprocess.run(
        [BIN / "opentelemetry-instrument", BIN / "python", AGENTS / script, *arguments],
        env={**agent_environment(service), **variables},
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Failed to export" not in done.stderr, done.stderr
    return done.stdout


def read_trail(service: RunningService, interaction: str, tree_size: int) -> dict[str, Any]:
    """The trail of an interaction, from the API, once the index has come to this tree size; on one page."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        answer = service.client.get(
            f"/api/v1/interactions/{interaction}", headers=service.headers("reviewer"), params={"limit": 1000}
        )
        if answer.status_code == 200 and answer.json()["as_of"][0]["tree_size"] >= tree_size:
            return dict(answer.json())
        assert answer.status_code in (200, 404), answer.text
        time.sleep(0.1)
    raise AssertionError(f"after {WAIT_S:g} s there is no trail of {interaction} at tree size {tree_size}")
