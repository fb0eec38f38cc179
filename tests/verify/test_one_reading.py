"""Files are inflated once, by the step that uses them; what step 2 has to say still comes before later steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from counterfoil.verify import archive, reader
from counterfoil.verify.report import Outcome, Report, Verdict
from tests.verify.build import Files, Plan
from tests.verify.running import verify_plan, why

LATER = ("data/leaves/000.p/8", "data/disclosures.ndjson", "data/records.csv", "data/records.ndjson")


def is_step_2_alone(report: Report, file: str) -> bool:
    """Whether step 2 failed over this file, and nothing is said of what comes after it."""
    after = {step.outcome for step in report.steps[2:]}
    failed = report.failed
    return failed is not None and (failed.number, failed.file, after) == (2, file, {Outcome.NOT_CHECKED})


def changed(files: Files, *names: str) -> None:
    """Change the end of these files, at the same size."""
    for name in names:
        files[name] = files[name][:-2] + b"x\n"


@pytest.mark.parametrize("name", LATER)
def test_a_changed_file_is_step_2_whichever_step_reads_it(name: str, tmp_path: Path) -> None:
    report = verify_plan(tmp_path, Plan(sealed=lambda files: changed(files, name)))
    assert is_step_2_alone(report, name), report
    assert why(report)[1] == "its bytes do not match the manifest"
    assert report.population == {}
    assert report.signed_by == ()


@pytest.mark.parametrize("name", LATER)
def test_a_changed_file_comes_before_a_failure_of_any_later_step(name: str, tmp_path: Path) -> None:
    plans: list[dict[str, Any]] = [
        {"statement": lambda statement: statement.update(predicateType="urn:other")},
        {"population": lambda population: population.update(count=99)},
        {"records": lambda records: records[3].leaf.update(secret=1)},
    ]
    for plan in plans:
        report = verify_plan(tmp_path, Plan(**plan, sealed=lambda files: changed(files, name)))
        assert is_step_2_alone(report, name), report


def test_of_several_changed_files_the_first_in_the_manifest_is_named(tmp_path: Path) -> None:
    report = verify_plan(tmp_path, Plan(sealed=lambda files: changed(files, *LATER)))
    assert is_step_2_alone(report, "data/disclosures.ndjson")


def test_every_file_is_inflated_once_and_its_digest_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inflated: Counter[str] = Counter()

    def counted(file: Any, entry: archive.Entry) -> Iterator[bytes]:
        inflated[entry.name.split("/", 1)[1]] += 1
        yield from archive.read_data(file, entry)

    monkeypatch.setattr(reader, "read_data", counted)
    report = verify_plan(tmp_path, Plan())
    assert report.result is Verdict.VERIFIED
    assert {name: inflated[name] for name in LATER} == dict.fromkeys(LATER, 1)
