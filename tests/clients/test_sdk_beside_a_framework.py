"""counterfoil.sdk beside a framework's own instrumentation: what neither says alone stands in one trail."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.frameworks import ROOT, read_trail, run_agent
from tests.ingest.disk import Disk
from tests.service.running import RunningService

Trail = dict[str, Any]


@pytest.fixture(scope="module")
def trails(service: RunningService, disk: Disk) -> dict[str, Trail]:
    """What came of both scenarios; the SDK is the one of this checkout."""
    run_agent(service, "refunds_with_sdk.py", "desk", PYTHONPATH=str(ROOT / "service"))
    return {name: read_trail(service, f"desk-{name}", disk.size()) for name in ("approval", "guardrail")}


def only(trail: Trail, kind: str) -> dict[str, Any]:
    """The one step of a kind that was reported."""
    (step,) = (step for step in trail["steps"] if step["kind"] == kind and step["basis"] == "reported")
    return dict(step)


def test_the_framework_s_spans_and_what_the_sdk_said_are_one_trail(trails: dict[str, Trail]) -> None:
    trail = trails["approval"]
    kinds = [step["kind"] for step in trail["steps"] if step["basis"] == "reported"]
    assert {"agent_run", "tool_call", "decision", "oversight", "handoff"} <= set(kinds)
    assert trail["interaction"]["id"] == "desk-approval"
    assert (trail["interaction"]["channel"], trail["interaction"]["type"]) == ("chat", "refund")
    assert trail["interaction"]["subject"] not in (None, "customer-7")  # a pseudonym
    assert trail["linked"] == []


def test_what_was_decided_and_why_and_what_else_is_reported(trails: dict[str, Trail]) -> None:
    step = only(trails["approval"], "decision")
    assert (step["facts"]["type"], step["facts"]["outcome"], step["facts"]["phase"]) == ("refund", "pay", "proposed")
    assert step["why"]["rationale"] == "In the window of policy R-12."
    assert step["why"]["basis"] == "reported"
    assert [option["option"] for option in step["what_else"]] == ["deny"]


def test_a_refusal_that_the_spans_do_not_show_is_reported_with_who_and_why(trails: dict[str, Trail]) -> None:
    step = only(trails["approval"], "oversight")
    assert step["facts"]["verdict"] == "reject"
    assert step["who"]["role"] == "supervisor"
    assert step["who"]["person"] not in (None, "sam@example.com")  # a pseudonym
    assert "Over the limit of 500 euros." in str(step)


def test_a_handoff_carries_what_the_next_one_needs(trails: dict[str, Trail]) -> None:
    step = only(trails["approval"], "handoff")
    assert (step["facts"]["to"], step["facts"]["reason"]) == ("tier-2", "policy_limit")
    assert step["words"]["next_step"] == "Call the customer back today."


def test_a_guardrail_that_the_spans_do_not_show_is_told_as_the_fallback_that_it_caused(
    trails: dict[str, Trail],
) -> None:
    trail = trails["guardrail"]
    step = only(trail, "fallback")
    assert (step["facts"]["trigger"], step["facts"]["from"], step["facts"]["mode"]) == (
        "guardrail",
        "fraud_check",
        "human",
    )
    assert only(trail, "decision")["facts"]["outcome"] == "escalate"
