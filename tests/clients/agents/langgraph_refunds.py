"""A refund desk in LangGraph, offline: one of its instrumentations, and nothing of Counterfoil's.

    opentelemetry-instrument python langgraph_refunds.py CONVERSATION openinference|genai

`handoff`: a tool that works, one that fails, a handoff to billing by a tool that returns a Command.
`approval`: the graph waits for a person (interrupt); the person refuses, in a second run of the same thread.
`fallback`: the first model times out, the second takes over (with_fallbacks).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated, Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, interrupt


def instrument(by: str) -> None:
    """The two lines that one writes, for each instrumentation that is tested."""
    if by == "openinference":
        from openinference.instrumentation.langchain import LangChainInstrumentor

        LangChainInstrumentor().instrument()
    elif by == "genai":
        from opentelemetry.instrumentation.genai.langchain import LangChainInstrumentor

        LangChainInstrumentor().instrument()
    else:
        sys.exit(f"no instrumentation {by!r}")


class Desk(GenericFakeChatModel):
    """A chat model that gives its messages in turn."""

    model_name: str

    def bind_tools(self, *_tools: Any, **_options: Any) -> Runnable[Any, Any]:
        """What it answers is decided, whatever the tools."""
        return self


class Away(Desk):
    """A chat model that cannot be reached."""

    def _generate(self, *_args: Any, **_options: Any) -> Any:
        raise TimeoutError("no answer in 20 s")


def model(name: str, *answers: AIMessage) -> Desk:
    """A model of this name with these answers."""
    return Desk(model_name=name, messages=iter(answers))


def calls(name: str, number: int, **arguments: Any) -> AIMessage:
    """An answer that calls a tool."""
    call = {"name": name, "args": arguments, "id": f"call-{number}"}
    return AIMessage("", tool_calls=[call], response_metadata={"finish_reason": "tool_calls"})


def says(text: str) -> AIMessage:
    """A final answer."""
    return AIMessage(text, response_metadata={"finish_reason": "stop"})


@tool
def order_status(order: str) -> str:
    """When an order was bought and delivered."""
    return f"{order}: bought 41 days ago, delivered"


@tool
def payment_history(order: str) -> str:
    """The payments of an order."""
    raise TimeoutError(f"payments of {order} cannot be read: timed out after 3 s")


@tool
def transfer_to_billing_agent(reason: str, call: Annotated[str, InjectedToolCallId]) -> Command[str]:
    """Hand the case over to billing."""
    done = ToolMessage("handed over", tool_call_id=call)
    return Command(goto="billing_agent", update={"messages": [done]}, graph=None)


def settings(conversation: str) -> dict[str, Any]:
    """One conversation is one thread."""
    return {"configurable": {"thread_id": conversation}}


def handoff(conversation: str) -> None:
    """Triage looks the order up, cannot read the payments, and hands over to billing."""
    small = model(
        "triage-small",
        calls("order_status", 0, order="ORD-77"),
        calls("payment_history", 1, order="ORD-77"),
        calls("transfer_to_billing_agent", 2, reason="payments cannot be read"),
    )
    large = model("billing-large", says("Refund refused: bought 41 days ago, R-12 allows 30."))
    tools = ToolNode([order_status, payment_history, transfer_to_billing_agent], handle_tool_errors=True)

    def triage_agent(state: MessagesState) -> dict[str, Any]:
        return {"messages": [small.invoke(state["messages"])]}

    def billing_agent(state: MessagesState) -> dict[str, Any]:
        return {"messages": [large.invoke(state["messages"])]}

    def handed_over(state: MessagesState) -> str:
        return "billing_agent" if state["messages"][-1].content == "handed over" else "triage_agent"

    graph = StateGraph(MessagesState)
    graph.add_node(triage_agent)
    graph.add_node(billing_agent)
    graph.add_node("tools", tools)
    graph.add_edge(START, "triage_agent")
    graph.add_conditional_edges("triage_agent", tools_condition)
    graph.add_conditional_edges("tools", handed_over, ["triage_agent", "billing_agent"])
    graph.add_edge("billing_agent", END)
    desk = graph.compile(name="refund_desk")
    asked = {"messages": [("user", "I want my money back for ORD-77.")]}
    print(desk.invoke(asked, settings(conversation))["messages"][-1].content)


def approval(conversation: str) -> None:
    """A refund over the limit waits for a person, who refuses it."""

    def refund_agent(state: MessagesState) -> dict[str, Any]:
        verdict = interrupt({"question": "Pay 900 euros for ORD-77?"})
        return {"messages": [AIMessage(f"A colleague has refused the refund: {verdict['because']}.")]}

    graph = StateGraph(MessagesState)
    graph.add_node(refund_agent)
    graph.add_edge(START, "refund_agent")
    graph.add_edge("refund_agent", END)
    desk = graph.compile(name="refund_desk", checkpointer=InMemorySaver())
    desk.invoke({"messages": [("user", "Refund ORD-77.")]}, settings(conversation))
    refused = Command(resume={"approved": False, "because": "over the limit"})
    print(desk.invoke(refused, settings(conversation))["messages"][-1].content)


def fallback(conversation: str) -> None:
    """The first model is away, the second answers."""
    nothing: Iterator[AIMessage] = iter(())
    both = Away(model_name="refunds-large", messages=nothing).with_fallbacks(
        [model("refunds-small", says("Your refund was refused."))]
    )

    def refund_agent(state: MessagesState) -> dict[str, Any]:
        return {"messages": [both.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node(refund_agent)
    graph.add_edge(START, "refund_agent")
    graph.add_edge("refund_agent", END)
    desk = graph.compile(name="refund_desk")
    print(desk.invoke({"messages": [("user", "Refund ORD-77.")]}, settings(conversation))["messages"][-1].content)


if __name__ == "__main__":
    instrument(sys.argv[2])
    for scenario in (handoff, approval, fallback):
        scenario(f"{sys.argv[1]}-{scenario.__name__}")
