"""Embedded directories: make one, open one."""

from __future__ import annotations

from counterfoil.log.accounts import Initialised, init_directory
from counterfoil.log.clock import Clock
from counterfoil.log.heads import HeadStore
from counterfoil.log.keystore import Keystore
from counterfoil.log.logs import Logs
from counterfoil.log.masterkey import load_master_key
from counterfoil.store.database import open_keystore, open_ledger
from counterfoil.store.directory import Directory
from counterfoil.store.migrate import check_schema

__all__ = ["Initialised", "init_directory", "open_logs"]


def open_logs(directory: Directory, clock: Clock | None = None) -> Logs:
    """The logs of an existing directory; schema and master key are checked. The caller closes them."""
    directory.open()
    ledger = open_ledger(directory.ledger_url)
    check_schema(ledger)
    keystore = Keystore(open_keystore(directory.keystore_url), load_master_key(directory.keys))
    keystore.check()
    return Logs(ledger, keystore, HeadStore(directory.heads), directory.keys, clock)
