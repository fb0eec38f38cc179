"""The cases of the contact centre: what happens in each conversation, told as calls on `Conversation`.

Every story is a plain function of the conversation and a seeded random source, so the same seed tells the same day.
Together they hold what an audit looks for: good and failing tools, a model that is replaced, a decision below its
threshold, policies that bind, handoffs accepted and declined, a person who overrides, a customer who asks for one.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from counterfoil.demo.conversation import Conversation

REFUNDS = ("refunds", "2.3.1")
TRIAGE = ("triage", "1.8.0")
FRAUD = ("fraud-check", "3.0.2")
RETENTION = ("cancellations", "1.4.0")
PRIMARY, BACKUP = "gpt-5-mini", "mistral-small-3"

Story = Callable[[Conversation, Random], None]


def greet(c: Conversation) -> None:
    """Every conversation opens with the notice that an AI speaks."""
    c.mark("start")
    c.notify("ai_disclosure", "You are talking to an AI agent. Say 'person' at any time to reach a colleague.")


def refund_overridden(c: Conversation, _: Random) -> None:
    """A refund outside the window: the model is down, a rule decides, a person takes over and overrides."""
    greet(c)
    with c.agent(*TRIAGE):
        c.says("user", "I'd like my money back for the headphones. The left side stopped working.")
        c.model(PRIMARY, "Intent: refund, damaged item.", reasoning="Defect reported, order on file: refunds.")
        c.hand_off(f"{c.id}-h1", "accepted", to_kind="agent", to="refunds", reason="out_of_scope", intent="refund")
    with c.agent(*REFUNDS):
        c.tool("orders.lookup", {"customer": c.subject}, {"order": "A-5512", "bought_days_ago": 41, "amount": "129.00"})
        c.model(PRIMARY, "upstream request timed out after 20 s", error="timeout", seconds=20.0)
        c.model(
            BACKUP,
            "Outside the 30-day window; defect within warranty. I lean to deny the refund and offer a repair.",
            reasoning="41 days > 30 days (R-12). Defect may fall under warranty (W-3), but that is a repair.",
        )
        d = f"{c.id}-d1"
        c.decide(
            d,
            "refund",
            "deny",
            "Bought 41 days ago; policy R-12 allows refunds within 30 days. A warranty repair is offered instead.",
            phase="proposed",
            autonomy="act_with_approval",
            risk="medium",
            confidence=0.62,
            threshold=0.80,
            confidence_method="self_reported",
            reversible="yes",
            owner="refunds-team",
            rationale_source="model_stated",
            rationale_captured="before_action",
            alternatives=[
                {"option": "approve", "score": 0.31, "rejected_because": "outside the 30-day window of R-12"},
                {"option": "deny", "score": 0.62},
                {"option": "store credit", "score": 0.07, "rejected_because": "needs approval above 100.00"},
            ],
            **{"policy.id": "R-12", "policy.version": "2026-03"},
        )
        c.fall_back(
            d,
            "timeout",
            origin=PRIMARY,
            to=BACKUP,
            mode="degraded",
            step=1,
            planned=True,
            evaluated=False,
            reason="The primary model did not answer within 20 seconds.",
        )
        c.fall_back(
            d,
            "low_confidence",
            origin=BACKUP,
            to="rules-engine",
            mode="degraded",
            step=2,
            planned=True,
            evaluated=True,
            reason="0.62 is below the threshold of 0.80.",
        )
        c.tool("rules.evaluate", {"policy": "R-12", "days": 41}, {"verdict": "human_required", "rule": "R-12.4"})
        c.fall_back(
            d,
            "policy",
            origin="rules-engine",
            to="tier-2",
            mode="human",
            step=3,
            planned=True,
            exhausted=True,
            evaluated=True,
            reason="R-12.4: a defect reported after the window goes to a person.",
        )
        c.says("assistant", "I can't approve this myself. A colleague with more room to decide will look at it now.")
        c.says("user", "Fine, but I already explained it twice.")
        for state in ("offered", "accepted"):
            c.hand_off(
                f"{c.id}-h2",
                state,
                to_kind="queue",
                to="tier-2",
                reason="policy_limit",
                context=["summary", "intent", "attempted", "verified_identity", "promises", "open_questions"],
                summary="Headphones A-5512, 129.00, left side dead after 41 days. Agent proposed to deny under R-12.",
                intent="refund",
                sentiment="annoyed, second explanation",
                attempted=["orders.lookup: found", f"{PRIMARY}: timeout", "rules.evaluate: human required"],
                verified_identity="order number and postcode",
                promises="A colleague decides in this conversation.",
                open_questions="Is a goodwill refund possible?",
                next_step="Check goodwill budget G-2.",
            )
            c.wait(38)
    c.oversee(
        d,
        "decision",
        "override",
        "priya.raman@contact-centre.example",
        "supervisor",
        could_still_change=True,
        reason="Defect within warranty and a customer of six years: goodwill refund under G-2.",
        shown="proposed decision, alternatives, order, both policies",
    )
    c.tool("payments.refund", {"order": "A-5512", "amount": "129.00"}, {"status": "done", "reference": "RF-20931"})
    c.came_out(d, "refunded", "no", "129.00 paid back to the card ending 4471.")
    c.mark("end")


def refund_within_policy(c: Conversation, r: Random) -> None:
    days, amount = r.randint(2, 27), f"{r.randint(8, 90)}.00"
    greet(c)
    with c.agent(*REFUNDS):
        c.says("user", "The jacket is too small, can I send it back?")
        c.model(PRIMARY, "Refund requested, size issue.")
        c.tool("orders.lookup", {"customer": c.subject}, {"bought_days_ago": days, "amount": amount})
        d = f"{c.id}-d1"
        c.decide(
            d,
            "refund",
            "approve",
            f"Bought {days} days ago, unworn; R-12 allows refunds within 30 days.",
            phase="executed",
            autonomy="autonomous",
            risk="low",
            confidence=round(r.uniform(0.88, 0.99), 2),
            threshold=0.80,
            reversible="yes",
            rationale_source="model_stated",
            rationale_captured="before_action",
            alternatives=[{"option": "deny", "score": 0.04, "rejected_because": "within the window"}],
            **{"policy.id": "R-12", "policy.version": "2026-03"},
        )
        c.tool("payments.refund", {"amount": amount}, {"status": "done"})
        c.says("assistant", f"Done: {amount} is on its way back to you.")
    c.came_out(d, "refunded", "yes", f"{amount} paid back.")
    c.mark("end")


def fraud_blocked(c: Conversation, r: Random) -> None:
    """The scoring service fails twice; the agent fails closed and an analyst confirms."""
    greet(c)
    with c.agent(*FRAUD):
        c.says("user", "Why was my card declined at the petrol station?")
        c.model(PRIMARY, "Card declined: check the risk of the last authorisation.")
        c.tool("risk.score", {"account": c.subject}, "connection reset by peer", error="ConnectionError", seconds=1.5)
        c.tool("risk.score", {"account": c.subject, "retry": 1}, "deadline exceeded", error="timeout", seconds=5.0)
        c.tool("risk.rules", {"account": c.subject}, {"rules": ["velocity-3", "new-country"], "score": "0.91"})
        d = f"{c.id}-d1"
        c.decide(
            d,
            "card_block",
            "block",
            "Two rules fired (velocity-3, new-country) and the scoring service was unavailable: fail closed.",
            phase="authorised",
            autonomy="act_with_approval",
            risk="high",
            confidence=round(r.uniform(0.7, 0.9), 2),
            threshold=0.85,
            confidence_method="rule",
            reversible="yes",
            rationale_source="rule_trace",
            rationale_captured="before_action",
            alternatives=[
                {"option": "release", "score": 0.12, "rejected_because": "two rules fired within the hour"},
                {"option": "step-up", "score": 0.34, "rejected_because": "no second factor enrolled"},
            ],
            **{"policy.id": "FR-7", "policy.version": "11"},
        )
        c.fall_back(
            d,
            "unavailable",
            origin="risk.score",
            to="risk.rules",
            mode="fail_closed",
            step=1,
            planned=True,
            evaluated=False,
            reason="Scoring failed twice: connection reset, then deadline exceeded.",
        )
        c.hand_off(
            f"{c.id}-h1",
            "accepted",
            to_kind="human",
            to="analyst.kim@contact-centre.example",
            reason="risk_or_vulnerability",
            context=["summary", "attempted", "next_step"],
            summary="Card blocked on rules alone; scoring was down.",
            attempted=["risk.score: failed twice", "risk.rules: two rules"],
            next_step="Confirm the block or release within 15 minutes.",
        )
        c.wait(300)
    c.oversee(
        d,
        "decision",
        "approve",
        "analyst.kim@contact-centre.example",
        "fraud-analyst",
        could_still_change=True,
        reason="Customer does not recognise two of the payments.",
        shown="rules, payments of the last hour",
    )
    c.came_out(d, "blocked", "yes", "Card replaced; two payments disputed.")
    c.mark("end")


def cancellation(c: Conversation, r: Random) -> None:
    greet(c)
    with c.agent(*TRIAGE):
        c.says("user", "I want to cancel my contract.")
        c.model(PRIMARY, "Intent: cancellation.", answered_by=f"{PRIMARY}-fallback" if r.random() < 0.3 else None)
    with c.agent(*RETENTION):
        c.tool("contracts.lookup", {"customer": c.subject}, {"plan": "home-500", "months_left": r.randint(0, 9)})
        c.tool("offers.find", {"plan": "home-500"}, {"status": "error", "message": "offer catalogue not loaded"})
        c.model(PRIMARY, "No offer could be loaded; the customer was clear. Cancel at the end of the term.")
        d = f"{c.id}-d1"
        c.decide(
            d,
            "cancellation",
            "cancel_at_term",
            "The customer asked twice and no offer was available. Cancelling at the end of the term costs nothing.",
            phase="executed",
            autonomy="autonomous",
            risk="low",
            confidence=0.93,
            reversible="yes",
            rationale_source="model_stated",
            rationale_captured="before_action",
            alternatives=[
                {"option": "offer a discount", "score": 0.2, "rejected_because": "offer catalogue not loaded"},
                {"option": "cancel now", "score": 0.1, "rejected_because": "a fee would be due"},
            ],
        )
        c.fall_back(
            d,
            "error",
            origin="offers.find",
            to="cancel-without-offer",
            mode="degraded",
            step=1,
            planned=False,
            evaluated=True,
            reason="The tool answered an error although its call succeeded.",
        )
        c.tool("contracts.cancel", {"at": "end_of_term"}, {"status": "done"})
        c.says("assistant", "Your contract ends with the current term. You'll get that in writing.")
    c.came_out(d, "cancelled", "yes", "Contract ends with the term.")
    c.mark("end")


def asks_for_a_person(c: Conversation, _: Random) -> None:
    greet(c)
    with c.agent(*TRIAGE):
        c.says("user", "Person, please. I don't want to talk to a machine.")
        c.model(PRIMARY, "The customer asks for a person.")
        c.decide(
            f"{c.id}-d1",
            "routing",
            "escalate",
            "The customer asked for a person; policy H-1 says at once and without another question.",
            phase="executed",
            autonomy="autonomous",
            risk="low",
            confidence=0.99,
            reversible="yes",
            rationale_source="rule_trace",
            rationale_captured="before_action",
            **{"policy.id": "H-1", "policy.version": "1"},
        )
        for state in ("offered", "accepted"):
            c.hand_off(
                f"{c.id}-h1",
                state,
                to_kind="queue",
                to="general-support",
                reason="customer_request",
                context=["summary", "intent"],
                summary="Asked for a person in the first sentence; nothing tried.",
                intent="unknown",
            )
            c.wait(25)
    c.mark("end")


def nobody_there(c: Conversation, _: Random) -> None:
    """A voice call after hours: identity is not verified, the queue declines, a call back is promised."""
    greet(c)
    with c.agent(*TRIAGE):
        c.says("user", "Hello? I need my new PIN read out to me.")
        c.model(PRIMARY, "PIN request by voice: identity must be verified.")
        c.tool("identity.verify", {"method": "voice"}, "voice print did not match", error="VerificationFailed")
        d = f"{c.id}-d1"
        c.decide(
            d,
            "identity",
            "refuse",
            "The voice print did not match and ID-4 forbids reading a PIN to an unverified caller.",
            phase="executed",
            autonomy="autonomous",
            risk="high",
            confidence=0.97,
            reversible="yes",
            rationale_source="rule_trace",
            rationale_captured="before_action",
            **{"policy.id": "ID-4", "policy.version": "7"},
        )
        for state in ("offered", "declined"):
            c.hand_off(
                f"{c.id}-h1",
                state,
                to_kind="queue",
                to="verified-care",
                reason="identity_unverified",
                context=["summary", "verified_identity"],
                summary="PIN by phone refused; voice print did not match.",
                verified_identity="none",
            )
            c.wait(60)
        c.fall_back(
            d,
            "human_unavailable",
            origin="verified-care",
            to="call-back",
            mode="fail_closed",
            step=1,
            planned=True,
            exhausted=True,
            evaluated=True,
            reason="Nobody is on shift after 20:00.",
        )
        c.says("assistant", "I can't do this now. A colleague calls you back tomorrow at nine.")
    c.mark("end")


def regulated_topic(c: Conversation, _: Random) -> None:
    """A guardrail stops the answer; the customer is told where to contest."""
    greet(c)
    with c.agent(*RETENTION):
        c.says("user", "If I stop paying, what happens to my credit score?")
        c.model(PRIMARY, "Explain consequences for the credit score.")
        d = f"{c.id}-d1"
        c.decide(
            d,
            "advice",
            "decline",
            "Guardrail G-credit: statements on credit scores are regulated advice.",
            phase="executed",
            autonomy="autonomous",
            risk="critical",
            confidence=0.95,
            reversible="yes",
            rationale_source="rule_trace",
            rationale_captured="before_action",
            **{"policy.id": "G-credit", "policy.version": "5"},
        )
        c.fall_back(
            d,
            "guardrail",
            origin=PRIMARY,
            to="standard-text",
            mode="fail_closed",
            step=1,
            planned=True,
            evaluated=True,
            reason="The draft answer named consequences for the credit score.",
        )
        c.notify("contest_channel", "You can reach our complaints office under the number on your bill.")
        c.hand_off(
            f"{c.id}-h1",
            "offered",
            to_kind="queue",
            to="regulated-advice",
            reason="regulated_topic",
            context=["summary", "intent"],
            summary="Asked about credit score; no advice given.",
            intent="credit score",
        )
    c.mark("end")


def unmodified_agent(c: Conversation, _: Random) -> None:
    """An agent as its framework instruments it: calls and messages, no word of ours. What it decided is derived."""
    with c.agent(*TRIAGE):
        c.says("user", "My parcel was due on Monday. Where is it?")
        c.model(
            PRIMARY,
            "Let me look up the parcel.",
            reasoning="A delivery question: the carrier knows.",
            calls="carrier.track",
        )
        c.tool("carrier.track", {"order": "A-7719"}, "carrier API: 503", error="ServiceUnavailable", seconds=4.0)
        c.model(PRIMARY, "The carrier does not answer; our own records may.", calls="orders.lookup")
        c.tool("orders.lookup", {"order": "A-7719"}, {"status": "error", "detail": "archive is read only"})
        c.model(
            PRIMARY, "I cannot see it; dispatch can.", reasoning="Two sources failed.", calls="transfer_to_dispatch"
        )
        c.tool("transfer_to_dispatch", {"reason": "carrier and order archive unavailable"}, "accepted")
    with c.agent("dispatch", "1.0.2"):
        c.wait(0.1)
        c.model(BACKUP, "Your parcel is at the depot and comes tomorrow.")


STORIES: tuple[tuple[str, Story, int], ...] = (
    ("refund", refund_overridden, 1),
    ("refund", refund_within_policy, 5),
    ("fraud", fraud_blocked, 2),
    ("cancellation", cancellation, 3),
    ("general", asks_for_a_person, 2),
    ("identity", nobody_there, 1),
    ("advice", regulated_topic, 1),
)
"""Topic, story and weight in the day's mix."""
