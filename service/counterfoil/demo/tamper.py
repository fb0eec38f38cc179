"""What somebody who owns the disk could do, done to a copy: attack 1 of `docs/threats.md`.

The copy is made as an operator would make a backup: heads first, then ledger, then keystore, the databases by SQLite's
online backup, so it is a whole store that checks. Then the trigger that refuses changes is dropped and one byte of one
leaf is changed.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from counterfoil.store.directory import Directory


@dataclass(frozen=True, slots=True)
class Change:
    """Which byte of which record was changed, and what it said before and after."""

    log: str
    seq: int
    offset: int
    before: str
    after: str


def copy_store(source: Directory, target: Directory) -> None:
    """A consistent copy of a store that is being served: databases by online backup, then heads and keys."""
    target.create()
    # Heads first: a head is never ahead of the ledger copied after it. Keystore last: it holds every key used before.
    for folder in ("heads", "keys"):
        shutil.copytree(getattr(source, folder), getattr(target, folder), dirs_exist_ok=True)
    for origin, destination in (
        (source.ledger_file, target.ledger_file),
        (source.keystore_file, target.keystore_file),
    ):
        with closing(sqlite3.connect(origin)) as reading, closing(sqlite3.connect(destination)) as writing:
            reading.backup(writing)


def change_one_byte(ledger_file: Path) -> Change:
    """Drop the trigger and turn a decision's `deny` into `dens`: one byte of one leaf, in place."""
    with closing(sqlite3.connect(ledger_file)) as connection, connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'records'")
        for (name,) in triggers.fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        row = connection.execute(
            "SELECT log_id, seq, leaf FROM records WHERE instr(leaf, ?) ORDER BY seq LIMIT 1", (b'"outcome":"deny"',)
        ).fetchone()
        if row is None:
            raise SystemExit("the traffic holds no decision to deny; nothing to tamper with")
        log_id, seq, leaf = row
        offset = leaf.index(b'"outcome":"deny"') + len(b'"outcome":"den')
        changed = leaf[:offset] + b"s" + leaf[offset + 1 :]
        connection.execute("UPDATE records SET leaf = ? WHERE log_id = ? AND seq = ?", (changed, log_id, seq))
        (log,) = connection.execute("SELECT name FROM logs WHERE id = ?", (log_id,)).fetchone()
    return Change(log, seq, offset, '"outcome":"deny"', '"outcome":"dens"')
