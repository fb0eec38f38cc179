"""A real embedded store for the tests of the log: filled through the append path, checkpointed, then attacked.

Nothing is a stand-in: an SQLite ledger made by the migrations with its triggers, a keystore, signing keys and a head
store in a temporary directory. Only the clock is ours, so that every run is the same.
"""

import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from counterfoil.core.checkpoint import Checkpoint
from counterfoil.core.encoding import encode_base64, print_canonical
from counterfoil.log.batch import Appended, Batch, LogInfo
from counterfoil.log.checkpoints import Checkpointer
from counterfoil.log.finding import Finding
from counterfoil.log.fsck import Report, Sources, check_ledger
from counterfoil.log.heads import HeadStore
from counterfoil.log.initialise import init_directory
from counterfoil.log.keystore import Keystore
from counterfoil.log.logs import Logs
from counterfoil.log.masterkey import load_master_key
from counterfoil.log.signing import load_signer
from counterfoil.mapping.draft import Draft, Item
from counterfoil.store.database import Database, open_keystore, open_ledger
from counterfoil.store.directory import Directory

START_US = 1_795_000_000_000_000
"""2026-11-18, so that all records of a test fall into one month."""

ORIGIN = "audit.example/acme/agents"
ACCESS_ORIGIN = "audit.example/acme/access"
FIRST = 2
"""`seq` of the first record that an agent sent: genesis and key are before it."""

WRITER = "kagents"


class TickingClock:
    """A clock that moves a millisecond whenever it is read, or where a test puts it."""

    def __init__(self) -> None:
        self.time_us = START_US

    def now_us(self) -> int:
        self.time_us += 1_000
        return self.time_us


@dataclass(slots=True)
class Store:
    """An open store with one tenant, its log of interactions and its access log."""

    directory: Directory
    clock: TickingClock
    ledger: Database
    keystore_database: Database
    keystore: Keystore
    heads: HeadStore
    logs: Logs

    @property
    def log(self) -> LogInfo:
        found = self.logs.by_origin(ORIGIN)
        assert found is not None
        return found

    def send(self, count: int, *, first: int = 0, batch: int = 50) -> list[Appended]:
        """Send `count` spans that carry decisions, as agents would; every third has a fallback behind it."""
        items = [span(number) for number in range(first, first + count)]
        return [self.send_items(items[at : at + batch]) for at in range(0, count, batch)]

    def send_items(self, items: Sequence[Item], writer: str = WRITER) -> Appended:
        return self.logs.append(self.log.id, Batch(writer, list(items))).result(30)

    def checkpointer(self, **options: Any) -> Checkpointer:
        return Checkpointer(self.ledger, self.heads, partial(load_signer, self.directory.keys), self.clock, **options)

    def checkpoint(self) -> Checkpoint | None:
        """Bring every log's checkpoint up to date; the newest one of the log of interactions."""
        checkpointer = self.checkpointer()
        newest = None
        for log in self.logs.all():
            done = checkpointer.run_once(log.id)
            newest = done if log.origin == ORIGIN else newest
        return newest

    def sources(self, *, with_keystore: bool = True) -> Sources:
        keys = {log.origin: load_signer(self.directory.keys, log.origin).verifier_key for log in self.logs.all()}
        if not with_keystore:
            return Sources(self.directory.ledger_url, self.directory.heads, keys)
        master_key = load_master_key(self.directory.keys)
        return Sources(self.directory.ledger_url, self.directory.heads, keys, self.directory.keystore_url, master_key)

    def fsck(self, *, report: Report | None = None, with_keystore: bool = True, **options: Any) -> list[Finding]:
        return list(check_ledger(self.sources(with_keystore=with_keystore), report=report, **options))

    def size(self) -> int:
        """Records of the log of interactions, counted."""
        with self.attack() as ledger:
            return int(ledger.execute("SELECT count(*) FROM records WHERE log_id = ?", (self.log.id,)).fetchone()[0])

    @contextmanager
    def attack(self, which: str = "ledger") -> Iterator[sqlite3.Connection]:
        """Whoever owns the disk: a raw connection to a database file, past the service and without triggers."""
        path = self.directory.ledger_file if which == "ledger" else self.directory.keystore_file
        connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def attack_without_triggers(self) -> Iterator[sqlite3.Connection]:
        """The same, with the triggers dropped for the deed and put back afterwards, so that nothing shows."""
        with self.attack() as ledger:
            triggers = ledger.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for name, _ in triggers:
                ledger.execute(f"DROP TRIGGER {name}")
            yield ledger
            for _, sql in triggers:
                ledger.execute(sql)

    def leaf(self, seq: int) -> bytes:
        with self.attack() as ledger:
            query = "SELECT leaf FROM records WHERE log_id = ? AND seq = ?"
            return bytes(ledger.execute(query, (self.log.id, seq)).fetchone()[0])

    def copy_files(self, to: Path) -> None:
        """Copy ledger, keystore and heads as a backup would."""
        to.mkdir()
        for name, path in (("ledger", self.directory.ledger_file), ("keystore", self.directory.keystore_file)):
            source, target = sqlite3.connect(path), sqlite3.connect(to / name)
            source.backup(target)
            source.close()
            target.close()
        shutil.copytree(self.directory.heads, to / "heads")

    def put_back(self, backup: Path, *, heads_too: bool) -> "Store":
        """Put an older copy in the place of ledger and keystore (and heads), and open the store again."""
        self.close()
        for name, path in (("ledger", self.directory.ledger_file), ("keystore", self.directory.keystore_file)):
            for rest in path.parent.glob(path.name + "-*"):
                rest.unlink()
            shutil.copyfile(backup / name, path)
        if heads_too:
            shutil.rmtree(self.directory.heads)
            shutil.copytree(backup / "heads", self.directory.heads)
        return open_store(self.directory.path, self.clock)

    def reopen(self) -> "Store":
        """Stop the service and start it again."""
        self.close()
        return open_store(self.directory.path, self.clock)

    def close(self) -> None:
        self.logs.close()
        self.ledger.dispose()
        self.keystore_database.dispose()


def create_store(path: Path) -> Store:
    """Make a fresh store as `init` does: one tenant, its log of interactions, its access log, one administrator."""
    clock = TickingClock()
    init_directory(path, "audit.example", tenant="acme", log="agents", clock=clock)
    return open_store(path, clock)


def open_store(path: Path, clock: TickingClock | None = None) -> Store:
    """Open a store as the service does."""
    directory = Directory.at(path)
    directory.open()
    ledger, keystore_database = open_ledger(directory.ledger_url), open_keystore(directory.keystore_url)
    keystore = Keystore(keystore_database, load_master_key(directory.keys))
    head_store = HeadStore(directory.heads)
    clock = clock or TickingClock()
    service = Logs(ledger, keystore, head_store, directory.keys, clock)
    return Store(directory, clock, ledger, keystore_database, keystore, head_store, service)


def span(number: int) -> Item:
    """One span of an agent that decides about a refund; every third also became a fallback record (part 1)."""
    trace_id = sha256(b"trace %d" % (number // 5)).digest()[:16]
    span_id = sha256(b"span %d" % number).digest()[:8]
    facts: dict[str, Any] = {
        "mapping": {"name": "counterfoil", "version": "1"},
        "trace_id": trace_id.hex(),
        "span_id": span_id.hex(),
        "agent": {"id": "refunds"},
        "decision": {"id": f"d{number % 997}", "type": "refund", "outcome": ("deny", "approve")[number % 2]},
    }
    words = [("rationale", f"Bought {number} days ago; policy R-12 allows 30."), ("inputs", {"amount": str(number)})]
    drafts = [Draft("decision", "otlp:traces", facts, words, f"conv-{number // 5}", f"customer {number // 7}")]
    if number % 3 == 0:
        common = {key: facts[key] for key in ("mapping", "trace_id", "span_id")}
        fallback = {**common, "fallback": {"trigger": "timeout", "mode": "retry", "from": "gpt-x", "to": "rules"}}
        drafts.append(
            Draft("fallback", "otlp:traces", fallback, [("reason", "upstream timed out")], f"conv-{number // 5}")
        )
    return Item("traces", trace_id, span_id, None, json.dumps([number]).encode(), 0, drafts)


def relink(leaves: Sequence[bytes], first: int, previous: bytes, origin: str = ORIGIN) -> list[bytes]:
    """What an attacker does who knows the format: number and link leaves again, so that the chain fits."""
    done = []
    for seq, data in enumerate(leaves, first):
        leaf = json.loads(data)
        leaf |= {"seq": seq, "prev": encode_base64(previous), "log": origin}
        done.append(print_canonical(leaf))
        previous = sha256(b"\x00" + done[-1]).digest()
    return done


def names(findings: Sequence[Finding]) -> set[str]:
    return {finding.check for finding in findings}


def with_attack(findings: Sequence[Finding], attack: int) -> set[str]:
    """Names of the checks that are evidence of an attack."""
    return {finding.check for finding in findings if finding.attack == attack}
