"""Attributes that are records of their own: approvals, annotations, guardrails, transfers on a span of another kind."""

from __future__ import annotations

from typing import Any

import pytest

from counterfoil.core.errors import InputError
from counterfoil.mapping.limits import MAX_PARTS
from counterfoil.mapping.restore import restore_item
from tests.mapping.making import SPAN_ID, TRACE_ID, map_log, map_span
from tests.mapping.storage import content_of, stored

TOOL: dict[str, Any] = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "issue_refund"}
APPROVAL: dict[str, Any] = {
    "gen_ai.mcp.tool.approval.status": "DENIED",
    "gen_ai.mcp.tool.approval.approver_id": "sam@example.com",
    "gen_ai.mcp.tool.approval.risk_tier": "high",
}


def test_an_approval_on_a_tool_call_is_oversight_of_it() -> None:
    attributes = {**TOOL, **APPROVAL, "gen_ai.agent.name": "refunds", "session.id": "conv-77", "user.id": "u-5"}
    call, oversight = map_span(attributes).drafts
    assert (call.kind, oversight.kind) == ("tool_call", "oversight")
    of = {"trace_id": TRACE_ID.hex(), "span_id": SPAN_ID.hex()}
    assert oversight.facts["oversight"] == {"verdict": "reject", "of": of}
    assert oversight.persons == (("oversight.person", "sam@example.com"),)
    assert oversight.facts["producer"] == {"part": 1}
    assert (oversight.interaction_id, oversight.subject_id) == ("conv-77", "u-5")
    assert oversight.facts["agent"]["name"] == "refunds"
    assert content_of(call)["attributes"][2] == {"promoted": 1, "count": 3}
    assert [pair["key"] for pair in content_of(oversight)["attributes"]] == list(APPROVAL)
    assert "sam@example.com" not in str(content_of(call))


def test_what_a_part_points_to_is_given_back_in_its_place() -> None:
    approval = list(APPROVAL.items())
    attributes = dict([approval[0], *TOOL.items(), approval[1], ("x", 1), approval[2], ("input.value", "words")])
    call, _ = map_span(attributes).drafts
    assert [pair.get("count", pair.get("key")) for pair in content_of(call)["attributes"]] == [
        1,
        "gen_ai.operation.name",
        "gen_ai.tool.name",
        1,
        "x",
        1,
        "input.value",
    ]


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("approved", "approve"),
        ("Rejected", "reject"),
        ("overridden", "override"),
        ("edited", "amend"),
        ("pending", None),
    ],
)
def test_the_words_for_a_verdict_are_ours_in_the_leaf(status: str, verdict: str | None) -> None:
    _, oversight = map_span({**TOOL, "gen_ai.mcp.tool.approval.status": status}).drafts
    assert oversight.facts["oversight"].get("verdict") == verdict


def test_an_approval_alone_is_the_item_itself_in_a_span_and_in_a_log_event() -> None:
    (span,) = map_span(APPROVAL).drafts
    (event,) = map_log("approval.done", APPROVAL).drafts
    assert span.kind == event.kind == "oversight"
    assert span.facts["oversight"] == event.facts["oversight"] == {"verdict": "reject"}


def annotation(index: int, kind: str, **more: Any) -> dict[str, Any]:
    """The attributes of one annotation."""
    given = {"annotator_kind": kind, **more}
    return {f"annotations.{index}.annotation.{key}": value for key, value in given.items()}


def test_each_annotation_is_a_record_and_only_a_persons_is_oversight() -> None:
    attributes = {
        "openinference.span.kind": "LLM",
        **annotation(0, "LLM", name="tone", label="rude", score=0.2, explanation="shouts"),
        **annotation(7, "HUMAN", name="review", label="approved", identifier="sam", explanation="it is fine"),
        **annotation(3, "CODE", score=1),
    }
    call, tone, review, code = map_span(attributes).drafts
    assert [draft.kind for draft in (call, tone, review, code)] == [
        "model_call",
        "evaluation",
        "oversight",
        "evaluation",
    ]
    assert tone.facts["name"] == "tone"
    assert (content_of(tone)["result"], content_of(tone)["rationale"]) == ("rude", "shouts")
    assert review.facts["oversight"]["verdict"] == "approve"
    assert review.facts["oversight"]["of"]["span_id"] == SPAN_ID.hex()
    assert review.persons == (("oversight.person", "sam"),)
    assert content_of(review)["reason"] == "it is fine"
    assert content_of(code)["result"] == {"intValue": "1"}


@pytest.mark.parametrize("whole", ["trace", "session"])
def test_a_persons_word_on_a_whole_trace_or_session_is_not_of_the_span_that_carries_it(whole: str) -> None:
    given = {f"{whole}.{key}": value for key, value in annotation(0, "HUMAN", label="rejected").items()}
    _, oversight = map_span({"openinference.span.kind": "CHAIN", "input.value": "x", **given}).drafts
    assert oversight.facts["oversight"] == {"verdict": "reject"}


def test_an_annotation_that_does_not_say_by_whom_stays_with_its_span() -> None:
    attributes = {**TOOL, **annotation(0, "SOMEBODY", label="approved"), "annotations.1.annotation.label": "approved"}
    (call,) = map_span(attributes).drafts
    assert call.kind == "tool_call"
    assert {"key": "annotations.1.annotation.label", "value": {"stringValue": "approved"}} in content_of(call)[
        "attributes"
    ]


def test_annotations_of_an_evaluator_are_records_beside_it() -> None:
    drafts = map_span({"openinference.span.kind": "EVALUATOR", **annotation(0, "LLM", label="good")}).drafts
    assert [draft.kind for draft in drafts] == ["evaluation", "evaluation"]


def test_annotations_in_the_log_stay_content() -> None:
    (draft,) = map_log("annotated", annotation(0, "HUMAN", label="approved")).drafts
    assert draft.kind == "operation"


def test_beyond_the_limit_of_parts_annotations_stay_where_they_are() -> None:
    attributes: dict[str, Any] = {"openinference.span.kind": "LLM"}
    for index in range(MAX_PARTS + 5):
        attributes |= annotation(index, "CODE", score=index)
    drafts = map_span(attributes, [("counterfoil.decision", {"a": 1})]).drafts
    assert len(drafts) == MAX_PARTS + 1
    assert len(content_of(drafts[0])["attributes"]) == 1 + MAX_PARTS + 5 * 2


def test_parts_of_attributes_come_before_those_of_events() -> None:
    drafts = map_span({**TOOL, **APPROVAL}, [("counterfoil.decision", {"counterfoil.decision.type": "refund"})]).drafts
    assert [draft.kind for draft in drafts] == ["tool_call", "oversight", "decision"]
    assert [draft.facts["producer"]["part"] for draft in drafts] == [0, 1, 2]
    assert content_of(drafts[0])["events"] == [{"promoted": 2}]


@pytest.mark.parametrize(
    ("target_type", "to_kind", "person"),
    [
        ("agent", "agent", False),
        ("workflow", "agent", False),
        ("human", "human", True),
        ("queue", "queue", False),
        ("x", None, True),
    ],
)
def test_a_transfer_by_a_tool_is_a_handoff_beside_the_call(target_type: str, to_kind: str | None, person: bool) -> None:
    transfer = {
        "gen_ai.transfer.mode": "pass_control",
        "gen_ai.transfer.target.name": "tier-2",
        "gen_ai.transfer.target.type": target_type,
    }
    call, handoff = map_span({**TOOL, **transfer}).drafts
    assert (call.kind, handoff.kind) == ("tool_call", "handoff")
    facts = handoff.facts.get("handoff", {})
    assert facts.get("to_kind") == to_kind
    assert (facts.get("to"), bool(handoff.persons)) == ((None, True) if person else ("tier-2", False))


def test_a_guardrail_on_a_model_call_is_a_record_with_its_verdict_as_words() -> None:
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.guardian.name": "content-filter",
        "gen_ai.security.decision.type": "deny",
        "gen_ai.security.decision.reason": "an address",
        "gen_ai.security.target.type": "llm_input",
    }
    call, guardrail = map_span(attributes).drafts
    assert (call.kind, guardrail.kind, guardrail.facts["name"]) == ("model_call", "guardrail", "content-filter")
    assert (content_of(guardrail)["result"], content_of(guardrail)["rationale"]) == ("deny", "an address")


def test_a_guardrail_span_is_its_own_record() -> None:
    attributes = {
        "gen_ai.operation.name": "apply_guardrail",
        "gen_ai.guardrail.component.name": "pii",
        "gen_ai.guardrail.x": 1,
    }
    (draft,) = map_span(attributes).drafts
    assert (draft.kind, draft.facts["name"]) == ("guardrail", "pii")


def test_two_sorts_of_parts_on_a_span_of_no_kind_are_the_span_and_a_part() -> None:
    drafts = map_span({"gen_ai.evaluation.name": "tone", "gen_ai.evaluation.score.value": 0.5, **APPROVAL}).drafts
    assert [draft.kind for draft in drafts] == ["evaluation", "oversight"]


def test_a_free_reason_of_a_handoff_is_its_rationale_and_a_known_one_a_fact() -> None:
    spoken = map_span({"traceloop.span.kind": "handoff", "gen_ai.handoff.reason": "she wants a person"}).drafts[0]
    assert content_of(spoken)["rationale"] == "she wants a person"
    known = map_span({"traceloop.span.kind": "handoff", "gen_ai.handoff.reason": "policy_limit"}).drafts[0]
    assert known.facts["handoff"]["reason"] == "policy_limit"


def records() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The stored records of a tool call with an approval and flattened words."""
    return [stored(draft) for draft in map_span({**TOOL, **APPROVAL, "gen_ai.prompt.0.role": "user"}).drafts]


def refusal(parts: list[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    """Why an item cannot be given back."""
    with pytest.raises(InputError) as refused:
        restore_item(parts)
    return refused.value.message


def test_without_the_record_of_its_part_an_item_is_not_given_back() -> None:
    assert "part 1" in refusal(records()[:1])


def test_without_the_attributes_of_its_part_an_item_is_not_given_back() -> None:
    parts = records()
    del parts[1][1]["attributes"]
    assert "attributes" in refusal(parts)
    del parts[1][0]["content"]["attributes"]
    assert "part 1 is not whole" in refusal(parts)


@pytest.mark.parametrize("left", [None, [], "text"])
def test_without_the_pairs_of_a_group_an_item_is_not_given_back(left: Any) -> None:
    parts = records()
    if left is None:
        del parts[0][1]["input"]
    else:
        parts[0][1]["input"] = left
    assert "field input is not there" in refusal(parts)


def test_without_the_body_that_became_a_field_a_log_event_is_not_given_back() -> None:
    parts = [stored(draft) for draft in map_log("gen_ai.user.message", {}, body="hello").drafts]
    del parts[0][1]["input"]
    assert "field input is not there" in refusal(parts)
