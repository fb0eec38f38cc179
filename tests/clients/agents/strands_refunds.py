"""A refund desk in Strands Agents, offline: its own instrumentation, and nothing of Counterfoil's.

    opentelemetry-instrument python strands_refunds.py CONVERSATION

`handoff`: a swarm: triage with a tool that works and one that fails, then `handoff_to_agent` to billing.
`approval`: a tool call that waits for a person (interrupt); the person refuses, and the call is cancelled.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any

from strands import Agent, tool
from strands.hooks import BeforeToolCallEvent, HookRegistry
from strands.models.model import Model
from strands.multiagent import Swarm


class Answers(Model):
    """A model that gives these answers in turn: a text, or words and the tool to call with its arguments."""

    def __init__(self, name: str, *answers: str | tuple[str, str, dict[str, Any]]) -> None:
        self.config = {"model_id": name}
        self._waiting = enumerate(answers)

    def update_config(self, **_options: Any) -> None:
        """There is nothing to set."""

    def get_config(self) -> dict[str, Any]:
        """What spans name the model by."""
        return self.config

    def structured_output(self, *_args: Any, **_options: Any) -> AsyncGenerator[dict[str, Any], None]:
        raise NotImplementedError("this desk answers in words")

    async def stream(self, *_args: Any, **_options: Any) -> AsyncIterable[Any]:
        """The next answer, as a provider streams it."""
        number, answer = next(self._waiting)
        words = answer if isinstance(answer, str) else answer[0]
        yield {"messageStart": {"role": "assistant"}}
        yield {"contentBlockDelta": {"delta": {"text": words}}}
        yield {"contentBlockStop": {}}
        if isinstance(answer, str):
            yield {"messageStop": {"stopReason": "end_turn"}}
        else:
            _words, name, arguments = answer
            yield {"contentBlockStart": {"start": {"toolUse": {"name": name, "toolUseId": f"call-{number}"}}}}
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": json.dumps(arguments)}}}}
            yield {"contentBlockStop": {}}
            yield {"messageStop": {"stopReason": "tool_use"}}
        usage = {"inputTokens": 20, "outputTokens": 8, "totalTokens": 28}
        yield {"metadata": {"usage": usage, "metrics": {"latencyMs": 1}}}


@tool
def order_status(order: str) -> str:
    """When an order was bought and delivered."""
    return f"{order}: bought 41 days ago, delivered"


@tool
def payment_history(order: str) -> str:
    """The payments of an order."""
    raise TimeoutError(f"payments of {order} cannot be read: timed out after 3 s")


@tool
def issue_refund(order: str, euros: int) -> str:
    """Pay money back."""
    return f"{euros} euros paid for {order}"


def handoff(conversation: str) -> None:
    """Triage looks the order up, cannot read the payments, and hands over to billing."""
    conversation_attributes = {"session.id": conversation}
    triage = Agent(
        name="triage_agent",
        model=Answers(
            "triage-small",
            ("I need the date of purchase first.", "order_status", {"order": "ORD-77"}),
            ("Now the payments.", "payment_history", {"order": "ORD-77"}),
            (
                "Payments cannot be read, so this is for billing.",
                "handoff_to_agent",
                {"agent_name": "billing_agent", "message": "May ORD-77 be refunded?", "context": {"order": "ORD-77"}},
            ),
            "Billing has the case.",
        ),
        tools=[order_status, payment_history],
        callback_handler=None,
        trace_attributes=conversation_attributes,
    )
    billing = Agent(
        name="billing_agent",
        model=Answers("billing-large", "Refund refused: bought 41 days ago, R-12 allows 30."),
        callback_handler=None,
        trace_attributes=conversation_attributes,
    )
    desk = Swarm([triage, billing], entry_point=triage, trace_attributes=conversation_attributes)
    done = desk("I want my money back for ORD-77.")
    print(done.status, [node.node_id for node in done.node_history])


class AskFirst:
    """A hook that asks a person before money is paid."""

    def register_hooks(self, registry: HookRegistry, **_options: Any) -> None:
        """Called by the agent."""
        registry.add_callback(BeforeToolCallEvent, self.before)

    def before(self, event: BeforeToolCallEvent) -> None:
        """Wait for the verdict; cancel the call where it is no."""
        verdict = event.interrupt("refund-approval", reason={"question": "Pay 900 euros for ORD-77?"})
        if verdict != "yes":
            event.cancel_tool = "refused by a person: over the limit"


def approval(conversation: str) -> None:
    """A refund over the limit waits for a person, who refuses it."""
    desk = Agent(
        name="refund_agent",
        model=Answers(
            "refunds-large",
            ("The order is in the window.", "issue_refund", {"order": "ORD-77", "euros": 900}),
            "A colleague has refused the refund.",
        ),
        tools=[issue_refund],
        hooks=[AskFirst()],
        callback_handler=None,
        trace_attributes={"session.id": conversation},
    )
    asked = desk("Refund ORD-77.")
    refused = [{"interruptResponse": {"interruptId": asked.interrupts[0].id, "response": "no"}}]
    print(desk(refused))


if __name__ == "__main__":
    for scenario in (handoff, approval):
        scenario(f"{sys.argv[1]}-{scenario.__name__}")
