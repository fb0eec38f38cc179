"""A selection found by a search: what only the index can answer is said in run.json and claimed by nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from counterfoil.core.errors import InputError
from counterfoil.evidence.service import Evidence
from counterfoil.store.database import open_index
from counterfoil.trails.projector import Projector
from counterfoil.trails.stores import Stores
from tests.evidence.house import House, fill, new_house, record, unpack


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with more records than a page of the index holds, and with an index of all of them."""
    with new_house(tmp_path_factory.mktemp("indexed") / "audit") as house:
        fill(house, 156, batch=52)
        house.append([record("tool_call", 5_000, facts={"tool": {"name": "giro-transfer"}})])
        house.checkpoint()
        index = open_index(house.directory.index_url)
        stores = Stores(house.logs.ledger, house.logs.keystore, index)
        Projector(house.logs.ledger, house.logs.keystore, index).run_once()
        house.evidence = Evidence(house.logs, house.directory.exports, stores=stores, checkpoint_wait_s=0.0)
        try:
            yield house
        finally:
            index.dispose()


def selected(house: House, **filters: Any) -> tuple[Path, dict[str, bytes]]:
    """A selection by search, and its files."""
    bundle = house.export(form="selection", filter=filters)
    return bundle, unpack(bundle)


def test_full_text_finds_records_that_are_then_proven_one_by_one(indexed: House) -> None:
    bundle, files = selected(indexed, q="giro-transfer")
    population = json.loads(files["data/population.json"])
    assert population["count"] == 1
    assert population["filter"] == {"parsed": {}, "text": ""}
    assert json.loads(files["data/run.json"])["found_by"] == {"filter": "", "search": {"q": ["giro-transfer"]}}
    assert indexed.verify(bundle).result == "VERIFIED"


def test_a_search_of_many_pages_is_walked_to_its_end(indexed: House) -> None:
    _, files = selected(indexed, q="refunds", kind=["model_call", "tool_call", "fallback", "decision"])
    population = json.loads(files["data/population.json"])
    assert population["count"] == 4 * 156 + 1
    assert population["filter"]["parsed"] == {"kind": ["decision", "fallback", "model_call", "tool_call"]}


def test_what_the_index_concluded_is_not_claimed_as_a_filter_of_the_leaves(indexed: House) -> None:
    bundle, files = selected(indexed, derived="true")
    population = json.loads(files["data/population.json"])
    assert "fallback" not in population["filter"]["parsed"]
    assert json.loads(files["data/run.json"])["found_by"]["search"] == {"derived": ["true"]}
    assert indexed.verify(bundle).result == "VERIFIED"


@pytest.mark.parametrize(("name", "value"), [("derived", "perhaps"), ("started_from", "yesterday"), ("q", '"')])
def test_a_search_that_the_index_cannot_read_is_refused_at_once(indexed: House, name: str, value: str) -> None:
    given = {"log": "main", "purpose": "x", "form": "selection", "filter": {name: value}}
    with pytest.raises(InputError) as refused:
        indexed.evidence.request(indexed.principal(), given)
    assert refused.value.item == name


@pytest.mark.parametrize("q", ["AND OR NOT", "a* (b", "NEAR(", "x:y"])
def test_odd_search_words_find_what_they_find_and_break_nothing(indexed: House, q: str) -> None:
    bundle, _ = selected(indexed, q=q)
    assert indexed.verify(bundle).result == "VERIFIED"
