"""What agents reported reads as text in the report, whatever shape it came in."""

from __future__ import annotations

import pytest

from counterfoil.evidence.prose import MAX_ITEMS, prose_of

MESSAGES = '[{"role":"user","parts":[{"type":"text","content":"I want it back"}]},{"role":"assistant","content":"No."}]'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain words", "plain words"),
        ("[not json", "[not json"),
        (17, "17"),
        (True, "true"),
        ([], ""),
        ({"stringValue": "a"}, "a"),
        ({"arrayValue": {"values": [{"intValue": "3"}, {"boolValue": False}]}}, "- 3\n- false"),
        ({"kvlistValue": {"values": [{"key": "why", "value": {"stringValue": "late"}}]}}, "- why: late"),
        (
            [{"option": "approve", "score": 0.35, "rejected_because": "too late"}, {"option": "deny"}],
            "- option: approve · score: 0.35 · rejected because: too late\n- option: deny",
        ),
        (MESSAGES, "- user: I want it back\n- assistant: No."),
        ({"stringValue": '{"a": 1}'}, '{"a": 1}'),
    ],
)
def test_a_value_reads_as_text(value: object, text: str) -> None:
    assert prose_of(value) == text


def test_long_and_deep_values_are_bounded() -> None:
    deep: object = "end"
    for _ in range(200):
        deep = [deep]
    assert len(prose_of(deep)) < 500
    assert prose_of(list(range(MAX_ITEMS + 3))).endswith("- … and 3 more")
