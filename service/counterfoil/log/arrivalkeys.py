"""Arrival keys: one a month, destroyed 30 days after its end (RECORD 8).

With the key goes the possibility of testing guesses against the hashes of what was received. Until then a retry of that
month is recognised under it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import delete, select

from counterfoil.log.clock import US_PER_DAY, end_of_month_us
from counterfoil.log.masterkey import KEY_BYTES
from counterfoil.log.tables import arrival_keys
from counterfoil.log.wrapping import NONCE_BYTES, unwrap, wrap
from counterfoil.store.database import Database

RETRY_WINDOW_DAYS = 30
"""How long after the end of its month an arrival key still recognises a retry."""

_ARRIVAL_AAD = b"counterfoil/arrival-key/v1\n"


class ArrivalKey(NamedTuple):
    """The arrival key of a month (yyyymm)."""

    month: int
    key: bytes


class ArrivalKeyring:
    """The arrival keys of one deployment. Safe to share between threads and processes."""

    def __init__(self, database: Database, wrapping_key: bytes, random_bytes: Callable[[int], bytes]) -> None:
        self._database = database
        self._wrapping_key = wrapping_key
        self._random = random_bytes
        self._lock = threading.Lock()
        self._arrivals: dict[int, ArrivalKey] = {}

    def keys(self, month: int, now_us: int) -> tuple[ArrivalKey, ...]:
        """The key of `month` (created if new, committed) and those of earlier months whose window still lasts."""
        if month not in self._arrivals:
            self._load(month)
        with self._lock:
            # Also a key that another process destroyed must not outlive its window here.
            kept = {key.month: key for key in self._arrivals.values() if window_end_us(key.month) > now_us}
            kept[month] = self._arrivals[month]
            self._arrivals = kept
        earlier = [key for key in kept.values() if key.month < month]
        return (kept[month], *sorted(earlier, reverse=True))

    def _load(self, month: int) -> None:
        cipher = AESGCM(self._wrapping_key)
        with self._database.write() as connection:
            found = {row.month: row.wrapped for row in connection.execute(select(arrival_keys))}
            if month not in found:
                key, nonce = self._random(KEY_BYTES), self._random(NONCE_BYTES)
                found[month] = wrap(cipher, key, _ARRIVAL_AAD + b"%d" % month, nonce)
                connection.execute(arrival_keys.insert().values(month=month, wrapped=found[month]))
        opened = {
            number: ArrivalKey(number, unwrap(cipher, wrapped, _ARRIVAL_AAD + b"%d" % number))
            for number, wrapped in found.items()
        }
        with self._lock:
            self._arrivals = opened

    def destroy(self, now_us: int) -> list[int]:
        """Destroy the arrival keys whose retry window has ended; their months. For the janitor, once a day."""
        with self._database.write() as connection:
            months = sorted(connection.execute(select(arrival_keys.c.month)).scalars())
            over = [month for month in months if window_end_us(month) <= now_us]
            if over:
                connection.execute(delete(arrival_keys).where(arrival_keys.c.month.in_(over)))
        with self._lock:
            self._arrivals = {month: key for month, key in self._arrivals.items() if month not in over}
        return over


def window_end_us(month: int) -> int:
    """When the arrival key of `month` (yyyymm) is to be destroyed."""
    return end_of_month_us(month) + RETRY_WINDOW_DAYS * US_PER_DAY
