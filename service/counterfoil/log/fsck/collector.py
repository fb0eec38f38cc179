"""Findings on their way out: never more in memory than a person would read, and none swallowed silently."""

from collections.abc import Iterator

from counterfoil.log.finding import Finding

MAX_OF_A_KIND = 50
"""Findings of one check that a range (or one log's whole) lists; the rest is counted in one finding more."""


class Collector:
    """Collects findings of one log. One broken byte can make a check fail thousands of times: list some, count all."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._found: list[Finding] = []
        self._counts: dict[str, int] = {}

    def add(self, check: str, message: str, *, seq: int | None = None, attack: int | None = None) -> None:
        """Record a finding of this log."""
        count = self._counts.get(check, 0) + 1
        self._counts[check] = count
        if count <= MAX_OF_A_KIND:
            self._found.append(Finding(check, self._origin, seq, message, attack))

    def drain(self) -> Iterator[Finding]:
        """Yield what was found, with a line for what was only counted, and start over."""
        attacks = {finding.check: finding.attack for finding in self._found}
        yield from self._found
        for check, count in self._counts.items():
            if count > MAX_OF_A_KIND:
                message = f"{count - MAX_OF_A_KIND} more like these"
                yield Finding(check, self._origin, None, message, attacks[check])
        self._found = []
        self._counts = {}
