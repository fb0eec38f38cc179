"""Each row of the tables, exercised: alone it is found, and before a later row of its target it wins."""

from __future__ import annotations

from itertools import pairwise

import pytest

from counterfoil.mapping import tables
from counterfoil.mapping.conventions.rows import EventRow, Quirk, Row
from tests.mapping.making import map_log, map_span
from tests.mapping.samples import KIND_ATTRIBUTES, Sample, found, item_of, part_of, sample_of
from tests.mapping.storage import content_of

ROWS = [row for rows in tables.ROWS.values() for row in rows]
SCOPED = [(quirk, row) for quirk in tables.SCOPE_QUIRKS for row in quirk.rows]


def _id(row: Row) -> str:
    return f"{row.attribute} {row.inside} to {row.target} in {'/'.join(row.kinds)}"


@pytest.mark.parametrize("row", ROWS, ids=_id)
def test_an_attribute_alone_becomes_what_its_row_says(row: Row) -> None:
    sample = sample_of(row)
    drafts = [draft for draft in item_of(sample).drafts if found(draft, row.target) == sample.expected]
    assert [draft.kind for draft in drafts][:1] == [sample.kind]


@pytest.mark.parametrize(
    ("quirk", "row"), SCOPED, ids=lambda value: value.scope if isinstance(value, Quirk) else _id(value)
)
def test_an_attribute_of_a_scope_becomes_what_its_row_says_there_and_nowhere_else(quirk: Quirk, row: Row) -> None:
    sample = sample_of(row)
    inside = item_of(sample, scope=(quirk.scope, "0.1"))
    assert found(inside.drafts[0], row.target) == sample.expected
    outside = item_of(sample, scope=("somebody.else", "1"))
    assert found(outside.drafts[0], row.target) != sample.expected


def _rivals() -> list[tuple[Row, Row]]:
    """Neighbours in the tables that may stand in one record with the same target."""
    by_target: dict[str, list[Row]] = {}
    for row in ROWS:
        by_target.setdefault(row.target, []).append(row)
    return [
        (first, second)
        for rows in by_target.values()
        for first, second in pairwise(rows)
        if first.attribute != second.attribute
        and (not second.kinds or (first.kinds and first.kinds[0] in second.kinds))
        and first.target not in ("producer.id", "producer.n")
        and part_of(sample_of(first).key) == part_of(sample_of(second).key)
        and not {first.attribute, second.attribute} & {"event.name", "gen_ai.operation.name", "ai.operationId"}
    ]


@pytest.mark.parametrize(("first", "second"), _rivals(), ids=_id)
def test_of_two_attributes_with_one_target_the_first_row_wins_wherever_it_stands(first: Row, second: Row) -> None:
    sample, rival = sample_of(first), sample_of(second)
    if sample.expected == rival.expected and isinstance(rival.given, str):
        rival = Sample(rival.key, "lost-9" if not second.values else rival.given, rival.beside, rival.kind, None)
    for keys in ((sample, rival), (rival, sample)):
        beside = {**sample.beside, **{one.key: one.given for one in keys}}
        item = item_of(Sample("counterfoil.unrelated", "x", beside, sample.kind, None))
        assert sample.expected in [found(draft, first.target) for draft in item.drafts]


@pytest.mark.parametrize(
    ("row", "value", "kind"),
    [(row, value, kind) for row in tables.KIND_ROWS for value, kind in row.kinds.items()],
    ids=lambda value: value.attribute if not isinstance(value, str) else value,
)
def test_the_value_of_an_attribute_names_the_kind_of_a_span(row: Row, value: str, kind: str) -> None:
    assert map_span({"thread.name": "x", row.attribute: value}).drafts[0].kind == kind


@pytest.mark.parametrize(
    ("quirk", "name", "kind"),
    [(quirk, name, kind) for quirk in tables.SCOPE_QUIRKS for name, kind in quirk.names.items()],
    ids=lambda value: value.scope if isinstance(value, Quirk) else value,
)
def test_a_span_name_of_a_scope_names_the_kind_there_and_nowhere_else(quirk: Quirk, name: str, kind: str) -> None:
    spelt = name.replace("*", "x")
    attributes = {"openinference.span.kind": "CHAIN"}
    assert map_span(attributes, scope=(quirk.scope, "0.1"), name=spelt).drafts[0].kind == kind
    assert map_span(attributes, scope=("somebody.else", "0.1"), name=spelt).drafts[0].kind == "operation"
    assert map_span(attributes, scope=(quirk.scope, "0.1"), name="work").drafts[0].kind == "operation"


SHOWS = [(quirk, attribute, kind) for quirk in tables.SCOPE_QUIRKS for attribute, kind in quirk.shows.items()]


@pytest.mark.parametrize(
    ("quirk", "attribute", "kind"), SHOWS, ids=lambda it: it.scope if isinstance(it, Quirk) else it
)
def test_an_attribute_of_a_scope_shows_the_kind_by_being_there(quirk: Quirk, attribute: str, kind: str) -> None:
    attributes = {"openinference.span.kind": "AGENT", attribute: "x"}
    assert map_span(attributes, scope=(quirk.scope, "0.1")).drafts[0].kind == kind
    assert map_span(attributes).drafts[0].kind == "agent_run"


@pytest.mark.parametrize(
    "row", tables.EVENT_ROWS, ids=lambda row: f"{row.event} {row.attribute} in {'/'.join(row.kinds)}"
)
def test_an_event_alone_becomes_the_field_that_its_row_says(row: EventRow) -> None:
    kind = row.kinds[0] if row.kinds else "operation"
    key = row.attribute or "content"
    (draft,) = map_span(dict(KIND_ATTRIBUTES[kind]), [(row.event, {key: "words", "other": 1})]).drafts
    assert draft.kind == kind
    field = content_of(draft)[row.field]
    assert field == "words" if row.attribute else [event["name"] for event in field] == [row.event]
    if not row.attribute and not row.kinds:
        (logged,) = map_log(row.event, {}, body="words").drafts
        assert content_of(logged)[row.field] == "words"


PREFIXES = [
    (prefix, row.chosen_by, value, kind)
    for row in tables.PART_ROWS
    for prefix in row.prefixes
    for value, kind in (row.kinds or {"": row.kind}).items()
]


@pytest.mark.parametrize(("prefix", "chosen_by", "value", "kind"), PREFIXES)
def test_attributes_that_begin_so_are_a_part_of_their_kind(prefix: str, chosen_by: str, value: str, kind: str) -> None:
    attributes = {"gen_ai.operation.name": "chat", f"{prefix}whatever".replace(".N.", ".4."): "x"}
    if chosen_by:
        attributes[chosen_by.replace(".N.", ".4.")] = value
    assert [draft.kind for draft in map_span(attributes).drafts] == ["model_call", kind]


def test_our_own_objects_stand_above_what_a_scope_calls_its_spans() -> None:
    item = map_span({"counterfoil.decision.type": "refund"}, scope=("pydantic-ai", "2"), name="agent run")
    assert item.drafts[0].kind == "decision"


def test_every_kind_that_rows_name_can_be_made_by_a_span_or_a_log_event() -> None:
    named = {kind for row in ROWS for kind in row.kinds}
    own = {"decision", "fallback", "handoff", "oversight", "outcome", "notice", "producer"}
    assert named <= own | set(KIND_ATTRIBUTES)


@pytest.mark.parametrize(
    "value", [7, True, 0.5, ["a"], {"a": "b"}, "x" * 5_000, "", " ", "a b", "é", "\x00", "0" * 20, -1]
)
def test_no_value_of_any_type_breaks_any_row_and_none_that_does_not_fit_reaches_the_leaf(value: object) -> None:
    keys = sorted({sample_of(row).key for row in ROWS if row.target != "producer.n"})
    for kind in KIND_ATTRIBUTES.values():
        assert map_span({**dict.fromkeys(keys, value), **kind}).drafts
