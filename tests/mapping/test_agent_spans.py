"""Real agent traffic: nothing is lost, both encodings are one, and the facts are what a person expects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from counterfoil.mapping.decode import JSON, PROTOBUF
from counterfoil.mapping.draft import Draft
from counterfoil.mapping.tables import CONTENT_FIELDS
from tests.mapping.storage import (
    AGENT_SPANS,
    JSON_FILES,
    PROTOBUF_FILES,
    assert_given_back,
    content_of,
    decode,
    decode_file,
    map_decoded,
    signal_of,
)

PAIRS = list(zip(PROTOBUF_FILES, JSON_FILES, strict=True))
EVERY_FILE = [*PROTOBUF_FILES, *JSON_FILES]


def test_the_corpus_has_both_encodings_of_both_signals() -> None:
    assert len(PROTOBUF_FILES) == 20
    assert all(path.exists() for path in JSON_FILES)
    assert {signal_of(path).name for path in PROTOBUF_FILES} == {"traces", "logs"}


@pytest.mark.parametrize("path", EVERY_FILE, ids=lambda path: path.name)
def test_every_item_is_given_back_as_it_came(path: Path) -> None:
    decoded = decode_file(path)
    mapped = map_decoded(decoded)
    assert not mapped.refused
    assert mapped.items
    assert_given_back(decoded, mapped)


@pytest.mark.parametrize(("binary", "text"), PAIRS, ids=lambda path: path.name)
def test_an_item_has_the_same_identity_in_both_encodings(binary: Path, text: Path) -> None:
    ours = map_decoded(decode_file(binary)).items
    theirs = map_decoded(decode_file(text)).items
    assert [item.identity for item in ours] == [item.identity for item in theirs]
    assert len({item.identity for item in ours}) == len(ours)
    assert [[draft.facts for draft in item.drafts] for item in ours] == [
        [draft.facts for draft in item.drafts] for item in theirs
    ]


@pytest.mark.parametrize("path", PROTOBUF_FILES, ids=lambda path: path.name)
def test_identity_does_not_depend_on_how_items_were_batched(path: Path) -> None:
    signal = signal_of(path)
    whole = map_decoded(decode_file(path)).items
    request = signal.request.FromString(path.read_bytes())
    single = []
    for outer in getattr(request, signal.resource_field):
        for inner in getattr(outer, signal.scope_field):
            for item in getattr(inner, signal.item_field):
                one = signal.request()
                new_outer = getattr(one, signal.resource_field).add(schema_url=outer.schema_url)
                new_outer.resource.CopyFrom(outer.resource)
                new_inner = getattr(new_outer, signal.scope_field).add(schema_url=inner.schema_url)
                new_inner.scope.CopyFrom(inner.scope)
                getattr(new_inner, signal.item_field).add().CopyFrom(item)
                single += map_decoded(decode(signal, one.SerializeToString(), PROTOBUF)).items
    assert [item.identity for item in single] == [item.identity for item in whole]


@pytest.mark.parametrize("path", EVERY_FILE, ids=lambda path: path.name)
def test_every_content_field_is_a_named_one(path: Path) -> None:
    for item in map_decoded(decode_file(path)).items:
        for draft in item.drafts:
            assert {name for name, _ in draft.fields} <= CONTENT_FIELDS


@pytest.mark.parametrize("path", EVERY_FILE, ids=lambda path: path.name)
def test_no_personal_identifier_of_the_corpus_is_in_a_leaf(path: Path) -> None:
    for item in map_decoded(decode_file(path)).items:
        for draft in item.drafts:
            leaf = orjson.dumps(draft.facts)
            assert b"jane" not in leaf
            assert draft.subject_id is None or draft.subject_id.encode() not in leaf


def drafts_of(name: str) -> list[Draft]:
    """Every draft of a file, in the order of its start."""
    path = AGENT_SPANS / name
    drafts = [draft for item in map_decoded(decode_file(path)).items for draft in item.drafts]
    return sorted(drafts, key=lambda draft: draft.facts.get("started_at", ""))


def row(draft: Draft) -> tuple[Any, ...]:
    """What a person would say of a record: kind, agent, what was called, how it ended."""
    facts = draft.facts
    return (
        draft.kind,
        facts.get("agent", {}).get("name"),
        facts.get("tool", {}).get("name") or facts.get("model", {}).get("requested"),
        facts.get("status"),
        facts.get("error_type"),
        draft.interaction_id,
    )


GOLDEN: dict[str, list[tuple[Any, ...]]] = {
    "pydantic_ai_v5_tool_handoff_retry.bin": [
        ("agent_run", "triage_agent", "fake-triage", None, None, "conv-77"),
        ("model_call", "triage_agent", "fake-triage", None, None, "conv-77"),
        ("tool_call", "triage_agent", "lookup_order", None, None, "conv-77"),
        ("model_call", "triage_agent", "fake-triage", None, None, "conv-77"),
        ("tool_call", "triage_agent", "crm_lookup", "error", "pydantic_ai.exceptions.ToolRetryError", "conv-77"),
        ("model_call", "triage_agent", "fake-triage", None, None, "conv-77"),
        ("tool_call", "triage_agent", "handoff_to_billing", None, None, "conv-77"),
        ("agent_run", "billing_agent", "fake-billing", None, None, "01a2020e-cc11-7772-973c-d2397667aebc"),
        ("model_call", "billing_agent", "fake-billing", None, None, "01a2020e-cc11-7772-973c-d2397667aebc"),
        ("model_call", "triage_agent", "fake-triage", None, None, "conv-77"),
    ],
    "openai_agents_traceloop_tool_handoff_fail.bin": [
        ("agent_run", "cx-agent-openai", None, "ok", None, None),
        ("agent_run", "triage_agent", None, "ok", None, None),
        ("model_call", "cx-agent-openai", "fake-gpt", "ok", None, None),
        ("tool_call", "cx-agent-openai", "lookup_order", "ok", None, None),
        ("model_call", "cx-agent-openai", "fake-gpt", "ok", None, None),
        ("tool_call", "cx-agent-openai", "crm_lookup", "error", None, None),
        ("model_call", "cx-agent-openai", "fake-gpt", "ok", None, None),
        ("handoff", "triage_agent", None, "ok", None, None),
        ("agent_run", "billing_agent", None, "ok", None, None),
        ("model_call", "cx-agent-openai", "fake-gpt", "ok", None, None),
    ],
    "langgraph_genai_tool_fail_interrupt.bin": [
        ("agent_run", "support_graph", None, None, None, "conv-77"),
        ("tool_call", "cx-agent-langgraph", "lookup_order", None, None, None),
        ("tool_call", "cx-agent-langgraph", "crm_lookup", "error", "RuntimeError", None),
        ("agent_run", "support_graph", None, None, None, "conv-77"),
    ],
    "langgraph_openinference_model_fallback.bin": [
        ("operation", "cx-agent-langgraph", None, "ok", None, None),
        ("model_call", "cx-agent-langgraph", None, "error", "StopIteration", None),
        ("model_call", "cx-agent-langgraph", None, "ok", None, None),
    ],
    "strands_default_swarm_tool_fail_handoff.bin": [
        ("agent_run", "cx-agent-strands", None, None, None, None),
        ("agent_run", "triage_agent", "fake-strands", "ok", None, "conv-77"),
        ("operation", "cx-agent-strands", None, "ok", None, "conv-77"),
        ("model_call", "cx-agent-strands", "fake-strands", "ok", None, "conv-77"),
        ("tool_call", "cx-agent-strands", "lookup_order", "ok", None, "conv-77"),
        ("operation", "cx-agent-strands", None, "ok", None, "conv-77"),
        ("model_call", "cx-agent-strands", "fake-strands", "ok", None, "conv-77"),
        ("tool_call", "cx-agent-strands", "crm_lookup", "error", "RuntimeError", "conv-77"),
        ("operation", "cx-agent-strands", None, "ok", None, "conv-77"),
        ("model_call", "cx-agent-strands", "fake-strands", "ok", None, "conv-77"),
        ("tool_call", "cx-agent-strands", "handoff_to_agent", "ok", None, "conv-77"),
        ("operation", "cx-agent-strands", None, "ok", None, "conv-77"),
        ("model_call", "cx-agent-strands", "fake-strands", "ok", None, "conv-77"),
        ("agent_run", "billing_agent", "fake-strands", "ok", None, None),
        ("operation", "cx-agent-strands", None, "ok", None, None),
        ("model_call", "cx-agent-strands", "fake-strands", "ok", None, None),
    ],
    "ms_agent_framework_default_tool_fail_agent_tool.bin": [
        ("agent_run", "triage_agent", "fake-maf", None, None, None),
        ("model_call", "cx-agent-maf", "fake-maf", None, None, None),
        ("tool_call", "cx-agent-maf", "lookup_order", None, None, None),
        ("model_call", "cx-agent-maf", "fake-maf", None, None, None),
        ("tool_call", "cx-agent-maf", "crm_lookup", "error", "RuntimeError", None),
        ("model_call", "cx-agent-maf", "fake-maf", None, None, None),
        ("tool_call", "cx-agent-maf", "billing_agent", "error", "AttributeError", None),
        ("agent_run", "billing_agent", "fake-maf", "error", "AttributeError", None),
        ("model_call", "cx-agent-maf", "fake-maf", None, None, None),
    ],
    "google_adk_default_tool_handoff.logs.bin": [
        ("operation", "triage_agent", None, None, None, "conv-77"),
        ("operation", "triage_agent", None, None, None, "conv-77"),
        ("operation", "triage_agent", None, None, None, "conv-77"),
        ("operation", "billing_agent", None, None, None, "conv-77"),
    ],
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_facts_are_what_a_person_expects(name: str) -> None:
    assert [row(draft) for draft in drafts_of(name)] == GOLDEN[name]


def test_a_model_call_has_its_messages_and_usage_apart() -> None:
    draft = next(draft for draft in drafts_of("pydantic_ai_v5_tool_handoff_retry.bin") if draft.kind == "model_call")
    assert draft.facts["model"] == {"provider": "function", "requested": "fake-triage", "name": "fake-triage"}
    assert draft.facts["usage"] == {"input_tokens": 62, "output_tokens": 14}
    content = content_of(draft)
    assert "role" in orjson.loads(content["input"])[0]
    assert orjson.loads(content["output"])[0]["role"] == "assistant"
    assert {"key": "gen_ai.input.messages", "promoted": "input"} in content["attributes"]


def test_a_tool_call_has_arguments_and_result_apart() -> None:
    draft = next(draft for draft in drafts_of("pydantic_ai_v5_tool_handoff_retry.bin") if draft.kind == "tool_call")
    content = content_of(draft)
    assert orjson.loads(content["arguments"])
    assert content["result"]
    assert draft.facts["tool"]["call_id"].startswith("pyd_ai_")


def test_json_with_whitespace_and_capital_ids_is_the_same_item() -> None:
    path = AGENT_SPANS / "strands_default_swarm_tool_fail_handoff.otlp.json"
    value = orjson.loads(path.read_bytes())
    for outer in value["resourceSpans"]:
        for inner in outer["scopeSpans"]:
            for span in inner["spans"]:
                span["traceId"] = span["traceId"].upper()
                span["startTimeUnixNano"] = int(span["startTimeUnixNano"])
    shouted = decode(signal_of(path), orjson.dumps(value, option=orjson.OPT_INDENT_2), JSON)
    ours = map_decoded(decode_file(path)).items
    assert [item.identity for item in map_decoded(shouted).items] == [item.identity for item in ours]
