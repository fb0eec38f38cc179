"""What the tests of clients share: a service for each module, the stores beside it, and fsck at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ingest.disk import Disk, open_disk
from tests.service.running import RunningService, check_clean, make_directory, start_service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service for the tests of this module; at the end its directory must be clean."""
    made = make_directory(tmp_path_factory.mktemp("clients") / "audit")
    with start_service(made) as running:
        yield running
    check_clean(made)


@pytest.fixture(scope="module")
def disk(service: RunningService) -> Iterator[Disk]:
    """The stores of that service, as another process reads them."""
    with open_disk(service.made) as opened:
        yield opened


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of one live client stand together, so that one worker runs them and the client runs once."""
    places = [place for place, item in enumerate(items) if item.path.name == "test_frameworks.py"]
    together = sorted((items[place] for place in places), key=lambda item: item.name.rpartition("[")[2])
    for place, item in zip(places, together, strict=True):
        items[place] = item
