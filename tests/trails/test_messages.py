"""Messages of every shape become the same parts; hostile ones become none, and never an error."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterfoil.trails.derive.reading import MAX_TOKENS, NOTHING, read_words
from counterfoil.trails.derive.wording import answer_of, argument_map, rationale_of, reason_in, said_error
from counterfoil.trails.messages import CALL, MAX_PARTS, TEXT, THOUGHT, parts_of
from counterfoil.trails.words import unpacked

ARGUMENTS = {"order": "A-1"}


def flat(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


GENAI = [
    {
        "role": "assistant",
        "parts": [
            {"type": "reasoning", "content": "look first"},
            {"type": "text", "content": "One moment."},
            {"type": "tool_call", "id": "c1", "name": "lookup", "arguments": ARGUMENTS},
        ],
    }
]
OPENAI_CALL = {"id": "c1", "type": "function", "function": {"name": "lookup", "arguments": json.dumps(ARGUMENTS)}}
SHAPES: dict[str, Any] = {
    "GenAI messages": GENAI,
    "as a JSON string": json.dumps(GENAI),
    "in an object": {"messages": GENAI},
    "thinking and tool_use, as Anthropic writes them": {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "look first"},
            {"type": "text", "text": "One moment."},
            {"type": "tool_use", "id": "c1", "name": "lookup", "input": ARGUMENTS},
        ],
    },
    "as Bedrock writes them": [
        {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "look first"}}},
                {"text": "One moment."},
                {"toolUse": {"toolUseId": "c1", "name": "lookup", "input": ARGUMENTS}},
            ],
        }
    ],
    "a chat completion": {
        "choices": [
            {
                "message": {
                    "role": "assistant",
                    "content": "One moment.",
                    "reasoning_content": "look first",
                    "tool_calls": [OPENAI_CALL],
                }
            }
        ]
    },
    "a response of items": {
        "output": [
            {"type": "reasoning", "summary": [{"text": "look first"}]},
            {"type": "message", "content": [{"type": "output_text", "text": "One moment."}]},
            {"type": "function_call", "call_id": "c1", "name": "lookup", "arguments": json.dumps(ARGUMENTS)},
        ]
    },
    "span events": [
        {"name": "gen_ai.user.message", "attributes": [flat("content", "[]")]},
        {
            "name": "gen_ai.choice",
            "attributes": [
                flat(
                    "message",
                    json.dumps(
                        [
                            {"reasoningContent": {"reasoningText": {"text": "look first"}}},
                            {"text": "One moment."},
                            {"toolUse": {"toolUseId": "c1", "name": "lookup", "input": ARGUMENTS}},
                        ]
                    ),
                )
            ],
        },
    ],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_thought_words_and_call_are_found_in(shape: str) -> None:
    parts = [part for part in parts_of(SHAPES[shape]) if part.role == "assistant"]
    by_sort = {part.sort: part for part in parts}
    assert by_sort[THOUGHT].text == "look first"
    assert by_sort[TEXT].text == "One moment."
    call = by_sort[CALL]
    assert (call.call_id, call.name, call.arguments) == ("c1", "lookup", ARGUMENTS)


def test_flattened_messages_are_put_together_whatever_their_order_and_gaps() -> None:
    pairs = [
        flat("llm.output_messages.2.message.tool_calls.0.tool_call.function.arguments", json.dumps(ARGUMENTS)),
        flat("llm.output_messages.2.message.tool_calls.0.tool_call.id", "c1"),
        flat("llm.output_messages.2.message.tool_calls.0.tool_call.function.name", "lookup"),
        flat("llm.output_messages.2.message.content", "One moment."),
        flat("llm.output_messages.2.message.role", "assistant"),
        flat("llm.output_messages.0.message.role", "user"),
        flat("llm.output_messages.0.message.content", "hello"),
        flat("llm.output_messages.99999999999.message.role", "nobody"),
    ]
    first, words, call = parts_of(pairs)
    assert (first.role, first.text) == ("user", "hello")
    assert (words.role, words.text) == ("assistant", "One moment.")
    assert (call.call_id, call.name, call.arguments) == ("c1", "lookup", ARGUMENTS)
    old = [flat("gen_ai.completion.0.role", "assistant"), flat("gen_ai.completion.0.content", "hi")]
    assert [(part.role, part.text) for part in parts_of(old)] == [("assistant", "hi")]


def test_a_turn_written_as_react_is_a_thought_and_a_call() -> None:
    words = 'Thought: need the order\nAction: lookup\nAction Input: {"order": "A-1"}\nObservation: delivered'
    thought, call = parts_of([{"role": "assistant", "content": words}])
    assert (thought.sort, thought.text) == (THOUGHT, "need the order")
    assert (call.sort, call.name, call.arguments) == (CALL, "lookup", ARGUMENTS)
    assert [part.sort for part in parts_of([{"role": "user", "content": words}])] == [TEXT]


def test_a_history_without_end_is_read_to_a_limit() -> None:
    assert len(parts_of([{"role": "user", "content": "x"}] * (MAX_PARTS + 9))) == MAX_PARTS


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"kwargs":', "}"), ('{"messages":[', "]}")])
def test_messages_nested_without_end_are_none(opening: str, closing: str) -> None:
    for depth in (100, 900, 5_000):
        value = opening * depth + "1" + closing * depth
        assert parts_of(value) == []
        read_words({"seq": 1, "kind": "agent_run"}, {"input": value, "output": value, "error": value})


def test_words_that_a_reading_points_to_are_found_again() -> None:
    answer = {"type": "tool_call_response", "id": "c1", "response": "no"}
    values = {"output": GENAI, "input": [{"role": "tool", "parts": [answer]}]}
    assert rationale_of(values, "c1", "") == rationale_of(values, "", "lookup") == "look first"
    assert answer_of(values, "c1") == "no"
    assert answer_of(values, "c2") is None
    without = {"output": [{**GENAI[0], "parts": GENAI[0]["parts"][1:]}]}
    assert rationale_of(without, "c1", "") == "One moment."
    assert reason_in({"reason": " too high "}) == "too high"
    assert reason_in({"task": "refund"}) is None


@pytest.mark.parametrize(
    "value",
    [
        [{"role": "assistant", "parts": [{"reasoningContent": {"reasoningText": "no object"}}]}],
        {"generations": [[{"message": "no object", "text": "hello"}]]},
        [flat("llm.output_messages.0.message.calls", "x"), flat("llm.output_messages.0.message.contents", "y")],
        [{"role": "assistant", "content": {"arrayValue": {"values": 5}}}],
        [{"role": "assistant", "parts": [{"type": "text", "content": {"intValue": "--5"}}]}],
        [{"role": "assistant", "parts": [{"type": "text", "content": {"intValue": "9" * 5_000}}]}],
        [{"role": "assistant", "parts": [{"type": "text", "content": {"intValue": "²"}}]}],
        [{"attributes": 5}],
        [{"attributes": [{"key": ["no", "text"], "value": 1}]}],
    ],
)
def test_a_value_that_looks_like_a_convention_and_is_none_stops_nobody(
    value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for one in (value, json.dumps(value)):
        parts_of(one)
        said_error(one)
        argument_map(one)
        read_words({"seq": 1, "kind": "model_call"}, {"input": one, "output": one})
        read_words({"seq": 1, "kind": "tool_call"}, {"arguments": one, "result": one})
    assert caplog.messages == []


def test_what_we_stumble_over_is_read_by_no_rule_and_its_words_reach_no_log(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(dict[str, Any]):
        """A value of a form that nobody has thought of."""

        def get(self, key: str, default: Any = None) -> Any:
            raise ValueError(f"Jane's words beside {key}: {default}")

    assert read_words({"seq": 7, "kind": "model_call"}, {"output": Odd(a=1, b=2)}) == NOTHING
    assert "record 7" in caplog.text
    assert "Jane" not in caplog.text


def test_a_turn_of_very_many_calls_is_read_in_a_moment_and_to_a_limit() -> None:
    value = [{"role": "assistant", "parts": [calls_of(n) for n in range(MAX_PARTS)]}]
    began = time.process_time()
    reading = read_words({"seq": 1, "kind": "model_call"}, {"output": value})
    assert time.process_time() - began < 0.5  # 0.02 s; a second and more where each call looked at all others
    assert [call.call_id for call in reading.calls] == [f"c{n}" for n in range(MAX_TOKENS)]


def calls_of(number: int) -> dict[str, Any]:
    return {"type": "tool_call", "id": f"c{number}", "name": "lookup"}


def test_words_that_nobody_could_be_answered_with_stay_the_text_that_they_were() -> None:
    wide = "1" * 30
    for inner in (f'{{"a": {wide}, "b": NaN}}', f'{{"a": {wide}, "b": "\\ud800"}}', f'{{"a": {wide}, "b": 1e999}}'):
        assert unpacked(inner) == inner
    assert unpacked(f'{{"a": {wide}}}') == {"a": int(wide)}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("role", "parts", "content", "type", "text", "tool_calls", "messages", "id", "name", "arguments"),
                    *(
                        "choices",
                        "message",
                        "output",
                        "generations",
                        "kwargs",
                        "data",
                        "approvals",
                        "raw",
                        "key",
                        "value",
                    ),
                    *(
                        "attributes",
                        "stringValue",
                        "arrayValue",
                        "values",
                        "kvlistValue",
                        "resume",
                        "approved",
                        "status",
                    ),
                    *("reasoningContent", "reasoningText", "intValue", "calls", "contents", "message.calls"),
                    *("function_call", "toolUse", "toolResult", "tool_failures", "error", "llm.output_messages.0.role"),
                ]
            ),
            inner | st.sampled_from(["assistant", "tool_call", "function_approval_response", "ai", "gen_ai.choice"]),
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["model_call", "agent_run", "tool_call", "operation", "guardrail", "handoff"]),
    values=st.dictionaries(
        st.sampled_from(["input", "output", "arguments", "result", "error", "span", "attributes"]), JSON, max_size=4
    ),
)
def test_content_of_any_form_is_read_without_an_error_and_only_as_tokens(
    caplog: pytest.LogCaptureFixture, kind: str, values: dict[str, Any]
) -> None:
    leaf = {"seq": 1, "kind": kind, "tool": {"name": "transfer_to_agent"}}
    reading = read_words(leaf, values)
    assert caplog.messages == []  # the net below it (`read_words`) caught nothing
    assert reading == read_words(leaf, json.loads(json.dumps(values)))
    for call in reading.calls:
        assert " " not in call.name + call.call_id + call.to
    rationale_of(values, "c1", "lookup")
    answer_of(values, "c1")


def test_nothing_said_is_nothing_read() -> None:
    assert read_words({"seq": 1, "kind": "model_call"}, {}) == NOTHING
