"""A selection bundle: chosen records, each with its own proof, and no claim of completeness."""

from __future__ import annotations

import base64
import json

import pytest

from counterfoil.core.errors import InputError
from counterfoil.core.note import parse_vkey
from counterfoil.core.proof import check_proof, parse_proof
from tests.evidence.house import House, unpack

WITHHOLD = {"field": "output", "reason": "r", "ground": "g"}


def test_chosen_records_are_each_proven_to_be_in_the_log(house: House) -> None:
    bundle = house.export(form="selection", seqs=[5, 17, 400])
    files = unpack(bundle)
    found = [json.loads(line) for line in files["data/proofs.ndjson"].splitlines()]
    assert [line["seq"] for line in found] == [5, 17, 400]
    for line in found:
        proof = parse_proof(line["proof"].encode())
        check_proof(proof, base64.b64decode(line["leaf"]), house.log.origin, [parse_vkey(house.log.vkey)])
        assert proof.index == line["seq"]
    assert not [name for name in files if name.startswith("data/leaves/")]
    assert house.verify(bundle).result == "VERIFIED"


def test_its_first_page_says_that_it_claims_no_completeness(house: House) -> None:
    page = unpack(house.export(form="selection", seqs=[5]))["README.html"].decode()
    assert "It claims no completeness." in page
    assert "claims no completeness" not in unpack(house.export())["README.html"].decode()


def test_a_selection_by_leaf_filter_needs_no_index(house: House) -> None:
    with pytest.raises(InputError) as refused:
        house.export(form="selection", filter={"q": "refund"})
    assert refused.value.code == "no_index"
    files = unpack(house.export(form="selection", filter={"interaction": "conv-7"}))
    assert json.loads(files["data/population.json"])["count"] == 4
    assert json.loads(files["data/run.json"])["found_by"]["filter"] == "interaction=conv-7"


def test_numbers_are_taken_once_and_in_order(house: House) -> None:
    files = unpack(house.export(form="selection", seqs=[9, 3, 9, 3]))
    population = json.loads(files["data/population.json"])
    assert (population["count"], population["first"], population["last"]) == (2, 3, 9)


def test_a_record_beyond_the_checkpoint_fails_the_job_by_name(house: House) -> None:
    principal = house.principal()
    given = {"log": "main", "purpose": "x", "form": "selection", "seqs": [3, 10**9]}
    job, _ = house.evidence.request(principal, given)
    house.checkpoint()
    assert house.evidence.run_next()
    failed, _ = house.evidence.job(principal, job.id)
    assert (failed.error or "").startswith("not_covered: no checkpoint covers record 1000000000")


def test_a_chosen_record_that_the_filter_does_not_select_is_refused(house: House) -> None:
    principal = house.principal()
    given = {"log": "main", "purpose": "x", "form": "selection", "seqs": [0], "filter": {"kind": "decision"}}
    job, _ = house.evidence.request(principal, given)
    house.checkpoint()
    assert house.evidence.run_next()
    failed, _ = house.evidence.job(principal, job.id)
    assert (failed.error or "").startswith("not_selected: the filter does not select record 0")


@pytest.mark.parametrize(
    ("given", "code", "item"),
    [
        ({"form": "selection"}, "empty_selection", "seqs"),
        ({"form": "selection", "seqs": []}, "bad_selection", "seqs"),
        ({"form": "selection", "seqs": [-1]}, "bad_selection", "seqs"),
        ({"form": "selection", "seqs": [True]}, "bad_selection", "seqs"),
        ({"form": "selection", "seqs": ["1"]}, "bad_selection", "seqs"),
        ({"form": "selection", "seqs": [1], "filter": {"q": "x"}}, "bad_selection", "seqs"),
        ({"form": "range", "seqs": [1]}, "bad_form", "seqs"),
        ({"form": "heap"}, "bad_form", "form"),
        ({"filter": {"nonsense": "1"}}, "unknown_filter", "nonsense"),
        ({"filter": {"kind": "nonsense"}}, "bad_filter_value", "kind"),
        ({"form": "selection", "filter": {"q": ["a", "b"]}}, "bad_filter_value", "q"),
        ({"purpose": "  "}, "bad_purpose", "purpose"),
        ({"purpose": "x" * 2001}, "bad_purpose", "purpose"),
        ({"since": "not a checkpoint"}, "bad_since", "since"),
        ({"since": 7}, "bad_since", "since"),
        ({"content": "some"}, "bad_content_scope", "content"),
        ({"content": {"fields": []}}, "bad_content_scope", "content"),
        ({"content": {"fields": ["a" * 65]}}, "bad_content_scope", "content.fields"),
        ({"redactions": [{"field": "output", "reason": "r"}]}, "bad_redaction", "redactions[0]"),
        (
            {"redactions": [{"field": "output", "reason": "r", "ground": "g", "why": "?"}]},
            "bad_redaction",
            "redactions[0]",
        ),
        (
            {"redactions": [{"field": "output", "reason": "r", "ground": "g", "seqs": [-1]}]},
            "bad_redaction",
            "redactions[0]",
        ),
        ({"redactions": [{}] * 1001}, "bad_redaction", "redactions"),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused_by_item(
    house: House, given: dict[str, object], code: str, item: str
) -> None:
    with pytest.raises(InputError) as refused:
        house.evidence.request(house.principal(), {"log": "main", "purpose": "a test", **given})
    assert (refused.value.code, refused.value.item) == (code, item)
