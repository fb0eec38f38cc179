"""Agents whose name is no token: the leaf names the service, a reader of the content is told the name as given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from counterfoil.mapping.decode import decode_traces
from counterfoil.mapping.map import map_traces
from counterfoil.trails.derive.agents import MAX_NAME_CHARS, named_agent, named_service
from counterfoil.trails.query import Page
from counterfoil.trails.story import format_trail
from counterfoil.trails.trail import Trail, read_trail
from tests.trails.site import START_US, Site

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def attribute(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


def span(number: int, name: str, parent: int, *, until: int | None = None, **said: str) -> dict[str, Any]:
    """A span of second `number`."""
    start = (START_US // 1_000_000 + number) * 1_000_000_000
    return {
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        **({"parentSpanId": f"{parent:016x}"} if parent else {}),
        "name": name,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + ((until or number) - number) * 1_000_000_000 + 500_000_000),
        "attributes": [attribute(f"gen_ai.{key.replace('__', '.')}", value) for key, value in said.items()],
    }


def two_agents() -> list[dict[str, Any]]:
    """As the OpenAI Agents SDK names them: two agents with spaces, one service."""
    run, tool = {"operation__name": "invoke_agent"}, {"operation__name": "execute_tool"}
    return [
        span(1, "invoke_workflow", 0, until=9, operation__name="invoke_workflow", conversation__id="conv-1"),
        span(2, "invoke_agent Triage Agent", 1, until=4, **run, agent__name="Triage Agent"),
        span(3, "execute_tool lookup", 2, **tool, tool__name="lookup"),
        span(5, "invoke_agent Billing Agent", 1, until=8, **run, agent__name="Billing Agent"),
        span(6, "execute_tool refund", 5, **tool, tool__name="refund", agent__name="Billing Agent"),
    ]


def send(site: Site, spans: list[dict[str, Any]], service: str = "cx-agent") -> None:
    resource = {"attributes": [attribute("service.name", service)]}
    request = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "s"}, "spans": spans}]}]}
    mapped = map_traces(decode_traces(json.dumps(request).encode(), "application/json"))
    assert not mapped.refused
    site.send(mapped.items)


def trail_of(site: Site, *, with_content: bool = True) -> Trail:
    return read_trail(site.stores, site.readable, "conv-1", Page(100, None, "oldest"), with_content=with_content)


def test_a_trail_names_agents_as_they_were_named_and_tells_two_of_one_service_apart(site: Site) -> None:
    send(site, two_agents())
    trail = trail_of(site)
    (agents,) = (topic for topic in trail.topics if topic.topic == "agents")
    assert [(item.says, item.basis) for item in agents.items] == [
        ("Triage Agent", "reported"),
        ("Billing Agent", "reported"),
    ]
    (handoff,) = (step for step in trail.steps if step.kind == "handoff")
    assert (handoff.basis, handoff.facts["from"], handoff.facts["to"]) == ("derived", "Triage Agent", "Billing Agent")
    chosen = {step.facts["outcome"]: step.who.agent for step in trail.steps if step.kind == "decision"}
    assert chosen == {"lookup": "Triage Agent", "refund": "Billing Agent"}
    # A call that names its agent itself needs no rule to say whose it is.
    concluded = {step.what: step.concluded for step in trail.steps if step.kind == "tool_call"}
    assert concluded["lookup"]["agent"]["value"] == "Triage Agent"
    assert concluded["refund"] == {}
    text = format_trail(trail)
    assert "Triage Agent: tool lookup" in text
    assert "[derived: agent_of_run]" in text


def test_who_may_not_read_content_sees_the_service_and_no_name(site: Site) -> None:
    send(site, two_agents())
    trail = trail_of(site, with_content=False)
    assert {step.who.agent for step in trail.steps} == {"cx-agent"}
    assert "Billing" not in format_trail(trail)


def test_the_index_holds_no_name_that_is_no_token(site: Site) -> None:
    send(site, two_agents())
    assert [hit.seq for hit in site.search(derived="true", handoff="accepted").items]
    with site.attack() as index:
        held = [index.execute(f"SELECT * FROM {name}").fetchall() for name in ("derived", "names", "interactions")]
    assert all(held)
    assert not any(word in str(held) for word in ("Billing", "Triage"))


def test_a_service_whose_name_is_no_token_is_the_agent_of_what_names_none(site: Site) -> None:
    send(site, [span(1, "chat m", 0, operation__name="chat", conversation__id="conv-1")], service="My Shop")
    (step,) = (step for step in trail_of(site).steps if step.kind == "model_call")
    assert step.who.agent == "My Shop"


@pytest.mark.parametrize(
    ("kind", "attributes", "name"),
    [
        ("agent_run", [attribute("gen_ai.agent.name", " Billing Agent ")], "Billing Agent"),
        ("tool_call", [attribute("agent_name", "B B"), attribute("gen_ai.agent.name", "A A")], "A A"),
        # The leaf has a name: what else names the agent is no better.
        (
            "agent_run",
            [attribute("gen_ai.agent.name", "A A"), {"key": "agent_name", "promoted": "agent.name"}],
            "",
        ),
        ("tool_call", [attribute("graph.node.id", "Node One")], ""),
        ("agent_run", [attribute("graph.node.id", "Node One")], "Node One"),
        ("agent_run", [{"key": "gen_ai.agent.name", "value": {"intValue": "5"}}], ""),
        ("agent_run", [attribute("gen_ai.agent.name", "a b" * 500)], ("a b" * 500)[:MAX_NAME_CHARS]),
        ("agent_run", [None, {"key": 5}, {"key": "gen_ai.agent.name"}], ""),
        ("agent_run", {"gen_ai.agent.name": "x y"}, ""),
    ],
)
def test_the_name_is_that_of_the_first_attribute_that_the_tables_know(kind: str, attributes: Any, name: str) -> None:
    assert named_agent(kind, {"attributes": attributes}) == name


@pytest.mark.parametrize("resource", [None, [], {"attributes": 5}, {"attributes": [None, {"key": "service.name"}]}])
def test_a_resource_of_another_form_names_no_service(resource: Any) -> None:
    assert named_service({"resource": resource}) == ""
