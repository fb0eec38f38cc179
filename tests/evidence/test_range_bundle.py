"""A range bundle: every leaf of the range, content of what matches, verified before release."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from typing import Any

import pytest

from counterfoil.core.checkpoint import Checkpoint, sign_checkpoint
from counterfoil.core.errors import InputError
from counterfoil.core.merkle import leaf_hash
from counterfoil.core.tiles import parse_entries
from counterfoil.log.records import head, read_leaf, read_leaves
from counterfoil.log.signing import load_signer
from tests.evidence.house import House, record, unpack


def leaves_in(files: dict[str, bytes]) -> dict[int, bytes]:
    """Every leaf of a range bundle by its number, as its path gives it."""
    found = {}
    for name, data in files.items():
        if name.startswith("data/leaves/"):
            number = name.removeprefix("data/leaves/").partition(".p/")[0]
            first = 256 * int(number.replace("x", "").replace("/", ""))
            found.update(enumerate(parse_entries(data), first))
    return found


def lines(files: dict[str, bytes], name: str) -> list[dict[str, Any]]:
    """The objects of an NDJSON file."""
    return [json.loads(line) for line in files[f"data/{name}"].splitlines()]


def time_of(house: House, seq: int) -> str:
    """`recorded_at` of a record."""
    with house.logs.ledger.read() as connection:
        leaf = read_leaf(connection, house.log.id, seq)
    assert leaf is not None
    return str(json.loads(leaf)["recorded_at"])


def test_a_bundle_of_the_whole_log_verifies_under_the_operators_policy(house: House) -> None:
    report = house.verify(house.export())
    assert report.result == "VERIFIED", report
    passed = {step.number for step in report.steps if step.outcome == "passed"}
    assert passed == {1, 2, 3, 5, 7, 8, 9, 10, 11}


def test_every_leaf_of_the_log_up_to_the_checkpoint_is_in_it_byte_for_byte(house: House) -> None:
    files = unpack(house.export())
    population = json.loads(files["data/population.json"])
    with house.logs.ledger.read() as connection:
        stored = dict(read_leaves(connection, house.log.id, 0, population["tree_size"]))
    assert leaves_in(files) == stored
    assert (population["a"], population["b"]) == (0, population["tree_size"])


def test_the_population_states_the_totals_that_the_leaves_give(house: House) -> None:
    files = unpack(house.export(filter={"kind": ["decision", "fallback"]}))
    population = json.loads(files["data/population.json"])
    chosen = [
        (seq, json.loads(leaf), leaf)
        for seq, leaf in leaves_in(files).items()
        if json.loads(leaf)["kind"] in ("decision", "fallback")
    ]
    assert population["count"] == len(chosen) == 400
    assert (population["first"], population["last"]) == (chosen[0][0], chosen[-1][0])
    assert population["by_kind"] == Counter(leaf["kind"] for _, leaf, _ in chosen)
    outcomes = Counter(leaf["decision"]["outcome"] for _, leaf, _ in chosen if "decision" in leaf)
    assert population["by_outcome"] == outcomes
    total = hashlib.sha256(b"".join(hashlib.sha256(b"\0" + leaf).digest() for _, _, leaf in chosen)).digest()
    assert population["hash_total"] == base64.b64encode(total).decode()
    assert population["filter"] == {
        "text": "kind=decision&kind=fallback",
        "parsed": {"kind": ["decision", "fallback"]},
    }


def test_content_is_given_for_matching_records_and_no_others(house: House) -> None:
    files = unpack(house.export(filter={"kind": "decision"}))
    leaves = leaves_in(files)
    disclosed = Counter(line["seq"] for line in lines(files, "disclosures.ndjson"))
    assert len(disclosed) == 200
    for seq, count in disclosed.items():
        leaf = json.loads(leaves[seq])
        assert leaf["kind"] == "decision"
        assert count == len(leaf["content"])
    assert files["data/states.ndjson"] == b""


def test_each_disclosure_hashes_to_the_digest_in_its_leaf(house: House) -> None:
    files = unpack(house.export(filter={"kind": "decision"}))
    leaves = leaves_in(files)
    for line in lines(files, "disclosures.ndjson"):
        digest = base64.urlsafe_b64encode(hashlib.sha256(line["disclosure"].encode()).digest()).rstrip(b"=").decode()
        assert json.loads(leaves[line["seq"]])["content"][line["field"]] == digest


def test_a_time_range_shows_the_records_on_both_sides_of_it(house: House) -> None:
    since, until = time_of(house, 300), time_of(house, 500)
    bundle = house.export(filter={"from": since, "to": until})
    files = unpack(bundle)
    population = json.loads(files["data/population.json"])
    leaves = leaves_in(files)
    assert population["border"] == {"before": True, "after": True}
    inside = [seq for seq, leaf in leaves.items() if since <= json.loads(leaf)["recorded_at"] < until]
    assert (population["a"], population["b"]) == (min(inside), max(inside) + 1)
    assert population["count"] == len(inside)
    assert json.loads(leaves[population["a"] - 1])["recorded_at"] < since
    assert json.loads(leaves[population["b"]])["recorded_at"] >= until
    assert min(leaves) % 256 == 0
    assert house.verify(bundle).result == "VERIFIED"


def test_a_time_range_up_to_the_end_of_the_checkpoint_has_no_border_after_it(house: House) -> None:
    bundle = house.export(filter={"from": time_of(house, 700), "to": "2999-01-01T00:00:00Z"})
    population = json.loads(unpack(bundle)["data/population.json"])
    assert population["border"] == {"before": True, "after": False}
    assert population["b"] == population["tree_size"]


def test_a_time_range_from_before_the_log_begins_with_its_genesis(house: House) -> None:
    bundle = house.export(filter={"from": "1999-01-01T00:00:00Z", "to": time_of(house, 40)})
    population = json.loads(unpack(bundle)["data/population.json"])
    assert (population["a"], population["border"]) == (0, {"before": False, "after": True})


@pytest.mark.parametrize(
    ("bounds", "border"),
    [
        ({"from": "2999-01-01T00:00:00Z"}, {"before": True, "after": False}),
        ({"to": "1999-01-01T00:00:00Z"}, {"before": False, "after": True}),
        ({"from": "2999-01-01T00:00:00Z", "to": "1999-01-01T00:00:00Z"}, {"before": True, "after": False}),
    ],
)
def test_a_time_range_without_records_is_shown_to_be_empty(
    house: House, bounds: dict[str, str], border: dict[str, bool]
) -> None:
    bundle = house.export(filter=bounds)
    population = json.loads(unpack(bundle)["data/population.json"])
    assert population["count"] == 0
    assert population["border"] == border
    assert "first" not in population


def test_a_range_refuses_what_only_the_index_can_answer(house: House) -> None:
    for name, value in (("q", "refund"), ("derived", "true"), ("started_from", "2026-01-01T00:00:00Z")):
        with pytest.raises(InputError) as refused:
            house.export(filter={name: value})
        assert (refused.value.code, refused.value.item) == ("not_a_leaf_filter", name)


def test_records_appended_after_the_request_are_not_in_it(fresh_house: House) -> None:
    house = fresh_house
    principal = house.principal()
    job, _ = house.evidence.request(principal, {"log": "main", "purpose": "before the next record"})
    house.checkpoint()
    with house.logs.ledger.read() as connection:
        size = head(connection, house.log.id).size
    assert house.evidence.run_next()
    house.append([record("operation", 9_000)])
    house.checkpoint()
    done, _ = house.evidence.job(principal, job.id)
    assert done.tree_size == size


def test_consistency_with_a_checkpoint_that_the_requester_kept_is_proven(fresh_house: House) -> None:
    house = fresh_house
    kept = unpack(house.export())["data/checkpoint"]
    house.append([record("operation", 9_000)])
    bundle = house.export(since=kept.decode())
    report = house.verify(bundle, since=kept)
    assert report.result == "VERIFIED"
    assert report.step(6).outcome == "passed"
    consistency = json.loads(unpack(bundle)["data/consistency.json"])
    assert consistency["old_size"] == int(kept.split(b"\n")[1])


def test_a_kept_checkpoint_of_another_log_is_refused_by_name(fresh_house: House) -> None:
    house = fresh_house
    other = house.principal(log=house.other)
    job, _ = house.evidence.request(other, {"log": "main", "purpose": "theirs"})
    house.checkpoint()
    assert house.evidence.run_next()
    theirs, _ = house.evidence.job(other, job.id)
    foreign = unpack(house.directory.exports / str(theirs.path))["data/checkpoint"]
    given = {"log": "main", "purpose": "x", "since": foreign.decode()}
    with pytest.raises(InputError) as refused:
        house.evidence.request(house.principal(), given)
    assert refused.value.code == "bad_since"


def test_a_kept_checkpoint_that_the_log_does_not_extend_stops_the_export(fresh_house: House) -> None:
    house = fresh_house
    signer = load_signer(house.directory.keys, house.log.origin)
    for size, error in ((20, "consistency_root: "), (10**6, "bad_since: ")):
        forged = sign_checkpoint(Checkpoint(house.log.origin, size, b"\7" * 32), signer)
        job, _ = house.evidence.request(house.principal(), {"log": "main", "purpose": "x", "since": forged.decode()})
        house.checkpoint()
        assert house.evidence.run_next()
        failed, _ = house.evidence.job(house.principal(), job.id)
        assert (failed.error or "").startswith(error), failed.error


def test_the_genesis_record_comes_with_a_proof_where_the_range_does_not_reach_it(house: House) -> None:
    files = unpack(house.export(filter={"from": time_of(house, 600)}))
    related = lines(files, "related.ndjson")
    assert [line["seq"] for line in related] == [0]
    assert json.loads(base64.b64decode(related[0]["leaf"]))["kind"] == "genesis"
    assert related[0]["proof"].endswith(files["data/checkpoint"].decode())
    assert lines(unpack(house.export()), "related.ndjson") == []


def test_the_flat_records_are_the_leaves_in_columns(house: House) -> None:
    files = unpack(house.export(filter={"kind": "decision"}))
    leaves = leaves_in(files)
    rows = lines(files, "records.ndjson")
    assert len(rows) == 200
    for row in rows:
        leaf = json.loads(leaves[row["seq"]])
        assert row["leaf_hash"] == base64.b64encode(leaf_hash(leaves[row["seq"]])).decode()
        assert row["decision.outcome"] == leaf["decision"]["outcome"]
        assert row["interaction.id"] == leaf["interaction"]["id"]
        assert row["content.rationale"].startswith("Order ")


def test_an_identifier_of_a_person_in_the_filter_becomes_the_pseudonym_of_the_leaves(house: House) -> None:
    one = record("decision", 8_000, words={"rationale": "asked by telephone"})
    one.drafts[0].subject_id = "+49 170 1234567"
    house.append([one])
    files = unpack(house.export(filter={"subject": "+49 170 1234567"}))
    population = json.loads(files["data/population.json"])
    assert population["count"] == 1
    assert population["filter"]["parsed"]["subject"][0].startswith("p_")
    assert not any(b"1234567" in data for data in files.values())
