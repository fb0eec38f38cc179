"""Fixtures for the SDK's tests: a configured SDK that is shut down again, and what the service made of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import counterfoil.sdk as counterfoil
from counterfoil.sdk.complaints import complaints
from counterfoil.sdk.pytest_plugin import counterfoil_records  # noqa: F401 - the fixture, as a user's conftest has it
from tests.sdk.reading import Reader
from tests.service.running import RunningService

Configure = Callable[..., None]


@pytest.fixture(autouse=True)
def _fresh_counts() -> Iterator[None]:
    """No test sees another's complaints, and none leaves a pipeline behind."""
    complaints.renew()
    yield
    counterfoil.shutdown(0.5)


@pytest.fixture
def point_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Point the SDK at an endpoint, with a key, by OpenTelemetry's variables."""

    def point(url: str, key: str = "cf_none") -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-api-key={key}")

    return point


@pytest.fixture
def configure(
    shared_service: RunningService, point_at: Callable[[str, str], None], tmp_path: Path
) -> Callable[..., None]:
    """`counterfoil.configure` against the shared service, with a spool of this test's own."""
    point_at(shared_service.url, shared_service.made.keys["writer"].key)

    def configured(**arguments: Any) -> None:
        counterfoil.configure(**{"spool": tmp_path / "spool", "spans": False, **arguments})

    return configured


@pytest.fixture
def reader(shared_service: RunningService) -> Reader:
    """What the shared service has recorded."""
    return Reader(shared_service)


@pytest.fixture
def soon() -> Callable[[Callable[[], bool], str], None]:
    """Wait until something holds, for 20 s at most."""

    def wait(holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < deadline, f"not in time: {what}"
            time.sleep(0.02)

    return wait
