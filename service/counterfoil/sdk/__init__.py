"""The agent's side: records decisions, why they were made, and which fallback was taken, without getting in the way.

    import counterfoil.sdk as counterfoil

    counterfoil.configure(agent="refunds", version="2.3.1")            # endpoint and key from OTEL_* variables

    with counterfoil.interaction("conv-42", channel="chat", subject="cust-7"):
        with counterfoil.decision("refund", risk="medium", autonomy="autonomous") as d:
            d.consider("approve", score=0.35)
            d.consider("deny", score=0.65, because="outside the 30-day window")
            d.choose("deny", rationale="Bought 41 days ago; policy R-12 allows 30.", confidence=0.65, policy="R-12")

Built on the OpenTelemetry API: events are log events of the `counterfoil.*` conventions, tied to the current span. They
are numbered, so that what is missing can be named; the producer beats, declares what it dropped, and closes. Nothing
here raises into the host or blocks it, except `durable=True`, which is asked for. Importing has no effect.
The guide is docs/sdk.md.
"""

from counterfoil.sdk.configuration import configure, flush, shutdown, status
from counterfoil.sdk.deciding import current_decision, decision
from counterfoil.sdk.decisions import Decision
from counterfoil.sdk.events import hand_off, notice, outcome, oversee
from counterfoil.sdk.interactions import interaction
from counterfoil.sdk.not_recorded import NotRecorded
from counterfoil.sdk.spans import InteractionSpanProcessor

__all__ = [
    "Decision",
    "InteractionSpanProcessor",
    "NotRecorded",
    "configure",
    "current_decision",
    "decision",
    "flush",
    "hand_off",
    "interaction",
    "notice",
    "outcome",
    "oversee",
    "shutdown",
    "status",
]
