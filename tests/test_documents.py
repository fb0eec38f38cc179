"""What the documents name exists: check names in the threat table, links, commands, and no figure without a command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.service.running import Made, launch
from tests.service.sending import send_conversation

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def test_every_finding_in_the_threat_table_is_a_name_in_the_code() -> None:
    text = (ROOT / "docs" / "threats.md").read_text()
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text)) - {"recorded_at"}
    code = "\n".join(path.read_text() for path in (ROOT / "service").rglob("*.py"))
    assert named
    assert {name for name in named if not _is_in(code, name)} == set()


def _is_in(code: str, name: str) -> bool:
    """Whether the code has this name, or makes it of a prefix and an ending."""
    prefix, _, ending = name.rpartition("_")
    return f'"{name}"' in code or (f'"{prefix}"' in code and f'}}_{ending}"' in code)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if "://" not in target and not (page.parent / target).exists()] == []


def test_every_command_in_the_documents_exists() -> None:
    from counterfoil.cli.group import COMMANDS

    for page in PAGES:
        for name in re.findall(r"(?:^|`|\$ )counterfoil ([a-z]+)", page.read_text(), re.MULTILINE):
            assert name in COMMANDS, f"{page.name}: counterfoil {name}"


def test_make_has_every_target_that_the_documents_name() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for name in re.findall(r"`make ([a-z-]+)`", page.read_text()):
            assert name in targets, f"{page.name}: make {name}"


def test_the_table_of_settings_is_the_one_that_the_code_prints() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    shown = text.partition("<!-- settings: made by `python -m counterfoil.settings` -->\n")[2]
    shown = shown.partition("<!-- end of settings -->")[0]
    printed = subprocess.run(
        [sys.executable, "-m", "counterfoil.settings"], capture_output=True, text=True, check=True
    ).stdout
    assert shown == printed
    assert "| `COUNTERFOIL_PORT` | `port` | `4318` | from 0 to 65535 |" in printed


def test_the_command_lines_of_the_readme_work_in_their_order(tmp_path: Path) -> None:
    """As a newcomer would: copied from the page, run by a shell, one after the other in one folder."""
    lines = [line.partition("  #")[0].strip() for line in _shell_lines(ROOT / "README.md")]
    lines = [line for line in lines if line.startswith("counterfoil")]
    assert [line.split()[:2] for line in lines] == [
        ["counterfoil", "init"],
        ["counterfoil", "key"],
        ["counterfoil", "serve"],
        ["counterfoil", "trail"],
        ["counterfoil", "policy"],
        ["counterfoil", "export"],
        ["counterfoil-verify", "bundle.zip"],
    ]
    said = {}
    for line in lines:
        command = line.split()[1]
        if command == "serve":
            assert line == "counterfoil serve --data ./audit"
            _serve_a_conversation(tmp_path / "audit", said["key"].strip(), "conv-42")
        else:
            said[command] = _run(_of_this_month(line), tmp_path)
    assert re.fullmatch(r"cf_[a-z0-9]+_\S+\n", said["key"])
    assert "conv-42" in said["trail"]
    assert "VERIFIED" in said["bundle.zip"]
    assert (tmp_path / "policy.toml").stat().st_size > 100


def _shell_lines(page: Path) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def _of_this_month(line: str) -> str:
    """The page exports a month; what was sent just now lies in the current one."""
    today = datetime.now(UTC).date()
    first = today.replace(day=1)
    following = (first + timedelta(days=31)).replace(day=1)
    shown = re.search(r"--from (\S+) --to (\S+)", line)
    if shown is None:
        return line
    assert [date.fromisoformat(text).day for text in shown.groups()] == [1, 1], "whole months, as plain dates"
    return line.replace(shown[0], f"--from {first} --to {following}")


def _serve_a_conversation(data: Path, key: str, conversation: str) -> None:
    service = launch(Made(data, "audit.example.com/default/main", {}, {}))
    try:
        send_conversation(service, key, conversation)
    finally:
        assert service.stop() == 0


def _run(line: str, folder: Path) -> str:
    programs = Path(sys.executable).parent
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=folder,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return done.stdout
