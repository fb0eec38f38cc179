"""Make the index again from the log: beside the old one, then in its place.

    built = reindex(stores, directory.index_file, progress)

No service may be running (`Directory.lock_serving`). A crash leaves the old index where it was; the half-made one is
thrown away by the next run. Where there is no file to swap (a database server), the index is cleared and filled again,
and a crash leaves it part-filled, with a position that says so.
"""

from __future__ import annotations

import os
from pathlib import Path

from counterfoil.store.database import open_index
from counterfoil.trails.prepare import clear
from counterfoil.trails.projector import Progress, Projector
from counterfoil.trails.stores import Stores


def reindex(stores: Stores, index_file: Path | None, progress: Progress | None = None) -> int:
    """Rebuild the index; return how many records it holds. `index_file`: the file of `stores.index`, if it is one."""
    if index_file is None:
        with stores.index.write() as connection:
            clear(connection)
        return Projector(stores.ledger, stores.keystore, stores.index).run_once(progress=progress)
    beside = index_file.with_name(index_file.name + ".rebuild")
    _remove(beside)
    os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    fresh = open_index(f"sqlite:///{beside}")
    try:
        count = Projector(stores.ledger, stores.keystore, fresh).run_once(progress=progress)
        with fresh.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        fresh.dispose()
    # The old index's own WAL must go before the new file takes its name: it would be applied to the wrong database.
    stores.index.dispose()
    _remove(index_file, only_companions=True)
    os.replace(beside, index_file)
    return count


def _remove(file: Path, *, only_companions: bool = False) -> None:
    for suffix in ("-wal", "-shm", "-journal", *(() if only_companions else ("",))):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
