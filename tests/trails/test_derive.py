"""Rules over the records of a trail: what they conclude, and what they must not."""

from __future__ import annotations

from typing import Any

import pytest

from counterfoil.trails import derive

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7"


def call(seq: int, kind: str = "tool_call", **facts: Any) -> dict[str, Any]:
    leaf = {
        "seq": seq,
        "kind": kind,
        "trace_id": TRACE,
        "span_id": f"{seq:016x}",
        "parent_span_id": PARENT,
        "started_at": f"2026-11-18T10:00:{seq:02}.000000000Z",
        **facts,
    }
    return {key: value for key, value in leaf.items() if value is not None}


def tool(seq: int, name: str, **facts: Any) -> dict[str, Any]:
    return call(seq, tool={"name": name}, **facts)


def model(seq: int, requested: str, answered: str | None = None, **facts: Any) -> dict[str, Any]:
    names = {"requested": requested} | ({"name": answered} if answered else {})
    return call(seq, "model_call", model=names, **facts)


FAILED = {"status": "error"}


@pytest.mark.parametrize(
    ("leaves", "expected"),
    [
        ([tool(1, "crm", **FAILED), tool(2, "crm")], [("tool_retry", 2, 1, "crm", "crm", 2)]),
        ([tool(1, "crm", **FAILED), tool(2, "kb")], [("alternative_tool", 2, 1, "crm", "kb", 2)]),
        ([model(1, "a", **FAILED), model(2, "b")], [("model_fallback", 2, 1, "a", "b", 2)]),
        ([model(1, "a", **FAILED), model(2, "a")], [("model_retry", 2, 1, "a", "a", 2)]),
        (
            [tool(1, "crm", **FAILED), tool(2, "crm", **FAILED), tool(3, "kb")],
            [("tool_retry", 2, 1, "crm", "crm", 2), ("alternative_tool", 3, 2, "crm", "kb", 3)],
        ),
        ([tool(1, "crm"), tool(2, "kb")], []),
        ([tool(1, "crm", **FAILED)], []),
        ([tool(1, "crm", **FAILED), tool(2, "crm", parent_span_id="1111111111111111")], []),
        ([tool(1, "crm", **FAILED), tool(2, "crm", trace_id="1" * 32)], []),
        ([tool(1, "crm", parent_span_id=None, **FAILED), tool(2, "crm", parent_span_id=None)], []),
        ([tool(1, "crm", **FAILED), model(2, "a")], []),
        ([model(1, "a", "b")], [("other_model_answered", 1, 1, "a", "b", 1)]),
        ([model(1, "a", "b", **FAILED)], []),
    ],
)
def test_a_replacement_is_concluded_only_where_one_call_failed_and_its_sibling_followed(
    leaves: list[dict[str, Any]], expected: list[tuple[Any, ...]]
) -> None:
    for order in (leaves, leaves[::-1]):
        found = derive.fallbacks(order)
        assert [(s.rule, s.seq, s.failed_seq, s.origin, s.to, s.attempt) for s in found] == expected


def test_an_attempt_inside_a_call_of_another_model_is_a_fallback() -> None:
    outer = model(1, "backup")
    inner = model(2, "primary", parent_span_id=outer["span_id"], error_type="ModelHTTPError")
    (step,) = derive.fallbacks([inner, outer])
    assert (step.rule, step.seq, step.failed_seq, step.origin, step.to) == ("model_fallback", 1, 2, "primary", "backup")
    assert derive.fallbacks([model(2, "backup", parent_span_id=outer["span_id"], **FAILED), outer]) == []


@pytest.mark.parametrize(
    ("requested", "answered"),
    [
        ("gpt-5", "gpt-5"),
        ("gpt-5", "gpt-5-2026-01-01"),
        ("openai/gpt-5", "gpt-5"),
        ("claude-x", "claude-x@20260101"),
        ("claude-x", "claude-x-latest"),
    ],
)
def test_a_dated_release_of_the_model_is_the_same_model(requested: str, answered: str) -> None:
    assert derive.other_model(model(1, requested, answered)) is None


@pytest.mark.parametrize(("requested", "answered"), [("gpt-5", "gpt-5-mini"), ("gpt-5-mini", "gpt-5"), ("a", "b")])
def test_a_smaller_sibling_is_another_model(requested: str, answered: str) -> None:
    assert derive.other_model(model(1, requested, answered)) == answered


@pytest.mark.parametrize(
    ("error", "trigger"),
    [
        ("TimeoutError", "timeout"),
        ("DEADLINE_EXCEEDED", "timeout"),
        ("504", "timeout"),
        ("ConnectionError", "unavailable"),
        ("503", "unavailable"),
        ("RateLimitError", "budget"),
        ("429", "budget"),
        ("ValueError", "error"),
    ],
)
def test_the_trigger_is_read_off_the_error_type(error: str, trigger: str) -> None:
    (step,) = derive.fallbacks([tool(1, "crm", error_type=error), tool(2, "crm")])
    assert step.trigger == trigger


def test_a_parent_that_never_arrived_is_named_once() -> None:
    gaps = derive.missing_parents([tool(1, "a"), tool(2, "b"), call(3, parent_span_id=None)])
    assert [(gap.rule, gap.seq) for gap in gaps] == [("parent_missing", 1)]
    assert PARENT in gaps[0].message
    assert derive.missing_parents([tool(1, "a"), call(9, "agent_run", span_id=PARENT, parent_span_id=None)]) == []


def test_a_call_without_result_is_a_gap_unless_it_failed_or_hid_its_words() -> None:
    sent = {"arguments": "x" * 43}
    silent = tool(1, "refund", content=sent)
    answered = tool(2, "refund", content={**sent, "result": "y" * 43})
    failed = tool(3, "refund", content=sent, **FAILED)
    no_words = tool(4, "refund")
    declared = tool(5, "refund", content=sent, absent={"result": "redacted"})
    assert [gap.seq for gap in derive.missing_results([silent, answered, failed, no_words, declared])] == [1]


def test_what_the_sdk_dropped_is_a_gap() -> None:
    (gap,) = derive.cut_by_sdk(4, {"span": {"droppedAttributesCount": 3, "droppedEventsCount": 0}})
    assert (gap.seq, gap.message) == (4, "the producer's SDK dropped 3 attributes before sending")
    assert derive.cut_by_sdk(4, {"span": {}}) == derive.cut_by_sdk(4, {"span": "?"}) == []


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ('{"status": "error", "detail": "no such order"}', "status error"),
        ('{"error": {"code": 5}}', "an error object"),
        ('{"isError": true}', "isError"),
        ({"status": "FAILED"}, "status FAILED"),
        ('{"status": "ok"}', None),
        ('{"error": ""}', None),
        ("{not json", None),
        ("error", None),
        ("[1]", None),
        (None, None),
    ],
)
def test_a_tool_that_says_error_without_failing_is_marked(result: object, said: str | None) -> None:
    assert derive.said_error(tool(1, "crm"), {"result": result}) == said
    assert derive.said_error(tool(1, "crm", **FAILED), {"result": result}) is None
