"""What goes wrong inside the SDK: said once in the log, counted always, raised only in tests.

The rule: an agent is never harmed by being recorded. A wrong argument, a value that cannot be read, a service that is
away: each has a code, is counted under it, and is logged the first time. Under the pytest fixture (`strict`) the same
is raised, so that a developer sees it where it can be mended. Messages name fields and limits, never content.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import Counter
from typing import Final

log: Final = logging.getLogger("counterfoil.sdk")


class Misuse(ValueError):
    """Raised in tests for what is only logged and counted elsewhere."""


class Complaints:
    """Counts by code; the first of each code and subject is logged."""

    def __init__(self) -> None:
        self.strict = False
        self._counts: Counter[str] = Counter()
        self._said: set[tuple[str, str]] = set()
        self._lock = threading.RLock()
        self._here = threading.local()

    def never_raise_here(self) -> None:
        """This thread is the SDK's own: what goes wrong in it is never raised, whatever a test wants."""
        self._here.quiet = True

    def add(self, code: str, message: str, *, subject: str = "", count: int = 1) -> None:
        """Count; log if this is the first of `code` and `subject` (at most 256 subjects). Strict: raise Misuse."""
        if self.strict and not getattr(self._here, "quiet", False):
            raise Misuse(f"{code}: {message}")
        self.note(code, message, subject=subject, count=count)

    def note(self, code: str, message: str, *, subject: str = "", count: int = 1) -> None:
        """As `add`, for what is nobody's mistake: never raised."""
        with self._lock:
            self._counts[code] += count
            first = (code, subject) not in self._said and len(self._said) < 256
            if first:
                self._said.add((code, subject))
        if first:
            with contextlib.suppress(Exception):  # a filter or handler of the host's may raise: not into its own agent
                log.warning("%s: %s (said once, counted from here on)", code, message)

    def counts(self) -> dict[str, int]:
        """How often each code occurred in this process."""
        with self._lock:
            return dict(self._counts)

    def renew(self) -> None:
        """A child after fork: counts from nothing, with a lock of its own."""
        self._lock = threading.RLock()
        self._counts = Counter()
        self._said = set()


complaints: Final = Complaints()
"""Those of this process."""


def describe(error: BaseException) -> str:
    """An error's class and place, not its message: that may quote content."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = "" if place is None else f" at {place.tb_frame.f_code.co_name}:{place.tb_lineno}"
    return f"{type(error).__name__}{where}"
