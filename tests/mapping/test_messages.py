"""Flattened messages and message events: one field, no words twice, everything given back."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from counterfoil.mapping.decode import PROTOBUF
from counterfoil.mapping.signals import TRACES
from tests.mapping.making import SPAN_ID, TRACE_ID, map_log, map_span, one
from tests.mapping.storage import content_of, decode, map_decoded


def string(key: str, text: str) -> dict[str, Any]:
    """A pair of OTLP/JSON."""
    return {"key": key, "value": {"stringValue": text}}


def test_flattened_messages_are_one_field_and_leave_one_pointer() -> None:
    prompt = {
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "my order is late",
        "gen_ai.prompt.1.role": "tool",
    }
    answer = {"gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.finish_reason": "stop"}
    (draft,) = map_span({"llm.request.type": "chat", **prompt, "thread.name": "x", **answer}).drafts
    content = content_of(draft)
    assert content["input"] == [string(key, text) for key, text in prompt.items()]
    assert content["output"] == [string(key, text) for key, text in answer.items()]
    assert content["attributes"] == [
        string("llm.request.type", "chat"),
        {"promoted": "input", "count": 3},
        string("thread.name", "x"),
        {"promoted": "output", "count": 2},
    ]
    assert orjson.dumps(content).count(b"my order is late") == 1


def test_attributes_of_groups_that_stand_apart_leave_a_pointer_for_each_run() -> None:
    attributes = {
        "llm.input_messages.0.message.role": "user",
        "llm.output_messages.0.message.role": "assistant",
        "llm.input_messages.0.message.content": "a",
        "llm.input_messages.9.message.content": "b",
        "llm.output_messages.0.message.content": "c",
    }
    content = content_of(map_span(attributes).drafts[0])
    assert [pair["key"].split(".")[2] for pair in content["input"]] == ["0", "0", "9"]
    assert content["attributes"] == [
        {"promoted": "input", "count": 1},
        {"promoted": "output", "count": 1},
        {"promoted": "input", "count": 2},
        {"promoted": "output", "count": 1},
    ]


def test_one_whole_attribute_stands_before_flattened_ones_which_then_stay_where_they_are() -> None:
    flat = {"llm.input_messages.0.message.role": "user"}
    content = content_of(map_span({**flat, "input.value": "words"}).drafts[0])
    assert content["input"] == "words"
    assert content["attributes"] == [string(*next(iter(flat.items()))), {"key": "input.value", "promoted": "input"}]


def test_flattened_attributes_stand_before_a_whole_one_that_comes_later_in_the_tables() -> None:
    flat = {"gen_ai.prompt.0.content": "a"}
    content = content_of(map_span({"traceloop.entity.input": "later", **flat}).drafts[0])
    assert content["input"] == [string("gen_ai.prompt.0.content", "a")]
    assert content["attributes"][0] == string("traceloop.entity.input", "later")


def test_values_of_every_type_stay_what_they_are_in_a_group() -> None:
    attributes: dict[str, Any] = {
        "gen_ai.prompt.0.content": ["a", 1],
        "gen_ai.prompt.0.index": 7,
        "gen_ai.prompt.1.cached": True,
        "gen_ai.prompt.2.score": -0.0,
        "gen_ai.prompt.3.meta": {"a": {"b": "c"}},
    }
    content = content_of(map_span(attributes).drafts[0])
    assert [next(iter(pair["value"])) for pair in content["input"]] == [
        "arrayValue",
        "intValue",
        "boolValue",
        "doubleValue",
        "kvlistValue",
    ]
    assert content["attributes"] == [{"promoted": "input", "count": 5}]


def test_ten_thousand_flattened_attributes_with_gaps_and_huge_indexes_are_given_back() -> None:
    attributes = {
        f"llm.input_messages.{number * 99_991 % 999_999_999}.message.content": f"m{number}" for number in range(10_000)
    }
    content = content_of(map_span(attributes).drafts[0])
    assert len(content["input"]) == 10_000
    assert content["attributes"] == [{"promoted": "input", "count": 10_000}]


def test_the_same_key_twice_in_a_group_is_kept_twice() -> None:
    request = TRACES.request()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=TRACE_ID, span_id=SPAN_ID)
    for text in ("a", "b", "", "a"):
        span.attributes.add(key="gen_ai.prompt.0.content").value.string_value = text
    span.attributes.add(key="gen_ai.prompt.0.content")
    content = content_of(one(request).drafts[0])
    assert [pair["value"]["stringValue"] for pair in content["input"]] == ["a", "b", "a"]
    # What says nothing (an empty string, no value) is no part of the message, and stays.
    assert content["attributes"] == [
        {"promoted": "input", "count": 2},
        string("gen_ai.prompt.0.content", ""),
        {"promoted": "input", "count": 1},
        {"key": "gen_ai.prompt.0.content"},
    ]


def test_arguments_one_by_one_are_the_arguments_of_a_call() -> None:
    arguments = {"mcp.request.argument.location": '"London"', "mcp.request.argument.days.0": 3}
    content = content_of(map_span({"mcp.method.name": "tools/call", **arguments}).drafts[0])
    assert [pair["key"] for pair in content["arguments"]] == list(arguments)
    whole = content_of(map_span({"mcp.method.name": "tools/call", "mcp.request.argument": "{}", **arguments}).drafts[0])
    assert whole["arguments"] == "{}"


def test_documents_are_the_output_of_a_retrieval_alone() -> None:
    documents = {"retrieval.documents.0.document.id": "d-1", "retrieval.documents.0.document.score": 0.5}
    retrieval = map_span({"openinference.span.kind": "RETRIEVER", **documents}).drafts[0]
    assert len(content_of(retrieval)["output"]) == 2
    chain = map_span({"openinference.span.kind": "CHAIN", **documents}).drafts[0]
    assert "output" not in content_of(chain)


def test_an_invalid_string_in_a_group_is_kept_as_bytes() -> None:
    request = TRACES.request()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=TRACE_ID, span_id=SPAN_ID)
    span.attributes.add(key="gen_ai.prompt.0.content").value.string_value = "0123456789"
    body = request.SerializeToString().replace(b"0123456789", b"01234\xff6789")

    (item,) = map_decoded(decode(TRACES, body, PROTOBUF)).items
    (pair,) = content_of(item.drafts[0])["input"]
    assert pair == {"key": "gen_ai.prompt.0.content", "value": {"stringValue": {"invalidUtf8": "MDEyMzT/Njc4OQ=="}}}


MESSAGES = ("gen_ai.system.message", "gen_ai.user.message", "gen_ai.assistant.message", "gen_ai.tool.message")


def test_message_events_of_a_call_are_its_input_and_choices_its_output() -> None:
    events = [
        (name, {"content": f"words of {name}"}) for name in (*MESSAGES, "gen_ai.choice", "exception", "gen_ai.choice")
    ]
    content = content_of(map_span({"gen_ai.operation.name": "chat"}, events).drafts[0])
    assert [event["name"] for event in content["input"]] == list(MESSAGES)
    assert [event["name"] for event in content["output"]] == ["gen_ai.choice"] * 2
    assert content["events"][-2]["name"] == "exception"
    assert content["events"][-1] == {"promoted": "output"}
    assert orjson.dumps(content).count(b"words of gen_ai.user.message") == 1


def test_message_events_stay_where_an_attribute_says_the_words_already() -> None:
    events = [("gen_ai.user.message", {"content": "a"})]
    content = content_of(map_span({"gen_ai.input.messages": "[]"}, events).drafts[0])
    assert content["input"] == "[]"
    assert content["events"][0]["name"] == "gen_ai.user.message"


@pytest.mark.parametrize(
    ("operation", "fields"), [("chat", ("input", "output")), ("execute_tool", ("arguments", "result"))]
)
def test_the_details_event_gives_its_attributes_one_by_one(operation: str, fields: tuple[str, str]) -> None:
    details: dict[str, Any] = {
        "gen_ai.input.messages": '[{"role":"user"}]',
        "gen_ai.response.id": "r-1",
        "gen_ai.output.messages": [{"role": "assistant"}],
    }
    name = "gen_ai.client.inference.operation.details"
    content = content_of(map_span({"gen_ai.operation.name": operation}, [(name, details), (name, details)]).drafts[0])
    assert content[fields[0]] == '[{"role":"user"}]'
    assert "arrayValue" in content[fields[1]]
    first, second = content["events"]
    assert first["attributes"] == [
        {"key": "gen_ai.input.messages", "promoted": fields[0]},
        string("gen_ai.response.id", "r-1"),
        {"key": "gen_ai.output.messages", "promoted": fields[1]},
    ]
    assert "promoted" not in orjson.dumps(second).decode()


def test_empty_values_in_a_details_event_are_no_words() -> None:
    name = "gen_ai.client.inference.operation.details"
    content = content_of(map_span({}, [(name, {"gen_ai.input.messages": "", "gen_ai.output.messages": []})]).drafts[0])
    assert "input" not in content
    assert content["output"] == {"arrayValue": {"values": []}}


def test_the_finding_of_a_guardrail_belongs_to_its_span() -> None:
    events = [("gen_ai.guardrail.result", {"gen_ai.guardrail.result.value": "block"})]
    drafts = map_span({"gen_ai.operation.name": "apply_guardrail"}, events).drafts
    assert [draft.kind for draft in drafts] == ["guardrail"]
    assert content_of(drafts[0])["result"][0]["name"] == "gen_ai.guardrail.result"


def test_the_result_of_a_guardrail_on_a_model_call_is_a_record() -> None:
    attributes = {
        "gen_ai.guardrail.component.name": "pii",
        "gen_ai.guardrail.result.value": "block",
        "gen_ai.guardrail.result.reason": "an address",
    }
    call, guardrail = map_span({"gen_ai.operation.name": "chat"}, [("gen_ai.guardrail.result", attributes)]).drafts
    assert (call.kind, guardrail.kind) == ("model_call", "guardrail")
    assert content_of(guardrail)["result"] == "block"
    assert content_of(guardrail)["rationale"] == "an address"


@pytest.mark.parametrize("name", MESSAGES)
def test_the_body_of_a_message_event_in_the_log_is_input(name: str) -> None:
    (draft,) = map_log(name, {"gen_ai.system": "openai"}, body={"content": "hello", "role": "user"}).drafts
    assert draft.kind == "operation"
    content = content_of(draft)
    assert content["body"] == {"promoted": "input"}
    assert "kvlistValue" in content["input"]


def test_the_body_of_a_choice_in_the_log_is_output_also_where_an_attribute_names_the_event() -> None:
    (draft,) = map_log("", {"event.name": "gen_ai.choice"}, body="done").drafts
    assert content_of(draft)["body"] == {"promoted": "output"}
    assert content_of(draft)["output"] == "done"


def test_the_body_of_any_other_log_event_stays_the_body() -> None:
    (draft,) = map_log("order.shipped", {}, body="done").drafts
    assert content_of(draft)["body"] == "done"


def test_structured_messages_of_the_details_log_event_are_input_and_output() -> None:
    attributes: dict[str, Any] = {
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "hello"}]}],
        "gen_ai.output.messages": [{"role": "assistant", "parts": []}],
    }
    (draft,) = map_log("gen_ai.client.inference.operation.details", attributes).drafts
    assert draft.kind == "operation"
    content = content_of(draft)
    assert "arrayValue" in content["input"]
    assert content["attributes"] == [
        {"key": "gen_ai.input.messages", "promoted": "input"},
        {"key": "gen_ai.output.messages", "promoted": "output"},
    ]
