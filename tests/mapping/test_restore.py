"""An item is given back whole or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from counterfoil.core.errors import InputError
from counterfoil.mapping.restore import Part, restore_item
from counterfoil.mapping.signals import TRACES
from tests.mapping.storage import map_protobuf, stored


def parts() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The records of a span with two recognised events."""
    request = TRACES.request()
    outer = request.resource_spans.add()
    outer.resource.attributes.add(key="service.name").value.string_value = "cx"
    span = outer.scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name="n")
    span.attributes.add(key="gen_ai.input.messages").value.string_value = "[]"
    span.attributes.add(key="gen_ai.agent.name").value.string_value = "refunds"
    for name in ("counterfoil.decision", "counterfoil.fallback"):
        span.events.add(name=name).attributes.add(key="a").value.int_value = 1
    (item,) = map_protobuf(request).items
    return [stored(draft) for draft in item.drafts]


def refusal(records: list[Part]) -> str:
    """Why an item cannot be given back."""
    with pytest.raises(InputError) as refused:
        restore_item(records)
    assert refused.value.code == "not_restorable"
    return refused.value.message


def test_all_parts_together_give_the_item_back() -> None:
    (outer,) = restore_item(parts())["resourceSpans"]
    (span,) = outer["scopeSpans"][0]["spans"]
    assert [event["name"] for event in span["events"]] == ["counterfoil.decision", "counterfoil.fallback"]
    assert span["attributes"][1] == {"key": "gen_ai.agent.name", "value": {"stringValue": "refunds"}}


def test_no_record_gives_no_item() -> None:
    assert "no record" in refusal([])


@pytest.mark.parametrize(("kept", "missing"), [((0, 1), 2), ((0, 2), 1), ((1, 2), 0), ((1, 0, 2), 0)])
def test_a_missing_part_is_named(kept: tuple[int, ...], missing: int) -> None:
    records = parts()
    assert f"part {missing}" in refusal([records[number] for number in kept])


@pytest.mark.parametrize("field", ["resource", "attributes", "span", "events"])
def test_an_erased_field_of_the_item_is_named(field: str) -> None:
    records = parts()
    del records[0][1][field]
    assert f"field {field}" in refusal(list(records))


def test_an_erased_field_that_an_attribute_went_to_is_named() -> None:
    records = parts()
    del records[0][1]["input"]
    assert "field input" in refusal(list(records))


def test_a_leaf_without_the_fact_that_is_pointed_to_is_named() -> None:
    records = parts()
    del records[0][0]["agent"]
    assert "fact agent.name" in refusal(list(records))


@pytest.mark.parametrize("source", ["api", "service", None])
def test_what_did_not_come_as_otlp_does_not_go_as_otlp(source: str | None) -> None:
    records = parts()
    records[0][0]["source"] = source
    assert "OTLP" in refusal(list(records))


def test_the_records_are_not_changed() -> None:
    records, again = parts(), parts()
    restore_item(list(records))
    assert records == again
