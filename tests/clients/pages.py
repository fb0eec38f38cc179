"""The table of facts on each page of docs/agents that is run live, printed from what the tests expect (clients.py).

python -m tests.clients.pages          # prints every table; paste it between the page's headings
"""

from __future__ import annotations

from tests.clients.clients import CLIENTS, Client

WHERE = {
    "reasoning_part": "the reasoning in the same message",
    "text_before_call": "the text before the call",
    "handoff_arguments": "the arguments of the handoff",
}
ABSENT = "absent"
NOT_RUN = "not run"


def facts(client: Client) -> list[tuple[str, str]]:
    """What a reader finds in the trail, and how it is known."""
    tripped = _told(client, "guardrail", client.tripped, "derived: `guardrail_tripped`")
    return [
        ("agents", f"reported: {_names(client.agents)}"),
        ("models", f"reported: {_names(client.models)}" if client.models else ABSENT),
        ("tools, and which of them failed", "reported"),
        ("arguments and results of tools", "reported" if client.words else ABSENT),
        ("what the agent chose", "derived"),
        ("why it handed over", f"derived: {WHERE[client.rationale]}" if client.rationale else ABSENT),
        ("the handoff to `billing_agent`", _handoff(client)),
        ("that a person refused", _refusal(client)),
        ("who refused", ABSENT if "approval" in client.scenarios else NOT_RUN),
        ("that a second model took over", _told(client, "fallback", client.fell_back, "derived: `model_fallback`")),
        ("that a guardrail stopped the run", tripped),
    ]


def table(client: Client) -> str:
    """The same as Markdown."""
    lines = ["| fact | in the trail |", "| --- | --- |", *(f"| {fact} | {known} |" for fact, known in facts(client))]
    return "\n".join(lines)


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _handoff(client: Client) -> str:
    moved = client.moved
    if moved is None:
        return ABSENT
    if moved.basis == "reported":
        return "reported" if moved.to else "reported, without the target"
    return f"derived: `{moved.rule}`"


def _refusal(client: Client) -> str:
    if "approval" not in client.scenarios:
        return NOT_RUN
    if client.refused is None:
        return ABSENT
    known = f"derived: `{client.refused.rule}`"
    return known if client.refused.verdict else f"{known}, without the verdict"


def _told(client: Client, scenario: str, told: bool, known: str) -> str:
    if scenario not in client.scenarios:
        return NOT_RUN
    return known if told else ABSENT


if __name__ == "__main__":
    for one in CLIENTS:
        print(f"\n{one.name}\n\n{table(one)}")
