"""docs/sdk.md: every Python block of the page runs, in order, against a real service."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.sdk.programs import environment, run
from tests.sdk.reading import Reader
from tests.service.running import RunningService

PAGE = Path(__file__).parents[2] / "docs" / "sdk.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> tuple[list[str], dict[str, str]]:
    """The blocks of the program in order, and those that are files, by name."""
    program, files = [], {}
    for block in _BLOCK.findall(PAGE.read_text()):
        if block.startswith("# ") and block.partition("\n")[0].endswith(".py"):
            files[block.partition("\n")[0][2:]] = block
        else:
            program.append(block)
    return program, files


def test_the_guide_s_examples_run_and_are_recorded(
    shared_service: RunningService, reader: Reader, tmp_path: Path
) -> None:
    program, _ = blocks()
    assert len(program) == 9
    out = run("\n".join(program), environment(shared_service, tmp_path))
    assert "'lost': 0" in out
    assert len(reader.leaves(3, interaction="conv-42")) == 3
    assert [leaf["kind"] for leaf in reader.leaves(8, interaction="conv-43")][:3] == [
        "interaction",
        "notice",
        "decision",
    ]
    (routed,) = reader.leaves(1, interaction="conv-44")
    assert routed["decision"]["outcome"] == "billing"
    assert len(reader.leaves(1, interaction="conv-45")) == 1


def test_the_guide_s_tests_pass(tmp_path: Path) -> None:
    _, files = blocks()
    assert set(files) == {"conftest.py", "test_refunds.py"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        env=environment(None, tmp_path) | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
