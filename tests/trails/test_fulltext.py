"""Words, phrases and prefixes; and whatever else a person may type into the field."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.core.errors import InputError
from counterfoil.trails.fulltext import MAX_QUERY_CHARS, MAX_TERMS, join_content, parse_words
from tests.trails.site import Site, event


def found(site: Site, q: str) -> set[int]:
    return {item.seq for item in site.search(q=q, limit="500").items if item.leaf["kind"] != "genesis"}


@pytest.mark.parametrize(
    ("q", "expression"),
    [
        ("refund", '"refund"'),
        ("refund deny", '"refund" "deny"'),
        ('"goodwill budget" refund', '"goodwill budget" "refund"'),
        ("warrant*", '"warrant" *'),
        ("R-12", '"R-12"'),
        ("AND OR NOT NEAR", '"AND" "OR" "NOT" "NEAR"'),
        ("facts:refund", '"facts:refund"'),
        ("(a)", '"(a)"'),
    ],
)
def test_a_question_becomes_quoted_strings_only(q: str, expression: str) -> None:
    assert parse_words(q) == expression


@pytest.mark.parametrize(
    "q",
    [
        *("", "  ", '"', 'a "b', "*", "a**", "*a", "a*b", "!!!", '""', '"-"', "a\x00b", "x" * (MAX_QUERY_CHARS + 1)),
        " ".join(["w"] * (MAX_TERMS + 1)),
    ],
)
def test_a_question_that_is_none_is_refused_by_name(q: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_words(q)
    assert caught.value.code == "bad_query"
    assert caught.value.item == "q"


@given(st.text(max_size=60))
def test_no_text_whatever_is_a_syntax_error_for_the_index(q: str) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE text_1 USING fts5(facts, content_words, content='', columnsize=0)")
    connection.execute("INSERT INTO text_1 (rowid, facts, content_words) VALUES (1, 'refund deny', 'thirty days')")
    with closing(connection), suppress(InputError):
        rows = connection.execute("SELECT rowid FROM text_1 WHERE text_1 MATCH ?", (parse_words(q),)).fetchall()
        assert rows in ([], [(1,)])


def test_leaf_facts_and_opened_content_are_found_by_their_words(site: Site) -> None:
    site.send(
        [
            event(1, "decision", own={"type": "refund", "outcome": "deny", "policy": {"id": "R-12"}, "id": "d-1"}),
            event(2, "decision", own={"type": "refund", "outcome": "approve"}, fields={"rationale": "Défaut de série"}),
            event(3, "tool_call", tool={"name": "orders.lookup"}, fields={"arguments": "warranty of the lamp"}),
            event(4, "handoff", own={"state": "offered", "reason": "policy_limit"}),
        ]
    )
    first = site.search(q="refund", order="oldest").items[0].seq
    assert found(site, "refund") == {first, first + 1}
    assert found(site, "refund deny") == {first}
    assert found(site, "R-12") == {first}
    assert found(site, "d-1") == {first}
    assert found(site, "defaut serie") == {first + 1}
    assert found(site, '"de serie"') == {first + 1}
    assert found(site, '"serie de"') == set()
    assert found(site, "LOOK*") == {first + 2}
    assert found(site, "policy_limit") == {first + 3}
    # `arguments` is not among the fields that this log opens to full text.
    assert found(site, "warranty") == set()


def test_identities_digests_and_times_are_not_words(site: Site) -> None:
    site.send([event(1, "notice", own={"type": "ai_disclosure"}, conversation="conv-77", trace=1, subject="jane")])
    leaf = site.search(kind="notice").items[0].leaf
    for value in (leaf["trace_id"], leaf["subject"], leaf["interaction"]["id"], leaf["recorded_at"][:10]):
        assert found(site, value) == set()
    assert found(site, "ai_disclosure") != set()


def test_words_narrow_every_other_filter(site: Site) -> None:
    site.send(
        [
            event(
                n, "decision", own={"outcome": "deny" if n % 2 else "approve", "owner": f"team-{n % 3}"}, trace=n // 5
            )
            for n in range(60)
        ]
    )
    trace_id = site.search(outcome="deny").items[0].leaf["trace_id"]
    for parameters in ({"outcome": "deny"}, {"kind": "decision"}, {"trace_id": trace_id}):
        both = {item.seq for item in site.search(q='"team-1"', limit="500", **parameters).items}
        alone = {item.seq for item in site.search(limit="500", **parameters).items}
        assert both == alone & found(site, '"team-1"')
        assert both


def test_content_words_are_cut_and_flattened() -> None:
    assert join_content(["a b", {"x": "c", "y": ["d", 3, None]}, 7]) == "a b c d"
    assert len(join_content(["w " * 100_000])) == 65_536
    assert "\x00" not in join_content(["a\x00b"])


def test_a_log_that_opens_other_fields_is_read_again(site: Site) -> None:
    site.send([event(1, "tool_call", fields={"arguments": "warranty of the lamp"})])
    assert found(site, "warranty") == set()
    with site.attack("ledger") as ledger:
        ledger.execute("UPDATE logs SET fulltext_fields = '[\"arguments\"]' WHERE name = 'main'")
    site.projector.run_once()
    assert len(found(site, "warranty")) == 1
