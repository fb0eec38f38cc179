"""The tables name only lawful facts and fields, and the committed page is what they print."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from counterfoil.core.rules import is_token
from counterfoil.core.schema import PRODUCER_KINDS, facts_of
from counterfoil.mapping import tables
from counterfoil.mapping.conventions.own import INTERACTION, OWN_OBJECTS, SUBJECT
from counterfoil.mapping.conventions.rows import Row

ROOT = Path(__file__).resolve().parents[2]
CONVENTION_ROWS = [row for rows in tables.ROWS.values() for row in rows]
SCOPE_ROWS = [row for quirk in tables.SCOPE_QUIRKS for row in quirk.rows]
EVERY_ROW = [*CONVENTION_ROWS, *SCOPE_ROWS, *tables.AUDIT_ROWS]
OF_THE_ITEM = {"trace_id", "span_id", "parent_span_id", "links", "started_at", "ended_at", "mapping", "supersedes"}


def test_the_committed_page_is_what_the_tables_print() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "counterfoil.mapping.tables"], capture_output=True, check=True, text=True
    ).stdout
    assert (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8") == printed


def test_every_kind_is_a_kind_that_producers_may_write() -> None:
    named = {kind for row in tables.KIND_ROWS for kind in row.kinds.values()} | set(tables.EVENT_KINDS.values())
    named |= {row.kind for row in tables.PART_ROWS if row.kind}
    named |= {kind for row in tables.PART_ROWS for kind in row.kinds.values()}
    named |= {kind for quirk in tables.SCOPE_QUIRKS for kind in (*quirk.names.values(), *quirk.shows.values())}
    named |= {kind for row in tables.AUDIT_KIND_ROWS for kind in row.kinds.values()}
    named |= {kind for row in tables.EVENT_ROWS for kind in row.kinds}
    assert named <= PRODUCER_KINDS
    assert {kind for row in EVERY_ROW for kind in row.kinds} <= PRODUCER_KINDS


@pytest.mark.parametrize("row", EVERY_ROW, ids=lambda row: f"{row.attribute} to {row.target}")
def test_every_target_exists(row: Row) -> None:
    if row.target.startswith("content:"):
        assert row.target.removeprefix("content:") in tables.CONTENT_FIELDS
    elif row.target not in (INTERACTION, SUBJECT):
        for kind in row.kinds or PRODUCER_KINDS:
            assert tables.rule_at(row.target, kind).wanted


def test_every_event_becomes_a_field_that_exists() -> None:
    assert {row.field for row in tables.EVENT_ROWS} <= tables.CONTENT_FIELDS


def test_no_row_names_what_the_item_itself_says() -> None:
    """The log restores those from the leaf: an attribute there would come back as another member."""
    assert not {row.target for row in EVERY_ROW} & OF_THE_ITEM
    assert not {row.target for row in (*CONVENTION_ROWS, *SCOPE_ROWS)} & {"status"}


def test_every_fact_of_our_own_objects_has_an_attribute() -> None:
    named = {row.target for row in EVERY_ROW}
    for kind in OWN_OBJECTS:
        for key, rule in facts_of(kind).items():
            if rule.keys is not None or key == "of":
                assert any(target.startswith(f"{kind}.{key}.") for target in named)
            else:
                assert f"{kind}.{key}" in named


def test_no_row_stands_twice() -> None:
    rows = [(row.attribute, row.target, row.kinds, row.inside) for row in EVERY_ROW]
    assert len(rows) == len(set(rows))


def test_no_two_tables_give_one_attribute_of_a_scope_two_meanings_in_one_kind() -> None:
    seen: dict[tuple[str, str, str], Row] = {}
    for row in CONVENTION_ROWS:
        if row.inside or row.means or row.values or not row.target.startswith("content:"):
            continue
        for kind in row.kinds or ("any",):
            assert seen.setdefault((row.attribute, kind, "field"), row) is row


def test_the_mapping_a_leaf_names_is_made_of_tokens() -> None:
    assert all(is_token(value) for value in tables.MAPPING.values())


def test_versions_are_counted_and_the_last_one_is_in_force() -> None:
    assert list(tables.VERSIONS) == [str(number) for number in range(1, len(tables.VERSIONS) + 1)]
    assert {"name": "counterfoil", "version": str(len(tables.VERSIONS))} == tables.MAPPING
