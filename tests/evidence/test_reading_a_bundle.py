"""docs/reading-a-bundle.md: every command in it works on a real bundle, as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.evidence.house import House

DOCUMENT = Path(__file__).parents[2] / "docs" / "reading-a-bundle.md"


def run_the_commands(house: House, bundle: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Every `sh` block of the document, one after the other in one shell, in a folder of its own."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 7
    script = "set -e\n" + "".join(blocks).replace("/tmp/", f"{folder}/made-")
    policy = folder / "policy.toml"
    policy.write_text(house.policy())
    keys = re.findall(r"^log (\S+)", house.policy(), re.MULTILINE)
    (signer,) = re.findall(r'"(\S+/bundles\+\S+)"', house.policy())
    names = {
        "BUNDLE": str(bundle),
        "POLICY": str(policy),
        "LOG_VKEY": next(key for key in keys if key.startswith(f"{house.log.origin}+")),
        "BUNDLE_VKEY": signer,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, env={**os.environ, **names}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("wanted", [{"kind": "decision"}, {}], ids=["decisions", "whole log"])
def test_each_command_of_the_document_accepts_a_good_bundle(
    house: House, tmp_path: Path, wanted: dict[str, str]
) -> None:
    done = run_the_commands(house, house.export(filter=wanted), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Signature Verified Successfully") == 2
    assert "records, hash total" in done.stdout


def test_they_refuse_a_bundle_of_another_log(house: House, tmp_path: Path) -> None:
    stranger = house.principal(log=house.other)
    job, _ = house.evidence.request(stranger, {"log": "main", "purpose": "theirs"})
    house.checkpoint()
    assert house.evidence.run_next()
    theirs, _ = house.evidence.job(stranger, job.id)
    done = run_the_commands(house, house.directory.exports / str(theirs.path), tmp_path)
    assert done.returncode == 1
    assert "REJECTED" in done.stdout
