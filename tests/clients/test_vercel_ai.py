"""An agent in another language: the Vercel AI SDK's own telemetry through OpenTelemetry's JavaScript exporter."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.frameworks import read_trail
from tests.ingest.disk import Disk
from tests.service.node import install
from tests.service.running import RunningService

JAVASCRIPT = Path(__file__).parent / "javascript"


@pytest.fixture(scope="module")
def trail(pytestconfig: pytest.Config, service: RunningService, disk: Disk) -> dict[str, Any]:
    """What came of one run."""
    environment = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": service.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={service.made.keys['writer'].key}",
    }
    folder = install(JAVASCRIPT, pytestconfig.cache.mkdir("vercel-ai"))
    done = subprocess.run(
        ["node", "refunds.mjs", "vercel"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "Your refund was refused: the 30 days are over."
    return read_trail(service, "vercel-handoff", disk.size())


def steps(trail: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Steps of a kind that a reader sees."""
    return [step for step in trail["steps"] if step["kind"] == kind and not step["folded"]]


def test_agents_models_and_tools_are_reported_with_arguments_and_results(trail: dict[str, Any]) -> None:
    assert {step["who"]["agent"] for step in steps(trail, "agent_run")} == {"triage_agent", "billing_agent"}
    assert {step["who"]["model"] for step in steps(trail, "model_call")} == {"triage-small", "billing-large"}
    calls = {step["who"]["tool"]: step for step in steps(trail, "tool_call")}
    assert set(calls) == {"order_status", "payment_history", "ask_billing"}
    assert "bought 41 days ago" in str(calls["order_status"]["words"]["result"])
    assert "ORD-77" in str(calls["payment_history"]["words"]["arguments"])


def test_the_tool_that_threw_is_shown_as_failed(trail: dict[str, Any]) -> None:
    failed = [step["who"]["tool"] for step in steps(trail, "tool_call") if step["status"] == "error"]
    assert failed == ["payment_history"]


def test_an_agent_inside_a_tool_is_a_derived_handoff(trail: dict[str, Any]) -> None:
    (step,) = steps(trail, "handoff")
    assert (step["basis"], step["rule"], step["facts"]["to"]) == ("derived", "agent_as_tool", "billing_agent")


def test_what_each_agent_chose_is_derived(trail: dict[str, Any]) -> None:
    chosen = [step["facts"]["outcome"] for step in steps(trail, "decision")]
    assert chosen == ["order_status", "payment_history", "billing_agent", "answer", "answer"]
    assert {step["basis"] for step in steps(trail, "decision")} == {"derived"}
