"""What content leaves the house: by role, by what was asked for, by redaction; and a state for all the rest."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from typing import Any

from counterfoil.evidence.request import parse_request
from counterfoil.evidence.scope import NOT_ASKED_FOR, NOT_PERMITTED, parse_scope
from tests.evidence.house import House, unpack

ASKED = {"filter": {"kind": "decision"}}


def states(files: dict[str, bytes]) -> list[dict[str, Any]]:
    """The lines of states.ndjson."""
    return [json.loads(line) for line in files["data/states.ndjson"].splitlines()]


def fields_disclosed(files: dict[str, bytes]) -> Counter[str]:
    """How often each field is disclosed."""
    return Counter(json.loads(line)["field"] for line in files["data/disclosures.ndjson"].splitlines())


def redactions(files: dict[str, bytes]) -> list[list[str]]:
    """The rows of redactions.csv after its header."""
    return list(csv.reader(io.StringIO(files["data/redactions.csv"].decode("utf-8-sig"))))[1:]


def test_without_content_every_field_is_withheld_and_the_bundle_verifies(house: House) -> None:
    bundle = house.export(content="none", **ASKED)
    files = unpack(bundle)
    assert files["data/disclosures.ndjson"] == b""
    found = states(files)
    assert len(found) == 600
    assert {line["state"] for line in found} == {"WITHHELD"}
    assert [(row[0], row[1], row[2], row[3]) for row in redactions(files)] == [
        ("", "alternatives", "200", NOT_ASKED_FOR),
        ("", "attributes", "200", NOT_ASKED_FOR),
        ("", "rationale", "200", NOT_ASKED_FOR),
    ]
    assert house.verify(bundle).result == "VERIFIED"
    assert not any(b"bought 41 days ago" in data for data in files.values())


def test_only_the_fields_asked_for_are_disclosed(house: House) -> None:
    files = unpack(house.export(content={"fields": ["rationale"]}, **ASKED))
    assert fields_disclosed(files) == {"rationale": 200}
    assert Counter(line["field"] for line in states(files)) == {"alternatives": 200, "attributes": 200}


def test_a_redaction_names_reason_ground_and_who_asked(house: House) -> None:
    reason = {"reason": "names a third party", "ground": "GDPR Art. 15(4)"}
    everywhere = {"field": "attributes", "reason": "trade secret", "ground": "UWG s. 2"}
    seqs = [line["seq"] for line in states(unpack(house.export(content="none", **ASKED)))][:2]
    bundle = house.export(redactions=[{"field": "rationale", "seqs": seqs[:1], **reason}, everywhere], **ASKED)
    files = unpack(bundle)
    who = "auditor of acme (k-acme-auditor)"
    assert redactions(files) == [
        [str(seqs[0]), "rationale", "1", "names a third party", "GDPR Art. 15(4)", who],
        ["", "attributes", "200", "trade secret", "UWG s. 2", who],
    ]
    assert fields_disclosed(files) == {"rationale": 199, "alternatives": 200}
    assert house.verify(bundle).result == "VERIFIED"


def test_a_role_that_may_not_read_content_gets_none_whatever_it_asks_for() -> None:
    request = parse_request({"log": "main", "purpose": "x", "content": "all"}, may_read_content=False)
    assert request.scope.is_empty
    withheld = request.scope.decide(7, "rationale")
    assert withheld is not None
    assert withheld.reason == NOT_PERMITTED


def test_a_withheld_field_says_so_in_the_flat_records(house: House) -> None:
    files = unpack(house.export(content={"fields": ["alternatives"]}, **ASKED))
    row = json.loads(files["data/records.ndjson"].splitlines()[0])
    assert row["not_disclosed"] == "attributes=WITHHELD rationale=WITHHELD"
    assert "content.rationale" not in row
    assert json.loads(row["content.alternatives"])[0]["option"] == "approve"


def test_a_scope_is_the_same_after_a_round_trip_through_json() -> None:
    given = [
        {"field": "input", "seqs": [3, 1], "reason": "r", "ground": "g"},
        {"field": "b", "reason": "r", "ground": "g"},
    ]
    scope = parse_scope({"fields": ["b", "a"]}, given)
    again = scope.parsed()
    assert again["content"] == {"fields": ["a", "b"]}
    assert again["redactions"][0]["seqs"] == [1, 3]
    assert parse_scope(again["content"], again["redactions"]) == scope
    assert parse_scope("none").parsed()["content"] == "none"
