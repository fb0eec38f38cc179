"""What the tests of ingest share: one service for all of them, and the stores beside it.

Every test uses identifiers of its own and looks only at what was appended since it began, so they need no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.ingest.disk import Disk
    from tests.service.running import RunningService


@pytest.fixture(scope="module")
def service(shared_service: RunningService) -> RunningService:
    """The service of this worker."""
    return shared_service


@pytest.fixture(scope="module")
def disk(service: RunningService) -> Iterator[Disk]:
    """The stores of that service, as another process reads them."""
    from tests.ingest.disk import open_disk

    with open_disk(service.made) as opened:
        yield opened
