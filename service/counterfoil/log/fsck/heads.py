"""Where each log ends, by everything that has an opinion: head store, head row, records, published checkpoints.

The order is the point: head store first, then one snapshot of the ledger. A ledger that is behind its head store was
rolled back or cut (attacks 5 and 6), unless a restore was declared: then a successor log says so, in its genesis and
in a `restore` record, and says at which size and root the old log was left (`Declared`).
"""

import json
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, select

from counterfoil.core.checkpoint import Checkpoint
from counterfoil.core.encoding import decode_base64
from counterfoil.core.errors import EvidenceError
from counterfoil.core.note import format_vkey
from counterfoil.log.finding import Finding
from counterfoil.log.fsck.checkpoints import check_none_ahead, find_unknown_heads, verify_note
from counterfoil.log.fsck.collector import Collector
from counterfoil.log.fsck.job import LogFacts, Sources
from counterfoil.log.fsck.tiles import check_no_further_tiles
from counterfoil.log.heads import HeadStore
from counterfoil.log.records import read_leaves
from counterfoil.log.tables import checkpoints, contents, heads, logs, records
from counterfoil.store.database import Database
from counterfoil.store.immutable import missing_triggers

DECLARATION_RECORDS = 8
"""A successor says where it comes from within its first records: genesis, its keys, `restore`."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A declared restore of a log: it was signed at `from_size`, and left at `size` with `root`."""

    successor: str
    from_size: int
    size: int
    root: bytes


@dataclass(slots=True)
class LogState:
    """One log in the snapshot."""

    facts: LogFacts
    head: Checkpoint | None
    """The signed head of the head store, verified; None where there is none to believe."""
    head_row: tuple[int, bytes, int] | None
    """(size, leaf hash, recorded_us) as the ledger's head row has it."""
    declared: Declared | None
    findings: list[Finding] = field(default_factory=list)


@dataclass(slots=True)
class Snapshot:
    """Every log, and what is wrong with the store as a whole."""

    logs: list[LogState]
    findings: list[Finding]


def take_snapshot(ledger: Database, sources: Sources) -> Snapshot:
    """Read the head store, then the ledger, and find what does not agree about where the logs end."""
    store = HeadStore(sources.heads)
    notes = dict(store.all()) if sources.heads.is_dir() else {}
    with ledger.read() as conn:
        rows = conn.execute(select(logs).order_by(logs.c.id)).all()
        findings = [
            Finding("trigger_missing", "", None, f"the trigger {name} that refuses changes was taken away", 1)
            for name in missing_triggers(conn)
        ]
        declarations = _declarations(conn, [row.id for row in rows])
        states = [_state(conn, row, store, sources, declarations.get(row.origin)) for row in rows]
    if notes:
        findings += [
            Finding("head_of_unknown_log", "", None, message, 6)
            for _, message in find_unknown_heads(store, {row.origin for row in rows})
        ]
    return Snapshot(states, findings)


def _state(conn: Connection, row: Any, store: HeadStore, sources: Sources, declared: Declared | None) -> LogState:
    found = Collector(row.origin)
    key = sources.keys.get(row.origin)
    if key is None:
        found.add("key_unknown", "no key to check this log with: its signatures are not checked", attack=7)
    elif row.vkey != format_vkey(key):
        found.add("key_changed", "the ledger names another key for this log than it is checked with", attack=7)
    is_kept, head = _signed_head(store, row.origin, sources, found)
    last = conn.execute(select(func.max(records.c.seq)).where(records.c.log_id == row.id)).scalar()
    size = 0 if last is None else last + 1
    published = conn.execute(select(func.max(checkpoints.c.size)).where(checkpoints.c.log_id == row.id)).scalar() or 0
    signed_size = max(head.size if head else 0, published)
    facts = LogFacts(row.id, row.origin, key, size, signed_size)
    if declared is not None and (
        row.closed_us is None or declared.size != size or declared.from_size < facts.signed_size
    ):
        declared = None  # it does not cover what is here
    if declared is None:
        _check_head_store(found, facts, is_kept, head, published)
    stored = conn.execute(select(heads).where(heads.c.log_id == row.id)).one_or_none()
    head_row = None if stored is None else (stored.size, stored.leaf_hash, stored.recorded_us)
    if head_row is None or head_row[0] != size:
        at = "is missing" if head_row is None else f"says {head_row[0]} records"
        found.add("head_row", f"the head row {at}, but {size} are stored", attack=5)
    if declared is None:
        check_none_ahead(conn, facts, found)
    check_no_further_tiles(conn, facts, found)
    _check_nothing_beyond(conn, facts, found)
    return LogState(facts, head, head_row, declared, list(found.drain()))


def _signed_head(store: HeadStore, origin: str, sources: Sources, found: Collector) -> tuple[bool, Checkpoint | None]:
    """Return whether the head store holds something for this log, and the head where it is to be believed."""
    try:
        note = store.read(origin)
    except EvidenceError as error:
        found.add("head_store_unreadable", str(error), attack=6)
        return True, None
    if note is None:
        return False, None
    return True, verify_note(found, origin, sources.keys.get(origin), note, "the head in the head store")


def _check_head_store(
    found: Collector, facts: LogFacts, is_kept: bool, head: Checkpoint | None, published: int
) -> None:
    if published and not is_kept:
        found.add("head_store_missing", f"size {published} was published, but no signed head is kept", attack=6)
    if head is None:
        return
    if head.size > facts.size:
        message = (
            f"size {head.size} was signed, but the ledger holds {facts.size} records: it was rolled back to an older "
            "copy, or its tail was cut"
        )
        found.add("head_store_ahead", message, attack=6)
    if published > head.size:
        message = f"size {published} was published, but the head store stands at {head.size}: it was rolled back"
        found.add("head_store_behind", message, attack=6)


def _check_nothing_beyond(conn: Connection, facts: LogFacts, found: Collector) -> None:
    """Find sealed content and arrivals of records that are not there: what a cut leaves behind."""
    beyond = conn.execute(
        select(contents.c.seq).where(contents.c.log_id == facts.id, contents.c.seq >= facts.size).limit(1)
    ).scalar_one_or_none()
    if beyond is not None:
        found.add("content_ahead", f"sealed content of record {beyond} is left, but no record", seq=beyond, attack=5)


def _declarations(conn: Connection, log_ids: list[int]) -> dict[str, Declared]:
    """Return the restores that successor logs declare, by the origin that they succeed."""
    found: dict[str, Declared] = {}
    for log_id in log_ids:
        predecessor: dict[str, Any] | None = None
        for seq, data in read_leaves(conn, log_id, 0, DECLARATION_RECORDS):
            try:
                leaf = json.loads(data)
                if seq == 0:
                    predecessor = leaf["genesis"].get("predecessor")
                if predecessor is None:
                    break
                if leaf["kind"] == "restore":
                    found[predecessor["origin"]] = Declared(
                        leaf["log"],
                        leaf["restore"]["from_size"],
                        predecessor["size"],
                        decode_base64(predecessor["root"]),
                    )
                    break
            except (ValueError, KeyError, TypeError, AttributeError, EvidenceError):
                break  # a leaf that cannot be read declares nothing, and is a finding of its own
    return found
