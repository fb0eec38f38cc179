"""Numbers for texts: each log gives out its own, in order of first appearance, so they follow from the log alone."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from counterfoil.store.bulk import insert_rows, select_each
from counterfoil.trails.tables import names

MAX_CACHED_NAMES = 65_536
"""Texts of one log whose numbers are kept in memory between blocks."""


@dataclass(slots=True)
class Counters:
    """How many numbers of each sort a log has given out; 0 is never a number."""

    names: int = 0
    traces: int = 0
    interactions: int = 0


class NameCodes:
    """Codes of one log's texts, kept between blocks. Forget them (a new object) when a transaction fails."""

    __slots__ = ("_known", "_log_id")

    def __init__(self, log_id: int) -> None:
        self._log_id = log_id
        self._known: dict[str | None, int | None] = {None: None}

    def assign(
        self, connection: Connection, wanted: dict[str, None], counters: Counters
    ) -> dict[str | None, int | None]:
        """Codes of all texts in `wanted` (in order of first appearance), new ones written; None stands for None."""
        known = self._known
        if len(known) > MAX_CACHED_NAMES:
            known = self._known = {None: None}
        unknown = [text for text in wanted if text not in known]
        if not unknown:
            return known
        found = select_each(
            connection, names, ("log_id", "text"), ("code",), ((self._log_id, text) for text in unknown)
        )
        new = []
        for text, row in zip(unknown, found, strict=True):
            if row is None:
                counters.names += 1
                known[text] = counters.names
                new.append((self._log_id, text, counters.names))
            else:
                known[text] = row[0]
        insert_rows(connection, names, ("log_id", "text", "code"), new)
        return known
