"""What customers and agents said is in the trail, whatever shape the framework gave its messages."""

from __future__ import annotations

import pytest

from counterfoil.trails.interactions import list_interactions, parse_interaction_query
from counterfoil.trails.query import Page
from counterfoil.trails.said import answer_of_run, asked_of_run, said_in_call, thoughts_in
from counterfoil.trails.story import format_trail
from counterfoil.trails.trail import read_trail
from counterfoil.trails.words import Said
from tests.trails.site import Site

WHOLE = Page(500, None, "oldest")

RECORDED = {
    # Read from the raw spans: words of a person, and words that an agent ended with.
    "strands_default_swarm_tool_fail_handoff": ("refund A-1001 please jane@example.com", "Refund approved under R-7."),
    "pydantic_ai_v5_human_approval_denied": ("refund me 900", "done"),
    "pydantic_ai_v5_tool_handoff_retry": ("I want a refund for order A-1001", "Refund of 42 EUR approved under policy"),
    "ms_agent_framework_default_human_approval_rejected": ("refund 900", "ok, not refunded"),
    "openai_agents_traceloop_tool_handoff_fail": ("refund A-1001 please", None),
    "langgraph_genai_tool_fail_interrupt": (
        "refund A-1001 please, jane@example.com",
        "Escalating to human: refund above",
    ),
    "langgraph_openinference_model_fallback": ("hi", "from fallback"),
    "crewai_openinference_tool_fail_sequential": (None, "approved R-7"),
}


@pytest.mark.parametrize("name", RECORDED)
def test_a_trail_shows_what_was_asked_and_what_was_answered(site: Site, name: str) -> None:
    site.send_file(name)
    items = list_interactions(site.stores, site.readable, parse_interaction_query([])).items
    trails = [read_trail(site.stores, site.readable, item.id, WHOLE, with_content=True) for item in items]
    said = [words for trail in trails for step in trail.steps for words in step.said]
    for role, words in zip(("user", "assistant"), RECORDED[name], strict=True):
        if words is not None:
            assert any(one.role == role and words in one.text for one in said), (role, words)
            assert words.split()[0] in " ".join(format_trail(trail) for trail in trails)


def test_what_a_person_answered_to_an_interrupted_graph_is_there_to_be_read(site: Site) -> None:
    site.send_file("langgraph_genai_tool_fail_interrupt")
    trail = read_trail(site.stores, site.readable, "conv-77", WHOLE, with_content=True)
    assert "supervisor decision: rejected by supervisor" in format_trail(trail)
    told = read_trail(site.stores, site.readable, "conv-77", WHOLE, with_content=False)
    assert "rejected by supervisor" not in format_trail(told)
    assert not any(step.said for step in told.steps)


def test_words_are_told_by_who_said_them() -> None:
    asked = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "before"}]
    answer = [{"role": "assistant", "content": "first"}, {"role": "assistant", "content": "last"}]
    assert said_in_call({"input": asked}) == [Said("user", "hello"), Said("assistant", "before")]
    assert asked_of_run({"input": asked}) == [Said("user", "hello")]
    assert answer_of_run(answer) == [Said("assistant", "last")]
    assert answer_of_run(None) == []
    thinking = [
        {"role": "assistant", "parts": [{"type": "thinking", "content": "so"}, {"type": "text", "content": "x"}]}
    ]
    assert (thoughts_in(thinking), thoughts_in(answer)) == ("so", None)
