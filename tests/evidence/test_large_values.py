"""Large values are files of their own; memory does not grow with the number of records."""

from __future__ import annotations

import base64
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from counterfoil.evidence.bundle import BuildSettings, build_bundle
from counterfoil.evidence.policy import bundle_signer
from counterfoil.evidence.request import parse_request
from counterfoil.evidence.run import RunFacts
from counterfoil.evidence.snapshot import Snapshot
from counterfoil.evidence.software import running_software
from tests.evidence.house import House, fill, record, unpack

MIB = 1024 * 1024


def test_a_value_over_the_inline_limit_is_a_file_and_the_bundle_verifies(fresh_house: House) -> None:
    house = fresh_house
    output = "".join(f"line {number} of a long answer\n" for number in range(120_000))
    house.append([record("model_call", 500, words={"output": output, "attributes": [{"key": "a"}]})])
    bundle = house.export(filter={"interaction": "conv-125"})
    files = unpack(bundle)
    (name,) = [name for name in files if name.startswith("data/blobs/")]
    assert json.loads(files[name]) == output
    row = json.loads(files["data/records.ndjson"])
    assert row["content.output"] == f"[{len(files[name])} bytes: {name}]"
    assert house.verify(bundle).result == "VERIFIED"


def test_a_withheld_large_value_is_not_in_the_bundle(fresh_house: House) -> None:
    house = fresh_house
    house.append([record("model_call", 500, words={"output": "x" * (2 * MIB)})])
    bundle = house.export(content={"fields": ["rationale"]})
    assert not [name for name in unpack(bundle) if name.startswith("data/blobs/")]
    assert house.verify(bundle).result == "VERIFIED"


def failed(house: House, **given: Any) -> str:
    """Why an export is not made."""
    job, _ = house.evidence.request(house.principal(), {"log": "main", "purpose": "a test", **given})
    house.checkpoint()
    assert house.evidence.run_next()
    return house.evidence.job(house.principal(), job.id)[0].error or ""


def test_more_files_than_a_verifier_takes_are_refused_before_anything_is_built(
    fresh_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = fresh_house
    house.append([record("model_call", 500 + n, words={"output": "x" * (2 * MIB)}) for n in range(3)])
    monkeypatch.setattr("counterfoil.evidence.bundle.MAX_ENTRIES", 24)  # one entry bundle, 20 others, 3 blobs
    house.export()
    house.append([record("model_call", 600, words={"output": "x" * (2 * MIB)})])
    before = "too_large: the bundle would have 25 files or more; the limit is "
    assert failed(house).startswith(before)
    house.export(content="none")
    assert list(house.directory.exports.glob("*.part")) == []


def test_files_are_counted_while_a_bundle_is_made_too(fresh_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house = fresh_house
    house.append([record("model_call", 500 + n, words={"output": "x" * (2 * MIB)}) for n in range(9)])
    monkeypatch.setattr("counterfoil.evidence.bag.MAX_ENTRIES", 20)
    assert failed(house, filter={"kind": "model_call"}).startswith("too_large: the bundle would have 21 files")
    assert failed(house, form="selection", filter={"kind": "model_call"}).startswith("too_large: ")


def test_values_that_shrink_a_thousandfold_are_stored_so_that_the_bundle_verifies(fresh_house: House) -> None:
    house = fresh_house
    house.append(
        [record("model_call", 500 + n, words={"output": "a" * 900_000, "result": "b" * 900_000}) for n in range(4)]
    )
    house.append([record("model_call", 600, words={"output": "a" * (3 * MIB)})])
    bundle = house.export(filter={"kind": "model_call"})
    assert house.verify(bundle).result == "VERIFIED"


def test_numbers_beyond_sixty_four_bits_do_not_stop_an_export_and_are_exact_in_the_disclosures(
    fresh_house: House,
) -> None:
    house = fresh_house
    words = {"output": 2**80, "result": {"n": 10**30, "x": 0.5}, "rationale": '{"big": 123456789012345678901234567890}'}
    house.append([record("decision", 700, words=words)])
    bundle = house.export(filter={"interaction": "conv-175"})
    files = unpack(bundle)
    disclosed = [json.loads(line)["disclosure"] for line in files["data/disclosures.ndjson"].splitlines()]
    values = [json.loads(base64.urlsafe_b64decode(each + "=" * (-len(each) % 4)))[2] for each in disclosed]
    assert 2**80 in values
    assert {"n": 10**30, "x": 0.5} in values
    assert house.verify(bundle).result == "VERIFIED"


def peak_of(house: House, path: Path) -> int:
    """Bytes of Python's own memory at the worst moment of a build."""
    request = parse_request({"log": "main", "purpose": "memory"})
    run = RunFacts("exp", "anna", "auditor", "now", "2026-11-22T00:00:00.000000Z", False)
    settings = BuildSettings(bundle_signer(house.logs), running_software(), path)
    tracemalloc.start()
    try:
        with house.logs.ledger.read() as connection, (path / "memory.zip").open("wb") as out:
            build_bundle(out, Snapshot(connection, house.logs, house.log), request, run, settings)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_records(fresh_house: House, tmp_path: Path) -> None:
    house = fresh_house
    # Past every bound of the report, which is the only thing that is collected in memory.
    fill(house, 550, batch=110, first=1_000)
    peak_of(house, tmp_path)
    few = peak_of(house, tmp_path)
    fill(house, 550, batch=110, first=3_000)
    many = peak_of(house, tmp_path)
    assert many - few < 2 * MIB, (few, many)
