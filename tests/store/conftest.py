"""A migrated ledger in a temporary directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from counterfoil.store.database import Database, open_ledger
from counterfoil.store.migrate import migrate


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Database]:
    """An empty ledger at the newest revision."""
    found = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    migrate(found)
    yield found
    found.dispose()
