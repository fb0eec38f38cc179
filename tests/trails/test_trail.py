"""The trail of one interaction: joined across traces and logs, in order, with everything that was said and was not."""

from __future__ import annotations

from typing import Any

import pytest

from counterfoil.core.errors import InputError
from counterfoil.identity.roles import Role
from counterfoil.log.accounts import Accounts
from counterfoil.log.records import head, read_leaf
from counterfoil.trails.query import Page, parse_cursor
from counterfoil.trails.story import format_trail
from counterfoil.trails.trail import Trail, read_trail
from tests.trails.site import Site, event, span_hex

WHOLE = Page(500, None, "oldest")


def trail_of(site: Site, identifier: str, page: Page = WHOLE, *, with_content: bool = True) -> Trail:
    return read_trail(site.stores, site.readable, identifier, page, with_content=with_content)


def at(second: int) -> dict[str, str]:
    return {
        "started_at": f"2026-11-18T10:00:{second:02}.000000000Z",
        "ended_at": f"2026-11-18T10:00:{second:02}.500000000Z",
    }


ALTERNATIVES = {
    "arrayValue": {
        "values": [
            {
                "kvlistValue": {
                    "values": [
                        {"key": "option", "value": {"stringValue": "approve"}},
                        {"key": "score", "value": {"doubleValue": 0.35}},
                        {"key": "rejected_because", "value": {"stringValue": "outside the window"}},
                    ]
                }
            },
            {"kvlistValue": {"values": [{"key": "option", "value": {"stringValue": "deny"}}]}},
        ]
    }
}


def refund_case() -> list[Any]:
    """A case as it arrives: children before parents, events apart from spans, three traces, two without an id."""
    return [
        event(3, "model_call", trace=1, model={"requested": "gpt-x"}, status="error", error_type="timeout", **at(3),
              parent_span_id=span_hex(1), fields={"error": "no answer in 20 s"}),
        event(4, "model_call", trace=1, model={"requested": "small", "name": "small"}, **at(4),
              parent_span_id=span_hex(1), fields={
                  "input": '[{"role":"system","parts":[{"type":"text","content":"Be kind"}]},'
                           '{"role":"user","parts":[{"type":"text","content":"I want my money back"}]}]',
                  "output": '[{"role":"assistant","parts":[{"type":"reasoning","content":"41 days"},'
                            '{"type":"text","content":"I am sorry"}]}]'}),
        event(1, "agent_run", conversation="case 4711 0815 2342", trace=1, agent={"name": "refunds"}, **at(2)),
        event(5, "decision", conversation="case 4711 0815 2342", trace=2, subject="jane@example.com", **at(5),
              agent={"name": "refunds", "version": "2.3"},
              own={"id": "d-1", "type": "refund", "outcome": "deny", "confidence": "0.65", "threshold": "0.8",
                   "rationale_source": "model_stated", "policy": {"id": "R-12", "version": "3"}, "alternatives": 2},
              absent={"inputs": "redacted"},
              fields={"rationale": "Bought 41 days ago", "alternatives": ALTERNATIVES}),
        event(6, "fallback", conversation="case 4711 0815 2342", trace=2, **at(6),
              own={"of": {"id": "d-1"}, "trigger": "timeout", "from": "gpt-x", "to": "small", "step": 1},
              fields={"reason": "the model did not answer"}),
        event(7, "handoff", conversation="case 4711 0815 2342", trace=2, **at(7),
              own={"id": "h-1", "state": "offered", "to_kind": "queue", "to": "tier-2", "reason": "policy_limit",
                   "context": ["summary", "attempted"]},
              fields={"summary": "wants a refund",
                      "attempted": {"arrayValue": {"values": [{"stringValue": "lookup"}]}}}),
        event(8, "oversight", conversation="case 4711 0815 2342", trace=3, **at(8),
              own={"of": {"id": "d-1"}, "act": "decision", "verdict": "override", "role": "supervisor"},
              fields={"reason": "goodwill"}),
        event(9, "outcome", conversation="case 4711 0815 2342", trace=3, **at(9),
              own={"of": {"id": "d-1"}, "status": "refunded", "agrees": "no"}),
        event(10, "operation", trace=3, name="publish", **at(9)),
    ]  # fmt: skip


@pytest.fixture
def case(site: Site) -> Site:
    site.send(refund_case())
    site.send([event(50 + n, "notice", conversation=f"other-{n}", trace=50 + n) for n in range(3)])
    return site


def test_one_conversation_over_many_traces_is_one_story_in_order(case: Site) -> None:
    trail = trail_of(case, "case 4711 0815 2342")
    reported = [step for step in trail.steps if step.basis == "reported"]
    assert [step.kind for step in reported] == [
        *("agent_run", "model_call", "model_call", "decision", "fallback", "handoff", "oversight", "outcome"),
        "operation",
    ]
    assert len({step.trace_id for step in reported}) == 3
    assert trail.total == len(reported) == 9
    about = trail.interaction
    assert (about.records, about.decisions, about.fallbacks, about.handoffs, about.oversights) == (9, 1, 1, 1, 1)
    assert (about.agents, about.outcome, about.errors) == (["refunds"], "deny", 1)
    assert about.id not in ("case 4711 0815 2342",)
    assert trail.as_of == [{"log": "main", "tree_size": case.search().as_of[0]["tree_size"]}]


def test_the_pseudonym_and_a_trace_id_lead_to_the_same_trail(case: Site) -> None:
    by_raw = trail_of(case, "case 4711 0815 2342")
    trace_id = next(step.trace_id for step in by_raw.steps if step.kind == "model_call")
    assert trace_id is not None
    for identifier in (by_raw.interaction.id, trace_id):
        assert [step.seq for step in trail_of(case, identifier).steps] == [step.seq for step in by_raw.steps]


def test_a_decision_says_why_what_else_and_what_is_missing(case: Site) -> None:
    steps = trail_of(case, "case 4711 0815 2342").steps
    step = next(step for step in steps if step.kind == "decision" and step.basis == "reported")
    assert step.why is not None
    assert (step.why.rationale, step.why.source, step.why.state) == ("Bought 41 days ago", "model_stated", "DISCLOSED")
    assert [(option.option, option.score, option.rejected_because) for option in step.what_else] == [
        ("approve", "0.35", "outside the window"),
        ("deny", None, None),
    ]
    assert step.facts["policy"] == {"id": "R-12", "version": "3"}
    assert step.absent == {"inputs": "redacted", "risk": "not reported", "autonomy": "not reported"}
    assert step.who.agent == "refunds"


def test_a_replaced_call_is_concluded_and_points_to_the_report_of_the_same(case: Site) -> None:
    trail = trail_of(case, "case 4711 0815 2342")
    (concluded,) = [step for step in trail.steps if step.basis == "derived" and step.kind == "fallback"]
    reported = next(step for step in trail.steps if step.kind == "fallback" and step.basis == "reported")
    assert (concluded.rule, concluded.facts["from"], concluded.facts["to"]) == ("model_fallback", "gpt-x", "small")
    assert concluded.reported_by == reported.seq
    answered = trail.steps[trail.steps.index(concluded) + 1]
    assert (answered.kind, answered.seq) == ("model_call", concluded.seq)


def test_what_was_said_is_told_once_and_by_whom(case: Site) -> None:
    steps = trail_of(case, "case 4711 0815 2342").steps
    said = [(words.role, words.text) for step in steps for words in step.said]
    assert said == [("user", "I want my money back"), ("assistant", "I am sorry")]
    thought = next(step for step in steps if step.kind == "model_call" and step.why is not None)
    assert thought.why is not None
    assert (thought.why.rationale, thought.why.basis) == ("41 days", "derived")


def test_a_reader_of_facts_sees_every_step_and_no_word(case: Site) -> None:
    trail = trail_of(case, "case 4711 0815 2342", with_content=False)
    assert trail.withheld
    assert trail.content_opened == 0
    assert {state for step in trail.steps for state in step.states.values()} == {"WITHHELD"}
    text = format_trail(trail)
    for words in ("Bought 41 days ago", "money back", "goodwill", "wants a refund", "no answer in 20 s"):
        assert words not in text
    assert "WITHHELD" in text
    assert "facts, not words" in text


def test_a_nested_agent_with_a_conversation_of_its_own_is_linked(site: Site) -> None:
    site.send_file("pydantic_ai_v5_tool_handoff_retry")
    trail = trail_of(site, "conv-77")
    linked = [step for step in trail.steps if step.linked is not None]
    assert {step.who.agent for step in linked} == {"billing_agent"}
    assert trail.linked == [linked[0].linked]
    assert trail.total == 10
    assert trail.interaction.records == 8
    concluded = [step for step in trail.steps if step.basis == "derived"]
    assert [step.rule for step in concluded if step.kind == "fallback"] == ["transfer_after_failure"]
    assert {step.linked for step in concluded if step.who.agent == "billing_agent"} == set(trail.linked)


def test_a_fallback_inside_a_model_call_is_concluded_from_what_the_framework_emits(site: Site) -> None:
    site.send_file("pydantic_ai_v5_model_fallback")
    (interaction,) = [item for item in site.trails.interactions(site.principal(), []).items if not item.derived]
    trail = trail_of(site, interaction.id)
    (step,) = [step for step in trail.steps if step.basis == "derived" and step.kind == "fallback"]
    assert (step.rule, step.facts["from"], step.facts["to"]) == ("model_fallback", "primary-model", "backup-model")


def test_a_trace_that_nobody_named_is_an_interaction_marked_derived(site: Site) -> None:
    site.send_file("openai_agents_traceloop_tool_handoff_fail")
    (listed,) = site.trails.interactions(site.principal(), []).items
    assert listed.derived
    trail = trail_of(site, listed.id)
    assert trail.interaction.derived
    assert trail.total == 10
    assert "nobody reported one" in format_trail(trail)


def test_wrappers_are_folded_in_the_view_and_kept_in_the_answer(site: Site) -> None:
    site.send_file("autogen_native_tool_fail_handoff")
    (listed,) = site.trails.interactions(site.principal(), [("limit", "500")]).items
    assert listed.records == 156
    trail = trail_of(site, listed.id)
    assert any(step.folded for step in trail.steps)
    assert len([step for step in trail.steps if step.basis == "reported"]) == trail.total
    assert "kept in the log" in format_trail(trail)


def test_a_parent_that_never_came_and_a_call_without_result_are_gaps(site: Site) -> None:
    call = {"tool": {"name": "refund"}, "parent_span_id": "00f067aa0ba902b7", "fields": {"arguments": "{}"}}
    site.send([event(1, "tool_call", conversation="c", trace=1, **call, **at(1))])
    trail = trail_of(site, "c")
    assert [gap["rule"] for gap in trail.gaps] == ["no_result", "parent_missing"]
    (step,) = [step for step in trail.steps if step.basis == "reported"]
    assert [gap["rule"] for gap in step.gaps] == ["no_result", "parent_missing"]
    assert "never arrived" in format_trail(trail)


def test_a_tool_that_answers_an_error_without_failing_is_marked(site: Site) -> None:
    site.send([event(1, "tool_call", conversation="c", trace=1, fields={"result": '{"status": "error"}'}, **at(1))])
    trail = trail_of(site, "c")
    (step,) = [step for step in trail.steps if step.basis == "reported"]
    assert [gap["rule"] for gap in step.gaps] == ["tool_said_error"]
    (topic,) = [topic for topic in trail.topics if topic.topic == "outcomes"]
    assert (topic.basis, [item.rule for item in topic.items]) == ("derived", ["tool_said_error"])


def test_pages_of_a_trail_add_up_to_the_trail_and_rules_see_all_of_it(case: Site) -> None:
    whole = trail_of(case, "case 4711 0815 2342")
    seqs: list[tuple[str, int]] = []
    cursor = None
    while True:
        page = trail_of(case, "case 4711 0815 2342", Page(2, cursor, "oldest"))
        assert page.derived_over == "trail"
        assert len([step for step in page.steps if step.basis == "reported"]) <= 2
        seqs += [(step.basis, step.seq) for step in page.steps]
        if page.next is None:
            break
        cursor = parse_cursor(page.next)
    assert seqs == [(step.basis, step.seq) for step in whole.steps]


def test_rules_say_that_they_saw_a_page_only_where_the_trail_is_too_long_for_them(
    case: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("counterfoil.trails.trail.MAX_RULED", 3)
    page = trail_of(case, "case 4711 0815 2342", Page(4, None, "oldest"))
    assert page.derived_over == "page"
    assert [step.rule for step in page.steps if step.basis == "derived"] == ["model_fallback", "answered"]
    assert page.steps[-1].kind == "decision"


def test_an_interaction_in_two_logs_is_one_trail(site: Site) -> None:
    other = Accounts(site.logs).create_log("default", "second")
    site.send([event(1, "notice", conversation="both", trace=1, **at(1))])
    site.send([event(2, "notice", conversation="both", trace=1, **at(0))], log=other)
    trail = trail_of(site, "both")
    assert [step.log for step in trail.steps] == ["second", "main"]
    assert trail.logs == ["main", "second"]
    assert trail.interaction.records == 2
    first = trail_of(site, "both", Page(1, None, "oldest"))
    second = trail_of(site, "both", Page(1, parse_cursor(first.next or ""), "oldest"))
    assert [step.log for step in (*first.steps, *second.steps)] == ["second", "main"]


def test_an_interaction_that_is_not_there_is_not_found(case: Site) -> None:
    with pytest.raises(InputError) as caught:
        trail_of(case, "nobody")
    assert caught.value.code == "not_found"


def test_the_story_tells_the_whole_case_on_one_page(case: Site) -> None:
    text = format_trail(trail_of(case, "case 4711 0815 2342"))
    for words in (
        "“I want my money back”",
        "DECISION refund: DENY",
        "“Bought 41 days ago”",
        "stated by the model",
        "0.65, BELOW its threshold of 0.8",
        "· approve",
        "outside the window",
        "✓ deny",
        "R-12 3",
        "gpt-x ──timeout──▶ small",
        "HANDOFF OFFERED",
        "wants a refund",
        "HUMAN OVERRIDES decision d-1",
        "“goodwill”",
        "OUTCOME refunded (not what the decision said)",
        "gpt-x ─timeout→ small",
        "✗ FAILED, timeout: no answer in 20 s",
        "not said   risk, autonomy",
        "absent     inputs: redacted",
    ):
        assert words in text, f"{words!r} is not in\n{text}"
    assert max(len(line) for line in text.splitlines()) <= 110
    assert text.count("Bought 41 days ago") == 1


def test_words_of_strangers_cannot_drive_the_terminal(site: Site) -> None:
    evil = "ok\x1b[2J\x1b]0;owned\x07 \u202eesrever\u2066 \x9b31m\r\nline"
    site.send(
        [event(1, "decision", conversation="c", trace=1, own={"outcome": "deny"}, fields={"rationale": evil}, **at(1))]
    )
    text = format_trail(trail_of(site, "c"))
    assert all(character == "\n" or character.isprintable() for character in text)
    assert "ok[2J]0;owned esrever 31m line" in text


@pytest.mark.parametrize("role", [Role.REVIEWER, Role.AUDITOR])
def test_reading_a_trail_is_recorded_before_it_is_shown(case: Site, role: Role) -> None:
    case.trails.trail(case.principal(role), "case 4711 0815 2342", WHOLE)
    access = case.logs.access_log(case.log.tenant_id)
    with case.logs.ledger.read() as ledger:
        last = read_leaf(ledger, access.id, head(ledger, access.id).size - 1)
    assert last is not None
    assert b'"action":"read_content"' in last
    assert b"4711" not in last
