"""Make the index's tables where there are none; throw away those of another version. Nothing is ever migrated."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, select
from sqlalchemy.exc import DBAPIError

from counterfoil.store.database import Database
from counterfoil.trails import fulltext
from counterfoil.trails.completeness.rows import forget_log
from counterfoil.trails.tables import (
    INDEX_VERSION,
    OtherIndexVersion,
    about,
    derived,
    index_metadata,
    interaction_facts,
    interactions,
    names,
    open_ends,
    positions,
    record_id,
    records,
    traces,
)


def found_version(connection: Connection) -> int | None:
    """The version of the index in this database; None where there is none (or one that does not say)."""
    if not inspect(connection).has_table(about.name):
        return None
    try:
        return connection.execute(select(about.c.version)).scalar()
    except DBAPIError:
        return None


def prepare_index(index: Database) -> int | None:
    """Leave an index of INDEX_VERSION, empty if need be; return the other version that was thrown away for it."""
    with index.read() as connection:
        if found_version(connection) == INDEX_VERSION:
            return None
    with index.write() as connection:
        found = found_version(connection)
        if found == INDEX_VERSION:  # another process was faster
            return None
        clear(connection)
    return found


def clear(connection: Connection) -> None:
    """Drop everything there is and make empty tables."""
    fulltext.drop_all(connection)
    for table in inspect(connection).get_table_names():
        connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{table}"')
    index_metadata.create_all(connection)
    connection.execute(about.insert().values(version=INDEX_VERSION))


def check_version(index: Database) -> None:
    """Raise OtherIndexVersion unless this software made the index: a reader never guesses at columns."""
    with index.read() as connection:
        found = found_version(connection)
    if found != INDEX_VERSION:
        raise OtherIndexVersion(found)


def clear_log(connection: Connection, log_id: int) -> None:
    """Forget one log: it will be read again from its first record."""
    between = (record_id(log_id, 0), record_id(log_id + 1, 0) - 1)
    for table in (records, derived):
        connection.execute(table.delete().where(table.c.id.between(*between)))
    for table in (names, traces, open_ends, interactions, interaction_facts, positions):
        connection.execute(table.delete().where(table.c.log_id == log_id))
    fulltext.drop(connection, log_id)
    forget_log(connection, log_id)
