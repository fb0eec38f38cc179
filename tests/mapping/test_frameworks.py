"""What each framework's spans are taken for. Written by reading the raw spans (`NAME.otlp.json`), file by file."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pytest

from counterfoil.mapping.draft import Draft
from tests.mapping.making import map_span
from tests.mapping.storage import AGENT_SPANS, PROTOBUF_FILES, content_of, decode_file, map_decoded

KINDS: dict[str, dict[str, int]] = {
    # 140 messaging spans (create, send, publish, process, ack) and two create_agent beside 14 of the agents' own.
    "autogen_native_tool_fail_handoff": {"operation": 142, "agent_run": 11, "tool_call": 3},
    # The crew's kickoff is a CHAIN; each task is run by an AGENT. The failing tool left no span.
    "crewai_openinference_tool_fail_sequential": {"operation": 1, "agent_run": 2},
    # invoke_workflow and two invoke_agent; four generate_content; lookup_order, crm_lookup, transfer_to_agent.
    "google_adk_default_tool_handoff": {"agent_run": 3, "model_call": 4, "tool_call": 3},
    # One event beside each generate_content span, which has the same span id: it is not counted as a call again.
    "google_adk_default_tool_handoff.logs": {"operation": 4},
    # The fallback is invisible: one invoke_workflow.
    "langgraph_genai_model_fallback": {"agent_run": 1},
    "langgraph_genai_tool_fail_interrupt": {"agent_run": 2, "tool_call": 2},
    # RunnableWithFallbacks is a CHAIN over the model that failed and the one that answered.
    "langgraph_openinference_model_fallback": {"operation": 1, "model_call": 2},
    "ms_agent_framework_default_human_approval_rejected": {"agent_run": 2, "model_call": 2},
    "ms_agent_framework_default_tool_fail_agent_tool": {"agent_run": 2, "model_call": 4, "tool_call": 3},
    "openai_agents_genai_guardrail_tripped": {"agent_run": 2},
    "openai_agents_genai_human_approval_rejected": {"agent_run": 3, "tool_call": 1},
    "openai_agents_genai_tool_handoff_fail": {"agent_run": 3, "tool_call": 2},
    "openai_agents_traceloop_guardrail_tripped": {"agent_run": 2},
    "openai_agents_traceloop_human_approval_rejected": {"agent_run": 3, "model_call": 2, "tool_call": 1},
    "openai_agents_traceloop_tool_handoff_fail": {"agent_run": 3, "model_call": 4, "tool_call": 2, "handoff": 1},
    "pydantic_ai_v5_human_approval_denied": {"agent_run": 2, "model_call": 2},
    # `chat backup-model`, and below it `model request attempt primary-model`, which failed.
    "pydantic_ai_v5_model_fallback": {"agent_run": 1, "model_call": 2},
    "pydantic_ai_v5_tool_exception": {"agent_run": 1, "model_call": 1, "tool_call": 1},
    "pydantic_ai_v5_tool_handoff_retry": {"agent_run": 2, "model_call": 5, "tool_call": 3},
    # invoke_swarm and two invoke_agent; six execute_event_loop_cycle, each with one chat but for the last of triage.
    "strands_default_swarm_tool_fail_handoff": {"agent_run": 3, "operation": 5, "model_call": 5, "tool_call": 3},
}


def drafts_of(name: str) -> list[Draft]:
    """Every draft of a scenario, in the order of its start."""
    drafts = [draft for item in map_decoded(decode_file(AGENT_SPANS / f"{name}.bin")).items for draft in item.drafts]
    return sorted(drafts, key=lambda draft: draft.facts.get("started_at", ""))


def one_of(name: str, kind: str, **wanted: str) -> Draft:
    """The only draft of a kind with these names of agent, tool or requested model."""
    keys = {"agent": "name", "tool": "name", "model": "requested"}
    (draft,) = [
        draft
        for draft in drafts_of(name)
        if draft.kind == kind and all(draft.facts.get(key, {}).get(keys[key]) == it for key, it in wanted.items())
    ]
    return draft


def test_every_scenario_is_expected_here() -> None:
    assert set(KINDS) == {path.name.removesuffix(".bin") for path in PROTOBUF_FILES}


@pytest.mark.parametrize("name", KINDS)
def test_the_spans_of_a_framework_are_counted_as_what_they_are(name: str) -> None:
    assert Counter(draft.kind for draft in drafts_of(name)) == KINDS[name]


def test_pydantic_ai_an_attempt_of_a_fallback_model_is_a_model_call_that_failed() -> None:
    draft = one_of("pydantic_ai_v5_model_fallback", "model_call", model="primary-model")
    assert (draft.facts["status"], draft.facts["error_type"]) == ("error", "pydantic_ai.exceptions.ModelHTTPError")
    assert content_of(draft)["error"].startswith("ModelHTTPError: status_code: 503")


def test_pydantic_ai_an_agent_run_has_its_conversation_and_its_final_result() -> None:
    draft = one_of("pydantic_ai_v5_tool_handoff_retry", "agent_run", agent="billing_agent")
    content = content_of(draft)
    assert content["output"] == "Refund of 42 EUR approved under policy R-7."
    assert [message["role"] for message in orjson.loads(content["input"])] == ["user", "assistant"]
    assert {"key": "pydantic_ai.all_messages", "promoted": "input"} in content["attributes"]


def test_pydantic_ai_the_words_of_an_exception_are_the_error_where_the_status_has_none() -> None:
    content = content_of(one_of("pydantic_ai_v5_tool_exception", "tool_call", tool="explode"))
    assert content["error"] == "payment gateway down"
    (event,) = content["events"]
    assert {"key": "exception.message", "promoted": "error"} in event["attributes"]


def test_strands_the_messages_of_a_call_are_its_span_events() -> None:
    calls = [draft for draft in drafts_of("strands_default_swarm_tool_fail_handoff") if draft.kind == "model_call"]
    content = content_of(calls[1])
    assert [event["name"] for event in content["input"]] == [
        "gen_ai.system.message",
        "gen_ai.user.message",
        "gen_ai.assistant.message",
        "gen_ai.tool.message",
    ]
    assert [event["name"] for event in content["output"]] == ["gen_ai.choice"]
    assert content["events"] == [*[{"promoted": "input"}] * 4, {"promoted": "output"}]


def test_strands_a_tool_call_has_arguments_and_result_in_its_events() -> None:
    draft = one_of("strands_default_swarm_tool_fail_handoff", "tool_call", tool="handoff_to_agent")
    content = content_of(draft)
    (message,), (choice,) = content["arguments"], content["result"]
    assert (message["name"], choice["name"]) == ("gen_ai.tool.message", "gen_ai.choice")
    assert "refund above limit" in orjson.dumps(message).decode()
    assert "input" not in content
    assert draft.facts["tool"]["call_id"] == "c3"


def test_strands_a_failed_tool_keeps_its_exception_in_place() -> None:
    draft = one_of("strands_default_swarm_tool_fail_handoff", "tool_call", tool="crm_lookup")
    content = content_of(draft)
    assert draft.facts["error_type"] == "RuntimeError"
    assert [event.get("name") for event in content["events"]] == [None, None, "exception"]
    assert content["error"] == "CRM timeout"


def test_strands_the_customer_is_a_pseudonym_and_the_session_the_interaction() -> None:
    draft = one_of("strands_default_swarm_tool_fail_handoff", "agent_run", agent="triage_agent")
    assert (draft.subject_id, draft.interaction_id) == ("u-5", "conv-77")


def test_traceloop_a_handoff_is_between_agents_even_where_its_target_is_lost() -> None:
    draft = one_of("openai_agents_traceloop_tool_handoff_fail", "handoff")
    assert draft.facts["handoff"] == {"to_kind": "agent"}
    assert draft.facts["agent"]["name"] == "triage_agent"


def test_traceloop_a_handoff_names_its_target_where_the_sdk_knows_it() -> None:
    attributes = {
        "traceloop.span.kind": "handoff",
        "gen_ai.handoff.from_agent": "triage_agent",
        "gen_ai.handoff.to_agent": "billing_agent",
    }
    (draft,) = map_span(attributes, scope=("opentelemetry.instrumentation.openai_agents", "0.62.4")).drafts
    assert draft.facts["handoff"] == {"to": "billing_agent", "to_kind": "agent"}
    assert draft.facts["agent"]["name"] == "triage_agent"


def test_openinference_a_handoff_of_openai_agents_is_a_tool_span_with_the_agents_as_input_and_output() -> None:
    attributes = {
        "openinference.span.kind": "TOOL",
        "input.value": "triage_agent",
        "output.value": "billing_agent",
    }
    scope = ("openinference.instrumentation.openai_agents", "0.24.0")
    (draft,) = map_span(attributes, scope=scope, name="handoff to billing_agent").drafts
    assert draft.kind == "handoff"
    assert draft.facts["handoff"] == {"to": "billing_agent", "to_kind": "agent"}
    assert draft.facts["agent"]["name"] == "triage_agent"
    (other,) = map_span(attributes, scope=scope, name="lookup_order").drafts
    assert other.kind == "tool_call"
    assert content_of(other)["arguments"] == "triage_agent"


def test_openinference_metadata_names_the_thread_the_user_and_in_langgraph_the_agent() -> None:
    metadata = '{"thread_id": "conv-77", "user_id": 7, "langgraph_node": "triage_agent", "langgraph_step": 1}'
    attributes = {"openinference.span.kind": "AGENT", "metadata": metadata}
    (draft,) = map_span(attributes, scope=("openinference.instrumentation.langchain", "0.1.80")).drafts
    assert (draft.interaction_id, draft.subject_id) == ("conv-77", "7")
    assert draft.facts["agent"]["name"] == "triage_agent"
    assert content_of(draft)["attributes"][1] == {"key": "metadata", "value": {"stringValue": metadata}}


def test_openinference_a_tool_of_langchain_is_a_tool_call_whatever_its_name_makes_of_it() -> None:
    attributes = {
        "openinference.span.kind": "AGENT",
        "tool.name": "transfer_to_billing_agent",
        "metadata": '{"langgraph_node": "tools"}',
    }
    (draft,) = map_span(attributes, scope=("openinference.instrumentation.langchain", "0.1.80")).drafts
    assert (draft.kind, draft.facts["tool"]["name"]) == ("tool_call", "transfer_to_billing_agent")
    assert "agent" not in draft.facts
    (elsewhere,) = map_span(attributes, scope=("openinference.instrumentation.crewai", "1.1.21")).drafts
    assert elsewhere.kind == "agent_run"


@pytest.mark.parametrize("metadata", ['{"thread_id": ', "[1]", '"x"', "{" * 5_000, '{"thread_id": null}', " {}", "{}"])
def test_metadata_that_is_no_object_with_a_thread_names_none(metadata: str) -> None:
    (draft,) = map_span({"openinference.span.kind": "LLM", "metadata": metadata}).drafts
    assert draft.interaction_id is None


def test_a_map_is_looked_into_like_json() -> None:
    (draft,) = map_span({"metadata": {"a": 1, "user_id": 12, "session_id": "s-1"}}).drafts
    assert (draft.interaction_id, draft.subject_id) == ("s-1", "12")


def test_openinference_says_what_it_was_told_to_hide() -> None:
    hidden: dict[str, Any] = {"input.value": "__REDACTED__", "output.value": "__REDACTED__"}
    (call,) = map_span({"openinference.span.kind": "TOOL", **hidden}).drafts
    assert call.facts["absent"] == {"arguments": "redacted", "result": "redacted"}
    (chain,) = map_span({"openinference.span.kind": "CHAIN", **hidden}).drafts
    assert chain.facts["absent"] == {"input": "redacted", "output": "redacted"}
    assert not {"input", "output"} & set(content_of(chain))


def test_adk_before_2_says_what_it_did_not_capture() -> None:
    attributes = {"gcp.vertex.agent.llm_request": "{}", "gcp.vertex.agent.llm_response": '{"content": {}}'}
    (draft,) = map_span(attributes, scope=("gcp.vertex.agent", ""), name="call_llm").drafts
    assert draft.kind == "model_call"
    assert draft.facts["absent"] == {"input": "not_recorded"}
    assert content_of(draft)["output"] == '{"content": {}}'


def test_vercel_counts_the_call_of_the_model_and_not_what_wraps_it() -> None:
    wrapper = {"ai.operationId": "ai.generateText", "ai.telemetry.functionId": "support", "ai.model.id": "gpt-x"}
    inner = {"ai.operationId": "ai.generateText.doGenerate", "ai.model.id": "gpt-x", "ai.usage.promptTokens": 12}
    kinds = [map_span(attributes).drafts[0] for attributes in (wrapper, inner)]
    assert [draft.kind for draft in kinds] == ["agent_run", "model_call"]
    assert kinds[0].facts["agent"]["name"] == "support"
    assert kinds[1].facts["usage"] == {"input_tokens": 12}


def test_langfuse_usage_stands_inside_its_json() -> None:
    attributes = {
        "langfuse.observation.type": "generation",
        "langfuse.observation.usage_details": '{"input":3,"output":4}',
    }
    (draft,) = map_span(attributes).drafts
    assert draft.facts["usage"] == {"input_tokens": 3, "output_tokens": 4}


def test_mcp_a_tool_call_is_one_whichever_attribute_says_so() -> None:
    (draft,) = map_span({"mcp.method.name": "tools/call", "mcp.tool.name": "lookup"}, name="tools/call lookup").drafts
    assert (draft.kind, draft.facts["tool"]["name"]) == ("tool_call", "lookup")
    (both,) = map_span({"mcp.method.name": "tools/list", "gen_ai.operation.name": "execute_tool"}).drafts
    assert both.kind == "tool_call"
