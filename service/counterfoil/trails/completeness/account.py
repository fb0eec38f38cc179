"""The account of one producer: what its records add up to, taken in the order of the log. Pure.

    take(account, numbers, seq, recorded_us, leaf, heartbeat_s, same)

What counts, and how:

- a record with a number (part 0 of its item): the number is delivered. A second one under the same number is a
  conflict, unless it supersedes a record of the same number: that is the same span sent again (RECORD 1).
- `start`: the producer began; the digest of its declared coverage.
- `heartbeat`: it lives. `last`, where it has one, is the highest number it has given out.
- `loss`: `from` to `to` are lost (`from` and `count` say the same). Without `from`, or where `count` says fewer, only
  how many is known: unlocated. A number that is delivered all the same is delivered.
- `end`: `last` is the highest number it gave out, or, without it, `count` how many. One that says neither closes
  nothing. Its own number may be the one after that: whoever numbers declarations too knows it before it is sent.

Everything depends on the records alone, one by one, so that it does not matter where a block of them ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from counterfoil.trails.completeness.ranges import Ranges, missing_up_to, union
from counterfoil.trails.completeness.verdict import US_PER_SECOND, Standing

NONE = -1
"""No number yet."""
MAX_COUNT = 2**53 - 1
"""The largest number that a leaf may hold; sums of what producers say stop there."""

SameNumber = Callable[[int, str, int], bool]
"""Whether the record at this `seq` is of this producer id and number (and so of the same writer: RECORD 1)."""


@dataclass(slots=True)
class Numbers:
    """The three sets of one producer."""

    delivered: Ranges = field(default_factory=Ranges)
    lost: Ranges = field(default_factory=Ranges)
    """Declared lost, delivered or not."""
    conflicting: Ranges = field(default_factory=Ranges)


@dataclass(slots=True)
class Account:
    """One producer, or (with an empty `producer`) what a writer sent without numbers. Times are `recorded_at`."""

    log_id: int
    number: int
    """In order of first appearance in its log, from 1."""
    writer: str
    producer: str
    first_seq: int
    first_us: int
    heard_seq: int = 0
    heard_us: int = 0
    items: int = 0
    """Spans and log events, each once, whatever it was split into."""
    started_us: int | None = None
    coverage: str | None = None
    heartbeats: int = 0
    heartbeat_us: int | None = None
    last: int | None = None
    """As it said when it closed; -1 where it produced nothing."""
    closed_us: int | None = None
    claimed: int = NONE
    """The highest number that a heartbeat or a loss speaks of."""
    unlocated: int = 0
    untracked: int = 0
    """Numbers and losses that were not kept, because they took a range too many."""
    twice_closed: bool = False
    """Whether it closed again with another last number."""
    highest: int = NONE
    highest_us: int = 0
    mark: int = NONE
    mark_us: int = 0
    before_mark: int = NONE
    delivered: int = 0
    """How many numbers; the counts down to `missing_before` are of the sets, as they were when it was written."""
    lost: int = 0
    conflicts: int = 0
    missing: int = 0
    missing_at_mark: int = 0
    missing_before: int = 0
    heartbeat_s: int = 0
    """The cadence in force when it was last heard of; 0 where nothing is waited for."""
    alarm_seq: int | None = None
    """The newest note that says that it fell silent."""
    alarm_us: int | None = None
    spoke_seq: int | None = None
    """The first record that was heard of it after an alarm."""

    def hear(self, seq: int, us: int, heartbeat_s: int) -> None:
        """It sent something."""
        if self.alarmed:
            self.spoke_seq = seq
        self.heard_seq, self.heard_us, self.heartbeat_s = seq, us, heartbeat_s

    @property
    def alarmed(self) -> bool:
        """Whether nothing was heard of it since the alarm."""
        return self.alarm_seq is not None and self.alarm_seq > self.heard_seq

    @property
    def closed(self) -> bool:
        return self.last is not None

    @property
    def numbered(self) -> bool:
        """Whether it numbers what it sends, has closed, or is a process that announced itself."""
        return self.highest != NONE or self.closed or self.started_us is not None or self.heartbeats > 0

    @property
    def beyond_last(self) -> bool:
        """Whether a number is known that is above the last one it says it gave out."""
        return self.last is not None and self.highest > self.last

    @property
    def bound(self) -> int:
        """The highest number that must be accounted for."""
        return self.highest if self.last is None else max(self.last, self.highest)


def take(
    account: Account, numbers: Numbers, seq: int, us: int, leaf: dict[str, Any], heartbeat_s: int, same: SameNumber
) -> None:
    """Enter one record of this producer; `us` is when it was recorded, `heartbeat_s` the cadence in force then."""
    account.hear(seq, us, heartbeat_s)
    facts = leaf["producer"]
    number = facts.get("n")
    if number is not None and not facts.get("part"):
        account.items += 1
        _deliver(account, numbers, us, number, leaf, same)
    if leaf["kind"] == "producer":
        _declare(account, numbers, us, facts)


def _deliver(account: Account, numbers: Numbers, us: int, number: int, leaf: dict[str, Any], same: SameNumber) -> None:
    delivered = numbers.delivered
    _know(account, us, number)
    if number in delivered:
        supersedes = leaf.get("supersedes")
        if supersedes is None or not same(supersedes, account.producer, number):
            account.untracked += not numbers.conflicting.add(number, number)
            account.conflicts += 1
    elif not delivered.add(number, number):
        account.untracked += 1


def _declare(account: Account, numbers: Numbers, us: int, facts: dict[str, Any]) -> None:
    match facts.get("event"):
        case "start":
            if account.started_us is None:
                account.started_us = us
                account.coverage = facts.get("coverage")
        case "heartbeat":
            account.heartbeats += 1
            account.heartbeat_us = us
            _claim(account, us, facts.get("last", NONE))
        case "loss":
            _lose(account, numbers, us, facts)
        case "end":
            _claim_end(account, us, facts)


def _lose(account: Account, numbers: Numbers, us: int, facts: dict[str, Any]) -> None:
    first, last, count = facts.get("from"), facts.get("to"), facts.get("count")
    if first is not None and last is None:
        last = first + (count or 1) - 1
    if first is None or last is None or last < first:
        account.unlocated = min(account.unlocated + (count or 0), MAX_COUNT)
        return
    _claim(account, us, last)
    if count is not None and count < last - first + 1:
        account.unlocated = min(account.unlocated + count, MAX_COUNT)
    elif not numbers.lost.add(first, last):
        account.untracked += 1


def _claim_end(account: Account, us: int, facts: dict[str, Any]) -> None:
    last = facts.get("last")
    if last is None:
        if "count" not in facts:
            return
        last = facts["count"] - 1
    if facts.get("n") == last + 1 and not facts.get("part"):
        last += 1
    if account.last is None:
        account.last, account.closed_us = last, us
    elif account.last != last:
        account.twice_closed = True
        account.last = max(account.last, last)


def _claim(account: Account, us: int, number: int) -> None:
    if number > account.claimed:
        account.claimed = number
    _know(account, us, number)


def _know(account: Account, us: int, number: int) -> None:
    """A number is known to have been given out; the mark follows the highest one, at most two cadences behind."""
    if number <= account.highest:
        return
    cadence_us = account.heartbeat_s * US_PER_SECOND
    if account.mark == NONE:
        account.mark, account.mark_us = number, us
    elif us - account.highest_us >= cadence_us:
        account.before_mark, account.mark, account.mark_us = account.highest, number, us
    elif us - account.mark_us >= cadence_us:
        account.before_mark, account.mark, account.mark_us = account.mark, number, us
    account.highest, account.highest_us = number, us


def settle(account: Account, numbers: Numbers) -> None:
    """Bring the counts of an account up to its sets."""
    covered = union(numbers.delivered, numbers.lost)
    bounds = (account.bound, account.mark, account.before_mark)
    account.missing, account.missing_at_mark, account.missing_before = missing_up_to(covered, bounds)
    account.delivered = numbers.delivered.count
    account.lost = sum(last - first + 1 for first, last in covered) - account.delivered


def standing_of(account: Account) -> Standing:
    """What there is to conclude from."""
    return Standing(
        numbered=account.numbered and bool(account.producer),
        closed=account.closed,
        contradictory=bool(account.conflicts) or account.beyond_last or account.twice_closed,
        missing=account.missing,
        missing_at_mark=account.missing_at_mark,
        missing_before=account.missing_before,
        exact=not account.untracked,
        unlocated=account.unlocated,
        heard_us=account.heard_us,
        highest_us=account.highest_us,
        mark_us=account.mark_us,
        heartbeat_s=account.heartbeat_s,
    )
