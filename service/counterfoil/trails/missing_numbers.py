"""Numbers of a producer that are missing between the records of a trail (CONVENTIONS 4, RECORD 7).

Who numbers what it sends gives one number after the other to whatever it does, so a number that is missing between two
records of a trail may be of this interaction or of another that ran beside it: a trail says so. Whether it is missing
for good, and who says what, is told by `GET /api/v1/completeness`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection

from counterfoil.trails.completeness.account import Numbers
from counterfoil.trails.completeness.query import read_numbers
from counterfoil.trails.completeness.ranges import Range, gaps, union
from counterfoil.trails.completeness.rows import Key, load_accounts
from counterfoil.trails.derive.conclusion import Conclusion

MAX_PRODUCERS = 64
"""Producers of one trail whose numbers are looked at."""

MAX_SHOWN = 64
"""Ranges of one producer that a trail shows."""


def missing_numbers(index: Connection, log_id: int, leaves: Iterable[Mapping[str, Any]]) -> list[Conclusion]:
    """A gap for each range of numbers that is not in the log, at the trail's next record of that producer.

    A producer whose numbers the index could not keep all (`untracked`) is left out: of it nothing is known exactly.
    """
    numbered = _numbered(leaves)
    if not numbered:
        return []
    accounts, new = load_accounts(index, log_id, dict.fromkeys(numbered))
    known = [one for one in accounts.values() if one.number not in new and not one.untracked]
    found = []
    for account, numbers in zip(known, read_numbers(index, known), strict=True):
        at = numbered[account.writer, account.producer]
        given = sorted(at)
        for (first, last), why in list(_missing(numbers, given[0], given[-1] - 1))[:MAX_SHOWN]:
            which = f"number {first}" if first == last else f"numbers {first} to {last}"
            message = f"{which} of producer {account.producer}: {why} (of this interaction or of another)"
            seq = at[given[bisect_right(given, last)]]
            found.append(Conclusion("numbers_missing", "gap", seq, {"what": "number"}, message=message))
    return found


def _numbered(leaves: Iterable[Mapping[str, Any]]) -> dict[Key, dict[int, int]]:
    """By producer, of those that gave more than one number to this trail: number to `seq`."""
    found: dict[Key, dict[int, int]] = {}
    for leaf in leaves:
        own = leaf.get("producer", {})
        if "n" in own and not own.get("part") and "writer" in leaf:
            found.setdefault((leaf["writer"], own["id"]), {}).setdefault(own["n"], leaf["seq"])
    return dict([(key, at) for key, at in found.items() if len(at) > 1][:MAX_PRODUCERS])


def _missing(numbers: Numbers, low: int, high: int) -> Iterator[tuple[Range, str]]:
    for one in gaps(union(numbers.delivered, numbers.lost), low, high):
        yield one, "not in the log"
    for first, last in numbers.lost:
        for one in gaps(list(numbers.delivered), max(first, low), min(last, high)):
            yield one, "declared lost"
