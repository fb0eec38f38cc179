"""Fixtures for every room's end-to-end tests: a real service on a free port of loopback, on a fresh directory.

`service` is shared by the tests of one module; `fresh_service` belongs to one test; `shared_service` to all tests of a
worker (for reading, or where each test uses identifiers of its own). See `tests.service.running`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.service.running import Made, RunningService

# The fixtures import what they need themselves, so that tests of `core` and `verify` run where no server is installed.


@pytest.fixture(scope="session")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service for all tests of this worker; at the end, its directory must still be clean."""
    from tests.service.running import check_clean, make_directory, start_service

    with start_service(make_directory(tmp_path_factory.mktemp("shared") / "audit")) as running:
        yield running
    check_clean(running.made)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service for the tests of this module."""
    from tests.service.running import make_directory, start_service

    with start_service(make_directory(tmp_path_factory.mktemp("module") / "audit")) as running:
        yield running


@pytest.fixture
def made_directory(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A fresh directory with keys, no service on it yet."""
    from tests.service.running import make_directory

    return make_directory(tmp_path_factory.mktemp("fresh") / "audit")


@pytest.fixture
def fresh_service(made_directory: Made) -> Iterator[RunningService]:
    """A service for this test alone."""
    from tests.service.running import start_service

    with start_service(made_directory) as running:
        yield running
