"""What the tests of ingest share: the stores beside the service of the module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.ingest.disk import Disk
    from tests.service.running import RunningService


@pytest.fixture(scope="module")
def disk(service: RunningService) -> Iterator[Disk]:
    """The stores of the module's service."""
    from tests.ingest.disk import open_disk

    with open_disk(service.made) as opened:
        yield opened
