"""Bring a ledger to this version's schema, or say that it is not.

Alembic runs with a Config built in code. The revisions lie in `migrations/` of a checkout, or in
`counterfoil/_migrations` of an installed wheel (the same files, put there when the wheel is built).
"""

from __future__ import annotations

import importlib
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import counterfoil
from counterfoil.core.errors import Fault
from counterfoil.store.database import Database
from counterfoil.store.metadata import keystore_metadata

TABLE_MODULES = ("counterfoil.identity.tables", "counterfoil.log.tables", "counterfoil.evidence.tables")
"""Modules that define tables of the ledger; env.py loads them by name so that `store` imports no room above it."""


def migrations_path() -> Path:
    """Where the revisions are: in the package when it was installed from a wheel, else in the checkout."""
    package = Path(counterfoil.__file__).parent
    for path in (package / "_migrations", package.parents[1] / "migrations"):
        if (path / "env.py").is_file():
            return path
    raise Fault("the migrations are missing from this installation: install the package again")


def config_for(database: Database | None = None) -> Config:
    """Alembic's Config, with the engine handed over as an attribute (a URL may hold a password)."""
    config = Config()
    config.set_main_option("script_location", str(migrations_path()).replace("%", "%%"))
    if database is not None:
        config.attributes["engine"] = database.engine
    return config


def migrate(database: Database, revision: str = "head") -> None:
    """Upgrade the ledger to `revision`."""
    command.upgrade(config_for(database), revision)


def downgrade(database: Database, revision: str) -> None:
    """Take the ledger back to `revision` ("base" drops everything). For tests and for a failed upgrade."""
    command.downgrade(config_for(database), revision)


def create_keystore(database: Database) -> None:
    """Make the tables of a new keystore."""
    importlib.import_module("counterfoil.log.tables")
    keystore_metadata.create_all(database.engine)


def current_revision(database: Database) -> str | None:
    """The revision that the ledger is at."""
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str | None:
    """The revision that this version of the software wants."""
    return ScriptDirectory.from_config(config_for()).get_current_head()


def check_schema(database: Database) -> None:
    """Return if the ledger has the schema of this version; else a Fault that says what to do."""
    found, wanted = current_revision(database), newest_revision()
    if found == wanted:
        return
    if found is None:
        raise Fault("this database holds no Counterfoil ledger: create one with `counterfoil init`")
    raise Fault(f"the ledger is at revision {found}, this version needs {wanted}: run `counterfoil upgrade`")
