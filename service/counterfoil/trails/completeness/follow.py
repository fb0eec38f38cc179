"""One block of records into the accounts of producers. Called by the projector, in the transaction of the block.

A record that is none of a numbering producer costs one look at it and a count in memory. Accounts and ranges are read
and written once a block, for those that the block speaks of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from counterfoil.core.errors import EvidenceError
from counterfoil.log.configuration import DEFAULT_HEARTBEAT_S, heartbeat_of
from counterfoil.store.bulk import insert_rows
from counterfoil.trails.completeness.account import settle, take
from counterfoil.trails.completeness.notes import silenced_seq
from counterfoil.trails.completeness.rows import (
    Key,
    load_accounts,
    load_numbers,
    sets_of,
    write_accounts,
    write_numbers,
)
from counterfoil.trails.completeness.tables import cadences
from counterfoil.trails.completeness.verdict import US_PER_SECOND
from counterfoil.trails.facts import Facts, parse_leaf

ReadLeaf = Callable[[int], bytes]

SETTLES_US = 2 * US_PER_SECOND
"""How long after a change an answer may still name the cadence before it: what is read again after a second, and the
time that a request is under way."""


class _Plain:
    """What one writer sent without numbers, in this block."""

    __slots__ = ("count", "first_seq", "first_us", "last_seq", "last_us")

    def __init__(self, seq: int, us: int) -> None:
        self.count = 0
        self.first_seq, self.first_us = seq, us
        self.last_seq, self.last_us = seq, us


class _Event(NamedTuple):
    """A record that speaks of a producer, or of the cadence (no key)."""

    seq: int
    us: int
    key: Key | None
    leaf: dict[str, Any]


def follow_producers(
    connection: Connection, log_id: int, first_seq: int, block: Sequence[Facts], read_leaf: ReadLeaf
) -> None:
    """Enter the records `first_seq`…; `read_leaf` reads an earlier one of the same log."""

    def leaf_at(seq: int) -> dict[str, Any]:
        found: Any = block[seq - first_seq].leaf if seq >= first_seq else parse_or_empty(read_leaf(seq))
        return found if type(found) is dict else {}

    keys: dict[Key, None] = {}
    plain: dict[str, _Plain] = {}
    events: list[_Event] = []
    with _damage_named():
        for seq, facts in enumerate(block, first_seq):
            leaf = facts.leaf
            if leaf["source"][0] != "o":  # of the service, or through its API
                _note_own(leaf, seq, facts.recorded_us, keys, events, leaf_at)
                continue
            producer = leaf.get("producer")
            if producer is None or "id" not in producer:
                if producer is None or not producer.get("part"):
                    writer = leaf["writer"]
                    if (tally := plain.get(writer)) is None:
                        tally = plain[writer] = _Plain(seq, facts.recorded_us)
                        keys[writer, ""] = None
                    tally.count += 1
                    tally.last_seq, tally.last_us = seq, facts.recorded_us
                continue
            key = (leaf["writer"], producer["id"])
            keys[key] = None
            events.append(_Event(seq, facts.recorded_us, key, leaf))
    if keys or events:
        _enter(connection, log_id, keys, plain, events, leaf_at)


@contextmanager
def _damage_named() -> Iterator[None]:
    """A leaf that no writer could have made was put there by whoever owns the disk: named, as wherever one is read."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise EvidenceError("record", f"a stored leaf says of its producer what no leaf can: {error!r}") from None


def parse_or_empty(data: bytes) -> Any:
    """A leaf that another refers to; nothing where it is not there."""
    return {} if data == b"null" else parse_leaf(data)


def _note_own(
    leaf: dict[str, Any],
    seq: int,
    us: int,
    keys: dict[Key, None],
    events: list[_Event],
    leaf_at: Callable[[int], dict[str, Any]],
) -> None:
    """A record of the service: a new cadence, or a note that a producer fell silent."""
    if heartbeat_of(leaf) is not None:
        events.append(_Event(seq, us, None, leaf))
    elif (heard := silenced_seq(leaf)) is not None and heard < seq:
        spoken = leaf_at(heard)
        producer = spoken.get("producer", {}).get("id")
        if producer is not None and spoken["source"][0] == "o":
            key = (spoken["writer"], producer)
            keys[key] = None
            events.append(_Event(seq, us, key, leaf))


def _enter(
    connection: Connection,
    log_id: int,
    keys: dict[Key, None],
    plain: dict[str, _Plain],
    events: Sequence[_Event],
    leaf_at: Callable[[int], dict[str, Any]],
) -> None:
    accounts, new = load_accounts(connection, log_id, keys)
    numbers, before = load_numbers(connection, log_id, [account for account in accounts.values() if account.producer])
    cadence = read_cadence(connection, log_id)

    def same(seq: int, producer: str, number: int) -> bool:
        facts = leaf_at(seq).get("producer", {})
        return (facts.get("id"), facts.get("n")) == (producer, number)

    for event in events:
        if event.key is None:
            heartbeat_s = heartbeat_of(event.leaf) or cadence.heartbeat_s
            cadence.change(heartbeat_s, event.us)
            row = (log_id, event.seq, event.us, heartbeat_s)
            insert_rows(connection, cadences, ("log_id", "seq", "recorded_us", "heartbeat_s"), [row])
            continue
        account = accounts[event.key]
        if event.leaf["kind"] == "note":
            if account.heard_seq == silenced_seq(event.leaf):
                account.alarm_seq, account.alarm_us = event.seq, event.us
            continue
        if not account.first_seq:
            account.first_seq, account.first_us = event.seq, event.us
        with _damage_named():
            take(account, numbers[account.number], event.seq, event.us, event.leaf, cadence.told_at(event.us), same)
    for writer, tally in plain.items():
        account = accounts[writer, ""]
        if not account.first_seq:
            account.first_seq, account.first_us = tally.first_seq, tally.first_us
        account.hear(tally.last_seq, tally.last_us, 0)
        account.items += tally.count
    for number, sets in numbers.items():
        write_numbers(connection, log_id, number, before.get(number, {}), sets_of(sets))
    for account in accounts.values():
        if account.producer:
            settle(account, numbers[account.number])
    write_accounts(connection, accounts, new)


@dataclass(slots=True)
class Cadence:
    """The cadence in force, and the one before it: an answer that was under way may still have named that one."""

    heartbeat_s: int = DEFAULT_HEARTBEAT_S
    before_s: int = DEFAULT_HEARTBEAT_S
    since_us: int = -SETTLES_US

    def change(self, heartbeat_s: int, us: int) -> None:
        self.heartbeat_s, self.before_s, self.since_us = heartbeat_s, self.heartbeat_s, us

    def told_at(self, us: int) -> int:
        """The longest that a producer whose record was appended at `us` may have been told."""
        return max(self.heartbeat_s, self.before_s) if us - self.since_us < SETTLES_US else self.heartbeat_s


def read_cadence(connection: Connection, log_id: int) -> Cadence:
    """The cadence in force where the index has read to."""
    query = select(cadences.c.heartbeat_s, cadences.c.recorded_us).where(cadences.c.log_id == log_id)
    found = Cadence()
    for row in reversed(connection.execute(query.order_by(cadences.c.seq.desc()).limit(2)).all()):
        found.change(*row)
    return found
