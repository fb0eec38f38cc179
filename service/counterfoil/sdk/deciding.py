"""How a decision begins: `decision(...)`, and how code further inside finds it: `current_decision()`."""

from __future__ import annotations

from counterfoil.sdk import context
from counterfoil.sdk.decisions import Decision, Durable, Terms


def decision(
    type: str,  # noqa: A002 - the word of the record format
    *,
    id: str | None = None,  # noqa: A002 - the word of the record format
    risk: str | None = None,
    autonomy: str | None = None,
    phase: str | None = None,
    reversible: str | None = None,
    threshold: float | None = None,
    owner: str | None = None,
    policy: str | None = None,
    policy_version: str | None = None,
    policy_digest: str | None = None,
    inputs: object = None,
    agent: str | None = None,
    durable: Durable = False,
    timeout_s: float = 5.0,
) -> Decision:
    """A decision of this type: a block (`with`, `async with`) or a decorator. `timeout_s` bounds what `durable` waits.

    `inputs` is what it was decided on; of a decorated function, its arguments unless `inputs=False`. `owner` is a role
    or team, never a person. Facts that the record format does not know are kept as content.
    """
    facts: dict[str, object] = {
        "type": type,
        "risk": risk,
        "autonomy": autonomy,
        "phase": phase,
        "reversible": reversible,
        "threshold": threshold,
        "owner": owner,
        "policy.id": policy,
        "policy.version": policy_version,
        "policy.digest": policy_digest,
    }
    return Decision(Terms(facts, id, inputs, agent, durable, timeout_s))


NO_DECISION = Decision(Terms({}, "none", None, None, False, 0.0, real=False))
"""Stands where no decision is under way: it takes fallback steps, which then name no decision."""


def current_decision() -> Decision:
    """The decision that the running code belongs to; in a decorated function, its own.

    Outside of one, an object of which `fall_back` records a step by itself; what else it is told is complained of.
    """
    return context.decision.get() or NO_DECISION
