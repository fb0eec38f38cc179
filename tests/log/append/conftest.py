"""A fresh directory for each test; when the test is over every log in it is checked from its bytes, twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.log.append.making import Made, check_every_log, fsck, make


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    """An open directory with a standing clock."""
    found = make(tmp_path / "audit")
    yield found
    found.logs.close()
    check_every_log(found.path)
    assert fsck(found) == []
