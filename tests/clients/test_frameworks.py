"""From a framework's own instrumentation to a trail: ten live clients, offline models, no code of ours in the agent.

Each client runs once for this module, as a process of its own; its scenarios are conversations of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.clients.clients import CLIENTS, Client
from tests.clients.frameworks import read_trail, run_agent
from tests.ingest.disk import Disk, Leaf
from tests.service.running import RunningService

Trail = dict[str, Any]
Step = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of one client's run."""

    client: Client
    leaves: list[Leaf]
    trails: dict[str, Trail]
    """By scenario."""


@pytest.fixture(scope="module")
def ran(service: RunningService, disk: Disk) -> Callable[[Client], Ran]:
    """Runs a client the first time that it is asked for."""
    kept: dict[str, Ran] = {}

    def run(client: Client) -> Ran:
        if client.name not in kept:
            before = disk.size()
            arguments = (client.name, client.by) if client.by else (client.name,)
            run_agent(service, client.script, *arguments, **client.variables)
            leaves = disk.leaves(before)
            size = before + len(leaves)
            trails = {name: read_trail(service, f"{client.name}-{name}", size) for name in client.scenarios}
            kept[client.name] = Ran(client, leaves, trails)
        return kept[client.name]

    return run


def clients(**wanted: Any) -> Any:
    """Those of the clients that tell a scenario."""
    scenario = wanted.get("scenario", "handoff")
    chosen = [client for client in CLIENTS if scenario in client.scenarios]
    return pytest.mark.parametrize("client", chosen, ids=[client.name for client in chosen])


def steps(trail: Trail, kind: str, basis: str | None = None) -> Iterator[Step]:
    """Steps of a kind that a reader sees, in their order."""
    for step in trail["steps"]:
        if step["kind"] == kind and basis in (None, step["basis"]) and not step["folded"]:
            yield step


def tool_calls(trail: Trail) -> dict[str, Step]:
    """Calls of tools by the tool's name."""
    return {step["who"]["tool"]: step for step in steps(trail, "tool_call")}


@clients()
def test_everything_that_was_sent_of_a_conversation_is_in_its_one_trail(
    client: Client, ran: Callable[[Client], Ran]
) -> None:
    done = ran(client)
    reported = {
        (step["log"], step["seq"])
        for trail in done.trails.values()
        for step in trail["steps"]
        if step["basis"] == "reported"
    }
    outside = [leaf for leaf in done.leaves if ("main", leaf["seq"]) not in reported]
    # AutoGen makes its agents before the conversation begins: those spans are of no conversation.
    assert {leaf.get("name", "").split(" ")[0] for leaf in outside} <= {"create_agent"}
    for trail in done.trails.values():
        assert trail["interaction"]["derived"] is False
        assert (trail["linked"], trail["lost"], trail["next"]) == ([], 0, None)


@clients()
def test_the_agents_and_models_are_named_as_the_framework_names_them(
    client: Client, ran: Callable[[Client], Ran]
) -> None:
    trail = ran(client).trails["handoff"]
    assert set(client.agents) <= {step["who"]["agent"] for step in steps(trail, "agent_run")}
    assert {step["who"]["model"] or step["who"]["model_requested"] for step in steps(trail, "model_call")} == set(
        client.models
    )


@clients()
def test_of_two_tools_the_one_that_failed_is_shown_as_failed(client: Client, ran: Callable[[Client], Ran]) -> None:
    calls = tool_calls(ran(client).trails["handoff"])
    assert calls["order_status"]["status"] in (None, "ok")
    assert calls["payment_history"]["status"] == "error"
    if client.words:
        assert "bought 41 days ago" in str(calls["order_status"]["words"]["result"])
        assert "ORD-77" in str(calls["payment_history"]["words"]["arguments"])
    else:
        assert calls["order_status"]["words"] == {}


@clients()
def test_the_handoff_to_billing_is_told_once_and_on_the_right_ground(
    client: Client, ran: Callable[[Client], Ran]
) -> None:
    assert client.moved is not None
    found = list(steps(ran(client).trails["handoff"], "handoff"))
    assert [(step["basis"], step["rule"], step["facts"].get("to")) for step in found] == [
        (client.moved.basis, client.moved.rule, client.moved.to)
    ]
    assert "reason" not in found[0]["facts"]  # no framework has a field for it


@clients()
def test_each_choice_of_a_plain_agent_is_a_derived_decision_with_the_rationale_that_stands_beside_it(
    client: Client, ran: Callable[[Client], Ran]
) -> None:
    trail = ran(client).trails["handoff"]
    assert list(steps(trail, "decision", "reported")) == []
    chosen = [step for step in steps(trail, "decision") if step["facts"]["type"] != "answer"]
    wanted = ["order_status", "payment_history", "billing_agent"]
    if client.moved is not None and client.moved.rule == "agent_followed":
        wanted.pop()  # nothing says that it was chosen: another agent simply ran next
    assert [step["facts"]["outcome"] for step in chosen] == wanted
    assert chosen[-1]["why"]["source"] == client.rationale
    if client.rationale is not None:
        assert "ayments cannot be read" in chosen[-1]["why"]["rationale"]
        assert chosen[-1]["why"]["basis"] == "derived"
    else:
        assert chosen[-1]["why"]["rationale"] is None


@clients(scenario="approval")
def test_a_refusal_by_a_person_is_concluded_where_a_span_tells_of_it_and_invented_nowhere(
    client: Client, ran: Callable[[Client], Ran]
) -> None:
    trail = ran(client).trails["approval"]
    assert list(steps(trail, "oversight", "reported")) == []
    found = {step["rule"]: step for step in steps(trail, "oversight")}
    if client.refused is None:
        assert found == {}
        return
    asked = ["approval_requested"] if client.refused.asked else []
    assert list(found) == [*asked, client.refused.rule]
    step = found[client.refused.rule]
    assert step["facts"].get("verdict") == client.refused.verdict
    assert step["who"]["person"] is None  # no framework says who it was
    assert "issue_refund" not in [name for name, call in tool_calls(trail).items() if "result" in call["words"]]


@clients(scenario="fallback")
def test_a_second_model_after_a_failed_one_is_a_derived_fallback(client: Client, ran: Callable[[Client], Ran]) -> None:
    trail = ran(client).trails["fallback"]
    (step,) = steps(trail, "fallback")
    assert (step["basis"], step["rule"]) == ("derived", "model_fallback")
    assert (step["facts"]["from"], step["facts"]["to"]) == ("refunds-large", "refunds-small")
    assert step["facts"]["outcome"] == "ok"


@clients(scenario="guardrail")
def test_a_guardrail_that_stopped_the_run_is_told_where_the_instrumentation_sends_it(
    client: Client, ran: Callable[[Client], Ran]
) -> None:
    trail = ran(client).trails["guardrail"]
    found = list(steps(trail, "guardrail"))
    if not client.tripped:
        assert found == []
        return
    assert [step["basis"] for step in found] == ["reported", "derived"]
    assert (found[1]["rule"], found[1]["facts"]["verdict"]) == ("guardrail_tripped", "deny")
    assert list(steps(trail, "tool_call")) == []
