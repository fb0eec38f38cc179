"""The identity service: who holds a key."""

from __future__ import annotations

from typing import Protocol

from counterfoil.identity.credentials import authenticate
from counterfoil.identity.principal import Principal
from counterfoil.store.database import Database


class NowUs(Protocol):
    """A clock, as far as identity needs one."""

    def now_us(self) -> int:
        """Microseconds since the epoch."""


class Identity:
    """Authenticates keys against the ledger."""

    def __init__(self, ledger: Database, clock: NowUs) -> None:
        self._ledger = ledger
        self._clock = clock

    def authenticate(self, key: str) -> Principal | None:
        """Who holds this key, or None: unknown, wrong, revoked and expired are not told apart."""
        return authenticate(self._ledger, key, self._clock.now_us())
