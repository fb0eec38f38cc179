"""The quick check of facts says what the core says, whatever the facts."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.core.errors import InputError
from counterfoil.core.record import check_draft
from counterfoil.core.schema import facts_of
from counterfoil.log.lawful import check_facts
from counterfoil.mapping.draft import Draft

LAWFUL: dict[str, Any] = {
    "mapping": {"name": "counterfoil", "version": "2"},
    "producer": {"part": 0},
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "span_id": "b7ad6b7169203331",
    "parent_span_id": "00f067aa0ba902b7",
    "links": [{"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331"}],
    "name": "chat",
    "status": "error",
    "error_type": "TimeoutError",
    "started_at": "2026-11-22T10:48:39.000123000Z",
    "ended_at": "2026-11-22T10:48:40.000123000Z",
    "interaction": {"channel": "chat", "region": "eu-west-1"},
    "agent": {"id": "a-1", "name": "refunds", "version": "2.3.1"},
    "model": {"provider": "openai", "requested": "gpt-5", "name": "gpt-5"},
    "usage": {"input_tokens": 10, "output_tokens": 2},
    "decision": {"id": "d-1", "outcome": "deny", "risk": "high", "confidence": "0.65", "alternatives": 2},
}
TIMES = (
    "2026-11-22T24:00:00.000000000Z",
    "2026-11-22T23:60:00.000000000Z",
    "2026-11-22T23:59:60.000000000Z",
    "2026-02-29T00:00:00.000000000Z",
    "2024-02-29T23:59:59.999999999Z",
    "0000-01-01T00:00:00.000000000Z",
    "9999-12-31T23:59:59.999999999Z",
    "2026-11-22T10:48:39.000123Z",
    "2026-11-22 10:48:39.000123000Z",
    "2026-11-22T10:48:39.00012300٠Z",
)
TOKENS = ("", "-a", "a" * 128, "a" * 129, "1234567", "a1234567", "123456", "a\x00b", "a b", "é", "a/b:c+d.e_f-g")
IDS = ("0" * 32, "0" * 16, "A" * 32, "a" * 31, "a" * 32, "a" * 16, "5e2b1a9c-3f47-4b7e-9f0a-1c2d3e4f5a6b", "1" * 32)
ODD = st.one_of(
    st.sampled_from((*TIMES, *TOKENS, *IDS, "other", "ok", "yes", "0.5", "1", "1.0", "high")),
    st.sampled_from((None, True, False, 0, 1, -1, 2**53 - 1, 2**53, 2**70, 1.5, b"x", (), [], {}, ["a"], {"a": "b"})),
    st.text(max_size=8),
)
KEYS = st.sampled_from((*LAWFUL, *facts_of("decision"), "content", "seq", "supersedes", "absent", "subject", "x", "id"))


def _core_says(draft: Draft) -> bool:
    try:
        check_draft(draft.kind, {**draft.facts, "source": draft.source})
    except InputError:
        return False
    return not {"supersedes", "content", "seq"} & draft.facts.keys()


def _we_say(draft: Draft) -> bool:
    try:
        check_facts(draft)
    except InputError:
        return False
    return True


def test_lawful_facts_are_lawful() -> None:
    assert _we_say(Draft("decision", "otlp:traces", copy.deepcopy(LAWFUL), []))


@settings(deadline=None, max_examples=400)
@given(
    st.lists(st.tuples(KEYS, st.one_of(st.none(), KEYS), ODD), min_size=1, max_size=3),
    st.sampled_from(("decision", "operation", "handoff", "no kind")),
)
def test_whatever_is_changed_we_say_what_the_core_says(changes: list[tuple[str, str | None, Any]], kind: str) -> None:
    facts = copy.deepcopy(LAWFUL)
    for key, inner, value in changes:
        if inner is not None and isinstance(facts.get(key), dict):
            facts[key][inner] = value
        else:
            facts[key] = value
    draft = Draft(kind, "otlp:traces", facts, [])
    assert _we_say(draft) == _core_says(draft)


@pytest.mark.parametrize("key", ["started_at", "trace_id", "span_id", "name", "error_type", "status"])
@pytest.mark.parametrize("value", [*TIMES, *TOKENS, *IDS], ids=repr)
def test_times_ids_and_tokens_are_judged_as_the_core_judges_them(key: str, value: str) -> None:
    draft = Draft("operation", "otlp:traces", {"mapping": LAWFUL["mapping"], "producer": {"part": 0}, key: value}, [])
    assert _we_say(draft) == _core_says(draft)
