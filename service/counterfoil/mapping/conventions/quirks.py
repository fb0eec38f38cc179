"""What single instrumentations do differently, by the name (and, where it matters, the version) of their scope.

Each says which behaviour it answers. Seen in recorded spans of the version named, unless another source is given.
"""

from __future__ import annotations

from typing import Final

from counterfoil.mapping.conventions.rows import Quirk, Row

QUIRKS: Final = (
    # 2.68.0: each model that FallbackModel tries and that fails is a child span without an operation name. The names
    # "agent run" and "running tool", and `tool_arguments`, `tool_response` and `events`, are those of its first
    # instrumentation formats. The `model_name` of a FallbackModel is a list of them, and no token.
    Quirk(
        "pydantic-ai",
        rows=(
            Row("model_name", "model.requested", ("agent_run",)),
            Row("final_result", "content:output", ("agent_run",)),
            Row("tool_arguments", "content:arguments", ("tool_call",)),
            Row("tool_response", "content:result", ("tool_call",)),
            Row("events", "content:input", ("model_call",)),
        ),
        names={"model request attempt *": "model_call", "agent run": "agent_run", "running tool": "tool_call"},
    ),
    # 0.1.x (openinference-instrumentation-openai-agents): a handoff is a TOOL span; its input is who hands over, its
    # output who takes over.
    Quirk(
        "openinference.instrumentation.openai_agents",
        rows=(
            Row("input.value", "agent.name", ("handoff",)),
            Row("output.value", "handoff.to_kind", ("handoff",), means="agent"),
            Row("output.value", "handoff.to", ("handoff",)),
        ),
        names={"handoff to *": "handoff"},
    ),
    # 0.62.4: a handoff span names who hands over and, where the SDK still knows it, who takes over. Both are agents.
    Quirk(
        "opentelemetry.instrumentation.openai_agents",
        rows=(Row("gen_ai.handoff.from_agent", "handoff.to_kind", ("handoff",), means="agent"),),
    ),
    # 0.1.80: every run with "agent" in its name is an AGENT, also the tool `transfer_to_billing_agent`; but only tools
    # have a tool's name. A node of a LangGraph graph that is an agent has its name in the metadata alone.
    Quirk(
        "openinference.instrumentation.langchain",
        rows=(Row("metadata", "agent.name", ("agent_run",), inside="langgraph_node"),),
        shows={"tool.name": "tool_call"},
    ),
    # 1.1.21: what a crew was started with.
    Quirk(
        "openinference.instrumentation.crewai",
        rows=(Row("crew_inputs", "content:input", ("operation",)),),
    ),
    # 0.7.5: the runtime's messaging spans carry the message as a plain attribute.
    Quirk(
        "autogen SingleThreadedAgentRuntime",
        rows=(Row("message", "content:input", ("operation",)),),
    ),
    # google-adk 1.x (its source; 2.13.0 names its operations): `call_llm` is the model call, `agent_run [X]` agent X's.
    Quirk(
        "gcp.vertex.agent",
        names={"call_llm": "model_call", "agent_run *": "agent_run"},
        before="2",
    ),
)
"""First match first, where several would do."""
