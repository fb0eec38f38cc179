"""Completeness in the comparison of index and log (check_index.py): whoever edits the accounts to hide a gap is named.

    index_producer_missing, _extra, _differs            an account
    index_producer_range_missing, _extra, _differs      numbers of a producer: delivered, lost, in conflict
    index_cadence_missing, _extra, _differs             a cadence that was set
    configuration_pointer                               the ledger names another record than the newest as in force

The last is found here because only whoever has read the whole log knows which record is the newest.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, Table, func, select

from counterfoil.log.configuration import HEARTBEAT
from counterfoil.log.finding import Finding
from counterfoil.log.tables import configurations
from counterfoil.store.database import Database
from counterfoil.trails.completeness.tables import cadences, producer_ranges, producers
from counterfoil.trails.tables import positions

PREFIXES: dict[Table, str] = {
    producers: "index_producer",
    producer_ranges: "index_producer_range",
    cadences: "index_cadence",
}
"""What the findings about each table begin with."""


def check_configuration(ledger: Database, derived: Connection, log_id: int, origin: str) -> Iterator[Finding]:
    """Whether the record that the ledger names as in force is the newest one, as far as `derived` has read the log."""
    size = derived.execute(select(positions.c.size).where(positions.c.log_id == log_id)).scalar_one_or_none() or 0
    newest = derived.execute(select(func.max(cadences.c.seq)).where(cadences.c.log_id == log_id)).scalar_one()
    query = select(configurations.c.seq).where(configurations.c.log_id == log_id, configurations.c.setting == HEARTBEAT)
    with ledger.read() as connection:
        named = connection.execute(query).scalar_one_or_none()
    if named != newest and (named is None or named < size):
        message = f"the heartbeat in force is said to be set by record {named}, the newest that sets it is {newest}"
        yield Finding("configuration_pointer", origin, newest, message)
