"""A filled house, shared where tests only export from it, and a fresh one where they change it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.evidence.house import House, fill, open_house


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """About 800 records of 200 conversations. Tests of the module may export, and append what they need."""
    with open_house(tmp_path_factory.mktemp("house") / "audit") as opened:
        fill(opened, 200)
        fill(opened, 3, opened.other)
        yield opened


@pytest.fixture
def fresh_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A few conversations, for one test alone."""
    with open_house(tmp_path_factory.mktemp("fresh") / "audit") as opened:
        fill(opened, 6)
        yield opened
