"""A refund desk whose instrumentation says too little, with the calls of counterfoil.sdk that add the rest.

    opentelemetry-instrument python refunds_with_sdk.py CONVERSATION

The agent and its instrumentation (the OpenAI Agents SDK under opentelemetry-instrumentation-genai-openai-agents) are
those of openai_agents_refunds.py, where a refusal by a person and a guardrail that stops a run leave no trace.
"""

from __future__ import annotations

import sys
from typing import Any

from agents import Agent, GuardrailFunctionOutput, InputGuardrail, InputGuardrailTripwireTriggered, Runner
from openai_agents_refunds import answers, config, instrument, issue_refund

import counterfoil.sdk as counterfoil


def approval(conversation: str) -> None:
    """The agent wants to pay, a person refuses, and a colleague takes over."""
    desk = Agent(
        name="refund_agent",
        model=answers(("issue_refund", {"order": "ORD-77", "euros": 900}), "A colleague has refused the refund."),
        tools=[issue_refund],
    )
    with counterfoil.interaction(conversation, channel="chat", type="refund", subject="customer-7"):
        with counterfoil.decision("refund", risk="high", autonomy="act_with_approval") as decision:
            asked = Runner.run_sync(desk, "Refund ORD-77.", run_config=config(conversation))
            decision.consider("deny", score=0.2, because="the customer has been one for ten years")
            decision.choose("pay", rationale="In the window of policy R-12.", policy="R-12", phase="proposed")
        state = asked.to_state()
        for request in asked.interruptions:
            state.reject(request)
        counterfoil.oversee(
            "reject",
            of=decision,
            person="sam@example.com",
            role="supervisor",
            reason="Over the limit of 500 euros.",
            shown={"order": "ORD-77", "euros": 900},
        )
        print(Runner.run_sync(desk, state, run_config=config(conversation)).final_output)
        counterfoil.hand_off(
            "tier-2",
            to_kind="queue",
            reason="policy_limit",
            summary="Wants 900 euros back for ORD-77; refused by a supervisor.",
            attempted=["issue_refund"],
            next_step="Call the customer back today.",
        )


def guardrail(conversation: str) -> None:
    """A guardrail stops the run: the agent falls back to a person."""

    def fraud(_context: Any, _agent: Any, _input: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput({"reason": "the account is flagged"}, tripwire_triggered=True)

    desk = Agent(
        name="refund_agent",
        model=answers("Your refund is on its way."),
        input_guardrails=[InputGuardrail(fraud, name="fraud_check", run_in_parallel=False)],
    )
    with (
        counterfoil.interaction(conversation, channel="chat", subject="customer-8"),
        counterfoil.decision("refund", risk="high") as decision,
    ):
        try:
            Runner.run_sync(desk, "Refund ORD-78.", run_config=config(conversation))
        except InputGuardrailTripwireTriggered as stopped:
            name = stopped.guardrail_result.guardrail.get_name()
            decision.fall_back("human", trigger="guardrail", origin=name, mode="human")
            decision.choose("escalate", rationale="The account is flagged.", rationale_source="rule_trace")


if __name__ == "__main__":
    instrument("genai")
    counterfoil.configure(agent="refund_agent", version="2.3.1", spool=None)
    for scenario in (approval, guardrail):
        scenario(f"{sys.argv[1]}-{scenario.__name__}")
    counterfoil.shutdown()
