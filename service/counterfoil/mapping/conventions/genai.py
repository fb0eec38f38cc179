"""The OpenTelemetry GenAI conventions of every age, with what is only proposed for them. All of it is in development.

- before 1.37: `gen_ai.system`, `gen_ai.prompt` and `gen_ai.completion`, also flattened (`gen_ai.prompt.N.role`), and
  the span or log events `gen_ai.system.message` … `gen_ai.choice`;
- 1.37 to 1.41: `gen_ai.provider.name`, `gen_ai.input.messages`, `gen_ai.operation.name` with agents and tools, the
  events `gen_ai.client.inference.operation.details` and `gen_ai.evaluation.result`;
- the repository semantic-conventions-genai: workflows, plans, memory, retrieval, MCP;
- proposals that some producers emit: guardrails (`gen_ai.guardrail.*`; `gen_ai.guardian.*` with `gen_ai.security.*`),
  transfers, handoffs, approvals of MCP tools, the governance reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from counterfoil.mapping.conventions.own import INTERACTION, SUBJECT
from counterfoil.mapping.conventions.rows import EventRow, KindRow, PartRow, Row

_APPROVED: Final = dict.fromkeys(
    ("approve", "approved", "accept", "accepted", "allow", "allowed", "granted"), "approve"
)
_REJECTED: Final = dict.fromkeys(("reject", "rejected", "deny", "denied", "decline", "declined", "refused"), "reject")
VERDICTS: Final[Mapping[str, str]] = {
    **dict.fromkeys(_APPROVED, "approve"),
    **dict.fromkeys(_REJECTED, "reject"),
    **dict.fromkeys(("override", "overridden"), "override"),
    **dict.fromkeys(("amend", "amended", "edit", "edited", "modified"), "amend"),
}
"""Other words for the verdicts of an oversight."""

KINDS: Final = (
    KindRow(
        "gen_ai.operation.name",
        {
            **dict.fromkeys(("chat", "generate_content", "text_completion", "embeddings"), "model_call"),
            **dict.fromkeys(("fetch_response", "realtime_inference"), "model_call"),
            **dict.fromkeys(("speech_to_text", "text_to_speech"), "model_call"),
            **dict.fromkeys(("invoke_agent", "invoke_workflow", "invoke_swarm", "invoke_graph"), "agent_run"),
            "execute_tool": "tool_call",
            **dict.fromkeys(("retrieval", "search_memory"), "retrieval"),
            **dict.fromkeys(("apply_guardrail", "run_guardrail"), "guardrail"),
            "handoff": "handoff",
            **dict.fromkeys(("create_agent", "plan", "execute_event_loop_cycle", "user_speech"), "operation"),
            **dict.fromkeys(("create_memory", "update_memory", "upsert_memory", "delete_memory"), "operation"),
            **dict.fromkeys(("create_memory_store", "delete_memory_store"), "operation"),
        },
    ),
)

MCP_KINDS: Final = (
    KindRow(
        "mcp.method.name",
        {
            "tools/call": "tool_call",
            "resources/read": "retrieval",
            "sampling/createMessage": "model_call",
            **dict.fromkeys(("initialize", "ping", "tools/list", "prompts/get", "prompts/list"), "operation"),
            **dict.fromkeys(("resources/list", "resources/templates/list", "completion/complete"), "operation"),
        },
    ),
)
"""After every convention that says more: an MCP client's span may be an `execute_tool` already."""

EVENT_KINDS: Final[Mapping[str, str]] = {
    "gen_ai.evaluation.result": "evaluation",
    "gen_ai.guardrail.result": "guardrail",
}

PARTS: Final = (
    PartRow(("gen_ai.mcp.tool.approval.",), "oversight"),
    PartRow(("gen_ai.transfer.",), "handoff"),
    PartRow(("gen_ai.handoff.", "gen_ai.agent.handoff."), "handoff"),
    PartRow(("gen_ai.guardrail.",), "guardrail"),
    PartRow(("gen_ai.guardian.", "gen_ai.security."), "guardrail"),
    PartRow(("gen_ai.evaluation.",), "evaluation"),
)

_MESSAGES: Final = ("gen_ai.system.message", "gen_ai.user.message", "gen_ai.assistant.message", "gen_ai.tool.message")
_DETAILS: Final = "gen_ai.client.inference.operation.details"
EVENTS: Final = (
    EventRow("gen_ai.tool.message", "arguments", ("tool_call",)),
    EventRow("gen_ai.choice", "result", ("tool_call",)),
    *(EventRow(name, "input") for name in _MESSAGES),
    EventRow("gen_ai.choice", "output"),
    EventRow("gen_ai.content.prompt", "input", attribute="gen_ai.prompt"),
    EventRow("gen_ai.content.completion", "output", attribute="gen_ai.completion"),
    EventRow(_DETAILS, "arguments", ("tool_call",), attribute="gen_ai.input.messages"),
    EventRow(_DETAILS, "result", ("tool_call",), attribute="gen_ai.output.messages"),
    EventRow(_DETAILS, "input", attribute="gen_ai.input.messages"),
    EventRow(_DETAILS, "output", attribute="gen_ai.output.messages"),
    EventRow("gen_ai.guardrail.result", "result", ("guardrail",)),
    EventRow("gen_ai.security.finding", "result", ("guardrail",)),
    EventRow("exception", "error", attribute="exception.message"),
)
"""Events that carry words. A guardrail's finding belongs to its span: it is no second guardrail."""

ROWS: Final = (
    Row("gen_ai.conversation.id", INTERACTION),
    Row("gen_ai.guardrail.component.name", "name", ("guardrail",)),
    Row("gen_ai.guardrail.name", "name", ("guardrail",)),
    Row("gen_ai.guardian.name", "name", ("guardrail",)),
    Row("gen_ai.guardian.id", "name", ("guardrail",)),
    Row("gen_ai.evaluation.name", "name", ("evaluation",)),
    Row("gen_ai.agent.id", "agent.id"),
    Row("gen_ai.agent.name", "agent.name"),
    Row("gen_ai.agent.version", "agent.version"),
    Row("gen_ai.workflow.name", "agent.name", ("agent_run",)),
    Row("gen_ai.provider.name", "model.provider"),
    Row("gen_ai.system", "model.provider"),
    Row("gen_ai.request.model", "model.requested"),
    Row("gen_ai.response.model", "model.name"),
    Row("gen_ai.usage.input_tokens", "usage.input_tokens"),
    Row("gen_ai.usage.prompt_tokens", "usage.input_tokens"),
    Row("gen_ai.usage.output_tokens", "usage.output_tokens"),
    Row("gen_ai.usage.completion_tokens", "usage.output_tokens"),
    Row("gen_ai.tool.name", "tool.name"),
    Row("gen_ai.tool.call.id", "tool.call_id"),
    Row("gen_ai.tool.call.arguments", "content:arguments"),
    Row("gen_ai.tool.call.result", "content:result"),
    Row("gen_ai.input.messages", "content:input"),
    Row("gen_ai.prompt", "content:input"),
    Row("gen_ai.retrieval.query.text", "content:input", ("retrieval",)),
    Row("gen_ai.output.messages", "content:output"),
    Row("gen_ai.completion", "content:output"),
    Row("gen_ai.retrieval.documents", "content:output", ("retrieval",)),
    Row("gen_ai.prompt.N.*", "content:input"),
    Row("gen_ai.completion.N.*", "content:output"),
    Row("gen_ai.evaluation.explanation", "content:rationale", ("evaluation",)),
    Row("gen_ai.evaluation.score.label", "content:result", ("evaluation",)),
    Row("gen_ai.evaluation.outcome", "content:result", ("evaluation",)),
    Row("gen_ai.evaluation.score.value", "content:result", ("evaluation",)),
    Row("event.name", "name"),
    Row("gen_ai.operation.name", "name"),
    Row("error.type", "error_type"),
    Row("user.id", SUBJECT),
    Row("enduser.id", SUBJECT),
)

PROPOSED_ROWS: Final = (
    Row("gen_ai.agent.governance.ref", "decision.policy.id", ("decision",)),
    Row("gen_ai.guardrail.result.value", "content:result", ("guardrail",)),
    Row("gen_ai.guardrail.verdict.type", "content:result", ("guardrail",)),
    Row("gen_ai.guardrail.action.type", "content:result", ("guardrail",)),
    Row("gen_ai.guardrail.result", "content:result", ("guardrail",)),
    Row("gen_ai.guardrail.triggered", "content:result", ("guardrail",)),
    Row("gen_ai.guardrail.result.reason", "content:rationale", ("guardrail",)),
    Row("gen_ai.guardrail.reason", "content:rationale", ("guardrail",)),
    Row("gen_ai.security.decision.type", "content:result", ("guardrail",)),
    Row("gen_ai.security.decision.reason", "content:rationale", ("guardrail",)),
    Row(
        "gen_ai.transfer.target.type",
        "handoff.to_kind",
        ("handoff",),
        values={"workflow": "agent", "agent": "agent", "human": "human", "queue": "queue"},
    ),
    Row("gen_ai.transfer.target.name", "handoff.to", ("handoff",)),
    Row("gen_ai.handoff.to_agent", "handoff.to_kind", ("handoff",), means="agent"),
    Row("gen_ai.handoff.to_agent", "handoff.to", ("handoff",)),
    Row("gen_ai.handoff.to_agent.name", "handoff.to_kind", ("handoff",), means="agent"),
    Row("gen_ai.handoff.to_agent.name", "handoff.to", ("handoff",)),
    Row("gen_ai.agent.handoff.target.name", "handoff.to_kind", ("handoff",), means="agent"),
    Row("gen_ai.agent.handoff.target.name", "handoff.to", ("handoff",)),
    Row("gen_ai.handoff.from_agent", "agent.name", ("handoff",)),
    Row("gen_ai.handoff.from_agent.name", "agent.name", ("handoff",)),
    Row("gen_ai.agent.handoff.source.name", "agent.name", ("handoff",)),
    Row("gen_ai.handoff.reason", "handoff.reason", ("handoff",)),
    Row("gen_ai.handoff.reason", "content:rationale", ("handoff",)),
    Row("gen_ai.handoff.intent", "content:intent", ("handoff",)),
    Row("gen_ai.handoff.response_summary", "content:summary", ("handoff",)),
    Row("gen_ai.handoff.arguments_json", "content:arguments", ("handoff",)),
    Row("gen_ai.mcp.tool.approval.status", "oversight.verdict", ("oversight",), values=VERDICTS),
    Row("gen_ai.mcp.tool.approval.approver_id", "oversight.person", ("oversight",)),
    Row("gen_ai.mcp.tool.approval.context_hash", "content:shown", ("oversight",)),
    Row("gen_ai.session.id", INTERACTION),
)
"""Names that were proposed, and that some producers emit; after all that is adopted."""

MCP_ROWS: Final = (
    Row("mcp.tool.name", "tool.name", ("tool_call",)),
    Row("mcp.request.argument", "content:arguments", ("tool_call",)),
    Row("mcp.request.argument.*", "content:arguments", ("tool_call",)),
    Row("mcp.response.value", "content:result", ("tool_call",)),
    Row("mcp.tool.result.content", "content:result", ("tool_call",)),
    Row("mcp.resource.uri", "content:input", ("retrieval",)),
)

LAST_ROWS: Final = (
    Row("gen_ai.system_instructions", "content:input"),
    Row("exception.type", "error_type"),
    Row("exception.message", "content:error"),
)
"""Where nothing else says it: instructions stand beside messages, and exceptions have events of their own."""
