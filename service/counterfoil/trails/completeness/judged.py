"""One producer as it is answered: its verdicts, and exactly which numbers they are about. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from counterfoil.trails.completeness.account import Account, Numbers, standing_of
from counterfoil.trails.completeness.dropped import Dropped
from counterfoil.trails.completeness.ranges import Range, difference, gaps, size, union
from counterfoil.trails.completeness.verdict import Verdict, due_us, settled_level, verdicts


@dataclass(frozen=True, slots=True)
class Shown:
    """Ranges, as many as are shown, and how many there are of them and of numbers in them."""

    ranges: list[Range]
    count: int
    numbers: int

    @classmethod
    def of(cls, ranges: list[Range], most: int) -> Shown:
        return cls(ranges[:most], len(ranges), size(ranges))


@dataclass(frozen=True, slots=True)
class Judged:
    """A producer with what was concluded about it."""

    log: str
    account: Account
    verdicts: tuple[Verdict, ...]
    produced: int | None
    """As it said when it closed; None before."""
    gaps: Shown
    """Neither delivered nor declared lost, and not under way."""
    awaited: Shown
    """Not here, and not yet missing: a higher number is known for less than a cadence."""
    lost: Shown
    """Declared lost, and not delivered after all."""
    conflicts: Shown
    beyond_last: Shown
    """Delivered or claimed although above its own last number."""
    exact: bool
    silent_since_us: int | None
    unknown_after: int | None
    """The highest number that is known, of one that has not closed: whether there are more, nobody has said."""

    dropped: Dropped | None = None
    """What its SDK says that it dropped, where that was asked for (dropped.py)."""

    @property
    def verdict(self) -> Verdict:
        return self.verdicts[0]


def judge(
    log: str, account: Account, numbers: Numbers, now_us: int, listening_since_us: int, most_ranges: int
) -> Judged:
    """The account as it stands at `now_us`; lists show at most `most_ranges`."""
    standing = standing_of(account)
    found = verdicts(standing, now_us, listening_since_us)
    settled = (account.before_mark, account.mark, account.bound)[settled_level(standing, now_us)]
    covered = union(numbers.delivered, numbers.lost)
    declared = difference(list(numbers.lost), list(numbers.delivered))
    beyond: list[Range] = []
    if account.last is not None and account.highest > account.last:
        beyond = _within([*covered, (account.highest, account.highest)], account.last + 1)
    return Judged(
        log=log,
        account=account,
        verdicts=found,
        produced=None if account.last is None else account.last + 1,
        gaps=Shown.of(gaps(covered, 0, settled), most_ranges),
        awaited=Shown.of(gaps(covered, settled + 1, account.bound), most_ranges),
        lost=Shown.of(declared, most_ranges),
        conflicts=Shown.of(list(numbers.conflicting), most_ranges),
        beyond_last=Shown.of(beyond, most_ranges),
        exact=standing.exact,
        silent_since_us=due_us(account.heard_us, account.heartbeat_s) if Verdict.SILENT in found else None,
        unknown_after=account.highest if standing.numbered and not standing.closed else None,
    )


def _within(ranges: list[Range], low: int) -> list[Range]:
    """The numbers of `ranges` from `low`."""
    return union([(max(first, low), last) for first, last in ranges if last >= low], [])
