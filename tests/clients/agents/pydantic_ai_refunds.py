"""A refund desk in Pydantic AI, offline: its own instrumentation, and nothing of Counterfoil's.

    opentelemetry-instrument python pydantic_ai_refunds.py CONVERSATION

`handoff`: a tool that works, one that times out, and billing asked through a tool of triage (agent delegation).
`approval`: a tool that needs a person's approval; the person refuses, in a second run of the same conversation.
`fallback`: the first model answers 503, the second takes over.
"""

from __future__ import annotations

import sys

from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, ModelHTTPError, ModelRetry, ToolDenied
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ThinkingPart, ToolCallPart
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import AgentInfo, FunctionModel

Agent.instrument_all()


def model(name: str, *answers: ModelResponse) -> FunctionModel:
    """A model that gives these answers in turn."""
    waiting = iter(answers)

    def answer(_messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        return next(waiting)

    return FunctionModel(answer, model_name=name)


def handoff(conversation: str) -> None:
    """Triage looks the order up, cannot read the payments, and asks billing."""
    billing = Agent(
        model("billing-large", ModelResponse([TextPart("Refund refused: bought 41 days ago, R-12 allows 30.")])),
        name="billing_agent",
    )
    triage = Agent(
        model(
            "triage-small",
            ModelResponse(
                [ThinkingPart("I need the date of purchase first."), ToolCallPart("order_status", {"order": "ORD-77"})]
            ),
            ModelResponse([ToolCallPart("payment_history", {"order": "ORD-77"})]),
            ModelResponse(
                [
                    ThinkingPart("Payments cannot be read, so this is for billing."),
                    ToolCallPart("ask_billing", {"question": "May ORD-77 be refunded?"}),
                ]
            ),
            ModelResponse([TextPart("Your refund was refused: the 30 days are over.")]),
        ),
        name="triage_agent",
        instructions="You are the first line of the refund desk.",
        retries=2,
    )

    @triage.tool_plain
    def order_status(order: str) -> str:
        """When an order was bought and delivered."""
        return f"{order}: bought 41 days ago, delivered"

    @triage.tool_plain
    def payment_history(order: str) -> str:
        """The payments of an order."""
        raise ModelRetry(f"payments of {order} cannot be read: timed out after 3 s")

    @triage.tool_plain
    async def ask_billing(question: str) -> str:
        """Ask the billing department's agent."""
        return (await billing.run(question, conversation_id=conversation)).output

    print(triage.run_sync("I want my money back for ORD-77.", conversation_id=conversation).output)


def approval(conversation: str) -> None:
    """A refund over the limit waits for a person, who refuses it."""
    desk = Agent(
        model(
            "refunds-large",
            ModelResponse(
                [ToolCallPart("issue_refund", {"order": "ORD-77", "euros": 900}, tool_call_id="call-refund")]
            ),
            ModelResponse([TextPart("A colleague has refused the refund.")]),
        ),
        name="refund_agent",
        output_type=[str, DeferredToolRequests],
    )

    @desk.tool_plain(requires_approval=True)
    def issue_refund(order: str, euros: int) -> str:
        """Pay money back."""
        return f"{euros} euros paid for {order}"

    asked = desk.run_sync("Refund ORD-77.", conversation_id=conversation)
    refused = DeferredToolResults(approvals={"call-refund": ToolDenied("over the limit, the supervisor said no")})
    answered = desk.run_sync(
        message_history=asked.all_messages(), deferred_tool_results=refused, conversation_id=conversation
    )
    print(answered.output)


def fallback(conversation: str) -> None:
    """The first model is away, the second answers."""

    def away(_messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        raise ModelHTTPError(status_code=503, model_name="refunds-large")

    desk = Agent(
        FallbackModel(
            FunctionModel(away, model_name="refunds-large"),
            model("refunds-small", ModelResponse([TextPart("Your refund was refused.")])),
        ),
        name="refund_agent",
    )
    print(desk.run_sync("Refund ORD-77.", conversation_id=conversation).output)


if __name__ == "__main__":
    for scenario in (handoff, approval, fallback):
        scenario(f"{sys.argv[1]}-{scenario.__name__}")
