"""Derived decisions, handoffs, approvals, guardrail verdicts and gaps: from leaves, names and message parts."""

from __future__ import annotations

from typing import Any

import pytest

from counterfoil.trails.derive.others import cut_by_sdk, missing_parents, missing_results
from counterfoil.trails.derive.tree import Told
from counterfoil.trails.derive.wording import said_error
from tests.trails.telling import FAILED, RUN, calls, messages, model, of_kind, run, text, told, tool

THOUGHT = {"type": "thinking", "content": "look first"}
_OTHER_RUN, _THIRD_RUN = "1111111111111111", "2222222222222222"


def chosen(records: list[Told]) -> list[tuple[Any, ...]]:
    return [
        (step.rule, step.seq, step.facts["type"], step.facts.get("outcome")) for step in of_kind(records, "decision")
    ]


def test_each_turn_of_a_plain_agent_is_a_decision_with_its_rationale() -> None:
    records = [
        run(0, "triage", 9),
        model(1, says={"output": messages(THOUGHT, calls("crm", "c1"))}),
        tool(2, "crm", call_id="c1"),
        model(3, says={"output": messages(text("Let me look."), calls("kb", "c2"))}),
        tool(4, "kb", call_id="c2"),
        model(5, says={"output": messages(text("Done."))}),
    ]
    assert chosen(records) == [
        ("called_tool", 2, "tool_call", "crm"),
        ("called_tool", 4, "tool_call", "kb"),
        ("answered", 5, "answer", "answer"),
    ]
    found = of_kind(records, "decision")
    assert [(step.words_seq, step.words_in) for step in found] == [
        (1, "reasoning_part"),
        (3, "text_before_call"),
        (None, ""),
    ]
    assert {step.agent for step in found} == {"triage"}


def test_a_tool_in_a_node_of_its_own_is_called_by_the_agent_whose_model_chose_it() -> None:
    node = told(3, "operation", span_id="9" * 16, parent_span_id=None)
    turn = model(1, says={"output": messages(THOUGHT, calls("crm", "c1"), calls("transfer_to_billing", "c2"))})
    by_id, by_name = tool(4, "crm", call_id="c1"), tool(5, "transfer_to_billing")
    inside = [Told({**one.leaf, "parent_span_id": "9" * 16}, one.reading) for one in (by_id, by_name)]
    records = [run(0, "triage", 2), turn, node, *inside]
    found = of_kind(records, "decision")
    assert [(step.seq, step.agent, step.words_seq, step.words_in) for step in found] == [
        (4, "triage", 1, "reasoning_part"),
        (5, "triage", 1, "reasoning_part"),
    ]
    assert of_kind(records, "handoff")[0].facts["from"] == "triage"
    alone = Told({**by_name.leaf, "parent_span_id": "9" * 16}, by_name.reading)
    assert of_kind([node, alone], "decision")[0].agent is None


def test_no_decision_is_concluded_in_a_trace_that_reports_one() -> None:
    reported = told(3, "decision", decision={"type": "refund", "outcome": "deny"})
    assert chosen([run(0, "triage", 9), tool(1, "crm"), model(2), reported]) == []
    elsewhere = told(3, "decision", trace_id="1" * 32, decision={"type": "refund"})
    assert len(chosen([run(0, "triage", 9), tool(1, "crm"), model(2), elsewhere])) == 2


def test_a_call_that_was_chosen_and_has_no_record_is_a_decision_of_the_model_call() -> None:
    turn = model(1, says={"output": messages(calls("refund", "c9"))})
    assert chosen([run(0, "a", 9), turn]) == [("chose_tool", 1, "tool_call", "refund")]
    assert chosen([run(0, "a", 9), turn, tool(2, "refund", call_id="c9")]) == [
        ("called_tool", 2, "tool_call", "refund")
    ]
    # Where one of the two has no id the tool's name has to do.
    nameless = model(1, says={"output": messages(calls("refund", ""))})
    assert chosen([run(0, "a", 9), nameless, tool(2, "refund", call_id="c9")])[0][0] == "called_tool"
    assert len(chosen([run(0, "a", 9), turn, tool(2, "refund", call_id="c8")])) == 2
    assert chosen([run(0, "a", 9), turn, tool(2, "refund")]) == [("called_tool", 2, "tool_call", "refund")]


def test_words_of_a_name_that_is_no_token_stay_out_of_conclusions() -> None:
    turn = model(1, says={"output": messages(calls("call jane at 0170 1234567", "c9"))})
    assert chosen([run(0, "a", 9), turn]) == [("chose_tool", 1, "tool_call", None)]


@pytest.mark.parametrize(
    ("name", "arguments", "to", "kind"),
    [
        ("transfer_to_billing", {}, "billing", "agent"),
        ("handoff_to_agent", {"agent_name": "fraud_desk"}, "fraud_desk", "agent"),
        ("transfer_to_agent", {}, None, None),
        ("escalate_to_supervisor", {}, "supervisor", "human"),
        ("request_human", {"reason": "angry"}, "human", "human"),
        # The name of a person is nobody's agent, and stays out of the index.
        ("transfer_to_human", {"to": "jane.doe"}, "human", "human"),
        ("transfer_to_billing", {"to": "customer-77"}, "billing", "agent"),
        ("handoff", {"queue": "refunds_queue"}, "refunds_queue", "queue"),
    ],
)
def test_a_tool_whose_name_hands_over_is_a_handoff(
    name: str, arguments: dict[str, Any], to: str | None, kind: str | None
) -> None:
    (step,) = of_kind([run(0, "triage", 9), tool(1, name, says={"arguments": arguments})], "handoff")
    assert (step.rule, step.facts.get("to"), step.facts.get("to_kind")) == ("transfer_tool", to, kind)
    assert (step.facts["from"], step.facts["state"]) == ("triage", "offered")
    assert step.words_in == ("handoff_arguments" if "reason" in arguments else "")


@pytest.mark.parametrize("name", ["transfer_money", "transfer_to", "route", "send_to_billing", "lookup"])
def test_other_tools_hand_nothing_over(name: str) -> None:
    found = of_kind([run(0, "triage", 9), tool(1, name)], "handoff")
    assert [step.facts.get("to") for step in found] == ([None] if name == "transfer_to" else [])


def test_the_agent_that_runs_after_a_transfer_took_it() -> None:
    records = [run(0, "triage", 3), tool(1, "transfer_to_agent"), run(4, "billing_agent", 9, span=_OTHER_RUN)]
    (step,) = of_kind(records, "handoff")
    assert (step.facts["to"], step.facts["state"], step.from_seqs) == ("billing_agent", "accepted", (4,))
    failed = [run(0, "triage", 3), tool(1, "transfer_to_agent", **FAILED)]
    assert of_kind(failed, "handoff")[0].facts["state"] == "failed"


def test_an_agent_inside_a_tool_call_of_another_is_a_handoff() -> None:
    call = tool(1, "ask_billing")
    inner = run(2, "billing", 3, span=_OTHER_RUN, parent=call.leaf["span_id"])
    (step,) = of_kind([run(0, "triage", 9), call, inner], "handoff")
    assert (step.rule, step.seq, step.facts["to"]) == ("agent_as_tool", 1, "billing")
    same = run(2, "triage", 3, span=_OTHER_RUN, parent=call.leaf["span_id"])
    assert of_kind([run(0, "triage", 9), call, same], "handoff") == []


def test_another_agent_that_runs_next_in_the_trace_took_over() -> None:
    around = run(0, "flow", 9, span=_THIRD_RUN, name="invoke_workflow")
    first = run(1, "triage", 3, parent=_THIRD_RUN)
    second = run(4, "billing", 8, span=_OTHER_RUN, parent=_THIRD_RUN)
    (step,) = of_kind([around, first, second], "handoff")
    assert (step.rule, step.seq, step.facts["from"], step.facts["to"]) == ("agent_followed", 4, "triage", "billing")
    assert of_kind([around, first, run(4, "triage", 8, span=_OTHER_RUN, parent=_THIRD_RUN)], "handoff") == []
    apart = run(4, "billing", 8, span=_OTHER_RUN, trace_id="1" * 32)
    assert of_kind([first, apart], "handoff") == []


def test_a_reported_handoff_without_target_learns_it_and_one_with_target_is_left_alone() -> None:
    first, second = run(0, "triage", 3), run(4, "billing", 8, span=_OTHER_RUN)
    (step,) = of_kind([first, told(2, "handoff", handoff={"to_kind": "agent"}), second], "handoff")
    assert (step.facts["to"], step.from_seqs) == ("billing", (0, 2))
    assert of_kind([first, told(2, "handoff", handoff={"to": "billing"}), second], "handoff") == []


APPROVAL = {"type": "function_approval_response", "function_call": {"call_id": "c9", "name": "refund"}, "id": "af-1"}
REQUEST = {"type": "function_approval_request", "function_call": {"call_id": "c9", "name": "refund"}, "id": "af-1"}


@pytest.mark.parametrize(("approved", "verdict"), [(True, "approve"), (False, "reject")])
def test_a_part_that_says_approved_is_a_verdict(approved: bool, verdict: str) -> None:
    asked = run(0, "refunds", 1, says={"output": messages(REQUEST)})
    answered = run(3, "refunds", 9, trace_id="1" * 32, says={"input": messages({**APPROVAL, "approved": approved})})
    request, said = of_kind([asked, answered], "oversight")
    assert (request.rule, request.seq, request.facts["of"]) == ("approval_requested", 0, "c9")
    assert (said.rule, said.seq, said.facts["verdict"], said.facts["of"]) == ("approval_response", 3, verdict, "c9")
    assert "person" not in said.facts


@pytest.mark.parametrize(
    "resume",
    [
        False,
        {"approved": False},
        {"type": "reject"},
        {"decisions": [{"type": "reject"}]},
        "rejected",
        {"action": "deny"},
    ],
)
def test_a_graph_that_goes_on_with_a_refusal_was_refused(resume: Any) -> None:
    root = told(1, "operation", parent_span_id=None, says={"input": {"resume": resume}})
    (step,) = of_kind([root], "oversight")
    assert (step.rule, step.facts["verdict"]) == ("approval_response", "reject")
    for other in ("maybe", {"approved": "?"}, 7, None):
        assert (
            of_kind([told(1, "operation", parent_span_id=None, says={"input": {"resume": other}})], "oversight") == []
        )


def test_the_sentence_of_a_framework_in_place_of_a_result_is_a_refusal() -> None:
    answer = {"type": "tool_call_response", "id": "c9", "response": "Tool execution was not approved."}
    turn = model(1, says={"input": messages(answer, role="tool")})
    (step,) = of_kind([turn], "oversight")
    assert (step.rule, step.facts["verdict"], step.facts["framework"]) == (
        "refusal_sentence",
        "reject",
        "openai-agents",
    )
    own_words = {**answer, "response": "the supervisor would not approve"}
    (step,) = of_kind([model(1, says={"input": messages(own_words, role="tool")})], "oversight")
    assert (step.rule, step.facts.get("verdict")) == ("answered_outside", None)


def test_an_approval_that_was_asked_for_is_settled_by_what_became_of_the_call() -> None:
    asked = run(0, "refunds", 1, says={"output": {"approvals": [{"tool_name": "refund", "tool_call_id": "c9"}]}})
    answer = messages({"type": "tool_call_response", "id": "c9", "result": "over limit"}, role="user")
    later = model(3, trace_id="1" * 32, says={"input": answer})
    _, refused = of_kind([asked, later], "oversight")
    assert (refused.rule, refused.facts["verdict"], refused.words_in) == ("refused_call", "reject", "answer")
    made = tool(2, "refund", call_id="c9", trace_id="1" * 32)
    _, approved = of_kind([asked, made, later], "oversight")
    assert (approved.rule, approved.seq, approved.facts["verdict"]) == ("approved_call", 2, "approve")
    # Ids may be as short as `c9`: another tool's call, or another writer's, is nobody's approval.
    for other in (
        tool(2, "lookup", call_id="c9", trace_id="1" * 32),
        tool(2, "refund", call_id="c9", trace_id="1" * 32, writer="k-other"),
    ):
        assert [step.rule for step in of_kind([asked, other], "oversight")] == ["approval_requested"]
    stranger = model(3, trace_id="1" * 32, says={"input": answer}, writer="k-other")
    assert [step.rule for step in of_kind([asked, stranger], "oversight")] == ["approval_requested", "answered_outside"]
    same_trace = tool(2, "refund", call_id="c9")
    assert [step.rule for step in of_kind([asked, same_trace], "oversight")] == ["approval_requested"]


def test_an_earlier_answer_in_a_history_is_nobodys_verdict() -> None:
    history = [
        *messages(calls("crm", "c1")),
        *messages({"type": "tool_call_response", "id": "c1", "response": "ok"}, role="tool"),
        *messages(text("and now?"), role="user"),
    ]
    assert of_kind([model(1, says={"input": history})], "oversight") == []


def test_a_guardrail_that_tripped_says_so_in_its_parents_status() -> None:
    words = {
        "span": {"status": {"message": "Guardrail tripwire triggered: pii"}},
        "error": "Guardrail tripwire triggered",
    }
    turn = told(1, "operation", span_id=RUN, parent_span_id=None, says=words, **FAILED)
    guard = told(2, "guardrail", name="pii", status="ok")
    (step,) = of_kind([turn, guard], "guardrail")
    assert (step.seq, step.facts["verdict"], step.from_seqs) == (2, "deny", (1,))
    assert of_kind([told(1, "operation", span_id=RUN, parent_span_id=None), guard], "guardrail") == []
    alone = told(3, "agent_run", name="invoke_agent", agent={"name": "a"}, error_type="InputGuardrailTripwireTriggered")
    assert [step.seq for step in of_kind([alone], "guardrail")] == [3]
    failed = told(4, "guardrail", **FAILED)
    assert [step.facts["verdict"] for step in of_kind([failed], "guardrail")] == ["deny"]
    broken = told(4, "guardrail", error_type="TimeoutError", **FAILED)
    assert of_kind([broken], "guardrail") == []


def test_a_call_is_that_of_the_run_around_it() -> None:
    own = tool(1, "crm", agent={"name": "refund-desk"})
    (step,) = of_kind([run(0, "triage", 9), own], "agent")
    assert (step.seq, step.facts["agent"]) == (1, "triage")
    assert of_kind([run(0, "triage", 9), tool(1, "crm", agent={"name": "triage"})], "agent") == []


def test_a_writer_that_uses_anothers_span_id_takes_none_of_its_calls() -> None:
    mine, call = run(1, "triage", 9, writer="k-mine"), tool(2, "crm", writer="k-mine")
    forged = run(0, "intruder", 9, writer="k-other")
    assert [step.agent for step in of_kind([forged, mine, call], "decision")] == ["triage"]
    # A call may well have its parent in another service, with a key of its own.
    assert [step.agent for step in of_kind([mine, tool(2, "crm", writer="k-tools")], "decision")] == ["triage"]


def test_a_parent_that_never_arrived_is_named_once() -> None:
    (gap,) = missing_parents([tool(1, "a").leaf, tool(2, "b").leaf, told(3, "operation", parent_span_id=None).leaf])
    assert (gap.rule, gap.seq) == ("parent_missing", 1)
    assert RUN in gap.message
    assert missing_parents([tool(1, "a").leaf, run(0, "a", 9).leaf]) == []


def test_a_call_without_result_is_a_gap_unless_it_failed_or_hid_its_words() -> None:
    records = [
        tool(1, "refund", says={"arguments": "x"}),
        tool(2, "refund", says={"arguments": "x", "result": "y"}),
        tool(3, "refund", says={"arguments": "x"}, **FAILED),
        tool(4, "refund"),
        tool(5, "refund", says={"arguments": "x"}, absent={"result": "redacted"}),
    ]
    assert [gap.seq for gap in missing_results(one.leaf for one in records)] == [1]


def test_what_the_sdk_dropped_is_a_gap() -> None:
    (gap,) = cut_by_sdk(4, {"span": {"droppedAttributesCount": 3, "droppedEventsCount": 0}})
    assert (gap.seq, gap.message) == (4, "the producer's SDK dropped 3 attributes before sending")
    assert cut_by_sdk(4, {"span": {}}) == cut_by_sdk(4, {"span": "?"}) == []


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ('{"status": "error", "detail": "no such order"}', "status error"),
        ('{"error": {"code": 5}}', "an error object"),
        ('{"isError": true}', "isError"),
        ({"status": "FAILED"}, "status failed"),
        ({"kvlistValue": {"values": [{"key": "status", "value": {"stringValue": "error"}}]}}, "status error"),
        ('{"status": "ok"}', None),
        ('{"error": ""}', None),
        ("{not json", None),
        ("error", None),
        ("[1]", None),
        (None, None),
    ],
)
def test_a_result_that_says_error(result: object, said: str | None) -> None:
    assert said_error(result) == said
