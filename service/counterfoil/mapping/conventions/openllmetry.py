"""OpenLLMetry (opentelemetry-semantic-conventions-ai 0.5.1): Traceloop's instrumentations.

Its entity is a tool in a tool's span and an agent in an agent's. Association properties are what the program said of
the conversation. Flattened `gen_ai.prompt.N.*` and `gen_ai.completion.N.*` stand with the GenAI conventions.
"""

from __future__ import annotations

from typing import Final

from counterfoil.mapping.conventions.own import INTERACTION, SUBJECT
from counterfoil.mapping.conventions.rows import KindRow, Row

KINDS: Final = (
    KindRow(
        "traceloop.span.kind",
        {
            **dict.fromkeys(("workflow", "agent"), "agent_run"),
            "tool": "tool_call",
            "handoff": "handoff",
            **dict.fromkeys(("task", "unknown"), "operation"),
        },
    ),
    KindRow(
        "llm.request.type",
        {
            **dict.fromkeys(("chat", "completion", "embedding"), "model_call"),
            "rerank": "retrieval",
            "unknown": "operation",
        },
    ),
)

_PROPERTY: Final = "traceloop.association.properties."
ROWS: Final = (
    *(Row(f"{_PROPERTY}{name}", INTERACTION) for name in ("thread_id", "session_id", "conversation_id")),
    *(Row(f"{_PROPERTY}{name}", SUBJECT) for name in ("user_id", "customer_id")),
    Row("traceloop.entity.name", "tool.name", ("tool_call",)),
    Row("traceloop.entity.input", "content:arguments", ("tool_call",)),
    Row("traceloop.entity.output", "content:result", ("tool_call",)),
    Row("traceloop.entity.name", "agent.name", ("agent_run",)),
    Row("traceloop.entity.version", "agent.version", ("agent_run",)),
    Row("traceloop.workflow.name", "agent.name", ("agent_run",)),
    Row("traceloop.entity.input", "content:input"),
    Row("traceloop.entity.output", "content:output"),
    Row("llm.vendor", "model.provider"),
    Row("llm.request.model", "model.requested"),
    Row("llm.response.model", "model.name"),
    Row("llm.usage.prompt_tokens", "usage.input_tokens"),
    Row("llm.usage.completion_tokens", "usage.output_tokens"),
    Row("llm.completions.N.*", "content:output"),
    Row("gen_ai.task.input", "content:input"),
    Row("gen_ai.task.output", "content:output"),
    Row("llm.prompts", "content:input"),
    Row("llm.completions", "content:output"),
)
