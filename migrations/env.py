"""Alembic's entry. The engine comes from `counterfoil.store.migrate`; there is no offline mode and no alembic.ini.

python -m alembic -c pyproject.toml revision ...     in a checkout, against the database in COUNTERFOIL_DATABASE_URL
"""

from __future__ import annotations

import importlib
import importlib.util
import os

from alembic import context
from sqlalchemy import Connection, Engine

from counterfoil.store.database import create_engine_for
from counterfoil.store.metadata import ledger_metadata
from counterfoil.store.migrate import TABLE_MODULES

for module in TABLE_MODULES:
    if importlib.util.find_spec(module.rpartition(".")[0]) and importlib.util.find_spec(module):
        importlib.import_module(module)


def _engine() -> Engine:
    engine = context.config.attributes.get("engine")
    if isinstance(engine, Engine):
        return engine
    return create_engine_for(os.environ["COUNTERFOIL_DATABASE_URL"], "FULL")


def _run(connection: Connection) -> None:
    # SQLite cannot alter most things in place; batch mode rebuilds the table instead.
    batch = connection.dialect.name == "sqlite"
    context.configure(connection=connection, target_metadata=ledger_metadata, render_as_batch=batch, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


with _engine().connect() as _connection:
    _run(_connection)
    _connection.commit()
