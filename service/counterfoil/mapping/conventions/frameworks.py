"""Attribute names that only one product uses, so that nobody else can mean another thing by them.

Langfuse and LangSmith (their SDKs send OTLP), Google's ADK (`gcp.vertex.agent.*`), pydantic-ai, Logfire, and the Vercel
AI SDK (`ai.*`, JavaScript). Names that are anybody's (`message`, `events`) stand in `quirks`, by scope.
"""

from __future__ import annotations

from typing import Final

from counterfoil.mapping.conventions.own import INTERACTION, SUBJECT
from counterfoil.mapping.conventions.rows import KindRow, Row

KINDS: Final = (
    KindRow(
        "langfuse.observation.type",
        {
            **dict.fromkeys(("generation", "embedding"), "model_call"),
            "agent": "agent_run",
            "tool": "tool_call",
            "retriever": "retrieval",
            "guardrail": "guardrail",
            "evaluator": "evaluation",
            **dict.fromkeys(("span", "chain", "event"), "operation"),
        },
    ),
    KindRow(
        "langsmith.span.kind",
        {
            **dict.fromkeys(("llm", "embedding"), "model_call"),
            "tool": "tool_call",
            "retriever": "retrieval",
            **dict.fromkeys(("chain", "prompt", "parser"), "operation"),
        },
    ),
    KindRow(
        "ai.operationId",
        {
            **dict.fromkeys(("ai.generateText.doGenerate", "ai.streamText.doStream"), "model_call"),
            **dict.fromkeys(("ai.generateObject.doGenerate", "ai.streamObject.doStream"), "model_call"),
            **dict.fromkeys(("ai.embed.doEmbed", "ai.embedMany.doEmbed"), "model_call"),
            **dict.fromkeys(("ai.generateText", "ai.streamText"), "agent_run"),
            **dict.fromkeys(("ai.generateObject", "ai.streamObject", "ai.embed", "ai.embedMany"), "operation"),
            "ai.toolCall": "tool_call",
        },
    ),
)

_LANGFUSE: Final = (
    Row("langfuse.session.id", INTERACTION),
    Row("langfuse.user.id", SUBJECT),
    Row("langfuse.observation.model.name", "model.requested", ("model_call",)),
    Row("langfuse.observation.usage_details", "usage.input_tokens", ("model_call",), inside="input"),
    Row("langfuse.observation.usage_details", "usage.output_tokens", ("model_call",), inside="output"),
    Row("langfuse.observation.status_message", "content:error"),
    Row("langfuse.observation.input", "content:arguments", ("tool_call",)),
    Row("langfuse.observation.output", "content:result", ("tool_call", "guardrail", "evaluation")),
    Row("langfuse.observation.input", "content:input"),
    Row("langfuse.observation.output", "content:output"),
    Row("langfuse.trace.input", "content:input"),
    Row("langfuse.trace.output", "content:output"),
)
_LANGSMITH: Final = (
    *(Row(f"langsmith.metadata.{name}", INTERACTION) for name in ("thread_id", "session_id", "conversation_id")),
    Row("langsmith.metadata.user_id", SUBJECT),
)
_NOT_CAPTURED: Final = {"{}": "not_recorded"}
_ADK: Final = (
    Row("gcp.vertex.agent.session_id", INTERACTION),
    Row("gcp.vertex.agent.tool_call_args", "content:arguments", ("tool_call",)),
    Row("gcp.vertex.agent.tool_response", "content:result", ("tool_call",)),
    Row("gcp.vertex.agent.llm_request", "absent.input", ("model_call",), values=_NOT_CAPTURED),
    Row("gcp.vertex.agent.llm_response", "absent.output", ("model_call",), values=_NOT_CAPTURED),
    Row("gcp.vertex.agent.llm_request", "content:input", ("model_call", "operation")),
    Row("gcp.vertex.agent.llm_response", "content:output", ("model_call", "operation")),
)
_PYDANTIC_AI: Final = (
    Row("agent_name", "agent.name"),
    Row("pydantic_ai.all_messages", "content:input"),
    Row("all_messages_events", "content:input"),
)
_VERCEL: Final = (
    Row("ai.telemetry.metadata.threadId", INTERACTION),
    Row("ai.telemetry.metadata.sessionId", INTERACTION),
    Row("ai.telemetry.metadata.conversationId", INTERACTION),
    Row("ai.telemetry.metadata.userId", SUBJECT),
    Row("ai.telemetry.functionId", "agent.name", ("agent_run",)),
    Row("ai.model.provider", "model.provider"),
    Row("ai.model.id", "model.requested"),
    Row("ai.response.model", "model.name"),
    Row("ai.usage.inputTokens", "usage.input_tokens"),
    Row("ai.usage.promptTokens", "usage.input_tokens"),
    Row("ai.usage.outputTokens", "usage.output_tokens"),
    Row("ai.usage.completionTokens", "usage.output_tokens"),
    Row("ai.toolCall.name", "tool.name", ("tool_call",)),
    Row("ai.toolCall.id", "tool.call_id", ("tool_call",)),
    Row("ai.toolCall.args", "content:arguments", ("tool_call",)),
    Row("ai.toolCall.result", "content:result", ("tool_call",)),
    Row("ai.prompt.messages", "content:input"),
    Row("ai.prompt", "content:input"),
    Row("ai.response.text", "content:output"),
    Row("ai.response.object", "content:output"),
    Row("ai.response.toolCalls", "content:output"),
    Row("ai.response.reasoning", "content:rationale", ("model_call", "agent_run")),
    Row("ai.operationId", "name"),
)

ROWS: Final = (*_LANGFUSE, *_LANGSMITH, *_ADK, *_PYDANTIC_AI, *_VERCEL)
