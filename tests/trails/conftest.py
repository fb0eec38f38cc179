"""An empty site, and one that holds what the agent frameworks emit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trails.site import Site, make_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A fresh directory; only the genesis records are there."""
    made = make_site(tmp_path / "audit")
    yield made
    made.close()
