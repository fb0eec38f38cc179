"""A real embedded directory for the tests of the room: filled through the append path, indexed by the projector.

Nothing is a stand-in: `init_directory`, the mapping, `Logs.append`, SQLite files. Only the clock is ours, so that every
run is the same. `site.send_*` appends and indexes at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from counterfoil.identity.principal import Principal
from counterfoil.identity.roles import Role
from counterfoil.log.batch import Appended, Batch, LogInfo
from counterfoil.log.initialise import init_directory, open_logs
from counterfoil.log.logs import Logs
from counterfoil.mapping.decode import decode_logs, decode_traces
from counterfoil.mapping.draft import Draft, Item
from counterfoil.mapping.map import map_logs, map_traces
from counterfoil.store.database import Database, open_index
from counterfoil.store.directory import Directory
from counterfoil.trails.projector import Projector
from counterfoil.trails.query import parse_query
from counterfoil.trails.search import Results, search
from counterfoil.trails.service import Trails
from counterfoil.trails.stores import ReadableLog, Stores

AGENT_SPANS = Path(__file__).parents[1] / "data" / "agent-spans"
START_US = 1_795_000_000_000_000
"""2026-11-18, so that all records of a test fall into one month."""

WRITER = "k-test"


class TickingClock:
    """A clock that moves a millisecond whenever it is read."""

    def __init__(self) -> None:
        self.time_us = START_US

    def now_us(self) -> int:
        self.time_us += 1_000
        return self.time_us


@dataclass(slots=True)
class Site:
    """An open directory with its index."""

    directory: Directory
    clock: TickingClock
    logs: Logs
    index: Database
    stores: Stores
    projector: Projector
    trails: Trails

    @property
    def log(self) -> LogInfo:
        return next(log for log in self.logs.all() if log.name == "main")

    @property
    def readable(self) -> list[ReadableLog]:
        return [ReadableLog(log.id, log.name, log.origin) for log in self.logs.all() if log.purpose == "interactions"]

    def principal(self, role: Role = Role.REVIEWER, tenant_id: int | None = None) -> Principal:
        return Principal(tenant_id or self.log.tenant_id, "default", "k-reader", role, None, "reader")

    def send(self, items: Sequence[Item], *, log: LogInfo | None = None) -> Appended:
        """Append items as one request would, and index them."""
        answer = self.logs.append((log or self.log).id, Batch(WRITER, list(items))).result(30)
        assert not answer.refused
        self.projector.run_once()
        return answer

    def send_file(self, name: str) -> list[Appended]:
        """Append what an agent framework really emitted: `name`.bin, and `name`.logs.bin where there is one."""
        mapped = map_traces(decode_traces((AGENT_SPANS / f"{name}.bin").read_bytes(), "application/x-protobuf"))
        assert not mapped.refused
        answers = [self.send(mapped.items)]
        events = AGENT_SPANS / f"{name}.logs.bin"
        if events.exists():
            answers.append(self.send(map_logs(decode_logs(events.read_bytes(), "application/x-protobuf")).items))
        return answers

    def search(self, **parameters: str | Sequence[str]) -> Results:
        """Search all logs of interactions; `from_` and `to_` stand for from and to."""
        pairs = [
            (name.rstrip("_"), value)
            for name, values in parameters.items()
            for value in ([values] if isinstance(values, str) else values)
        ]
        return search(self.stores, self.readable, parse_query(pairs))

    @contextmanager
    def attack(self, which: str = "index") -> Iterator[sqlite3.Connection]:
        """Whoever owns the disk: a raw connection to a database file, past the service."""
        path = self.directory.index_file if which == "index" else self.directory.ledger_file
        connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        try:
            yield connection
        finally:
            connection.close()

    def reopened_projector(self, **options: Any) -> Projector:
        """The projector of a process that has just been started."""
        return Projector(self.logs.ledger, self.logs.keystore, self.index, **options)

    def close(self) -> None:
        self.logs.close()
        self.logs.keystore.close()
        for database in (self.index, self.logs.ledger):
            database.dispose()


def make_site(path: Path, fulltext_fields: Sequence[str] = ("rationale",)) -> Site:
    """A fresh directory with the log `main` of the tenant `default`."""
    clock = TickingClock()
    init_directory(path, "audit.example", fulltext_fields=fulltext_fields, clock=clock)
    return open_site(path, clock)


def open_site(path: Path, clock: TickingClock | None = None) -> Site:
    """Open a directory as the service does."""
    clock = clock or TickingClock()
    directory = Directory.at(path)
    logs = open_logs(directory, clock)
    index = open_index(directory.index_url)
    stores = Stores(logs.ledger, logs.keystore, index)
    projector = Projector(logs.ledger, logs.keystore, index)
    site = Site(directory, clock, logs, index, stores, projector, Trails(logs, stores))
    projector.run_once()
    return site


def event(number: int, kind: str, *, conversation: str | None = None, trace: int | None = None, **facts: Any) -> Item:
    """One log event or span as the mapping would hand it over. `fields` are content, `subject` is a raw identifier."""
    fields = facts.pop("fields", {})
    subject = facts.pop("subject", None)
    own = facts.pop("own", None)
    trace_id = b"" if trace is None else sha256(b"trace %d" % trace).digest()[:16]
    span_id = b"" if trace is None else sha256(b"span %d" % number).digest()[:8]
    leaf: dict[str, Any] = {"mapping": {"name": "counterfoil", "version": "1"}, **facts}
    if trace is not None:
        leaf |= {"trace_id": trace_id.hex(), "span_id": span_id.hex()}
    if own:
        leaf[kind] = own
    draft = Draft(kind, "otlp:traces", leaf, list(fields.items()), conversation, subject)
    return Item("traces", trace_id, span_id, None, b"%d" % number, 0, [draft])


def span_hex(number: int) -> str:
    """The span id that `event` gives to a number."""
    return sha256(b"span %d" % number).digest()[:8].hex()
