"""One record: its leaf, where it stands in the log's proofs, its content field by field, and what came in as OTLP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, select

from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.core.merkle import leaf_hash
from counterfoil.core.note import parse_note
from counterfoil.core.record import parse_record
from counterfoil.core.state import ContentState
from counterfoil.log.batch import LogInfo
from counterfoil.log.checkpoints import latest
from counterfoil.log.contents import Content, Contents, open_contents
from counterfoil.log.overflow import FIELD as OVERFLOW
from counterfoil.log.records import head, read_leaf
from counterfoil.mapping.restore import restore_item
from counterfoil.trails.stores import AsOf, Stores
from counterfoil.trails.tables import derived, positions, record_id, records

MAX_PARTS = 1_024
"""Records that one OTLP item may have been split into, when it is put together again."""

MAX_RESTORED_BYTES = 64 * 1024 * 1024
"""Large values that are put back into one OTLP item."""

COSIGNED, SIGNED, UNSIGNED = "cosigned", "signed", "not_yet_under_a_checkpoint"


@dataclass(frozen=True, slots=True)
class Record:
    """One record as a reader may see it."""

    log: str
    origin: str
    seq: int
    leaf: dict[str, Any]
    leaf_bytes: bytes
    leaf_hash: bytes
    position: str
    checkpoint_size: int | None
    content: dict[str, Content]
    superseded_by: int | None
    rules: tuple[str, ...]
    as_of: list[AsOf]


def read_record(stores: Stores, log: LogInfo, seq: int, *, with_content: bool) -> Record:
    """The record, strictly parsed; InputError "not_found" where the log has none at `seq`."""
    with stores.index.read() as index:
        marks = _marks(index, log, seq)
    with stores.ledger.read() as ledger:
        data = read_leaf(ledger, log.id, seq)
        if data is None or seq >= head(ledger, log.id).size:
            raise not_here()
        leaf = parse_record(data)
        position, size = _position(ledger, log.id, seq)
        if with_content:
            content = open_contents(ledger, stores.keystore, log.id, log.origin, [(seq, leaf)])[seq]
        else:
            content = {name: Content(ContentState.WITHHELD) for name in leaf.get("content", {})}
    superseded_by, rules, as_of = marks
    return Record(
        log.name, log.origin, seq, leaf, data, leaf_hash(data), position, size, content, superseded_by, rules, as_of
    )


def not_here() -> InputError:
    """The one answer for a record that is absent and one that is somebody else's."""
    return InputError("not_found", "the record is not here", item="record")


def _marks(index: Connection, log: LogInfo, seq: int) -> tuple[int | None, tuple[str, ...], list[AsOf]]:
    key = record_id(log.id, seq)
    superseded_by = index.execute(select(records.c.superseded_by).where(records.c.id == key)).scalar()
    rules = index.execute(
        select(derived.c.rule).where(derived.c.id == key).distinct().order_by(derived.c.rule)
    ).scalars()
    size = index.execute(select(positions.c.size).where(positions.c.log_id == log.id)).scalar()
    return superseded_by, tuple(rules), [{"log": log.name, "tree_size": size or 0}]


def _position(ledger: Connection, log_id: int, seq: int) -> tuple[str, int | None]:
    """Which part of the log the record is in (RECORD 6), and the size of the checkpoint that says so."""
    found = latest(ledger, log_id)
    if found is None or found[0] <= seq:
        return UNSIGNED, None if found is None else found[0]
    size, note = found
    # Only verified signatures are stored; the log's own has no timestamp, a witness's has one.
    _, signatures = parse_note(note)
    cosigned = any(signature.timestamp is not None for signature in signatures)
    return (COSIGNED if cosigned else SIGNED), size


def restore_otlp(stores: Stores, log: LogInfo, seq: int) -> dict[str, Any]:
    """The OTLP/JSON request of one item that the record came from; InputError "not_restorable" says what is missing."""
    with stores.ledger.read() as ledger:
        size = head(ledger, log.id).size
        leaves = _parts(ledger, log.id, seq, size)
        opened = open_contents(ledger, stores.keystore, log.id, log.origin, sorted(leaves.items()))
    room = MAX_RESTORED_BYTES
    parts = []
    for at, leaf in sorted(leaves.items()):
        values = {}
        for name, content in opened[at].items():
            if content.state is ContentState.DISCLOSED:
                values[name], spent = _whole(stores, log, at, name, content.value, room)
                room -= spent
        parts.append((_with_overflow(leaf, values), values))
    return restore_item(parts)


def _parts(ledger: Connection, log_id: int, seq: int, size: int) -> dict[int, dict[str, Any]]:
    """Every record of the item that the record at `seq` is a part of: neighbours, numbered from 0."""
    leaf = _leaf_at(ledger, log_id, seq)
    if leaf is None or seq >= size:
        raise not_here()
    first = seq - _part(leaf)
    if first < 0 or seq - first >= MAX_PARTS:
        raise InputError("not_restorable", "its first part is not here")
    found = {}
    for at in range(first, min(first + MAX_PARTS, size)):
        candidate = leaf if at == seq else _leaf_at(ledger, log_id, at)
        if candidate is None or _part(candidate) != at - first or _item(candidate) != _item(leaf):
            break
        found[at] = candidate
    if seq not in found:
        raise InputError("not_restorable", "its first part is not here")
    return found


def _leaf_at(ledger: Connection, log_id: int, seq: int) -> dict[str, Any] | None:
    data = read_leaf(ledger, log_id, seq)
    return None if data is None else parse_record(data)


def _part(leaf: Mapping[str, Any]) -> int:
    part: int = leaf.get("producer", {}).get("part", 0)
    return part


def _item(leaf: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the parts of one item share."""
    producer = leaf.get("producer", {})
    return (
        *(leaf.get(name) for name in ("source", "writer", "trace_id", "span_id")),
        producer.get("id") if leaf["kind"] != "producer" else None,
        producer.get("n"),
    )


def _whole(stores: Stores, log: LogInfo, seq: int, name: str, value: Any, room: int) -> tuple[Any, int]:
    """A content value with a large one read in, and how many bytes that took."""
    if not (isinstance(value, dict) and set(value) == {"blob"}):
        return value, 0
    size = value["blob"].get("size", 0) if isinstance(value["blob"], dict) else 0
    if isinstance(size, int) and size > room:
        raise InputError("not_restorable", f"the item holds more than {MAX_RESTORED_BYTES} bytes", item=name)
    data = b"".join(Contents(stores.ledger, stores.keystore).read_blob(log, seq, name, value))
    try:
        return orjson.loads(data), len(data)
    except orjson.JSONDecodeError:
        raise EvidenceError("blob", f"{name} of record {seq} is not JSON") from None


def _with_overflow(leaf: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The leaf with the facts that were moved to content because it was too long (log/overflow.py)."""
    moved = values.get(OVERFLOW)
    if not isinstance(moved, dict):
        return leaf
    whole = dict(leaf)
    for path, value in moved.items():
        key, _, name = path.partition(".")
        whole[key] = {**whole.get(key, {}), name: value} if name else value
    return whole
