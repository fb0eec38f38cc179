"""The whole way: from the calls of an agent to records of a real service, numbered and complete."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import counterfoil.sdk as counterfoil
from counterfoil.sdk.pipeline import Pipeline
from counterfoil.sdk.state import current_sink
from tests.sdk.reading import Reader


def producer_id() -> str:
    sink = current_sink()
    assert isinstance(sink, Pipeline)
    return sink.producer_id


def test_the_example_of_the_conventions_becomes_one_trail(configure: Callable[..., None], reader: Reader) -> None:
    configure(agent="refunds", version="2.3.1")

    with counterfoil.interaction("conv-sdk-42", channel="chat", subject="cust-7"):
        with counterfoil.decision("refund", risk="medium", autonomy="autonomous") as d:
            d.consider("approve", score=0.35)
            d.consider("deny", score=0.65, because="outside the 30-day window")
            d.choose("deny", rationale="Bought 41 days ago; policy R-12 allows 30.", confidence=0.65, policy="R-12")
            d.fall_back("rules-engine", trigger="low_confidence", origin="gpt-x", mode="degraded")
        counterfoil.hand_off(
            "tier-2", to_kind="queue", reason="policy_limit", summary=..., attempted=[...], next_step=...
        )
    assert counterfoil.flush()

    decision, fallback, handoff = reader.leaves(3, interaction="conv-sdk-42")
    assert decision["decision"] == {
        "id": d.id,
        "type": "refund",
        "outcome": "deny",
        "risk": "medium",
        "autonomy": "autonomous",
        "confidence": "0.65",
        "policy": {"id": "R-12"},
        "alternatives": 2,
    }
    assert decision["agent"] == {"name": "refunds", "version": "2.3.1"}
    assert decision["subject"].startswith("p_")
    assert fallback["fallback"] == {
        "of": {"id": d.id},
        "trigger": "low_confidence",
        "mode": "degraded",
        "from": "gpt-x",
        "to": "rules-engine",
        "step": 1,
    }
    assert handoff["handoff"]["context"] == ["summary", "attempted", "next_step"]
    content = reader.content(decision["seq"])
    assert content["rationale"] == "Bought 41 days ago; policy R-12 allows 30."
    steps = reader.trail("conv-sdk-42")["steps"]
    assert [step["kind"] for step in steps] == ["decision", "fallback", "handoff"]
    assert [one["option"] for one in steps[0]["what_else"]] == ["approve", "deny"]


def test_every_kind_of_event_becomes_its_record(configure: Callable[..., None], reader: Reader) -> None:
    configure(agent="refunds")
    with counterfoil.interaction("conv-sdk-kinds", type="refund", language="en", region="eu", starts=True, ends=True):
        counterfoil.notice("ai_disclosure", text="You are talking to a machine.")
        with counterfoil.decision("refund", id="d-kinds-1", owner="refunds-team", reversible="yes", threshold=0.5) as d:
            d.choose("approve", phase="proposed", rationale_source="model_stated", rationale_captured="before_action")
        counterfoil.oversee(
            "override",
            of=d,
            person="sam@example.com",
            role="supervisor",
            reason="Goodwill.",
            shown={"amount": 20},
            shown_at=datetime(2026, 11, 22, 10, 0, 0, 250_000, tzinfo=UTC),
            could_still_change=True,
        )
        counterfoil.outcome("refunded", of=d, agrees=False, observed_by="ledger", effect="20 EUR booked")
        handoff = counterfoil.hand_off("ann@example.com", to_kind="human", reason="customer_request", intent="refund")
        counterfoil.hand_off("ann@example.com", to_kind="human", id=handoff, state="accepted")
    assert counterfoil.flush()

    leaves = reader.leaves(8, interaction="conv-sdk-kinds")
    assert [leaf["kind"] for leaf in leaves] == [
        *("interaction", "notice", "decision", "oversight", "outcome", "handoff", "handoff", "interaction")
    ]
    assert [leaves[0]["interaction"]["phase"], leaves[-1]["interaction"]["phase"]] == ["start", "end"]
    oversight: dict[str, Any] = leaves[3]["oversight"]
    assert oversight.pop("person").startswith("p_")
    assert oversight == {
        "of": {"id": "d-kinds-1"},
        "act": "decision",
        "verdict": "override",
        "role": "supervisor",
        "shown_at": "2026-11-22T10:00:00.250000000Z",
        "could_still_change": True,
    }
    assert leaves[4]["outcome"] == {
        "of": {"id": "d-kinds-1"},
        "status": "refunded",
        "agrees": "no",
        "observed_by": "ledger",
    }
    assert leaves[5]["handoff"]["id"] == leaves[6]["handoff"]["id"] == handoff
    assert [leaf["handoff"]["state"] for leaf in leaves[5:7]] == ["offered", "accepted"]
    assert counterfoil.status() == {"produced": 9, "delivered": 9, "waiting": 0, "lost": 0}


def test_a_producer_that_closes_is_complete(configure: Callable[..., None], reader: Reader) -> None:
    configure(agent="refunds", coverage="all refund decisions")
    producer = producer_id()
    for number in range(5):
        with counterfoil.decision("refund") as d:
            d.choose(f"outcome-{number}")
    assert counterfoil.shutdown(20)
    said = reader.producer(producer, "complete")
    assert (said["produced"], said["delivered"], said["lost"]["numbers"], said["gaps"]["numbers"]) == (7, 7, 0, 0)


def test_events_carry_the_span_that_is_active_and_spans_the_interaction(
    configure: Callable[..., None], reader: Reader
) -> None:
    configure(agent="refunds")
    provider = TracerProvider()
    provider.add_span_processor(counterfoil.InteractionSpanProcessor())
    tracer = provider.get_tracer("framework")
    with (
        counterfoil.interaction("conv-sdk-span", channel="voice", subject="cust-9"),
        tracer.start_as_current_span("invoke_agent refunds") as span,
        counterfoil.decision("refund") as d,
    ):
        d.choose("approve")
    assert counterfoil.flush()
    context = span.get_span_context()
    (leaf,) = reader.leaves(1, interaction="conv-sdk-span")
    assert leaf["trace_id"] == trace.format_trace_id(context.trace_id)
    assert leaf["span_id"] == trace.format_span_id(context.span_id)
    assert dict(span.attributes or {}) == {  # type: ignore[attr-defined]  # the SDK's span, which can be read
        "counterfoil.interaction.id": "conv-sdk-span",
        "counterfoil.interaction.channel": "voice",
        "counterfoil.subject.id": "cust-9",
    }


def test_without_a_span_the_events_of_a_decision_share_a_trace(configure: Callable[..., None], reader: Reader) -> None:
    configure()
    with counterfoil.decision("no-span") as d:
        d.fall_back("rules", trigger="error", origin="model")
        d.choose("deny")
    assert counterfoil.flush()
    (decision,) = reader.leaves(1, decision_type="no-span")
    fallback, same = reader.leaves(2, trace_id=decision["trace_id"])
    assert fallback["fallback"]["of"] == {"id": d.id}
    assert same == decision
    assert "span_id" not in decision
