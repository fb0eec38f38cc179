"""Steps 1 and 2 of writing (ARCHITECTURE 3), in the thread of whoever sends: everything that needs no lock.

A draft becomes a leaf that lacks only what the head decides (`prev`, `recorded_at`, `seq`, and `supersedes` if there is
any), and a sealed content row. The order, and what a crash leaves:

1. check the facts, choose keys and pseudonyms.                        Nothing is on disk.
2. new keys, pseudonyms and links to the keystore, committed.          A crash leaves keys that nothing uses.
   Draw salts, compute digests, seal.                                  Still in memory only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from counterfoil.core.errors import Fault, InputError
from counterfoil.core.schema import KINDS, KINDS_BY_PURPOSE
from counterfoil.log.arrivalkeys import ArrivalKey
from counterfoil.log.arrivals import Arrival, identify
from counterfoil.log.batch import Batch, LogInfo
from counterfoil.log.clock import Clock, month_of
from counterfoil.log.keystore import Keystore, Selector
from counterfoil.log.lawful import check_facts, check_producer, is_known_token
from counterfoil.log.sealer import Plan, PreparedRecord, Sealer
from counterfoil.mapping.draft import Draft, Item


@dataclass(slots=True)
class PreparedItem:
    """All records of one item; no arrival for what the service writes itself."""

    records: list[PreparedRecord]
    arrival: Arrival | None


@dataclass(slots=True)
class Prepared:
    """A batch that needs only the head."""

    items: list[PreparedItem | None]
    """In the order of the batch; None where the item was refused."""
    refused: dict[int, InputError]
    writer: str | None
    record_count: int
    size: int
    """Bytes that it holds, about: what the queue is bounded by."""


def prepare(
    log: LogInfo,
    batch: Batch,
    keystore: Keystore,
    clock: Clock,
    *,
    recognise: bool = True,
    random_bytes: Callable[[int], bytes] = os.urandom,
    reached: Callable[[str], None] = lambda _: None,
) -> Prepared:
    """Check, choose keys, seal. `recognise=False` for the service's own records, of which each is a new one."""
    now_us = clock.now_us()
    month = month_of(now_us)
    refused: dict[int, InputError] = {}
    plans: list[list[Plan] | None] = []
    batch_group = Selector("batch", random_bytes(16), month)
    _check_kinds(log, batch)
    for index, item in enumerate(batch.items):
        try:
            check_producer(item)
            if batch.writer is None and any(draft.source != "service" for draft in item.drafts):
                raise InputError("bad_record", "only the service's own records have no writer", item="writer")
            plans.append([_plan(draft, item, batch_group, month) for draft in item.drafts])
        except InputError as error:
            refused[index] = error
            plans.append(None)
    every = [plan for group in plans if group is not None for plan in group]
    reached("planned")
    # Step 2. Committed before anything is sealed with it; a crash here leaves keys that nothing uses.
    resolved = keystore.resolve(
        log.id,
        {plan.selector for plan in every if plan.draft.fields},
        {identifier for plan in every for identifier in plan.identifiers},
        {(plan.draft.subject_id, plan.selector) for plan in every if plan.draft.subject_id and plan.draft.fields},
    )
    arrival_key = keystore.arrival_keys(month, now_us)[0] if recognise else None
    reached("keys_committed")
    worker = Sealer(log, batch.writer, resolved.keys, resolved.tokens, random_bytes, len(every), every)
    items: list[PreparedItem | None] = []
    for index, (item, group) in enumerate(zip(batch.items, plans, strict=True)):
        if group is None:
            items.append(None)
            continue
        try:
            items.append(_prepare_item(worker, item, group, arrival_key, batch.writer or ""))
        except InputError as error:
            refused[index] = error
            items.append(None)
    reached("sealed")
    return Prepared(items, refused, batch.writer, len(every), worker.size)


def _check_kinds(log: LogInfo, batch: Batch) -> None:
    """A kind that belongs into a log of another purpose (RECORD 2) was sent here by the service itself: our fault."""
    lawful = KINDS_BY_PURPOSE[log.purpose]
    for item in batch.items:
        for draft in item.drafts:
            if draft.kind not in lawful and draft.kind in KINDS:
                raise Fault(f"a record of kind {draft.kind} does not belong into the log {log.origin} ({log.purpose})")


def _plan(draft: Draft, item: Item, batch_group: Selector, month: int) -> Plan:
    """Step 1: is the draft lawful, and what does it need from the keystore?"""
    check_facts(draft)
    identifiers: list[str] = [identifier for _, identifier in draft.persons]
    if draft.subject_id:
        identifiers.append(draft.subject_id)
    interaction = draft.interaction_id
    token = is_known_token(interaction)
    if interaction:
        selector = Selector("interaction", interaction.encode("utf-8", "surrogatepass"), month)
        if not token:
            identifiers.append(interaction)
    elif item.trace_id:
        selector = Selector("trace", item.trace_id, month)
    elif draft.source == "service":
        selector = Selector("service", b"", month)
    else:
        selector = batch_group
    return Plan(draft, selector, identifiers, token)


def _prepare_item(
    worker: Sealer, item: Item, plans: Sequence[Plan], key: ArrivalKey | None, writer: str
) -> PreparedItem:
    numbered = item.producer is not None or len(plans) > 1
    records = [
        worker.prepare(plan, _producer(plan.draft, item, part) if numbered else None, item)
        for part, plan in enumerate(plans)
    ]
    return PreparedItem(records, None if key is None else identify(item, writer, key))


def _producer(draft: Draft, item: Item, part: int) -> dict[str, Any]:
    """The leaf's `producer`: what the draft says (kind `producer`), the number of the item, the part."""
    found = {**draft.facts.get("producer", {}), "part": part}
    if item.producer is not None:
        found["id"], found["n"] = item.producer
    return found
