"""A real directory with two tenants, filled through the real append path: what the tests of this room export from."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from counterfoil.evidence.policy import service_policy
from counterfoil.evidence.service import Evidence
from counterfoil.identity.principal import Principal
from counterfoil.identity.roles import Role
from counterfoil.log.accounts import Accounts
from counterfoil.log.batch import Batch, LogInfo
from counterfoil.log.checkpoints import Checkpointer
from counterfoil.log.heads import HeadStore
from counterfoil.log.initialise import init_directory
from counterfoil.log.keystore import Keystore
from counterfoil.log.logs import Logs
from counterfoil.log.masterkey import load_master_key
from counterfoil.log.signing import load_signer
from counterfoil.log.tables import heads as heads_table
from counterfoil.mapping.draft import Draft, Item
from counterfoil.store.database import open_keystore, open_ledger
from counterfoil.store.directory import Directory
from counterfoil.verify.check import verify_bundle
from counterfoil.verify.policy import parse_policy
from counterfoil.verify.report import Report

BASE = "audit.example.com"
START_US = 1_790_000_000_000_000
STEP_US = 1_000_000


class SteppingClock:
    """A second later each time it is asked, so that every commit has a time of its own."""

    def __init__(self) -> None:
        self.at_us = START_US

    def now_us(self) -> int:
        self.at_us += STEP_US
        return self.at_us


@dataclass(slots=True)
class House:
    """The stores of one directory, and who may ask."""

    directory: Directory
    logs: Logs
    log: LogInfo
    other: LogInfo
    """The log `main` of another tenant."""
    checkpointer: Checkpointer
    writer: str
    evidence: Evidence

    def principal(self, role: Role = Role.AUDITOR, log: LogInfo | None = None, *, scoped: bool = False) -> Principal:
        """A principal of the log's tenant, as authentication would give it."""
        log = log or self.log
        return Principal(
            log.tenant_id,
            log.tenant,
            f"k-{log.tenant}-{role}",
            role,
            log.id if scoped else None,
            f"{role} of {log.tenant}",
        )

    def append(self, items: Sequence[Item], log: LogInfo | None = None) -> None:
        """Send one batch, and wait until it is on disk."""
        answer = self.logs.append((log or self.log).id, Batch(self.writer, list(items))).result(30)
        assert not answer.refused

    def checkpoint(self) -> None:
        """Publish a checkpoint of every log."""
        assert self.checkpointer.run_all() == {}

    def policy(self, log: LogInfo | None = None) -> str:
        """What the operator hands to the auditor."""
        return service_policy(self.logs, (log or self.log).tenant_id)

    def verify(self, bundle: Path, since: bytes | None = None) -> Report:
        """The auditor's verifier under the operator's policy."""
        return verify_bundle(bundle, policy=parse_policy(self.policy()), since=since)

    def export(self, role: Role = Role.AUDITOR, **given: Any) -> Path:
        """Ask for a bundle as `role`, build it, and give its path; fails where it is not released."""
        principal = self.principal(role)
        job, _ = self.evidence.request(principal, {"log": "main", "purpose": "a test", **given})
        self.checkpoint()
        assert self.evidence.run_next()
        done, _ = self.evidence.job(principal, job.id)
        assert done.status == "released", done.error
        assert done.path is not None
        return self.directory.exports / done.path


@contextmanager
def new_house(path: Path) -> Iterator[House]:
    """A fresh directory with the tenants `acme` and `rival`, each with a log `main`."""
    made = init_directory(path, BASE, tenant="acme", region="eu-west-1", clock=SteppingClock())
    with _logs_of(made.directory) as logs:
        accounts = Accounts(logs)
        accounts.create_tenant("rival")
        accounts.create_log("rival", "main")
        accounts.create_credential("acme", Role.WRITER, name="agents")
    with open_house(path) as house:
        yield house


@contextmanager
def open_house(path: Path) -> Iterator[House]:
    """The services of a directory that `new_house` made, or of a copy of one."""
    directory = Directory.at(path)
    with _logs_of(directory) as logs:
        log, other = logs.by_origin(f"{BASE}/acme/main"), logs.by_origin(f"{BASE}/rival/main")
        assert log is not None
        assert other is not None
        (writer,) = (found.id for found in Accounts(logs).credentials("acme") if found.role == Role.WRITER)
        heads = HeadStore(directory.heads)
        checkpointer = Checkpointer(logs.ledger, heads, lambda origin: load_signer(directory.keys, origin), logs.clock)
        evidence = Evidence(logs, directory.exports, checkpoint_wait_s=0.0)
        try:
            yield House(directory, logs, log, other, checkpointer, writer, evidence)
        finally:
            evidence.close()


@contextmanager
def _logs_of(directory: Directory) -> Iterator[Logs]:
    ledger, keystore_database = open_ledger(directory.ledger_url), open_keystore(directory.keystore_url)
    keystore = Keystore(keystore_database, load_master_key(directory.keys))
    clock = SteppingClock()
    with ledger.read() as connection:
        clock.at_us = max(
            clock.at_us, connection.execute(select(func.max(heads_table.c.recorded_us))).scalar_one() or 0
        )
    logs = Logs(ledger, keystore, HeadStore(directory.heads), directory.keys, clock)
    try:
        yield logs
    finally:
        logs.close()
        ledger.dispose()
        keystore_database.dispose()


def item(drafts: Sequence[Draft], number: int) -> Item:
    """One span's records."""
    return Item(
        "traces", number.to_bytes(16, "big"), number.to_bytes(8, "big"), None, b"item %d" % number, 0, list(drafts)
    )


def record(kind: str, number: int, *, facts: dict[str, Any] | None = None, words: dict[str, Any] | None = None) -> Item:
    """One record of an agent in conversation number // 4."""
    common = {
        "mapping": {"name": "genai", "version": "1"},
        "trace_id": f"{number + 1:032x}",
        "span_id": f"{number + 1:016x}",
        "agent": {"name": "refunds", "version": "2.3.1"},
    }
    fields = list((words or {}).items())
    draft = Draft(kind, "otlp:traces", {**common, **(facts or {})}, fields, interaction_id=f"conv-{number // 4}")
    return item([draft], number + 1)


def conversation(number: int) -> list[Item]:
    """Four records of one conversation: a model call, a tool call that fails, a fallback, a decision."""
    first = 4 * number
    model = {"provider": "acme-ai", "name": "gpt-x"}
    attributes = [{"key": "gen_ai.request.temperature", "value": {"doubleValue": 0.2}}]
    outcome = "deny" if number % 3 else "approve"
    return [
        record(
            "model_call",
            first,
            facts={
                "model": model,
                "usage": {"input_tokens": 10, "output_tokens": 5},
            },
            words={"attributes": attributes, "output": f"Let me look at order {number}."},
        ),
        record(
            "tool_call",
            first + 1,
            facts={"tool": {"name": "orders"}, "status": "error", "error_type": "timeout"},
            words={"arguments": {"order": number}, "error": "timed out after 2 s"},
        ),
        record(
            "fallback",
            first + 2,
            facts={"fallback": {"trigger": "timeout", "mode": "degraded", "from": "orders", "to": "orders-cache"}},
            words={"reason": "the order service did not answer"},
        ),
        record(
            "decision",
            first + 3,
            facts={"decision": {"type": "refund", "outcome": outcome, "risk": "medium", "confidence": "0.65"}},
            words={
                "rationale": f"Order {number} was bought 41 days ago; policy R-12 allows 30.",
                "alternatives": [{"option": "approve", "score": 0.35}, {"option": "deny", "score": 0.65}],
                "attributes": attributes,
            },
        ),
    ]


def fill(house: House, conversations: int, log: LogInfo | None = None, *, batch: int = 8, first: int = 0) -> None:
    """Append conversations in batches, each at a time of its own, then publish a checkpoint."""
    for start in range(first, first + conversations, batch):
        numbers = range(start, min(start + batch, first + conversations))
        house.append([item for number in numbers for item in conversation(number)], log)
    house.checkpoint()


def unpack(bundle: Path) -> dict[str, bytes]:
    """Every file of a bundle by its name in the bag, read by Python's own reader."""
    with zipfile.ZipFile(bundle) as archive:
        assert archive.testzip() is None
        return {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}
