"""Time enters here and nowhere else. All times are microseconds since the epoch, UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

US_PER_SECOND = 1_000_000
US_PER_DAY = 86_400 * US_PER_SECOND


class Clock(Protocol):
    """Whatever says what time it is."""

    def now_us(self) -> int:
        """Microseconds since the epoch."""


class SystemClock:
    """The clock of the machine."""

    def now_us(self) -> int:
        """Microseconds since the epoch."""
        return time.time_ns() // 1_000


def month_of(at_us: int) -> int:
    """The month of a time as yyyymm: 202611."""
    at = datetime.fromtimestamp(at_us // US_PER_SECOND, UTC)
    return at.year * 100 + at.month


def end_of_month_us(month: int) -> int:
    """The first microsecond after `month` (yyyymm)."""
    year, number = divmod(month, 100)
    following = datetime(year + 1, 1, 1, tzinfo=UTC) if number == 12 else datetime(year, number + 1, 1, tzinfo=UTC)
    return int(following.timestamp()) * US_PER_SECOND
