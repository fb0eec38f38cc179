"""What the documents name exists: check names in the threat table, links, commands, and no figure without a command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
    broken = []
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target and not (page.parent / target).exists():
            broken.append(target)
    assert broken == []


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
