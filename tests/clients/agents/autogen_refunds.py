"""A refund desk in AutoGen, offline: its own instrumentation, and nothing of Counterfoil's.

    opentelemetry-instrument python autogen_refunds.py CONVERSATION

`handoff`: a swarm: triage with a tool that works and one that fails, then `transfer_to_billing_agent`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import TextMentionTermination
from autogen_agentchat.teams import Swarm
from autogen_core import FunctionCall
from autogen_core.models import CreateResult, ModelInfo, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient
from opentelemetry import trace

USAGE = RequestUsage(prompt_tokens=20, completion_tokens=8)
ABLE = ModelInfo(vision=False, function_calling=True, json_output=False, family="unknown", structured_output=False)


def calls(name: str, number: int, thought: str, **arguments: Any) -> CreateResult:
    """An answer that calls a tool."""
    call = FunctionCall(id=f"call-{number}", name=name, arguments=json.dumps(arguments))
    return CreateResult(finish_reason="function_calls", content=[call], usage=USAGE, cached=False, thought=thought)


async def order_status(order: str) -> str:
    """When an order was bought and delivered."""
    return f"{order}: bought 41 days ago, delivered"


async def payment_history(order: str) -> str:
    """The payments of an order."""
    raise TimeoutError(f"payments of {order} cannot be read: timed out after 3 s")


async def handoff(conversation: str) -> None:
    """Triage looks the order up, cannot read the payments, and hands over to billing."""
    triage = AssistantAgent(
        "triage_agent",
        model_client=ReplayChatCompletionClient(
            [
                calls("order_status", 0, "I need the date of purchase first.", order="ORD-77"),
                calls("payment_history", 1, "Now the payments.", order="ORD-77"),
                calls("transfer_to_billing_agent", 2, "Payments cannot be read, so this is for billing."),
            ],
            model_info=ABLE,
        ),
        tools=[order_status, payment_history],
        handoffs=["billing_agent"],
        max_tool_iterations=3,
    )
    billing = AssistantAgent(
        "billing_agent",
        model_client=ReplayChatCompletionClient(
            ["Refund refused: bought 41 days ago, R-12 allows 30. TERMINATE"], model_info=ABLE
        ),
    )
    desk = Swarm([triage, billing], termination_condition=TextMentionTermination("TERMINATE"), max_turns=6)
    tracer = trace.get_tracer("refund desk")
    with tracer.start_as_current_span("conversation", attributes={"gen_ai.conversation.id": conversation}):
        done = await desk.run(task="I want my money back for ORD-77.")
    print(done.messages[-1].to_text())


if __name__ == "__main__":
    asyncio.run(handoff(f"{sys.argv[1]}-handoff"))
