"""Accounts of producers as rows of the index: read and written once a block, and only what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select

from counterfoil.store.bulk import insert_rows, select_each, select_spans
from counterfoil.trails.completeness.account import Account, Numbers, standing_of
from counterfoil.trails.completeness.ranges import MAX_RANGES, Range, Ranges
from counterfoil.trails.completeness.tables import CONFLICTING, DELIVERED, LOST, TABLES, producer_ranges, producers
from counterfoil.trails.completeness.verdict import due_us

Key = tuple[str, str]
"""Writer and producer id; an empty id for what came without numbers."""

_MEMBERS = tuple(field.name for field in fields(Account) if field.name not in ("log_id", "writer", "producer"))
_DERIVED = ("numbered", "contradictory", "due_us")
_COLUMNS = ("log_id", "writer", "producer", *_MEMBERS, *_DERIVED)


def load_accounts(connection: Connection, log_id: int, keys: dict[Key, None]) -> tuple[dict[Key, Account], set[int]]:
    """The accounts of these producers, with new ones numbered in order of appearance; the numbers of the new ones."""
    wanted = ((log_id, *key) for key in keys)
    rows = select_each(connection, producers, ("log_id", "writer", "producer"), _MEMBERS, wanted)
    accounts: dict[Key, Account] = {}
    new: set[int] = set()
    given = -1
    for key, row in zip(keys, rows, strict=True):
        if row is not None:
            accounts[key] = account_of(log_id, *key, dict(zip(_MEMBERS, row, strict=True)))
            continue
        if given < 0:
            query = select(func.coalesce(func.max(producers.c.number), 0)).where(producers.c.log_id == log_id)
            given = connection.execute(query).scalar_one()
        given += 1
        accounts[key] = Account(log_id, given, *key, first_seq=0, first_us=0)
        new.add(given)
    return accounts, new


def account_of(log_id: int, writer: str, producer: str, members: dict[str, Any]) -> Account:
    """The account in a row; `members` are the columns that Account has besides its key."""
    members["twice_closed"] = bool(members["twice_closed"])
    return Account(log_id=log_id, writer=writer, producer=producer, **members)


Sets = dict[tuple[int, int], int]
"""(sort, first) to last."""


def load_numbers(
    connection: Connection, log_id: int, accounts: Sequence[Account]
) -> tuple[dict[int, Numbers], dict[int, Sets]]:
    """The sets of each account by its number, and the same as they stand in the index."""
    wanted = [(log_id, account.number, DELIVERED, CONFLICTING) for account in accounts]
    limit = 3 * MAX_RANGES
    rows = select_spans(
        connection, producer_ranges, ("log_id", "number"), "sort", ("sort", "first", "last"), wanted, limit
    )
    numbers: dict[int, Numbers] = {}
    before: dict[int, Sets] = {}
    for account, found in zip(accounts, rows, strict=True):
        numbers[account.number] = numbers_of(found)
        before[account.number] = {(sort, first): last for sort, first, last in found}
    return numbers, before


def numbers_of(rows: Sequence[tuple[Any, ...]]) -> Numbers:
    """The sets of one producer from its rows (sort, first, last)."""
    sets: dict[int, list[Range]] = {DELIVERED: [], LOST: [], CONFLICTING: []}
    for sort, first, last in sorted(rows):
        sets[sort].append((first, last))
    return Numbers(*(Ranges(sets[sort]) for sort in (DELIVERED, LOST, CONFLICTING)))


def sets_of(numbers: Numbers) -> Sets:
    """The sets of one producer as rows."""
    each = ((DELIVERED, numbers.delivered), (LOST, numbers.lost), (CONFLICTING, numbers.conflicting))
    return {(sort, first): last for sort, ranges in each for first, last in ranges}


_STALE = delete(producer_ranges).where(
    producer_ranges.c.log_id == bindparam("log"),
    producer_ranges.c.number == bindparam("of"),
    producer_ranges.c.sort == bindparam("set"),
    producer_ranges.c.first == bindparam("begin"),
)


def write_numbers(connection: Connection, log_id: int, number: int, before: Sets, after: Sets) -> None:
    """Only what changed: of a stream in order that is one row."""
    changed = [(*key, last) for key, last in after.items() if before.get(key) != last]
    stale = [key for key, last in before.items() if after.get(key) != last]
    if stale:
        values = [{"log": log_id, "of": number, "set": sort, "begin": first} for sort, first in stale]
        connection.execute(_STALE, values)
    columns = ("log_id", "number", "sort", "first", "last")
    insert_rows(connection, producer_ranges, columns, [(log_id, number, *row) for row in changed])


_UPDATE = (
    producers.update()
    .where(
        producers.c.log_id == bindparam("of_log"),
        producers.c.writer == bindparam("of_writer"),
        producers.c.producer == bindparam("of_producer"),
    )
    .values({name: bindparam(f"to_{name}") for name in (*_MEMBERS, *_DERIVED) if name != "number"})
)


def write_accounts(connection: Connection, accounts: dict[Key, Account], new: set[int]) -> None:
    """Insert the accounts whose number is in `new`, update the others."""
    inserted: list[tuple[Any, ...]] = []
    updated: list[dict[str, Any]] = []
    for account in accounts.values():
        standing = standing_of(account)
        values: dict[str, Any] = {name: getattr(account, name) for name in _MEMBERS}
        values["numbered"] = standing.numbered
        values["contradictory"] = standing.contradictory
        waits = standing.numbered and not standing.closed
        values["due_us"] = due_us(account.heard_us, account.heartbeat_s) if waits else None
        if account.number in new:
            inserted.append((account.log_id, account.writer, account.producer, *values.values()))
        else:
            del values["number"]
            key = {"of_log": account.log_id, "of_writer": account.writer, "of_producer": account.producer}
            updated.append({**key, **{f"to_{name}": value for name, value in values.items()}})
    insert_rows(connection, producers, _COLUMNS, inserted)
    if updated:
        connection.execute(_UPDATE, updated)


def forget_log(connection: Connection, log_id: int) -> None:
    """Forget one log: it will be read again from its first record."""
    for table in TABLES:
        connection.execute(table.delete().where(table.c.log_id == log_id))
