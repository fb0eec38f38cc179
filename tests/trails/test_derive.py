"""Derived fallback paths: what failed, what was done instead, and what must not be concluded."""

from __future__ import annotations

from typing import Any

import pytest

from counterfoil.trails.derive.conclusion import PATHS, RULES, RULES_BY_NAME, Conclusion
from counterfoil.trails.derive.fallbacks import other_model
from counterfoil.trails.derive.tree import Told
from tests.trails.telling import FAILED, RUN, calls, messages, model, of_kind, run, text, told, tool

_OTHER_RUN = "1111111111111111"


def path(step: Conclusion) -> tuple[Any, ...]:
    facts = step.facts
    return (step.rule, step.seq, step.from_seqs[:1], facts.get("from"), facts.get("to"), facts["attempt"])


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([tool(1, "crm", **FAILED), tool(2, "crm")], [("tool_retry", 2, (1,), "crm", "crm", 2)]),
        ([tool(1, "crm", **FAILED), tool(2, "kb")], [("alternative_tool", 2, (1,), "crm", "kb", 2)]),
        ([model(1, "a", **FAILED), model(2, "b")], [("model_fallback", 2, (1,), "a", "b", 2)]),
        ([model(1, "a", **FAILED), model(2, "a")], [("model_retry", 2, (1,), "a", "a", 2)]),
        ([model(1, None, **FAILED), model(2, None)], [("call_replaced", 2, (1,), None, None, 2)]),
        (
            [tool(1, "crm", **FAILED), tool(2, "crm", **FAILED), tool(3, "kb")],
            [("tool_retry", 2, (1,), "crm", "crm", 2), ("alternative_tool", 3, (2,), "crm", "kb", 3)],
        ),
        ([tool(1, "crm"), tool(2, "kb")], []),
        ([tool(1, "crm", **FAILED)], []),
        ([tool(1, "crm", **FAILED), tool(2, "crm", parent_span_id=_OTHER_RUN)], []),
        ([tool(1, "crm", **FAILED), tool(2, "crm", trace_id="1" * 32)], []),
        ([tool(1, "crm", parent_span_id=None, **FAILED), tool(2, "crm", parent_span_id=None)], []),
        ([tool(1, "crm", **FAILED), model(2, "a")], []),
        ([model(1, "a", "b")], [("other_model_answered", 1, (), "a", "b", 1)]),
        ([model(1, "a", "b", **FAILED)], []),
    ],
)
def test_a_replacement_is_concluded_only_where_one_call_failed_and_its_sibling_followed(
    records: list[Told], expected: list[tuple[Any, ...]]
) -> None:
    assert [path(step) for step in of_kind(records, "fallback")] == expected


def test_the_outcome_of_a_step_is_that_of_the_replacement() -> None:
    steps = of_kind([tool(1, "crm", **FAILED), tool(2, "crm", **FAILED), tool(3, "kb")], "fallback")
    assert [step.facts["outcome"] for step in steps] == ["failed", "ok"]


def test_an_attempt_inside_a_call_of_another_model_is_a_fallback() -> None:
    outer = model(1, "backup")
    inner = model(2, "primary", parent_span_id=outer.leaf["span_id"], error_type="ModelHTTPError")
    (step,) = of_kind([inner, outer], "fallback")
    assert path(step) == ("model_fallback", 1, (2,), "primary", "backup", 2)
    assert of_kind([model(2, "backup", parent_span_id=outer.leaf["span_id"], **FAILED), outer], "fallback") == []


def test_calls_in_different_turns_of_one_run_are_siblings() -> None:
    turns = [told(n, "operation", name="execute_event_loop_cycle", span_id=f"{90 + n:016x}") for n in (1, 3)]
    first = tool(2, "crm", parent_span_id=turns[0].leaf["span_id"], **FAILED)
    second = tool(4, "kb", parent_span_id=turns[1].leaf["span_id"])
    assert [step.rule for step in of_kind([*turns, first, second], "fallback")] == ["alternative_tool"]
    nodes = [told(n, "operation", name="node", span_id=f"{90 + n:016x}") for n in (1, 3)]
    assert of_kind([*nodes, first, second], "fallback") == []


def test_a_call_in_a_frameworks_own_fallback_is_one_even_where_no_model_is_named() -> None:
    around = told(
        1,
        "operation",
        span_id=RUN,
        parent_span_id=None,
        says={"input": "hi", "span": {"name": "RunnableWithFallbacks"}},
    )
    (step,) = of_kind([around, model(2, None, **FAILED), model(3, None)], "fallback")
    assert (step.rule, step.facts["path"]) == ("model_fallback", "model_fallback")


@pytest.mark.parametrize(
    ("requested", "answered"),
    [
        ("gpt-5", "gpt-5"),
        ("gpt-5", "gpt-5-2026-01-01"),
        ("openai/gpt-5", "gpt-5"),
        ("claude-x", "claude-x@20260101"),
        ("claude-x", "claude-x-latest"),
    ],
)
def test_a_dated_release_of_the_model_is_the_same_model(requested: str, answered: str) -> None:
    assert other_model(model(1, requested, answered).leaf) is None


@pytest.mark.parametrize(("requested", "answered"), [("gpt-5", "gpt-5-mini"), ("gpt-5-mini", "gpt-5"), ("a", "b")])
def test_a_smaller_sibling_is_another_model(requested: str, answered: str) -> None:
    assert other_model(model(1, requested, answered).leaf) == answered


@pytest.mark.parametrize(
    ("error", "trigger"),
    [
        ("TimeoutError", "timeout"),
        ("DEADLINE_EXCEEDED", "timeout"),
        ("504", "timeout"),
        ("ConnectionError", "unavailable"),
        ("503", "unavailable"),
        ("RateLimitError", "budget"),
        ("429", "budget"),
        ("InputGuardrailTripwireTriggered", "guardrail"),
        ("ValueError", "error"),
    ],
)
def test_the_trigger_is_read_off_the_error_type(error: str, trigger: str) -> None:
    (step,) = of_kind([tool(1, "crm", error_type=error), tool(2, "crm")], "fallback")
    assert step.facts["trigger"] == trigger


def test_a_result_that_says_error_fails_the_call_whatever_its_status() -> None:
    records = [tool(1, "crm", says={"result": '{"status": "error"}'}), tool(2, "kb")]
    assert [step.rule for step in of_kind(records, "fallback")] == ["alternative_tool"]
    (outcome,) = of_kind(records, "outcome")
    assert (outcome.seq, outcome.rule, outcome.facts["status"]) == (1, "tool_said_error", "failed")


ENDINGS: dict[str, tuple[list[Told], tuple[Any, ...]]] = {
    "the agent answered all the same": (
        [run(0, "triage", 9), tool(1, "crm", **FAILED), model(2, says={"output": messages(text("Sorry, later."))})],
        ("answered_after_failure", "degraded_answer", 2, "answer"),
    ),
    "the agent asked back": (
        [run(0, "triage", 9), tool(1, "crm", **FAILED), model(2, says={"output": messages(text("Your number?"))})],
        ("asked_back_after_failure", "clarification", 2, "answer"),
    ),
    "the run failed too": (
        [run(0, "triage", 9, **FAILED), tool(1, "crm", **FAILED)],
        ("aborted_after_failure", "abort", 0, None),
    ),
    "the agent handed over": (
        [run(0, "triage", 9), tool(1, "crm", **FAILED), tool(3, "transfer_to_billing")],
        ("transfer_after_failure", "agent_transfer", 3, "billing"),
    ),
    "the agent handed over to people": (
        [run(0, "triage", 9), tool(1, "crm", **FAILED), tool(3, "escalate_to_human")],
        ("transfer_after_failure", "human_escalation", 3, "human"),
    ),
    "another agent ran next": (
        [run(0, "triage", 2), tool(1, "crm", **FAILED), run(3, "billing", 9, span=_OTHER_RUN)],
        ("transfer_after_failure", "agent_transfer", 3, "billing"),
    ),
    "the run stopped to ask a person": (
        [run(0, "triage", 9), tool(1, "crm", **FAILED), tool(3, "refund", error_type="GraphInterrupt")],
        ("person_asked_after_failure", "human_escalation", 3, "human"),
    ),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_failure_that_no_call_replaced_ends_in(name: str) -> None:
    records, expected = ENDINGS[name]
    (step,) = of_kind(records, "fallback")
    assert (step.rule, step.facts["path"], step.seq, step.facts.get("to")) == expected
    assert step.from_seqs == (1,)


def test_a_graph_that_calls_tools_in_nodes_of_their_own_hands_over_after_a_failure() -> None:
    nodes = [told(n, "operation", span_id=f"{n:x}" * 16, parent_span_id=None) for n in (3, 7)]
    moving = {"output": messages(calls("transfer_to_billing", "c2"))}
    turns = [
        model(1, says={"output": messages(calls("crm", "c1"), calls("kb", "c0"))}),
        model(5, says=moving, parent_span_id=_OTHER_RUN),
    ]
    runs = [run(0, "triage", 2), run(4, "triage", 6, span=_OTHER_RUN)]
    failed = tool(3, "crm", parent_span_id="3" * 16, **FAILED)
    moved = tool(7, "transfer_to_billing", parent_span_id="7" * 16)
    acts = [Told({**one.leaf, "seq": one.seq + 10, "span_id": f"{one.seq + 10:016x}"}) for one in (failed, moved)]
    records = [*nodes, *turns, *runs, *acts]
    (step,) = of_kind(records, "fallback")
    assert (step.rule, step.seq, step.from_seqs, step.facts["to"]) == ("transfer_after_failure", 17, (13,), "billing")
    other = tool(6, "kb", parent_span_id="3" * 16)
    assert "transfer_after_failure" not in [step.rule for step in of_kind([*records, other], "fallback")]


def test_an_agent_that_tells_its_own_path_is_not_second_guessed() -> None:
    reported = told(2, "fallback", fallback={"trigger": "error", "from": "crm", "to": "rules"})
    records = [run(0, "triage", 9), tool(1, "crm", **FAILED), model(3)]
    assert of_kind([*records, reported], "fallback") == []
    assert len(of_kind(records, "fallback")) == 1


def test_a_model_that_refuses_is_a_path_of_its_own() -> None:
    filtered = [{"role": "assistant", "parts": [], "finish_reason": "content_filter"}, *messages(text("No."))]
    refused = messages({"type": "refusal", "content": "I cannot"})
    for output in ([{**filtered[1], "finish_reason": "content_filter"}], refused):
        (step,) = of_kind([model(1, says={"output": output})], "fallback")
        assert (step.rule, step.facts["path"], step.facts["trigger"]) == ("model_refused", "refusal", "policy")


def test_an_interrupt_is_a_pause_and_no_failure() -> None:
    paused = tool(1, "refund", status="error", error_type="langgraph.errors.GraphInterrupt")
    assert of_kind([run(0, "triage", 9), paused, tool(2, "refund")], "fallback") == []
    (asked,) = of_kind([run(0, "triage", 9), paused], "oversight")
    assert (asked.rule, asked.seq) == ("approval_requested", 1)


def test_every_rule_is_in_the_table_once_and_every_fallback_has_its_path() -> None:
    assert len(RULES_BY_NAME) == len(RULES)
    named = {rule.name for rule in RULES if rule.kind == "fallback"}
    assert named == PATHS.keys() | {"transfer_after_failure"}
    assert all(len(rule.name) <= 32 for rule in RULES)


def test_spans_that_name_each_other_as_parents_end_nothing_badly() -> None:
    one = told(1, "agent_run", span_id="a" * 16, parent_span_id="b" * 16, name="invoke_agent", agent={"name": "x"})
    other = told(2, "tool_call", span_id="b" * 16, parent_span_id="a" * 16, tool={"name": "crm"}, **FAILED)
    assert of_kind([one, other], "decision")
    assert (
        of_kind([tool(3, "crm", says={"arguments": "{}", "output": calls("crm")})], "gap")[0].rule == "parent_missing"
    )
