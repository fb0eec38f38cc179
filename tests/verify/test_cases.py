"""Every case folder, in this process: the verdict, the step that must notice; and that the cases can be made again."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from counterfoil.verify.check import verify_bundle
from counterfoil.verify.policy import parse_policy
from counterfoil.verify.report import Outcome, Report
from tests.verify.cases import CASES, FOLDER, write_all

NAMES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())
AT_US = 1_900_000_000_000_000


def verify_case(folder: Path, workers: int = 1) -> Report:
    """The report on a case."""
    said = json.loads((folder / "case.json").read_text())
    policy = parse_policy((folder / said["policy"]).read_text()) if said["policy"] else None
    at_us = None if policy and policy.at_us is not None else AT_US
    since = (folder / said["since"]).read_bytes() if "since" in said else None
    return verify_bundle(folder / "bundle.zip", policy=policy, since=since, at_us=at_us, workers=workers)


@pytest.mark.parametrize("name", NAMES)
def test_a_case_gets_its_verdict_at_its_step(name: str) -> None:
    said = json.loads((FOLDER / name / "case.json").read_text())
    report = verify_case(FOLDER / name)
    assert report.result == said["result"], report
    assert [step.number for step in report.steps] == list(range(1, 14))
    if report.result == "REJECTED":
        assert report.failed is not None
        assert report.failed.number == said["step"], report.failed
        assert report.failed.message
        assert report.failed.file
    else:
        assert report.failed is None
        assert (report.result == "INCOMPLETE") == bool(report.reasons)


def test_every_step_that_this_version_has_is_failed_by_a_case() -> None:
    failed = {int(name.split("_")[0]) for name in NAMES if name.endswith("_fail")}
    assert failed == set(range(1, 12))


@pytest.mark.parametrize("number", range(1, 12))
def test_every_step_is_passed_by_a_good_case(number: int) -> None:
    good = [verify_case(FOLDER / name) for name in NAMES if name.startswith("good")]
    assert any(report.step(number).outcome is Outcome.PASSED for report in good)


def test_making_the_cases_again_gives_the_same_bytes(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile warns of the duplicate name that one case is about
        write_all(tmp_path / "cases")
    made = {path.relative_to(tmp_path / "cases"): path.read_bytes() for path in (tmp_path / "cases").rglob("*.*")}
    kept = {path.relative_to(FOLDER): path.read_bytes() for path in FOLDER.rglob("*.*")}
    assert set(CASES) == set(NAMES)
    assert made == kept
