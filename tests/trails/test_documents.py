"""docs/trails.md against the code: the table of rules, the limits, the filters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from counterfoil.trails import joins
from counterfoil.trails.derive.conclusion import PATHS
from counterfoil.trails.walk import CONCLUDED

PAGE = (Path(__file__).parents[2] / "docs" / "trails.md").read_text()


def test_the_table_of_rules_is_the_one_that_the_code_prints() -> None:
    shown = PAGE.partition("<!-- rules: made by `python -m counterfoil.trails.derive.conclusion` -->\n")[2]
    shown = shown.partition("<!-- end of rules -->")[0]
    command = [sys.executable, "-m", "counterfoil.trails.derive.conclusion"]
    assert shown == subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_page_names_every_path_every_filter_and_the_limit() -> None:
    assert all(path in PAGE for path in PATHS.values())
    assert all(f"| `{name}` |" in PAGE for name in CONCLUDED)
    assert f"{joins.MAX_MEMBERS:,} traces" in PAGE
