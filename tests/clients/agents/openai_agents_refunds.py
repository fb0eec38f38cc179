"""A refund desk in the OpenAI Agents SDK, offline: one of its three instrumentations, and nothing of Counterfoil's.

    opentelemetry-instrument python openai_agents_refunds.py CONVERSATION openinference|genai|traceloop

`handoff`: a tool that works, one that fails, a handoff to billing.
`approval`: a tool that needs a person's approval; the person refuses and the run goes on.
`guardrail`: an input guardrail stops the run.
"""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager
from typing import Any

import httpx
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    InputGuardrailTripwireTriggered,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    function_tool,
    set_trace_processors,
)
from openai import AsyncOpenAI
from openinference.instrumentation import using_session
from opentelemetry import trace


def instrument(by: str) -> None:
    """The two lines that one writes, for each instrumentation there is."""
    set_trace_processors([])  # nothing goes to the platform of the SDK's maker; before the instrumentation, not after
    if by == "openinference":
        from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

        OpenAIAgentsInstrumentor().instrument()
    elif by == "genai":
        from opentelemetry.instrumentation.genai.openai_agents import OpenAIAgentsInstrumentor

        OpenAIAgentsInstrumentor().instrument()
    elif by == "traceloop":
        from opentelemetry.instrumentation.openai_agents import OpenAIAgentsInstrumentor

        OpenAIAgentsInstrumentor().instrument()
    else:
        sys.exit(f"no instrumentation {by!r}")


def answers(*answers: str | tuple[str, dict[str, Any]]) -> OpenAIResponsesModel:
    """OpenAI's model with a service behind it that gives these answers in turn: a text, or the tool to call."""
    waiting = enumerate(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        number, said = next(waiting)
        body = {
            "id": f"resp-{number}",
            "object": "response",
            "created_at": 1_795_000_000,
            "status": "completed",
            "model": f"{json.loads(request.content)['model']}-2026-10-01",
            "output": [_output(number, said)],
            "parallel_tool_calls": False,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                "input_tokens": 20,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": 8,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": 28,
            },
        }
        return httpx.Response(200, json=body)

    offline = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    client = AsyncOpenAI(api_key="offline", base_url="http://model.test", http_client=offline)
    return OpenAIResponsesModel("desk-large", client)


def _output(number: int, said: str | tuple[str, dict[str, Any]]) -> dict[str, Any]:
    if isinstance(said, str):
        content = [{"type": "output_text", "text": said, "annotations": []}]
        return {
            "type": "message",
            "id": f"msg-{number}",
            "role": "assistant",
            "status": "completed",
            "content": content,
        }
    name, arguments = said
    return {
        "type": "function_call",
        "id": f"fc-{number}",
        "call_id": f"call-{number}",
        "name": name,
        "arguments": json.dumps(arguments),
        "status": "completed",
    }


@function_tool
def order_status(order: str) -> str:
    """When an order was bought and delivered."""
    return f"{order}: bought 41 days ago, delivered"


@function_tool
def payment_history(order: str) -> str:
    """The payments of an order."""
    raise TimeoutError(f"payments of {order} cannot be read: timed out after 3 s")


@function_tool(needs_approval=True)
def issue_refund(order: str, euros: int) -> str:
    """Pay money back."""
    return f"{euros} euros paid for {order}"


def config(conversation: str) -> RunConfig:
    """One conversation is one group of traces."""
    return RunConfig(workflow_name="refund desk", group_id=conversation)


def handoff(conversation: str) -> None:
    """Triage looks the order up, cannot read the payments, and hands over to billing."""
    billing = Agent(name="billing_agent", model=answers("Refund refused: bought 41 days ago, R-12 allows 30."))
    triage = Agent(
        name="triage_agent",
        instructions="You are the first line of the refund desk.",
        model=answers(
            ("order_status", {"order": "ORD-77"}),
            ("payment_history", {"order": "ORD-77"}),
            ("transfer_to_billing_agent", {}),
        ),
        tools=[order_status, payment_history],
        handoffs=[billing],
    )
    done = Runner.run_sync(triage, "I want my money back for ORD-77.", run_config=config(conversation))
    print(done.final_output)


def approval(conversation: str) -> None:
    """A refund over the limit waits for a person, who refuses it."""
    desk = Agent(
        name="refund_agent",
        model=answers(("issue_refund", {"order": "ORD-77", "euros": 900}), "A colleague has refused the refund."),
        tools=[issue_refund],
    )
    asked = Runner.run_sync(desk, "Refund ORD-77.", run_config=config(conversation))
    state = asked.to_state()
    for request in asked.interruptions:
        state.reject(request)
    print(Runner.run_sync(desk, state, run_config=config(conversation)).final_output)


def guardrail(conversation: str) -> None:
    """A guardrail on the input stops the run before a tool is called."""

    def fraud(_context: Any, _agent: Any, _input: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput({"reason": "the account is flagged"}, tripwire_triggered=True)

    desk = Agent(
        name="refund_agent",
        model=answers("Your refund is on its way."),
        input_guardrails=[InputGuardrail(fraud, name="fraud_check", run_in_parallel=False)],
    )
    try:
        Runner.run_sync(desk, "Refund ORD-77.", run_config=config(conversation))
    except InputGuardrailTripwireTriggered as error:
        print(f"stopped by {error.guardrail_result.guardrail.get_name()}")


def conversing(by: str, conversation: str) -> AbstractContextManager[Any]:
    """What names the conversation: `group_id` reaches the spans of one instrumentation only, and not all of those."""
    if by == "openinference":
        return using_session(conversation)
    tracer = trace.get_tracer("refund desk")
    return tracer.start_as_current_span("conversation", attributes={"gen_ai.conversation.id": conversation})


if __name__ == "__main__":
    instrument(sys.argv[2])
    for scenario in (handoff, approval, guardrail):
        conversation = f"{sys.argv[1]}-{scenario.__name__}"
        with conversing(sys.argv[2], conversation):
            scenario(conversation)
