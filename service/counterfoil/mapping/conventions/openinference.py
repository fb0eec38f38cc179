"""OpenInference (openinference-semantic-conventions 0.1.42): Phoenix, Arize and everything instrumented for them.

Messages, documents and tools come flattened (`llm.input_messages.0.message.role`). Annotations name who annotated:
only HUMAN is oversight.
"""

from __future__ import annotations

from typing import Final

from counterfoil.mapping.conventions.genai import VERDICTS
from counterfoil.mapping.conventions.own import INTERACTION, SUBJECT
from counterfoil.mapping.conventions.rows import KindRow, PartRow, Row

KINDS: Final = (
    KindRow(
        "openinference.span.kind",
        {
            **dict.fromkeys(("LLM", "EMBEDDING"), "model_call"),
            "TOOL": "tool_call",
            "AGENT": "agent_run",
            **dict.fromkeys(("RETRIEVER", "RERANKER"), "retrieval"),
            "GUARDRAIL": "guardrail",
            "EVALUATOR": "evaluation",
            "DECISION": "decision",
            **dict.fromkeys(("CHAIN", "PROMPT", "UNKNOWN"), "operation"),
        },
    ),
)

_ANNOTATORS: Final = {"HUMAN": "oversight", "LLM": "evaluation", "CODE": "evaluation"}
_ANNOTATIONS: Final = (
    "annotations.N.annotation.",
    "trace.annotations.N.annotation.",
    "session.annotations.N.annotation.",
    "evaluations.N.evaluation.",
)
PARTS: Final = tuple(
    PartRow(
        (prefix,),
        of_span=not prefix.startswith(("trace.", "session.")),
        chosen_by=f"{prefix}annotator_kind",
        kinds=_ANNOTATORS,
    )
    for prefix in _ANNOTATIONS
)


def _annotation(prefix: str) -> tuple[Row, ...]:
    return (
        Row(f"{prefix}label", "oversight.verdict", ("oversight",), values=VERDICTS),
        Row(f"{prefix}identifier", "oversight.person", ("oversight",)),
        Row(f"{prefix}explanation", "content:reason", ("oversight",)),
        Row(f"{prefix}name", "name", ("oversight", "evaluation")),
        Row(f"{prefix}explanation", "content:rationale", ("evaluation",)),
        Row(f"{prefix}label", "content:result", ("evaluation",)),
        Row(f"{prefix}score", "content:result", ("evaluation",)),
    )


_HIDDEN: Final = {"__redacted__": "redacted"}
"""What an instrumentation writes where it was told to hide the value."""

ROWS: Final = (
    Row("input.value", "absent.arguments", ("tool_call",), values=_HIDDEN),
    Row("output.value", "absent.result", ("tool_call", "guardrail", "evaluation"), values=_HIDDEN),
    Row("input.value", "absent.input", values=_HIDDEN),
    Row("output.value", "absent.output", values=_HIDDEN),
    Row("session.id", INTERACTION),
    Row("agent.name", "agent.name"),
    Row("graph.node.id", "agent.name", ("agent_run",)),
    Row("graph.node.name", "agent.name", ("agent_run",)),
    Row("llm.provider", "model.provider"),
    Row("llm.system", "model.provider"),
    Row("llm.request.model_name", "model.requested"),
    Row("llm.response.model_name", "model.name"),
    Row("llm.model_name", "model.name"),
    Row("embedding.model_name", "model.name", ("model_call",)),
    Row("reranker.model_name", "model.name", ("retrieval",)),
    Row("llm.token_count.prompt", "usage.input_tokens"),
    Row("llm.token_count.completion", "usage.output_tokens"),
    Row("decision.provider", "model.provider", ("decision",)),
    Row("decision.system", "model.provider", ("decision",)),
    Row("decision.request.model_name", "model.requested", ("decision",)),
    Row("decision.response.model_name", "model.name", ("decision",)),
    Row("decision.model_name", "model.name", ("decision",)),
    Row("decision.token_count.input", "usage.input_tokens", ("decision",)),
    Row("decision.token_count.output", "usage.output_tokens", ("decision",)),
    Row("tool.name", "tool.name", ("tool_call",)),
    Row("tool.id", "tool.call_id", ("tool_call",)),
    Row("tool_call.id", "tool.call_id", ("tool_call",)),
    Row("tool_call.function.name", "tool.name", ("tool_call",)),
    Row("input.value", "content:arguments", ("tool_call",)),
    Row("tool_call.function.arguments", "content:arguments", ("tool_call",)),
    Row("output.value", "content:result", ("tool_call", "guardrail", "evaluation")),
    Row("input.value", "content:inputs", ("decision",)),
    Row("input.value", "content:input"),
    Row("output.value", "content:output"),
    Row("llm.input_messages.N.*", "content:input"),
    Row("llm.output_messages.N.*", "content:output"),
    Row("llm.prompts.N.*", "content:input"),
    Row("llm.choices.N.*", "content:output"),
    Row("retrieval.documents.N.*", "content:output", ("retrieval",)),
    Row("reranker.query", "content:input", ("retrieval",)),
    Row("reranker.output_documents.N.*", "content:output", ("retrieval",)),
    *(row for prefix in _ANNOTATIONS for row in _annotation(prefix)),
    Row("metadata", INTERACTION, inside="thread_id"),
    Row("metadata", INTERACTION, inside="session_id"),
    Row("metadata", INTERACTION, inside="conversation_id"),
    Row("metadata", SUBJECT, inside="user_id"),
)
