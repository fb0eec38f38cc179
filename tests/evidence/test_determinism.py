"""The same population at the same checkpoint gives the same bytes, whoever asks and whenever."""

from __future__ import annotations

import re
from pathlib import Path

from counterfoil.evidence.bundle import BuildSettings, build_bundle
from counterfoil.evidence.policy import bundle_signer
from counterfoil.evidence.request import parse_request
from counterfoil.evidence.run import RunFacts
from counterfoil.evidence.snapshot import Snapshot
from counterfoil.evidence.software import running_software
from counterfoil.evidence.spreadsheet import MAX_ROWS
from tests.evidence.house import House, unpack

PROMISED = re.compile(
    r"data/(leaves/.*|related\.ndjson|proofs\.ndjson|population\.json|disclosures\.ndjson|states\.ndjson"
    r"|records(-\d+)?\.csv|records\.ndjson)"
)


def build(house: House, path: Path, who: str, *, rows_a_file: int = MAX_ROWS) -> dict[str, bytes]:
    """A bundle built by hand, at the newest checkpoint, and its files."""
    request = parse_request(
        {"log": "main", "filter": {"kind": ["decision", "fallback"]}, "purpose": who, "content": {"fields": ["reason"]}}
    )
    run = RunFacts(f"exp-{who}", who, "auditor", f"asked by {who}", "2026-11-22T00:00:00.000000Z", False)
    settings = BuildSettings(bundle_signer(house.logs), running_software(), path, rows_a_file)
    target = path / f"{who}.zip"
    with house.logs.ledger.read() as connection, target.open("wb") as out:
        build_bundle(out, Snapshot(connection, house.logs, house.log), request, run, settings)
    return unpack(target)


def test_two_builds_of_one_population_agree_byte_for_byte(house: House, tmp_path: Path) -> None:
    first, second = build(house, tmp_path, "anna"), build(house, tmp_path, "ben")
    promised = {name for name in first if PROMISED.fullmatch(name)}
    assert len(promised) >= 9
    assert {name: first[name] for name in promised} == {name: second[name] for name in promised}
    assert first["data/run.json"] != second["data/run.json"]


def test_a_view_with_more_rows_than_a_sheet_takes_goes_on_in_the_next_file(house: House, tmp_path: Path) -> None:
    whole, cut = build(house, tmp_path, "whole"), build(house, tmp_path, "cut", rows_a_file=150)
    names = sorted(name for name in cut if name.startswith("data/records") and name.endswith(".csv"))
    assert names == ["data/records-2.csv", "data/records-3.csv", "data/records.csv"]
    parts = [cut[f"data/records{part}.csv"] for part in ("", "-2", "-3")]
    header, _, rows = whole["data/records.csv"].partition(b"\r\n")
    assert all(part.startswith(header + b"\r\n") for part in parts)
    assert b"".join(part.partition(b"\r\n")[2] for part in parts) == rows
    assert [part.count(b"\r\n") for part in parts] == [151, 151, 101]
    assert house.verify(tmp_path / "cut.zip").result == "VERIFIED"
