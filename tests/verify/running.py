"""Verifying a plan in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from counterfoil.verify.check import verify_bundle
from counterfoil.verify.policy import parse_policy
from counterfoil.verify.report import Report
from tests.verify.build import Plan, build, policy_text


def verify_plan(folder: Path, plan: Plan, *, policy: str | None = None, **given: Any) -> Report:
    """The report on the bundle of a plan, under the common policy if no other is given."""
    path = folder / "bundle.zip"
    path.write_bytes(build(plan))
    return verify_bundle(path, policy=parse_policy(policy or policy_text()), **given)


def why(report: Report) -> tuple[int, str]:
    """The step that refuted it, and its reason."""
    assert report.failed is not None, report
    return report.failed.number, report.failed.message
