"""The composition root: every service of one embedded directory, opened together and closed in order.

The application, the background process and the command line all work on these; no room builds another room's things.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from counterfoil.core.errors import InputError
from counterfoil.evidence.service import Evidence
from counterfoil.identity.service import Identity
from counterfoil.ingest.limits import Limits
from counterfoil.ingest.service import Ingest
from counterfoil.log.accounts import Accounts
from counterfoil.log.batch import LogInfo
from counterfoil.log.checkpoints import Checkpointer
from counterfoil.log.configuration import Configuration
from counterfoil.log.heads import HeadStore
from counterfoil.log.initialise import open_logs
from counterfoil.log.logs import Logs
from counterfoil.log.signing import load_signer
from counterfoil.store.database import Database, open_index
from counterfoil.store.directory import Directory
from counterfoil.trails.completeness.service import Completeness
from counterfoil.trails.completeness.watch import SilenceWatcher
from counterfoil.trails.projector import Projector
from counterfoil.trails.service import Trails
from counterfoil.trails.stores import Stores


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that works on one directory. Cheap to make: threads start only where something is asked of them."""

    directory: Directory
    logs: Logs
    heads: HeadStore
    index: Database
    stores: Stores
    identity: Identity
    accounts: Accounts
    configuration: Configuration
    trails: Trails
    completeness: Completeness

    @property
    def ledger(self) -> Database:
        return self.logs.ledger

    def log_named(self, tenant: str, name: str) -> LogInfo:
        """A tenant's log by its short name; InputError "not_found"."""
        info = self.logs.by_name(self.accounts.tenant_id(tenant), name)
        if info is None:
            raise InputError("not_found", f"tenant {tenant} has no log {name[:64]!r}", item="log")
        return info

    def checkpointer(self) -> Checkpointer:
        """Signs what the ledger holds; any number may exist."""
        return Checkpointer(self.ledger, self.heads, partial(load_signer, self.directory.keys), self.logs.clock)

    def projector(self) -> Projector:
        """Brings the index up to the log; one at a time (the service's background process, or `reindex`)."""
        return Projector(self.ledger, self.logs.keystore, self.index)

    def silence_watcher(self) -> SilenceWatcher:
        """Raises an alarm when a producer falls silent, from now on; one at a time, as the projector."""
        return SilenceWatcher(self.logs, self.stores, self.completeness.listening_since_us)

    def ingest(self, limits: Limits, threads: int) -> Ingest:
        """The service behind the OTLP endpoints."""
        return Ingest(self.logs, limits=limits, threads=threads, heartbeat_s=self.configuration.heartbeat_s)

    def evidence(self) -> Evidence:
        """Exports, and the verifier that every bundle passes before it is released."""
        return Evidence(
            self.logs,
            self.directory.exports,
            rollback_visible=self.directory.rollback_visible,
            stores=self.stores,
        )

    def close(self) -> None:
        """Write what is queued, then let go of the stores."""
        self.logs.close()
        self.index.dispose()
        self.logs.keystore.close()
        self.ledger.dispose()


def open_services(directory: Directory, *, listening: bool = False) -> Services:
    """The services of an existing directory; schema and keys are checked first.

    `listening`: this is a service that producers reach from now on, so that nobody's earlier silence counts.
    """
    logs = open_logs(directory)
    index = open_index(directory.index_url)
    stores = Stores(logs.ledger, logs.keystore, index)
    return Services(
        directory=directory,
        logs=logs,
        heads=HeadStore(directory.heads),
        index=index,
        stores=stores,
        identity=Identity(logs.ledger, logs.clock),
        accounts=Accounts(logs),
        configuration=Configuration(logs),
        trails=Trails(logs, stores),
        completeness=Completeness(logs, stores, logs.clock.now_us() if listening else 0),
    )
