"""The open ends that a block meets: looked up at once, taken up and left in the order of its records (joins.py)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam

from counterfoil.store.bulk import insert_rows, select_each
from counterfoil.trails import joins
from counterfoil.trails.census import Census, Trace, look_up_traces
from counterfoil.trails.derive.reading import Reading
from counterfoil.trails.facts import Facts
from counterfoil.trails.tables import open_ends

_GONE = open_ends.delete().where(open_ends.c.log_id == bindparam("of_log"), open_ends.c.key == bindparam("of_key"))


class OpenEnds:
    """State of one block. `meet` each record in order, then `write` what changed."""

    __slots__ = ("_connection", "_found", "_log_id", "_now", "_then")

    def __init__(
        self,
        connection: Connection,
        log_id: int,
        found: Census,
        block: Sequence[Facts],
        readings: Sequence[Reading],
    ) -> None:
        self._connection = connection
        self._log_id = log_id
        self._found = found
        wanted = list(joins.all_keys(zip(block, readings, strict=True)))
        rows = select_each(connection, open_ends, ("log_id", "key"), ("trace",), [(log_id, key) for key in wanted])
        self._then = {key: row[0] for key, row in zip(wanted, rows, strict=True) if row is not None}
        self._now: dict[bytes, int | None] = dict(self._then)
        look_up_traces(connection, log_id, found, [number for number in self._then.values() if number is not None])

    def meet(self, facts: Facts, reading: Reading, trace: Trace) -> None:
        """Take up what the record takes up, then leave what it leaves open."""
        for key in joins.taken_up(facts, reading):
            if key not in self._now:
                continue
            number = self._now[key]
            if number == trace.number:
                continue  # a trace does not answer itself
            del self._now[key]
            other = None if number is None else self._found.by_trace_number[number]
            # An agent is made on its own; where it was made among other work, that work is another story.
            if other is not None and not (facts.leaf["kind"] == "agent_run" and _is_busy(other, key, facts)):
                joins.unite(self._found, trace, other)
        for key in joins.left_open(facts, reading):
            known = self._now.get(key, trace.number)
            self._now[key] = trace.number if known == trace.number else None

    def write(self) -> None:
        """Write the difference."""
        then, now = self._then, self._now
        gone = [key for key in then if key not in now or now[key] != then[key]]
        if gone:
            self._connection.execute(_GONE, [{"of_log": self._log_id, "of_key": key} for key in gone])
        new = [(self._log_id, key, number) for key, number in now.items() if key not in then or then[key] != number]
        insert_rows(self._connection, open_ends, ("log_id", "key", "trace"), sorted(new))


def _is_busy(trace: Trace, key: bytes, facts: Facts) -> bool:
    """Whether a trace in which an agent was made did anything else."""
    made_here = bool(trace.traits & joins.MADE) and key == joins.made_key(facts)
    return made_here and bool(trace.traits & joins.ACTIVE)
