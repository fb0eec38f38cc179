"""A refund desk in Microsoft Agent Framework, offline: its own instrumentation, and nothing of Counterfoil's.

    ENABLE_INSTRUMENTATION=true ENABLE_SENSITIVE_DATA=true \\
    opentelemetry-instrument python agent_framework_refunds.py CONVERSATION

`handoff`: a tool that works, one that fails, and billing asked as a tool (an agent as a tool).
`approval`: a tool that needs a person's approval; the person refuses, in a second run.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterable, Sequence
from typing import Any

from agent_framework import (
    Agent,
    BaseChatClient,
    ChatMiddlewareLayer,
    ChatResponse,
    ChatResponseUpdate,
    Content,
    FunctionInvocationLayer,
    Message,
    tool,
)
from agent_framework.observability import ChatTelemetryLayer
from opentelemetry import trace

TRACER = trace.get_tracer("refund desk")


class Desk(FunctionInvocationLayer, ChatMiddlewareLayer, ChatTelemetryLayer, BaseChatClient):
    """A chat client whose model gives these contents in turn; layered as the framework's own clients are."""

    OTEL_PROVIDER_NAME = "desk"

    def __init__(self, model: str, *answers: Sequence[Content]) -> None:
        super().__init__()
        self.model = model
        self._waiting = iter(answers)

    def _inner_get_response(self, *, stream: bool, **_more: Any) -> Any:
        contents = list(next(self._waiting))
        if stream:
            return self._build_response_stream(self._streamed(contents))
        return self._whole(contents)

    async def _whole(self, contents: list[Content]) -> ChatResponse:
        return ChatResponse(messages=[Message("assistant", contents)], model=self.model)

    async def _streamed(self, contents: list[Content]) -> AsyncIterable[ChatResponseUpdate]:
        yield ChatResponseUpdate(role="assistant", contents=contents, model=self.model)


def says(text: str) -> list[Content]:
    """A final answer."""
    return [Content.from_text(text)]


def calls(name: str, number: int, thought: str, **arguments: Any) -> list[Content]:
    """A tool call with the model's reasoning before it."""
    return [
        Content.from_text_reasoning(text=thought),
        Content.from_function_call(f"call-{number}", name, arguments=arguments),
    ]


@tool
def order_status(order: str) -> str:
    """When an order was bought and delivered."""
    return f"{order}: bought 41 days ago, delivered"


@tool
def payment_history(order: str) -> str:
    """The payments of an order."""
    raise TimeoutError(f"payments of {order} cannot be read: timed out after 3 s")


@tool(approval_mode="always_require")
def issue_refund(order: str, euros: int) -> str:
    """Pay money back."""
    return f"{euros} euros paid for {order}"


async def handoff(conversation: str) -> None:
    """Triage looks the order up, cannot read the payments, and asks billing."""
    billing = Agent(
        Desk("billing-large", says("Refund refused: bought 41 days ago, R-12 allows 30.")),
        name="billing_agent",
    )
    triage = Agent(
        Desk(
            "triage-small",
            calls("order_status", 0, "I need the date of purchase first.", order="ORD-77"),
            calls("payment_history", 1, "Now the payments.", order="ORD-77"),
            calls("billing_agent", 2, "Payments cannot be read, so this is for billing.", task="May I refund ORD-77?"),
            says("Your refund was refused: the 30 days are over."),
        ),
        "You are the first line of the refund desk.",
        name="triage_agent",
        tools=[order_status, payment_history, billing.as_tool()],
    )
    with TRACER.start_as_current_span("conversation", attributes={"gen_ai.conversation.id": conversation}):
        print(await triage.run("I want my money back for ORD-77."))


async def approval(conversation: str) -> None:
    """A refund over the limit waits for a person, who refuses it."""
    desk = Agent(
        Desk(
            "refunds-large",
            calls("issue_refund", 0, "The order is in the window.", order="ORD-77", euros=900),
            says("A colleague has refused the refund."),
        ),
        name="refund_agent",
        tools=[issue_refund],
    )
    session = desk.create_session()
    with TRACER.start_as_current_span("conversation", attributes={"gen_ai.conversation.id": conversation}):
        asked = await desk.run("Refund ORD-77.", session=session)
    refused = [request.to_function_approval_response(approved=False) for request in asked.user_input_requests]
    with TRACER.start_as_current_span("conversation", attributes={"gen_ai.conversation.id": conversation}):
        print(await desk.run(Message("user", refused), session=session))


if __name__ == "__main__":
    for scenario in (handoff, approval):
        asyncio.run(scenario(f"{sys.argv[1]}-{scenario.__name__}"))
