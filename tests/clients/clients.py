"""The frameworks that are run live, and what each of them truly says of the same three stories.

Every script tells `handoff` (a tool that works, one that fails, a second agent), and one or two of `approval` (a person
refuses), `fallback` (a second model takes over) and `guardrail`. What is expected here was read from the spans that the
framework sends, not from the trail: a fact that no span holds is None, and the trail must not have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Moved:
    """How a framework tells that triage handed over to billing."""

    basis: str
    """reported: a span says so · derived: a rule concludes it from what spans say."""
    rule: str | None = None
    to: str | None = "billing_agent"


@dataclass(frozen=True, slots=True)
class Refused:
    """How a framework tells that a person refused the refund."""

    verdict: str | None
    rule: str
    asked: bool
    """Whether it also tells that somebody was asked."""


@dataclass(frozen=True, slots=True)
class Client:
    """A framework under one of its instrumentations."""

    script: str
    by: str = ""
    """The instrumentation, where the framework has none of its own."""
    conventions: str = ""
    """Those that were asked for, where they are not the framework's own choice."""
    variables: Mapping[str, str] = field(default_factory=dict)
    agents: tuple[str, ...] = ("triage_agent", "billing_agent")
    models: tuple[str, ...] = ("triage-small", "billing-large")
    words: bool = True
    """Whether arguments and results of tools are sent without being asked for."""
    moved: Moved | None = None
    rationale: str | None = None
    """Where the reason for the handoff stands, by the name of CONVENTIONS 3."""
    scenarios: tuple[str, ...] = ("handoff",)
    refused: Refused | None = None
    fell_back: bool = False
    tripped: bool = False

    @property
    def name(self) -> str:
        """Of the framework and its instrumentation, as the tests are called."""
        return "-".join(part for part in (self.script.removesuffix("_refunds.py"), self.by, self.conventions) if part)


CONTENT = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY"}
"""OpenTelemetry's own GenAI instrumentations send no words without it."""

CLIENTS = (
    Client(
        "pydantic_ai_refunds.py",
        moved=Moved("derived", "agent_as_tool"),
        rationale="reasoning_part",
        scenarios=("handoff", "approval", "fallback"),
        refused=Refused("reject", "refused_call", asked=True),
        fell_back=True,
    ),
    Client(
        "openai_agents_refunds.py",
        "openinference",
        models=("desk-large-2026-10-01",),
        moved=Moved("reported"),
        scenarios=("handoff", "approval", "guardrail"),
        tripped=True,
    ),
    Client(
        "openai_agents_refunds.py",
        "genai",
        variables=CONTENT,
        models=(),
        moved=Moved("derived", "agent_followed"),
        scenarios=("handoff", "approval", "guardrail"),
    ),
    Client(
        "openai_agents_refunds.py",
        "traceloop",
        models=("desk-large-2026-10-01",),
        moved=Moved("reported", to=None),
        scenarios=("handoff", "approval", "guardrail"),
        refused=Refused("reject", "refusal_sentence", asked=False),
    ),
    Client(
        "langgraph_refunds.py",
        "openinference",
        moved=Moved("derived", "transfer_tool"),
        rationale="handoff_arguments",
        scenarios=("handoff", "approval", "fallback"),
        refused=Refused("reject", "approval_response", asked=True),
        fell_back=True,
    ),
    Client(
        "langgraph_refunds.py",
        "genai",
        variables=CONTENT,
        agents=("refund_desk",),
        moved=Moved("derived", "transfer_tool"),
        rationale="handoff_arguments",
        scenarios=("handoff", "approval", "fallback"),
        fell_back=True,
    ),
    Client(
        "strands_refunds.py",
        moved=Moved("derived", "transfer_tool"),
        rationale="text_before_call",
        scenarios=("handoff", "approval"),
        refused=Refused(None, "answered_outside", asked=True),
    ),
    Client(
        "strands_refunds.py",
        conventions="latest",
        variables={"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"},
        moved=Moved("derived", "transfer_tool"),
        rationale="text_before_call",
        scenarios=("handoff", "approval"),
        refused=Refused(None, "answered_outside", asked=True),
    ),
    Client(
        "agent_framework_refunds.py",
        variables={"ENABLE_INSTRUMENTATION": "true", "ENABLE_SENSITIVE_DATA": "true"},
        moved=Moved("derived", "agent_as_tool"),
        rationale="reasoning_part",
        scenarios=("handoff", "approval"),
        refused=Refused("reject", "approval_response", asked=True),
    ),
    Client(
        "autogen_refunds.py",
        models=(),
        words=False,
        moved=Moved("derived", "transfer_tool"),
    ),
)
