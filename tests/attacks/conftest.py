"""A filled and checkpointed store for each attack, copied from one that is built once."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.store import Store, TickingClock, create_store, open_store


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """802 records of 600 spans in batches, a checkpoint after each hundred spans; its path, and the time at its end."""
    path = tmp_path_factory.mktemp("built") / "store"
    store = create_store(path)
    for hundred in range(6):
        store.send(100, first=100 * hundred)
        store.checkpoint()
    store.close()
    return path, store.clock.time_us


@pytest.fixture
def store(built: tuple[Path, int], tmp_path: Path) -> Iterator[Store]:
    """A store of one's own to attack."""
    path, time_us = built
    shutil.copytree(path, tmp_path / "store")
    clock = TickingClock()
    clock.time_us = time_us
    opened = open_store(tmp_path / "store", clock)
    yield opened
    opened.close()


@pytest.fixture
def empty_store(tmp_path: Path) -> Iterator[Store]:
    """What `init` makes: no record of an agent, no checkpoint."""
    opened = create_store(tmp_path / "store")
    yield opened
    opened.close()
