"""What plain SDKs say that they dropped before sending: attributes, events, links (OTLP `dropped…Count`).

Those counts are content of each span or log event, so they are counted when they are asked for and never kept: of the
newest records that came without numbers, as many as the limits allow. The answer says which records it covers; a range
of time asks for others. They are losses that are known of, no proof that there are no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from counterfoil.core.encoding import parse_time_us
from counterfoil.core.state import ContentState
from counterfoil.log.contents import Content, open_contents
from counterfoil.log.keystore import Keystore
from counterfoil.log.records import read_leaf, read_leaves
from counterfoil.trails.completeness.account import Account
from counterfoil.trails.facts import parse_leaf

MAX_OPENED = 2_000
"""Records that one question opens."""
MAX_SCANNED = 20_000
"""Records that one question looks through for those of the writers it is about."""
_BLOCK = 500
_FIELDS = frozenset(("span", "events", "links"))
_OF_SPAN = {
    "droppedAttributesCount": "attributes",
    "droppedEventsCount": "events",
    "droppedLinksCount": "links",
}
_NESTED = ("events", "links")


@dataclass(slots=True)
class Dropped:
    """Counts over some records of one writer."""

    attributes: int = 0
    events: int = 0
    links: int = 0
    records: int = 0
    """How many records were opened for it."""
    unread: int = 0
    """Records among them whose counts are erased or cannot be read."""
    first_seq: int | None = None
    last_seq: int | None = None
    whole: bool = False
    """Whether these are all of the writer's records without numbers, in the range that was asked for."""


@dataclass(slots=True)
class Budget:
    """What a question may still open and look through."""

    opened: int = field(default_factory=lambda: MAX_OPENED)
    scanned: int = field(default_factory=lambda: MAX_SCANNED)


def count_dropped(
    ledger: Connection,
    keystore: Keystore,
    origin: str,
    account: Account,
    budget: Budget,
    from_us: int | None = None,
    to_us: int | None = None,
) -> Dropped:
    """Counts over the records of a writer without numbers, newest first, as far as `budget` lasts."""
    found = Dropped()
    low = account.first_seq if from_us is None else _first_at(ledger, account, from_us)
    end = account.heard_seq + 1 if to_us is None else _first_at(ledger, account, to_us)
    while end > low and budget.opened > 0 and budget.scanned > 0:
        first = max(low, end - min(_BLOCK, budget.scanned))
        budget.scanned -= end - first
        wanted = list(_newest_first(ledger, account, first, end))
        taken = wanted[: budget.opened]
        budget.opened -= len(taken)
        for seq, content in open_contents(ledger, keystore, account.log_id, origin, taken, _FIELDS).items():
            found.records += 1
            found.first_seq = seq if found.first_seq is None else min(found.first_seq, seq)
            found.last_seq = seq if found.last_seq is None else max(found.last_seq, seq)
            _add(found, content)
        if len(taken) < len(wanted):
            return found
        end = first
    found.whole = end <= low
    return found


def _newest_first(ledger: Connection, account: Account, first: int, end: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of the account between two indexes."""
    for seq, data in reversed(list(read_leaves(ledger, account.log_id, first, end))):
        leaf = parse_leaf(data)
        if leaf.get("writer") == account.writer and leaf["source"][0] == "o" and not leaf.get("producer", {}).get("id"):
            yield seq, leaf


def _first_at(ledger: Connection, account: Account, at_us: int) -> int:
    """The first index of the account's stretch that was recorded at `at_us` or later (`recorded_at` never falls)."""
    low, high = account.first_seq, account.heard_seq + 1
    while low < high:
        middle = (low + high) // 2
        data = read_leaf(ledger, account.log_id, middle)
        if data is not None and parse_time_us(parse_leaf(data)["recorded_at"]) < at_us:
            low = middle + 1
        else:
            high = middle
    return low


def _add(found: Dropped, content: Mapping[str, Content]) -> None:
    read = {name: content[name] for name in _FIELDS if name in content}
    if any(one.state is not ContentState.DISCLOSED for one in read.values()):
        found.unread += 1
    values = {name: one.value for name, one in read.items() if one.state is ContentState.DISCLOSED}
    span = values.get("span")
    if isinstance(span, dict):
        for key, name in _OF_SPAN.items():
            setattr(found, name, getattr(found, name) + _count(span.get(key)))
    for name in _NESTED:
        inside = values.get(name)
        for one in inside if isinstance(inside, list) else ():
            if isinstance(one, dict):
                found.attributes += _count(one.get("droppedAttributesCount"))


def _count(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0
