"""What may be concluded about one producer, and nothing more (RECORD 7). Pure; time is an argument.

| verdict | when |
| --- | --- |
| `conflict` | a number came twice with other data and no `supersedes`, or it contradicts its own last number |
| `gaps` | numbers are neither delivered nor declared lost |
| `silent` | nothing was heard of it for SILENT_AFTER_BEATS cadences, and it has not closed |
| `unaccounted` | it sends no numbers: nothing is known of what it left out |
| `open` | none of these, and it has not closed: what it holds back or loses from here on is not known yet |
| `complete` | none of these, and it has closed: delivered + declared lost = produced |

Several may hold at once (a producer that was killed is silent and may have gaps); the first of this order is *the*
verdict. Produced is what the producer itself says when it closes (`last`), never what was seen.

**Missing, or under way?** Batches overtake each other and are sent again. So a gap of an open producer counts once the
log has known of a higher number for a whole cadence, at the latest for two (`settled_level`); until then its numbers
are awaited. A closed one has said that there is no more to come: all its gaps count at once, and are closed should they
still arrive.

**Losses without numbers.** A producer may know how many it lost and not which (`unlocated`). They explain as many
missing numbers, and no others.

**Not exact.** Where a producer's numbers make more ranges than are kept (ranges.MAX_RANGES), some that are listed as
missing may have arrived, and some may have come twice unnoticed. Such a producer is never `complete`: closed, it has
`gaps`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

SILENT_AFTER_BEATS = 2
US_PER_SECOND = 1_000_000


class Verdict(StrEnum):
    """In the order of gravity."""

    CONFLICT = "conflict"
    GAPS = "gaps"
    SILENT = "silent"
    UNACCOUNTED = "unaccounted"
    OPEN = "open"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the log shows of one producer. Numbers are from 0; -1 stands for none yet."""

    numbered: bool
    """Whether it numbers what it sends, or says that it will."""
    closed: bool
    """Whether it said what its last number is."""
    contradictory: bool
    """Whether a number came twice with other data, or was claimed beyond the last, or there are two last ones."""
    missing: int
    """Numbers up to the highest known one that are neither delivered nor declared lost."""
    missing_at_mark: int
    """The same up to the number that was the highest at `mark_us`."""
    missing_before: int
    """The same up to the one that was the highest at least a cadence before that."""
    exact: bool
    """Whether every number that came was kept."""
    unlocated: int
    """Losses that were declared without saying which numbers."""
    heard_us: int
    """When the last of its records was recorded."""
    highest_us: int
    """When the highest number became known."""
    mark_us: int
    heartbeat_s: int
    """The cadence in force when it was last heard of."""


def due_us(heard_us: int, heartbeat_s: int) -> int:
    """The moment from which a producer is silent."""
    return heard_us + SILENT_AFTER_BEATS * heartbeat_s * US_PER_SECOND


def settled_level(standing: Standing, now_us: int) -> int:
    """How far gaps count: 2 up to the highest number, 1 up to the mark, 0 up to what was known before it."""
    cadence_us = standing.heartbeat_s * US_PER_SECOND
    if standing.closed or now_us - standing.highest_us >= cadence_us:
        return 2
    return 1 if now_us - standing.mark_us >= cadence_us else 0


def unexplained(standing: Standing, now_us: int) -> int:
    """How many numbers are missing for good: settled, and not explained by a loss without numbers."""
    levels = (standing.missing_before, standing.missing_at_mark, standing.missing)
    return max(0, levels[settled_level(standing, now_us)] - standing.unlocated)


def verdicts(standing: Standing, now_us: int, listening_since_us: int = 0) -> tuple[Verdict, ...]:
    """Everything that holds, gravest first; never empty.

    `listening_since_us` is when the service began to listen: before that it could hear nobody, and says nothing.
    """
    if not standing.numbered:
        return (Verdict.UNACCOUNTED,)
    found = []
    if standing.contradictory:
        found.append(Verdict.CONFLICT)
    if unexplained(standing, now_us) or (standing.closed and not standing.exact):
        found.append(Verdict.GAPS)
    if not standing.closed and due_us(max(standing.heard_us, listening_since_us), standing.heartbeat_s) <= now_us:
        found.append(Verdict.SILENT)
    return tuple(found) or ((Verdict.COMPLETE,) if standing.closed else (Verdict.OPEN,))
