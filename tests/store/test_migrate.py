"""Migrations: one head, up and down and up again, and no drift from the tables in code."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from counterfoil.core.errors import Fault
from counterfoil.store.database import Database, open_ledger
from counterfoil.store.immutable import missing_triggers
from counterfoil.store.metadata import ledger_metadata
from counterfoil.store.migrate import (
    TABLE_MODULES,
    check_schema,
    config_for,
    current_revision,
    downgrade,
    migrate,
    newest_revision,
)


def differences(database: Database) -> list[object]:
    for module in TABLE_MODULES:
        importlib.import_module(module)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, ledger_metadata))


def test_there_is_one_newest_revision() -> None:
    assert ScriptDirectory.from_config(config_for()).get_heads() == [newest_revision()]


def test_the_migrated_tables_are_those_in_code(ledger: Database) -> None:
    assert differences(ledger) == []


def test_up_and_down_and_up_again_ends_where_it_began(ledger: Database) -> None:
    script = ScriptDirectory.from_config(config_for())
    revisions = [revision.revision for revision in script.walk_revisions()]
    for revision in [*revisions[1:], "base"]:
        downgrade(ledger, revision)
        assert current_revision(ledger) == (None if revision == "base" else revision)
    assert inspect(ledger.engine).get_table_names() == ["alembic_version"]
    for revision in reversed(revisions):
        migrate(ledger, revision)
    assert differences(ledger) == []
    with ledger.read() as connection:
        assert missing_triggers(connection) == []


def test_every_constraint_and_index_has_the_conventions_name() -> None:
    importlib.import_module("counterfoil.log.tables")
    for table in ledger_metadata.sorted_tables:
        for constraint in table.constraints:
            assert constraint.name is not None, f"{table.name} has a constraint without a name"


def test_a_ledger_of_another_revision_is_refused_with_what_to_do(tmp_path: Path, ledger: Database) -> None:
    check_schema(ledger)
    empty = open_ledger(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(Fault, match="counterfoil init"):
        check_schema(empty)
    downgrade(ledger, "0001")
    with pytest.raises(Fault, match="counterfoil upgrade"):
        check_schema(ledger)
