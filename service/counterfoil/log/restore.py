"""Declaring a restore: what an operator does when a log was rolled back and its newer copy is lost.

A log that was signed at size 120 and came back from a backup at 100 can never be continued under its origin: record
100 would be another one than the checkpoint of size 120 commits to, and a log MUST NOT sign a checkpoint that is
inconsistent with an earlier one (C2SP tlog-checkpoint). Others may hold that checkpoint, and it would prove us two
histories. So the honest way is a new log that says so:

- the rolled-back log is closed, as it is, and stays readable under `NAME@1` (then `@2`, …). Nothing is added to it,
  not even `close`: nothing that is added could be signed.
- its successor has a new origin (`ORIGIN/2`, …) and a new key, takes over the short name and the writers' credentials,
  and begins with
      seq 0  genesis  with `predecessor` {origin, size, root}: the last state that the ledger still leads to
      seq 1  key      the new key
      seq 2  restore  `from_size` as it was signed, `to_size` as it came back, `incarnation`; the reason is content
- the head of the old log stays in the head store: it is the evidence of what was lost.

The ledger must lead to its own newest published checkpoint; a ledger that is damaged besides is refused. The same
declaration serves where the head store itself was lost or rolled back. One transaction: all of it, or nothing; before
it only a key file, which the next attempt takes up.
"""

import re
from dataclasses import dataclass

from sqlalchemy import select, update

from counterfoil.core.checkpoint import Checkpoint, open_checkpoint
from counterfoil.core.encoding import encode_base64
from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.core.merkle import leaf_hash
from counterfoil.core.right_edge import RightEdge
from counterfoil.core.tiles import TILE_WIDTH
from counterfoil.identity.roles import Role
from counterfoil.identity.tables import credentials
from counterfoil.log.batch import LogInfo
from counterfoil.log.checkpoints import latest
from counterfoil.log.founding import insert_log, signer_for
from counterfoil.log.heads import HeadStore, SignedHeadContradicted
from counterfoil.log.links import NO_PREVIOUS, hash_linked
from counterfoil.log.logs import Logs
from counterfoil.log.records import head, read_leaf, read_leaves
from counterfoil.log.signing import load_signer
from counterfoil.log.tables import checkpoints
from counterfoil.log.tables import logs as log_table
from counterfoil.log.tree import read_hashes
from counterfoil.mapping.draft import Draft

MAX_REASON_CHARS = 10_000
MAX_NAME_CHARS = 64
"""Of the column that holds a log's short name."""

_NUMBERED = re.compile(r"(?P<base>.+)/(?P<number>[2-9]|[1-9][0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class Declaration:
    """What was declared: the closed log under its new short name, its successor, and both sizes."""

    closed: str
    successor: LogInfo
    from_size: int
    to_size: int


def declare_restore(logs: Logs, heads: HeadStore, log: LogInfo, reason: str) -> Declaration:
    """Close a rolled-back log and open its successor. The service must not be running.

    InputError `not_rolled_back` where ledger and head store agree, `log_closed` where it was done before; the Fault
    `signed_head_contradicted` where the ledger does not lead to its own checkpoints.
    """
    if log.closed_us is not None:
        raise InputError("log_closed", f"the log {log.name} was closed before", item="log")
    if not reason.strip() or len(reason) > MAX_REASON_CHARS:
        raise InputError("bad_reason", f"a reason has 1 to {MAX_REASON_CHARS} characters", item="reason")
    signed, kept = _signed(logs, heads, log), _state_kept(logs, log)
    with logs.ledger.read() as conn:
        newest = latest(conn, log.id)
    published_size = newest[0] if newest is not None else 0
    signed_size = signed.size if signed is not None else 0
    if published_size <= signed_size <= kept.size:
        raise InputError(
            "not_rolled_back",
            f"the log {log.name} is not behind what was signed: there is nothing to declare",
            item="log",
        )
    base, number = _incarnation(logs, log)
    suffix = f"@{number - 1}"
    old_name = log.name[: MAX_NAME_CHARS - len(suffix)] + suffix
    signer = signer_for(logs, f"{base}/{number}")
    restore = Draft(
        "restore",
        "service",
        {"restore": {"from_size": max(signed_size, published_size), "to_size": kept.size, "incarnation": number}},
        [("reason", reason)],
    )
    predecessor = {"origin": log.origin, "size": kept.size, "root": encode_base64(kept.root)}
    with logs.ledger.write() as conn:
        closed = conn.execute(
            update(log_table)
            .where(log_table.c.id == log.id, log_table.c.closed_us.is_(None))
            .values(name=old_name, closed_us=logs.clock.now_us())
        )
        if closed.rowcount != 1:
            raise InputError("conflict", f"the log {log.name} was closed at the same time", item="log")
        successor = insert_log(
            logs,
            conn,
            signer,
            log.tenant_id,
            log.tenant,
            log.name,
            log.purpose,
            log.region,
            log.fulltext_fields,
            predecessor=predecessor,
            further=[restore],
        )
        # Agents go on with the keys that they have. What other roles were scoped to stays what it was.
        conn.execute(
            update(credentials)
            .where(credentials.c.log_id == log.id, credentials.c.role == Role.WRITER.value)
            .values(log_id=successor.id)
        )
        # Crash before the commit: nothing but a key file that the next attempt takes up.
    logs.forget(log.id)
    return Declaration(old_name, successor, max(signed_size, published_size), kept.size)


def find_rolled_back(logs: Logs, heads: HeadStore) -> list[LogInfo]:
    """Return the open logs whose head store is ahead of the ledger, for whoever restored a backup of all of them."""
    found = []
    for log in logs.all():
        with logs.ledger.read() as conn:
            size = head(conn, log.id).size
        if log.closed_us is None and heads.size_of(log.origin) > size:
            found.append(log)
    return found


def _signed(logs: Logs, heads: HeadStore, log: LogInfo) -> Checkpoint | None:
    note = heads.read(log.origin)
    if note is None:
        return None
    try:
        return open_checkpoint(note, log.origin, [load_signer(logs.keys_dir, log.origin).verifier_key])[0]
    except EvidenceError as error:
        raise SignedHeadContradicted(log.origin, f"its head file does not verify ({error})") from error


def _state_kept(logs: Logs, log: LogInfo) -> Checkpoint:
    """Return size and root that the ledger's stored bytes lead to, having found its newest checkpoint on the way."""
    key = load_signer(logs.keys_dir, log.origin).verifier_key
    with logs.ledger.read() as conn:
        size = head(conn, log.id).size
        row = conn.execute(
            select(checkpoints.c.note)
            .where(checkpoints.c.log_id == log.id, checkpoints.c.size <= size)
            .order_by(checkpoints.c.size.desc())
            .limit(1)
        ).scalar_one_or_none()
        try:
            signed = None if row is None else open_checkpoint(bytes(row), log.origin, [key])[0]
            base = 0 if signed is None else signed.size - signed.size % TILE_WIDTH
            edge = RightEdge.read(base, read_hashes(conn, log.id, base))
            before = read_leaf(conn, log.id, base - 1) if base else None
            previous = NO_PREVIOUS if before is None else leaf_hash(before)
            at = base
            while at < size:
                # In steps, so that any number of records that were never signed takes constant memory.
                end = min(size, signed.size if signed is not None and at < signed.size else at + 65_536)
                hashes = hash_linked(log.origin, at, previous, read_leaves(conn, log.id, at, end))
                if len(hashes) != end - at:
                    raise EvidenceError("leaf_missing", f"record {at + len(hashes)} is missing")
                edge, previous, at = edge.extend(hashes), hashes[-1], end
                if signed is not None and at == signed.size and edge.root() != signed.root:
                    raise EvidenceError("checkpoint_root", f"its records do not lead to its checkpoint of size {at}")
        except EvidenceError as error:
            raise SignedHeadContradicted(log.origin, str(error)) from error
    return Checkpoint(log.origin, edge.size, edge.root())


def _incarnation(logs: Logs, log: LogInfo) -> tuple[str, int]:
    """Return the origin that the line of this log began with, and the number of its next incarnation."""
    match = _NUMBERED.fullmatch(log.origin)
    if match is None:
        return log.origin, 2
    base, number = match["base"], int(match["number"])
    before = base if number == 2 else f"{base}/{number - 1}"
    # `x/2` is a successor only where `x` was a log of this deployment; else it is just the name of a log.
    return (base, number + 1) if logs.by_origin(before) is not None else (log.origin, 2)
