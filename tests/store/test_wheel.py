"""The built wheel carries everything that the service needs: migrations, pages, templates, the sealing dictionary."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INIT = """
import sys
from counterfoil.cli.group import cli
from counterfoil.store.migrate import migrations_path
print(migrations_path())
cli(["init", "--data", sys.argv[1]], standalone_mode=False)
cli(["fsck", "--data", sys.argv[1]], standalone_mode=False)
"""


@pytest.mark.wheel
def test_a_directory_is_made_and_checked_by_the_installed_wheel_alone(tmp_path: Path) -> None:
    site = tmp_path / "site"
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("counterfoil-*.whl")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel]
    subprocess.run(install, check=True, capture_output=True)
    for carried in ("pages/documents.html", "evidence/templates/README.html.j2", "log/seal_dictionary_1.zdict"):
        assert (site / "counterfoil" / carried).is_file()

    environment = {**os.environ, "PYTHONPATH": str(site)}
    arguments = [sys.executable, "-c", INIT, tmp_path / "audit"]
    done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[0] == str(site / "counterfoil" / "_migrations"), done.stderr
    assert "CLEAN" in done.stdout, done.stderr
    assert done.returncode == 0
