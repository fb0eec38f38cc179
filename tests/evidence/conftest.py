"""A filled house, shared where tests only export from it, and a fresh one where they change it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.evidence.house import House, fill, new_house, open_house


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """About 800 records of 200 conversations. Tests of the module may export, and append what they need."""
    with new_house(tmp_path_factory.mktemp("house") / "audit") as opened:
        fill(opened, 200)
        fill(opened, 3, opened.other)
        yield opened


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed directory with six conversations, to be copied."""
    path = tmp_path_factory.mktemp("template") / "audit"
    with new_house(path) as opened:
        fill(opened, 6)
    return path


@pytest.fixture
def fresh_house(template: Path, tmp_path: Path) -> Iterator[House]:
    """A few conversations, for one test alone."""
    path = tmp_path / "audit"
    shutil.copytree(template, path)
    with open_house(path) as opened:
        yield opened
