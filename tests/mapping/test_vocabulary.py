"""What a vocabulary knows, finds among its patterns, and remembers."""

from __future__ import annotations

import pytest

from counterfoil.mapping import tables
from counterfoil.mapping.targets import Known
from counterfoil.mapping.vocabulary import (
    MAX_KEY_CHARS,
    MAX_KEYS,
    Vocabulary,
    audit_vocabulary,
    known_attributes,
    vocabulary_of,
)


def known(vocabulary: Vocabulary, key: str) -> Known:
    """What the vocabulary knows of a key that it must know."""
    found = vocabulary[key]
    assert found is not None
    return found


def test_every_attribute_of_the_tables_is_known() -> None:
    vocabulary = known_attributes()
    named = {row.attribute for rows in tables.ROWS.values() for row in rows} | {
        row.attribute for row in tables.KIND_ROWS
    }
    for key in named:
        assert vocabulary[key.replace(".N.", ".3.").replace("*", "anything.at.all")] is not None


@pytest.mark.parametrize(
    "key", ["", ".", "gen_ai.prompt", "llm.input_messages.0.message.role", "annotations.4.annotation.label"]
)
def test_a_key_keeps_its_own_name(key: str) -> None:
    found = known_attributes()[key]
    assert found is None or (found.key == key and all(target.promoted["key"] == key for target in found.targets))


@pytest.mark.parametrize(
    "key",
    [
        "gen_ai.prompt.name",
        "gen_ai.prompt.N.role",
        "gen_ai.prompt.-1.role",
        "gen_ai.prompt.1e3.role",
        "gen_ai.prompt.1 .role",
        "gen_ai.prompt.٣.role",
        "gen_ai.prompt.0",
        "gen_ai.prompt.0000000000.role",
        "gen_ai.prompt..role",
        "x.gen_ai.prompt.0.role",
        "annotations.0.other.label",
        "annotations.annotation.label",
        "llm.input_messages",
    ],
)
def test_what_only_looks_like_a_pattern_is_unknown(key: str) -> None:
    assert known_attributes()[key] is None


@pytest.mark.parametrize("index", ["0", "7", "10000", "999999999", "007"])
def test_an_index_may_be_as_large_as_it_likes_within_nine_digits(index: str) -> None:
    assert known(known_attributes(), f"llm.output_messages.{index}.message.content").targets[0].field == "output"


def test_an_attribute_of_a_part_knows_its_index() -> None:
    found = known(known_attributes(), "annotations.12.annotation.score")
    assert found.part is not None
    assert found.part.index == "12"


def test_an_attribute_that_no_row_names_goes_with_its_part() -> None:
    found = known(known_attributes(), "gen_ai.guardrail.something.new")
    assert found.part is not None
    assert (found.part.row.kind, found.targets) == ("guardrail", ())


def test_answers_are_remembered_up_to_a_bound_and_the_tables_for_ever() -> None:
    table = {"known.key": known(known_attributes(), "gen_ai.request.model")}
    vocabulary = Vocabulary(table, {}, (), ())
    for number in range(MAX_KEYS + 50):
        assert vocabulary[f"key.{number}"] is None
        assert len(vocabulary) <= MAX_KEYS + 1
    assert len(vocabulary) == 1 + 50
    assert vocabulary["known.key"] is table["known.key"]
    assert vocabulary["gen_ai.transfer.mode"] is not None


def test_a_very_long_key_is_not_remembered() -> None:
    vocabulary = Vocabulary({}, {}, (), ())
    assert vocabulary["k" * (MAX_KEY_CHARS + 1)] is None
    assert vocabulary["gen_ai.prompt.0." + "k" * MAX_KEY_CHARS] is None
    assert len(vocabulary) == 0


def test_no_table_reaches_into_the_ranks_of_the_next() -> None:
    assert max(len(rows) for rows in tables.ROWS.values()) < 1_000
    ranks = [target.rank for found in known_attributes().values() if found for target in found.targets]
    assert max(ranks) < 1_000 * (len(tables.ROWS) + 1)


def test_scopes_without_quirks_share_one_vocabulary() -> None:
    assert vocabulary_of("somebody.else", "1.0") is known_attributes()
    assert vocabulary_of("", "") is known_attributes()
    assert vocabulary_of("pydantic-ai", "2.68.0") is vocabulary_of("pydantic-ai", "1.0")
    assert vocabulary_of("pydantic-ai", "2.68.0") is not known_attributes()
    assert audit_vocabulary() is not known_attributes()


@pytest.mark.parametrize(
    ("version", "holds"),
    [("", True), ("0.9", True), ("1.99.9", True), ("1.0b3", True), ("2", False), ("2.0.0rc1", False), ("10.1", False)],
)
def test_a_quirk_holds_before_the_version_that_ended_it(version: str, holds: bool) -> None:
    assert (vocabulary_of("gcp.vertex.agent", version).kind_by_name("call_llm") == "model_call") is holds


@pytest.mark.parametrize("version", ["latest", "v2", "²", "9" * 5_000, ".", "1..2"])
def test_a_version_of_any_form_is_compared_without_failing(version: str) -> None:
    assert vocabulary_of("gcp.vertex.agent", version)["gen_ai.request.model"] is not None
