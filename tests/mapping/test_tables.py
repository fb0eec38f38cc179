"""The tables name only lawful facts and fields, and the committed page is what they print."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from counterfoil.core.rules import is_token
from counterfoil.core.schema import PRODUCER_KINDS, facts_of
from counterfoil.mapping import tables
from counterfoil.mapping.targets import known_attributes

ROOT = Path(__file__).resolve().parents[2]
EVERY_ROW = [row for rows in tables.ROWS.values() for row in rows]


def test_the_committed_page_is_what_the_tables_print() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "counterfoil.mapping.tables"], capture_output=True, check=True, text=True
    ).stdout
    assert (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8") == printed


def test_every_kind_is_a_kind_that_producers_may_write() -> None:
    named = {kind for row in tables.KIND_ROWS for kind in row.kinds.values()} | set(tables.EVENT_KINDS.values())
    assert named <= PRODUCER_KINDS
    assert {kind for row in EVERY_ROW for kind in row.kinds} <= PRODUCER_KINDS


@pytest.mark.parametrize("row", EVERY_ROW, ids=lambda row: f"{row.attribute} to {row.target}")
def test_every_target_exists(row: tables.Row) -> None:
    if row.target.startswith("content:"):
        assert row.target.removeprefix("content:") in tables.CONTENT_FIELDS
    elif row.target not in (tables.INTERACTION, tables.SUBJECT):
        for kind in row.kinds or PRODUCER_KINDS:
            assert tables.rule_at(row.target, kind).wanted


def test_every_fact_of_our_own_objects_has_an_attribute() -> None:
    named = {row.target for row in EVERY_ROW}
    for kind in tables.OWN_OBJECTS:
        for key, rule in facts_of(kind).items():
            if rule.keys is not None or key == "of":
                assert any(target.startswith(f"{kind}.{key}.") for target in named)
            else:
                assert f"{kind}.{key}" in named


def test_no_row_stands_twice() -> None:
    rows = [(row.attribute, row.target) for row in EVERY_ROW]
    assert len(rows) == len(set(rows))


def test_the_mapping_a_leaf_names_is_made_of_tokens() -> None:
    assert all(is_token(value) for value in tables.MAPPING.values())


def test_every_attribute_of_the_tables_is_compiled() -> None:
    assert set(known_attributes()) == {row.attribute for row in EVERY_ROW} | {row.attribute for row in tables.KIND_ROWS}
