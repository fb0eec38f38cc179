"""Our own attributes, span events and log events become the facts, fields, people and kinds of RECORD 3."""

from __future__ import annotations

from typing import Any

import pytest

from counterfoil.mapping.decode import PROTOBUF
from counterfoil.mapping.draft import Draft, Item
from counterfoil.mapping.limits import MAX_PARTS
from counterfoil.mapping.signals import LOGS, TRACES
from tests.mapping.making import SPAN_ID, START, TRACE_ID, Attributes, fill, one
from tests.mapping.storage import content_of, decode, map_decoded, restored, stored, wire


def map_span(
    attributes: Attributes,
    events: list[tuple[str, Attributes]] | None = None,
    resource: Attributes | None = None,
    name: str = "work",
) -> Item:
    """A span as item."""
    request = TRACES.request()
    outer = request.resource_spans.add()
    if resource:
        fill(outer.resource.attributes, resource)
    span = outer.scope_spans.add().spans.add(
        trace_id=TRACE_ID, span_id=SPAN_ID, name=name, start_time_unix_nano=START, end_time_unix_nano=START + 1
    )
    fill(span.attributes, attributes)
    for number, (event_name, event_attributes) in enumerate(events or [], start=1):
        event = span.events.add(name=event_name, time_unix_nano=START + number)
        fill(event.attributes, event_attributes)
    return one(request)


def map_event(event_name: str, attributes: Attributes, resource: Attributes | None = None) -> Draft:
    """A log event as draft."""
    request = LOGS.request()
    outer = request.resource_logs.add()
    if resource:
        fill(outer.resource.attributes, resource)
    record = outer.scope_logs.add().log_records.add(
        trace_id=TRACE_ID, span_id=SPAN_ID, event_name=event_name, time_unix_nano=START
    )
    fill(record.attributes, attributes)
    (draft,) = one(request).drafts
    return draft


DECISION: Attributes = {
    "counterfoil.decision.id": "d-1",
    "counterfoil.decision.type": "refund",
    "counterfoil.decision.outcome": "deny",
    "counterfoil.decision.risk": "medium",
    "counterfoil.decision.autonomy": "autonomous",
    "counterfoil.decision.confidence": 0.65,
    "counterfoil.decision.threshold": "0.8",
    "counterfoil.decision.reversible": True,
    "counterfoil.decision.policy": "R-12",
    "counterfoil.decision.policy.version": "3",
    "counterfoil.decision.rationale": "Bought 41 days ago; policy R-12 allows 30.",
    "counterfoil.decision.rationale_source": "model_stated",
    "counterfoil.decision.alternatives": [{"option": "approve", "score": 0.35}, {"option": "deny", "score": 0.65}],
    "counterfoil.interaction.id": "conv-42",
    "counterfoil.interaction.channel": "chat",
    "counterfoil.interaction.region": "eu",
    "counterfoil.subject.id": "cust-7",
}
DECISION_FACTS = {
    "id": "d-1",
    "type": "refund",
    "outcome": "deny",
    "risk": "medium",
    "autonomy": "autonomous",
    "confidence": "0.65",
    "threshold": "0.8",
    "reversible": "yes",
    "policy": {"id": "R-12", "version": "3"},
    "rationale_source": "model_stated",
    "alternatives": 2,
}


def assert_is_the_decision(draft: Draft) -> None:
    """The draft says what DECISION says."""
    assert draft.kind == "decision"
    assert draft.facts["decision"] == DECISION_FACTS
    assert draft.facts["interaction"] == {"channel": "chat", "region": "eu"}
    assert (draft.interaction_id, draft.subject_id) == ("conv-42", "cust-7")
    content = content_of(draft)
    assert content["rationale"] == "Bought 41 days ago; policy R-12 allows 30."
    assert len(content["alternatives"]["arrayValue"]["values"]) == 2


def test_a_log_event_carries_a_decision() -> None:
    draft = map_event("counterfoil.decision", DECISION)
    assert_is_the_decision(draft)
    assert draft.source == "otlp:logs"
    assert draft.facts["name"] == "counterfoil.decision"
    assert draft.facts["producer"] == {"part": 0}


def test_a_span_with_our_attributes_is_a_decision_whatever_else_it_is() -> None:
    draft = map_span(DECISION | {"gen_ai.operation.name": "chat"}).drafts[0]
    assert_is_the_decision(draft)
    assert draft.facts["name"] == "chat"


def test_a_span_event_with_our_name_becomes_a_record_tied_to_its_span() -> None:
    item = map_span(
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "refunds"},
        events=[
            ("something.else", {"a": 1}),
            ("counterfoil.decision", DECISION),
            ("counterfoil.fallback", {"counterfoil.fallback.trigger": "timeout", "counterfoil.fallback.step": 1}),
        ],
    )
    span, decision, fallback = item.drafts
    assert [draft.kind for draft in item.drafts] == ["agent_run", "decision", "fallback"]
    assert [draft.facts["producer"]["part"] for draft in item.drafts] == [0, 1, 2]
    assert_is_the_decision(decision)
    for part in (decision, fallback):
        assert part.facts["trace_id"] == TRACE_ID.hex()
        assert part.facts["span_id"] == SPAN_ID.hex()
        assert part.facts["agent"] == {"name": "refunds"}
    assert fallback.facts["fallback"] == {"trigger": "timeout", "step": 1}
    assert fallback.facts["started_at"].endswith("386666Z")
    events = content_of(span)["events"]
    assert events[0]["name"] == "something.else"
    assert events[1:] == [{"promoted": 1}, {"promoted": 2}]


def test_span_events_over_the_limit_of_parts_stay_with_their_span() -> None:
    item = map_span({}, events=[("counterfoil.outcome", {"a": number}) for number in range(MAX_PARTS + 2)])
    assert len(item.drafts) == MAX_PARTS + 1
    events = content_of(item.drafts[0])["events"]
    assert events[MAX_PARTS - 1] == {"promoted": MAX_PARTS}
    assert [event["name"] for event in events[MAX_PARTS:]] == ["counterfoil.outcome"] * 2


def test_parts_belong_to_the_interaction_and_person_of_their_span_unless_they_name_their_own() -> None:
    item = map_span(
        {"gen_ai.conversation.id": "conv-1", "user.id": "jane@example.com", "counterfoil.interaction.channel": "voice"},
        events=[
            ("counterfoil.outcome", {"counterfoil.outcome.status": "refunded"}),
            ("counterfoil.outcome", {"counterfoil.interaction.id": "conv-2", "counterfoil.subject.id": "x"}),
        ],
    )
    _, inherited, own = item.drafts
    assert (inherited.interaction_id, inherited.subject_id) == ("conv-1", "jane@example.com")
    assert inherited.facts["interaction"] == {"channel": "voice"}
    assert (own.interaction_id, own.subject_id) == ("conv-2", "x")


def test_an_exception_stays_with_its_span_and_names_the_error() -> None:
    item = map_span({}, events=[("exception", {"exception.type": "ValueError", "exception.message": "no order 5"})])
    (draft,) = item.drafts
    assert draft.facts["error_type"] == "ValueError"
    assert content_of(draft)["events"][0]["name"] == "exception"


def test_what_does_not_fit_an_enumeration_stays_in_the_content() -> None:
    draft = map_event(
        "counterfoil.decision", {"counterfoil.decision.risk": "gigantic", "counterfoil.decision.id": "a b"}
    )
    assert "decision" not in draft.facts
    assert content_of(draft)["attributes"] == [
        {"key": "counterfoil.decision.risk", "value": {"stringValue": "gigantic"}},
        {"key": "counterfoil.decision.id", "value": {"stringValue": "a b"}},
    ]


@pytest.mark.parametrize(
    ("given", "fact"),
    [
        (0.65, "0.65"),
        (1.0, "1"),
        (0, "0"),
        (1e-7, "0.0000001"),
        ("0.5", "0.5"),
        ("0.50", None),
        (1.5, None),
        (0.1 + 0.2, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        ("high", None),
    ],
)
def test_confidence_is_a_decimal_or_absent(given: Any, fact: str | None) -> None:
    draft = map_event("counterfoil.decision", {"counterfoil.decision.confidence": given})
    assert draft.facts.get("decision", {}).get("confidence") == fact


def test_a_handoff_to_a_person_is_never_in_the_leaf() -> None:
    draft = map_event(
        "counterfoil.handoff",
        {
            "counterfoil.handoff.state": "offered",
            "counterfoil.handoff.to": "jane.doe",
            "counterfoil.handoff.to_kind": "human",
            "counterfoil.handoff.reason": "policy_limit",
            "counterfoil.handoff.summary": "Wants a refund.",
            "counterfoil.handoff.attempted": ["lookup_order"],
        },
    )
    assert draft.facts["handoff"] == {
        "state": "offered",
        "to_kind": "human",
        "reason": "policy_limit",
        "context": ["summary", "attempted"],
    }
    assert draft.persons == (("handoff.to", "jane.doe"),)
    assert stored(draft)[0]["handoff"]["to"] == "pseudonym-3"
    assert {"key": "counterfoil.handoff.to", "value": {"stringValue": "jane.doe"}} in content_of(draft)["attributes"]


def test_a_handoff_to_nobody_knows_what_kind_may_be_a_person() -> None:
    draft = map_event("counterfoil.handoff", {"counterfoil.handoff.to": "tier-2"})
    assert draft.persons == (("handoff.to", "tier-2"),)
    assert "handoff" not in draft.facts


def test_a_handoff_to_a_queue_names_it() -> None:
    draft = map_event(
        "counterfoil.handoff", {"counterfoil.handoff.to": "tier-2", "counterfoil.handoff.to_kind": "queue"}
    )
    assert draft.facts["handoff"] == {"to": "tier-2", "to_kind": "queue"}
    assert draft.persons == ()


def test_a_queue_whose_name_is_no_token_is_not_in_the_leaf() -> None:
    draft = map_event("counterfoil.handoff", {"counterfoil.handoff.to": "a b", "counterfoil.handoff.to_kind": "queue"})
    assert draft.facts["handoff"] == {"to_kind": "queue"}
    assert draft.persons == ()


def test_the_person_of_an_oversight_is_pseudonymised_and_its_times_are_kept() -> None:
    draft = map_event(
        "counterfoil.oversight",
        {
            "counterfoil.oversight.person": "sup@example.com",
            "counterfoil.oversight.verdict": "override",
            "counterfoil.oversight.of.id": "d-1",
            "counterfoil.oversight.shown_at": START,
            "counterfoil.oversight.decided_at": "2026-11-22T07:00:54.000000000Z",
            "counterfoil.oversight.could_still_change": True,
            "counterfoil.oversight.reason": "Customer is vulnerable.",
        },
    )
    assert draft.facts["oversight"] == {
        "verdict": "override",
        "of": {"id": "d-1"},
        "shown_at": "2026-11-22T07:00:53.745386663Z",
        "decided_at": "2026-11-22T07:00:54.000000000Z",
        "could_still_change": True,
    }
    assert draft.persons == (("oversight.person", "sup@example.com"),)
    assert content_of(draft)["reason"] == "Customer is vulnerable."


@pytest.mark.parametrize(
    ("given", "of"),
    [
        ({"of": "d-1"}, {"id": "d-1"}),
        ({"of.id": "d-1", "of.seq": 5}, {"id": "d-1"}),
        ({"of.trace_id": "ab" * 16, "of.span_id": "cd" * 8}, {"trace_id": "ab" * 16, "span_id": "cd" * 8}),
        ({"of.trace_id": "ab" * 16}, None),
        ({"of.trace_id": "ab" * 16, "of.seq": 5}, {"seq": 5}),
        ({"of.trace_id": "AB" * 16, "of.span_id": "cd" * 8}, None),
    ],
)
def test_a_reference_has_one_form(given: Attributes, of: dict[str, Any] | None) -> None:
    attributes = {f"counterfoil.fallback.{key}": value for key, value in given.items()}
    draft = map_event("counterfoil.fallback", attributes | {"counterfoil.fallback.trigger": "error"})
    assert draft.facts["fallback"].get("of") == of


def test_what_is_absent_is_said_so() -> None:
    draft = map_event(
        "counterfoil.decision", {"counterfoil.absent.rationale": "redacted", "counterfoil.absent.inputs": "because"}
    )
    assert draft.facts["absent"] == {"rationale": "redacted"}


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ('[{"option":"approve"},{"option":"deny"}]', 2),
        (["approve", "deny", "wait"], 3),
        ([], 0),
        ('{"option":"approve"}', None),
        ("approve or deny", None),
        (3, None),
        ({"a": 1}, None),
    ],
)
def test_alternatives_are_counted_whether_a_list_or_json(given: Any, count: int | None) -> None:
    draft = map_event("counterfoil.decision", {"counterfoil.decision.alternatives": given})
    assert draft.facts.get("decision", {}).get("alternatives") == count
    assert "alternatives" in content_of(draft)


@pytest.mark.parametrize(
    ("given", "context"),
    [
        (["summary", "next_step"], ["summary", "next_step"]),
        (["Not A Field"], ["summary"]),
        ("summary", ["summary"]),
        ([5], ["summary"]),
    ],
)
def test_what_was_handed_over_is_as_reported_or_as_found(given: Any, context: list[str]) -> None:
    attributes = {"counterfoil.handoff.context": given, "counterfoil.handoff.summary": "Wants a refund."}
    assert map_event("counterfoil.handoff", attributes).facts["handoff"] == {"context": context}


def test_an_event_name_that_is_no_token_is_content() -> None:
    draft = map_event("order of jane@example.com", {})
    assert "name" not in draft.facts
    assert content_of(draft)["span"]["eventName"] == "order of jane@example.com"


def test_an_interaction_begins() -> None:
    draft = map_event(
        "counterfoil.interaction",
        {"counterfoil.interaction.id": "+4915112345678", "counterfoil.interaction.phase": "start"},
    )
    assert draft.kind == "interaction"
    assert draft.facts["interaction"] == {"phase": "start"}
    assert draft.interaction_id == "+4915112345678"
    assert stored(draft)[0]["interaction"]["id"] == "pseudonym-1"


def test_a_producer_declares_itself() -> None:
    draft = map_event(
        "counterfoil.producer",
        {
            "counterfoil.producer.id": "p-1",
            "counterfoil.producer.n": 0,
            "counterfoil.producer.event": "start",
            "counterfoil.producer.coverage": "all-decisions",
        },
    )
    assert draft.kind == "producer"
    assert draft.facts["producer"] == {"id": "p-1", "n": 0, "part": 0, "event": "start", "coverage": "all-decisions"}


@pytest.mark.parametrize("missing", ["counterfoil.producer.id", "counterfoil.producer.event"])
def test_a_declaration_without_producer_or_event_is_an_operation(missing: str) -> None:
    attributes = {
        "counterfoil.producer.id": "p-1",
        "counterfoil.producer.event": "loss",
        "counterfoil.producer.from": 3,
        "counterfoil.producer.to": 9,
    }
    del attributes[missing]
    draft = map_event("counterfoil.producer", attributes)
    assert draft.kind == "operation"
    assert draft.facts["producer"] == {"part": 0}


def test_the_number_of_an_item_is_its_own_and_the_producer_may_stand_on_the_resource() -> None:
    item = map_span(
        {"counterfoil.producer.n": 7},
        events=[("counterfoil.notice", {"counterfoil.notice.type": "ai_disclosure", "counterfoil.producer.n": 99})],
        resource={"counterfoil.producer.id": "p-1", "service.name": "cx"},
    )
    assert item.producer == ("p-1", 7)
    assert item.drafts[0].facts["producer"] == {"id": "p-1", "n": 7, "part": 0}
    assert item.drafts[1].facts["producer"] == {"id": "p-1", "n": 7, "part": 1}


@pytest.mark.parametrize("attributes", [{"counterfoil.producer.id": "p-1"}, {"counterfoil.producer.n": 3}])
def test_half_a_number_is_none(attributes: Attributes) -> None:
    item = map_span(attributes)
    assert item.producer is None
    assert item.drafts[0].facts["producer"] == {"part": 0}


def test_the_service_is_the_agent_where_none_is_named() -> None:
    resource = {"service.name": "cx-agent", "service.version": "1.0.0"}
    assert map_span({}, resource=resource).drafts[0].facts["agent"] == {"name": "cx-agent", "version": "1.0.0"}
    named = map_span({"gen_ai.agent.id": "a-1"}, resource=resource).drafts[0].facts["agent"]
    assert named == {"id": "a-1", "version": "1.0.0"}
    assert "agent" not in map_span({}, resource={"service.name": "unknown_service:python"}).drafts[0].facts


def test_the_first_convention_in_the_table_wins_and_the_others_stay_content() -> None:
    draft = map_span({"session.id": "s-1", "gen_ai.conversation.id": "c-1", "user.id": 42}).drafts[0]
    assert draft.interaction_id == "c-1"
    assert draft.subject_id == "42"
    assert content_of(draft)["attributes"] == [
        {"key": "session.id", "value": {"stringValue": "s-1"}},
        {"key": "gen_ai.conversation.id", "promoted": "interaction.id"},
        {"key": "user.id", "value": {"intValue": "42"}},
    ]


def test_attributes_that_agree_are_promoted_together() -> None:
    draft = map_span({"gen_ai.system": "openai", "gen_ai.provider.name": "openai"}).drafts[0]
    assert draft.facts["model"] == {"provider": "openai"}
    assert content_of(draft)["attributes"] == [
        {"key": "gen_ai.system", "promoted": "model.provider"},
        {"key": "gen_ai.provider.name", "promoted": "model.provider"},
    ]


def test_attributes_that_only_compare_as_equal_are_two_values() -> None:
    draft = map_span({"gen_ai.input.messages": 0.0, "gen_ai.prompt": -0.0}).drafts[0]
    assert content_of(draft)["attributes"] == [
        {"key": "gen_ai.input.messages", "promoted": "input"},
        {"key": "gen_ai.prompt", "value": {"doubleValue": -0.0}},
    ]


@pytest.mark.parametrize(
    ("attributes", "name", "kind"),
    [
        ({"gen_ai.operation.name": "chat"}, "x", "model_call"),
        ({"gen_ai.operation.name": "execute_tool"}, "x", "tool_call"),
        ({"gen_ai.operation.name": "retrieval"}, "x", "retrieval"),
        ({"gen_ai.operation.name": "something_new"}, "x", "operation"),
        ({"openinference.span.kind": "GUARDRAIL"}, "x", "guardrail"),
        ({"openinference.span.kind": "LLM", "gen_ai.operation.name": "invoke_agent"}, "x", "agent_run"),
        ({"traceloop.span.kind": "tool"}, "x", "tool_call"),
        ({}, "execute_tool lookup", "tool_call"),
        ({}, "execute_tool", "operation"),
        ({}, "GET /orders", "operation"),
        ({"counterfoil.handoff.state": "offered", "openinference.span.kind": "TOOL"}, "x", "handoff"),
    ],
)
def test_the_kind_of_a_span(attributes: Attributes, name: str, kind: str) -> None:
    assert map_span(attributes, name=name).drafts[0].kind == kind


def test_the_explanation_of_an_evaluation_is_its_rationale() -> None:
    draft = map_event("gen_ai.evaluation.result", {"gen_ai.evaluation.explanation": "Polite throughout."})
    assert content_of(draft)["rationale"] == "Polite throughout."


def test_a_log_event_about_a_model_call_is_no_second_model_call() -> None:
    draft = map_event("gen_ai.client.inference.operation.details", {"gen_ai.operation.name": "chat"})
    assert draft.kind == "operation"
    assert map_event("gen_ai.evaluation.result", {"gen_ai.evaluation.name": "tone"}).kind == "evaluation"


def test_an_event_name_in_an_attribute_counts_as_one() -> None:
    draft = map_event("", {"event.name": "counterfoil.decision", "counterfoil.decision.risk": "low"})
    assert draft.kind == "decision"
    assert draft.facts["name"] == "counterfoil.decision"


def test_a_tool_span_of_openinference_has_arguments_and_result() -> None:
    attributes = {"openinference.span.kind": "TOOL", "tool.name": "lookup", "input.value": "{}", "output.value": "ok"}
    draft = map_span(attributes).drafts[0]
    content = content_of(draft)
    assert (content["arguments"], content["result"]) == ("{}", "ok")
    assert draft.facts["tool"] == {"name": "lookup"}


def test_equal_events_without_a_number_are_told_apart_and_equal_spans_are_one() -> None:
    logs = LOGS.request()
    inner = logs.resource_logs.add().scope_logs.add()
    for _ in range(3):
        inner.log_records.add(event_name="tick")
    items = map_decoded(decode(LOGS, logs.SerializeToString(), PROTOBUF)).items
    assert [item.ordinal for item in items] == [0, 1, 2]
    assert len({item.identity for item in items}) == 1
    spans = TRACES.request()
    scope = spans.resource_spans.add().scope_spans.add()
    for _ in range(2):
        scope.spans.add(trace_id=TRACE_ID, span_id=SPAN_ID)
    assert [item.ordinal for item in map_decoded(decode(TRACES, spans.SerializeToString(), PROTOBUF)).items] == [0, 0]


def test_a_log_event_without_a_time_starts_when_it_was_observed() -> None:
    request = LOGS.request()
    request.resource_logs.add().scope_logs.add().log_records.add(observed_time_unix_nano=START)
    item = one(request)
    assert item.drafts[0].facts["started_at"] == "2026-11-22T07:00:53.745386663Z"
    assert restored(item).items[0].time_unix_nano == 0


def test_status_words_are_the_error_of_the_record() -> None:
    request = TRACES.request()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=TRACE_ID, span_id=SPAN_ID)
    span.status.code = 2
    span.status.message = "timed out for jane@example.com"
    item = one(request)
    (draft,) = item.drafts
    assert draft.facts["status"] == "error"
    assert content_of(draft)["error"] == "timed out for jane@example.com"
    assert wire(restored(item).items[0]) == wire(span)
