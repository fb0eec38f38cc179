"""Names that say something: tools that hand over, agents and queues of people, spans that only wrap others. Data.

CONVENTIONS 3 and 4. A tool called `transfer_to_billing` hands over to `billing`; `transfer_to_agent` hands over to
whom its arguments say.
"""

from __future__ import annotations

import re

_TRANSFER = re.compile(
    r"(?:transfer|handoff|hand_off|handover|hand_over|route|escalate|delegate)(?:_back)?_to_(?P<to>[A-Za-z0-9][\w.:/+-]*)"
    r"|(?P<alone>escalate|escalate_to|handoff|hand_off|handover|transfer_call|transfer_to|request_human|ask_human)"
)
_NOBODY = frozenset(("agent", "team", "another_agent", "other_agent", "assistant", "target"))
_PEOPLE = re.compile(
    r"(?:^|_|-)(?:human|humans|person|people|supervisor|operator|representative|live_agent|agent_desk|manager|"
    r"specialist|staff|colleague|advisor)(?:$|_|-)",
    re.IGNORECASE,
)

_QUEUES = re.compile(r"(?:^|_|-)queue(?:$|_|-)", re.IGNORECASE)

WRAPPERS = frozenset(("invoke_workflow", "invoke_swarm", "workflow"))
"""Names of agent runs that hold other agents' runs and are no agent themselves while they do."""

CYCLES = frozenset(("execute_event_loop_cycle", "turn"))
"""Names of operations that only divide an agent's run into turns: calls on both sides of them are siblings."""

CREATION = "create_agent"

INTERRUPTS = ("GraphInterrupt", "NodeInterrupt")
"""Error types by which a graph stops to ask a person: a pause, whatever the span's status says."""


def is_interrupt(error_type: str | None) -> bool:
    """Whether an error type, with or without its module, is that of an interrupt."""
    return error_type is not None and error_type.rpartition(".")[2] in INTERRUPTS


def is_transfer(tool: str) -> bool:
    """Whether a tool of this name hands the conversation over."""
    return _TRANSFER.fullmatch(tool) is not None


def transfer_target(tool: str) -> str:
    """To whom the tool's name says it hands over; empty where its arguments have to say it."""
    found = _TRANSFER.fullmatch(tool)
    if found is None or found["to"] is None:
        return "human" if found is not None and found[0].endswith("_human") else ""
    return "" if found["to"] in _NOBODY else found["to"]


def to_kind(target: str) -> str:
    """`human` or `queue` where the name of a target says so; else `agent`."""
    return "human" if _PEOPLE.search(target) else "queue" if _QUEUES.search(target) else "agent"


def plain_name(name: str) -> str:
    """What all spellings of an agent's name share: `billing`, `billing_agent`, `Billing Agent`, `billing-agent`."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return plain.removesuffix("_agent").removeprefix("agent_") or plain
