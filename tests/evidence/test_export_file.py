"""The command line's export: one verified bundle in a file, on record, never over a file that is there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from counterfoil.core.errors import InputError
from counterfoil.evidence.export_file import export_to_file
from tests.evidence.house import House, unpack
from tests.evidence.test_jobs import records_of


def test_a_bundle_is_written_verified_and_on_record(fresh_house: House, tmp_path: Path) -> None:
    house = fresh_house
    out, seen = tmp_path / "out.zip", []
    made = export_to_file(
        house.logs,
        house.log,
        out,
        purpose="quarterly sample",
        filters={"kind": ["decision"]},
        progress=lambda done, total: seen.append((done, total)),
    )
    assert (made["records"], made["verified"]) == (6, "VERIFIED")
    assert made["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert seen[-1][0] == seen[-1][1] > 0
    assert house.verify(out).result == "VERIFIED"
    asked, released = records_of(house, house.log, "export")
    assert (asked["writer"], released["bundle_digest"]) == (None, made["sha256"])


def test_a_selection_and_a_kept_checkpoint_work_there_too(fresh_house: House, tmp_path: Path) -> None:
    house = fresh_house
    export_to_file(house.logs, house.log, tmp_path / "first.zip", purpose="first")
    kept = unpack(tmp_path / "first.zip")["data/checkpoint"]
    made = export_to_file(
        house.logs, house.log, tmp_path / "second.zip", purpose="second", form="selection", seqs=[2, 3], since=kept
    )
    assert made["records"] == 2
    assert house.verify(tmp_path / "second.zip", since=kept).step(6).outcome == "passed"


def test_a_file_that_is_there_is_never_overwritten(fresh_house: House, tmp_path: Path) -> None:
    out = tmp_path / "out.zip"
    out.write_bytes(b"precious")
    with pytest.raises(InputError) as refused:
        export_to_file(fresh_house.logs, fresh_house.log, out, purpose="x")
    assert refused.value.code == "file_exists"
    assert out.read_bytes() == b"precious"
    with pytest.raises(InputError) as nowhere:
        export_to_file(fresh_house.logs, fresh_house.log, tmp_path / "no" / "out.zip", purpose="x")
    assert nowhere.value.code == "no_directory"


def test_a_request_that_cannot_be_answered_leaves_no_file_and_no_record(fresh_house: House, tmp_path: Path) -> None:
    house = fresh_house
    with pytest.raises(InputError):
        export_to_file(house.logs, house.log, tmp_path / "out.zip", purpose="x", filters={"q": "refund"})
    assert not (tmp_path / "out.zip").exists()
    assert records_of(house, house.log, "export") == []
