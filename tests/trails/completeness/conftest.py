"""A site with the questions about completeness."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from tests.trails.completeness.sending import Counted, counted_site


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Counted]:
    """A fresh site; at the end fsck finds nothing, in log and index."""
    with counted_site(tmp_path / "audit") as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    """One site for the tests of a module that look at producers of their own."""
    with counted_site(tmp_path_factory.mktemp("shared") / "audit") as made:
        yield made


_numbers = count(1)


@pytest.fixture
def case(shared: Counted) -> Counted:
    """The shared site, with a producer of the test's own."""
    return replace(shared, name=f"case-{next(_numbers)}")
