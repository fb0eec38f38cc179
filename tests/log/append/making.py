"""What the tests of appending share: a clock that stands, a real directory, items, and a checker of its own.

The checker reads the database files with `sqlite3` and `hashlib` alone. It knows nothing of our code, so it cannot be
wrong in the same way.
"""

from __future__ import annotations

import atexit
import base64
import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from counterfoil.log.batch import Batch, LogInfo
from counterfoil.log.finding import Finding
from counterfoil.log.fsck import Sources, check_ledger
from counterfoil.log.heads import HeadStore
from counterfoil.log.initialise import Initialised, init_directory, open_logs
from counterfoil.log.keystore import Keystore
from counterfoil.log.logs import Logs
from counterfoil.log.masterkey import load_master_key
from counterfoil.log.signing import load_signer
from counterfoil.mapping.draft import Draft, Item
from counterfoil.store.database import Database, open_keystore, open_ledger
from counterfoil.store.directory import Directory

NOON_US = 1_795_348_800_000_000
"""2026-11-22T12:00:00Z"""
WRITER = "kabcdefghijklmno"
OTHER_WRITER = "kzyxwvutsrqponml"
TRACE = bytes.fromhex("0af7651916cd43dd8448eb211c80319c")


class FixedClock:
    """A clock that stands until a test moves it."""

    def __init__(self, now_us: int = NOON_US) -> None:
        self.at_us = now_us

    def now_us(self) -> int:
        return self.at_us


@dataclass(slots=True)
class Made:
    """A directory that was initialised, opened with a clock of the test's."""

    path: Path
    first: Initialised
    clock: FixedClock
    logs: Logs

    @property
    def log(self) -> LogInfo:
        return self.first.log

    def reopen(self) -> None:
        """As after a restart of the service."""
        self.logs.close()
        self.logs = open_logs(self.first.directory, self.clock)


@cache
def _template() -> Initialised:
    """One directory as `init` makes it at noon; tests get copies of it."""
    path = Path(tempfile.mkdtemp(prefix="counterfoil-test-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return init_directory(path / "audit", "audit.example.com", region="eu-west-1", clock=FixedClock())


def make(path: Path) -> Made:
    """An initialised directory at `path`, open, with a clock that stands at noon."""
    template = _template()
    shutil.copytree(template.directory.path, path)
    first = template._replace(directory=Directory.at(path))
    clock = FixedClock()
    return Made(path, first, clock, open_logs(first.directory, clock))


def open_with(
    made: Made,
    *,
    ledger: Callable[[str], Database] = open_ledger,
    keystore: Callable[[str], Database] = open_keystore,
    reached: Callable[[str], None] = lambda _: None,
) -> Logs:
    """The same directory with other databases (that fail on purpose) or a hook at every step."""
    directory: Directory = made.first.directory
    keys = Keystore(keystore(directory.keystore_url), load_master_key(directory.keys))
    return Logs(ledger(directory.ledger_url), keys, HeadStore(directory.heads), directory.keys, made.clock, reached)


def span(
    number: int,
    *,
    trace: bytes = TRACE,
    identity: bytes | None = None,
    fields: list[tuple[str, Any]] | None = None,
    interaction: str | None = "conv-1",
    subject: str | None = None,
    parts: int = 1,
    producer: tuple[str, int] | None = None,
) -> Item:
    """A span as mapping hands it over."""
    span_id = number.to_bytes(8, "big")
    facts = {
        "mapping": {"name": "test", "version": "1"},
        "trace_id": trace.hex(),
        "span_id": span_id.hex(),
        "started_at": "2026-11-22T11:59:59.000000001Z",
        "ended_at": "2026-11-22T11:59:59.500000001Z",
    }
    words = [("attributes", [{"key": "n", "value": {"intValue": str(number)}}])] if fields is None else fields
    first = Draft("decision", "otlp:traces", {**facts, "decision": {"type": "refund"}}, words, interaction, subject)
    rest = [Draft("outcome", "otlp:traces", {**facts, "outcome": {"agrees": "yes"}}, []) for _ in range(parts - 1)]
    data = b"span %d" % number if identity is None else identity
    return Item("traces", trace, span_id, producer, data, 0, [first, *rest])


def event(number: int, *, identity: bytes | None = None, ordinal: int = 0, trace: bytes = b"") -> Item:
    """A log event without a span."""
    facts: dict[str, Any] = {"mapping": {"name": "test", "version": "1"}}
    if trace:
        facts["trace_id"] = trace.hex()
    draft = Draft("notice", "otlp:logs", facts, [("body", f"event {number}")])
    data = b"event %d" % number if identity is None else identity
    return Item("logs", trace, b"", None, data, ordinal, [draft])


def send(logs: Logs, log: LogInfo, *items: Item, writer: str = WRITER) -> Any:
    """Append and wait."""
    return logs.append(log.id, Batch(writer, list(items))).result(30)


def firsts(answer: Any) -> list[int]:
    return [given.first for given in answer.seqs]


def leaves(path: Path, log_id: int) -> list[dict[str, Any]]:
    """The leaves of a log, as parsed JSON, read past our own code."""
    with sqlite3.connect(path / "ledger.db") as connection:
        rows = connection.execute("SELECT leaf FROM records WHERE log_id = ? ORDER BY seq", (log_id,)).fetchall()
    connection.close()
    return [json.loads(row[0]) for row in rows]


def check_every_log(path: Path) -> dict[int, int]:
    """Check every log from its bytes: numbering, links, times, head row, content rows, arrivals. Size by log id."""
    connection = sqlite3.connect(path / "ledger.db")
    try:
        sizes = {}
        for log_id, origin in connection.execute("SELECT id, origin FROM logs").fetchall():
            sizes[log_id] = _check_log(connection, log_id, origin)
        return sizes
    finally:
        connection.close()


def _check_log(connection: sqlite3.Connection, log_id: int, origin: str) -> int:
    previous, recorded, size = bytes(32), "", 0
    committed: set[int] = set()
    spans: dict[int, tuple[Any, ...]] = {}
    query = "SELECT seq, leaf FROM records WHERE log_id = ? ORDER BY seq"
    for seq, leaf in connection.execute(query, (log_id,)):
        parsed = json.loads(leaf)
        canonical = json.dumps(parsed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        assert canonical == leaf, f"leaf {seq} is not canonical"
        assert len(leaf) <= 16_384
        assert (parsed["seq"], parsed["log"], parsed["v"]) == (seq, origin, 1)
        assert seq == size, f"a gap before {seq}"
        assert base64.b64decode(parsed["prev"]) == previous, f"leaf {seq} does not link to the one before"
        assert parsed["recorded_at"] >= recorded, f"time runs backwards at {seq}"
        if "content" in parsed:
            committed.add(seq)
        spans[seq] = (parsed.get("writer"), parsed.get("trace_id"), parsed.get("span_id"))
        if "supersedes" in parsed:
            assert parsed["supersedes"] < seq
            assert spans[parsed["supersedes"]] == spans[seq], f"{seq} may not supersede {parsed['supersedes']}"
        previous, recorded, size = hashlib.sha256(b"\x00" + leaf).digest(), parsed["recorded_at"], seq + 1
    head = connection.execute("SELECT size, leaf_hash FROM heads WHERE log_id = ?", (log_id,)).fetchone()
    assert head == (size, previous), f"the head row says {head[0]}, there are {size} records"
    sealed = {row[0] for row in connection.execute("SELECT seq FROM contents WHERE log_id = ?", (log_id,))}
    assert sealed == committed, "content rows and leaves that commit to content differ"
    arrived = [row[0] for row in connection.execute("SELECT seq FROM arrivals WHERE log_id = ?", (log_id,))]
    assert len(arrived) == len(set(arrived)), "two arrivals for one record"
    assert all(seq < size for seq in arrived)
    return size


def fsck(made: Made) -> list[Finding]:
    """Our own check of the whole store, with every content opened."""
    directory = made.first.directory
    keys = {log.origin: load_signer(directory.keys, log.origin).verifier_key for log in made.logs.all()}
    master_key = load_master_key(directory.keys)
    sources = Sources(directory.ledger_url, directory.heads, keys, directory.keystore_url, master_key)
    return list(check_ledger(sources))
