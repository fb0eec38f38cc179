"""Verdicts against a slow oracle: sets of integers, and the whole history read again for every question."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.trails.completeness.account import Account, Numbers, settle, standing_of, take
from counterfoil.trails.completeness.judged import Judged, judge
from counterfoil.trails.completeness.ranges import Ranges
from counterfoil.trails.completeness.verdict import SILENT_AFTER_BEATS, US_PER_SECOND, Verdict

CADENCE_S = 10
Event = tuple[float, dict[str, Any], str, int | None]
"""Seconds since the one before, `producer`, kind, and the number of the record it supersedes."""

numbers = st.integers(0, 14)
waits = st.sampled_from([0.0, 1.0, 4.0, 9.0, 10.0, 25.0])
sent = st.tuples(
    waits,
    st.builds(lambda n, part: {"id": "p", "n": n, "part": part}, numbers, st.sampled_from([0, 0, 0, 1])),
    st.just("operation"),
    st.one_of(st.none(), st.none(), numbers),
)
losses = st.builds(
    lambda first, more, count: {"from": first, "to": first + more} | ({} if count is None else {"count": count}),
    numbers,
    st.integers(0, 3),
    st.one_of(st.none(), st.integers(0, 4)),
)
declared = st.tuples(
    waits,
    st.one_of(
        losses.map(lambda facts: {"event": "loss", **facts}),
        st.integers(0, 3).map(lambda count: {"event": "loss", "count": count}),
        numbers.map(lambda last: {"event": "heartbeat", "last": last}),
        st.just({"event": "heartbeat"}),
        st.just({"event": "start", "coverage": "d"}),
        numbers.map(lambda last: {"event": "end", "last": last}),
        numbers.map(lambda last: {"event": "end", "last": last, "n": last + 1, "part": 0}),
        numbers.map(lambda last: {"event": "end", "last": last, "n": last, "part": 0}),
        st.just({"event": "end", "count": 0}),
        st.just({"event": "end"}),
    ).map(lambda facts: {"id": "p", **facts}),
    st.just("producer"),
    st.none(),
)
histories = st.lists(st.one_of(sent, sent, declared), min_size=1, max_size=25)


@dataclass
class Oracle:
    """What a person with the records and much time would find."""

    delivered: set[int] = field(default_factory=set)
    twice: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    unlocated: int = 0
    ends: list[int] = field(default_factory=list)
    known: list[tuple[int, int]] = field(default_factory=list)
    announced: bool = False
    heard_us: int = 0

    def read(self, us: int, facts: dict[str, Any], kind: str, supersedes: int | None) -> None:
        self.heard_us = us
        n = facts.get("n")
        if n is not None and not facts.get("part"):
            self.known.append((us, n))
            if n in self.delivered and supersedes != n:
                self.twice.add(n)
            self.delivered.add(n)
        if kind != "producer":
            return
        match facts["event"]:
            case "start":
                self.announced = True
            case "heartbeat":
                self.announced = True
                self.known.append((us, facts.get("last", -1)))
            case "loss" if "from" not in facts:
                self.unlocated += facts["count"]
            case "loss":
                self.known.append((us, facts["to"]))
                span = set(range(facts["from"], facts["to"] + 1))
                if facts.get("count", len(span)) < len(span):
                    self.unlocated += facts["count"]
                else:
                    self.lost |= span
            case "end" if "last" in facts or "count" in facts:
                last = facts.get("last", facts.get("count", 0) - 1)
                self.ends.append(last + 1 if n == last + 1 else last)

    def highest(self, until_us: float) -> int:
        return max([-1, *(number for us, number in self.known if us <= until_us)])

    def missing(self, up_to: int) -> set[int]:
        return set(range(up_to + 1)) - self.delivered - self.lost


def spread(shown: Any) -> set[int]:
    return {number for first, last in shown.ranges for number in range(first, last + 1)}


def replay(history: list[Event]) -> tuple[Account, Numbers, Oracle, int]:
    account, sets, oracle = Account(1, 1, "w", "p", 1, 0), Numbers(), Oracle()
    us = 1_000 * US_PER_SECOND
    for seq, (wait_s, facts, kind, supersedes) in enumerate(history):
        us += int(wait_s * US_PER_SECOND)
        leaf = {"kind": kind, "producer": facts} | ({} if supersedes is None else {"supersedes": supersedes})
        take(account, sets, seq, us, leaf, CADENCE_S, lambda earlier, _, number: earlier == number)
        oracle.read(us, facts, kind, supersedes)
    settle(account, sets)
    return account, sets, oracle, us


def judged(account: Account, sets: Numbers, now_us: int, listening_since_us: int = 0) -> Judged:
    return judge("main", account, sets, now_us, listening_since_us, 1_000)


@settings(max_examples=250)
@given(histories, st.sampled_from([0.0, 3.0, 10.0, 19.0, 20.0, 60.0]))
def test_verdict_and_gaps_are_those_of_the_oracle(history: list[Event], after_s: float) -> None:
    account, sets, oracle, us = replay(history)
    now_us = us + int(after_s * US_PER_SECOND)
    found = judged(account, sets, now_us)
    cadence_us = CADENCE_S * US_PER_SECOND
    assert spread(found.conflicts) == oracle.twice
    assert spread(found.lost) == oracle.lost - oracle.delivered
    assert found.account.delivered == len(oracle.delivered)
    every = oracle.missing(max([oracle.highest(now_us), *oracle.ends]))
    assert spread(found.gaps) | spread(found.awaited) == every
    assert not spread(found.gaps) & spread(found.awaited)

    closed = bool(oracle.ends)
    assert found.produced == (max(oracle.ends) + 1 if closed else None)
    contradictory = bool(oracle.twice) or (
        closed and (len(set(oracle.ends)) > 1 or oracle.highest(now_us) > max(oracle.ends))
    )
    numbered = closed or oracle.announced or oracle.highest(now_us) >= 0
    if closed:
        assert spread(found.awaited) == set()
    else:
        # Settled at the latest after two cadences, at the earliest after one.
        assert spread(found.gaps) >= oracle.missing(oracle.highest(now_us - 2 * cadence_us))
        assert spread(found.gaps) <= oracle.missing(oracle.highest(now_us - cadence_us))
    if not numbered:
        assert found.verdicts == (Verdict.UNACCOUNTED,)
        return
    wanted = []
    if contradictory:
        wanted.append(Verdict.CONFLICT)
    if len(spread(found.gaps)) > oracle.unlocated:
        wanted.append(Verdict.GAPS)
    if not closed and now_us - oracle.heard_us >= SILENT_AFTER_BEATS * cadence_us:
        wanted.append(Verdict.SILENT)
    assert found.verdicts == (tuple(wanted) or ((Verdict.COMPLETE,) if closed else (Verdict.OPEN,)))
    if found.verdict is Verdict.COMPLETE:
        assert found.produced is not None
        assert len(oracle.delivered) + len(oracle.lost - oracle.delivered) + oracle.unlocated >= found.produced


@given(histories, st.integers(0, 80), st.integers(0, 80))
def test_with_time_alone_gaps_only_grow(history: list[Event], first_s: int, more_s: int) -> None:
    account, sets, _, us = replay(history)
    now_us = us + first_s * US_PER_SECOND
    before, after = judged(account, sets, now_us), judged(account, sets, now_us + more_s * US_PER_SECOND)
    assert spread(before.gaps) <= spread(after.gaps)
    if before.verdict is Verdict.COMPLETE:
        assert after.verdict is Verdict.COMPLETE


@given(histories, st.integers(0, 100))
def test_nobody_is_silent_whom_nobody_could_hear(history: list[Event], after_s: int) -> None:
    account, sets, _, us = replay(history)
    now_us = us + after_s * US_PER_SECOND
    patience_us = SILENT_AFTER_BEATS * CADENCE_S * US_PER_SECOND
    assert Verdict.SILENT not in judged(account, sets, now_us, now_us - patience_us + 1).verdicts
    assert judged(account, sets, now_us, now_us - patience_us).verdicts == judged(account, sets, now_us).verdicts


def test_a_gap_counts_after_exactly_one_cadence_and_silence_after_exactly_two() -> None:
    account, sets, _, us = replay([(0.0, {"id": "p", "n": n}, "operation", None) for n in (0, 2)])
    cadence_us = CADENCE_S * US_PER_SECOND
    assert judged(account, sets, us + cadence_us - 1).verdicts == (Verdict.OPEN,)
    assert judged(account, sets, us + cadence_us).verdicts == (Verdict.GAPS,)
    assert judged(account, sets, us + 2 * cadence_us - 1).verdicts == (Verdict.GAPS,)
    assert judged(account, sets, us + 2 * cadence_us).verdicts == (Verdict.GAPS, Verdict.SILENT)


def test_a_gap_that_was_settled_stays_so_when_the_producer_goes_on() -> None:
    account, sets, _, us = replay([(0.0, {"id": "p", "n": n}, "operation", None) for n in (0, 1, 5)])
    later = us + 2 * CADENCE_S * US_PER_SECOND
    assert spread(judged(account, sets, later).gaps) == {2, 3, 4}
    leaf = {"kind": "operation", "producer": {"id": "p", "n": 9}}
    take(account, sets, 9, later, leaf, CADENCE_S, lambda *_: False)
    settle(account, sets)
    found = judged(account, sets, later)
    assert (spread(found.gaps), spread(found.awaited)) == ({2, 3, 4}, {6, 7, 8})


def test_a_producer_whose_numbers_were_not_all_kept_is_never_complete() -> None:
    account, sets = Account(1, 1, "w", "p", 1, 0), Numbers(delivered=Ranges(limit=2))
    for seq, n in enumerate((0, 2, 4, 1, 3)):
        leaf = {"kind": "operation", "producer": {"id": "p", "n": n}}
        take(account, sets, seq, 5, leaf, CADENCE_S, lambda *_: False)
    end = {"kind": "producer", "producer": {"id": "p", "event": "end", "last": 4}}
    take(account, sets, 9, 5, end, CADENCE_S, lambda *_: False)
    settle(account, sets)
    assert account.untracked == 1
    assert not standing_of(account).exact
    found = judged(account, sets, 5)
    assert (found.verdict, found.exact) == (Verdict.GAPS, False)
    leaf = {"kind": "operation", "producer": {"id": "p", "n": 4}}
    take(account, sets, 10, 5, leaf, CADENCE_S, lambda *_: False)
    settle(account, sets)
    assert judged(account, sets, 5).gaps.numbers == 0
    assert judged(account, sets, 5).verdict is Verdict.GAPS


def test_claims_of_the_largest_number_stay_within_what_a_database_holds() -> None:
    top = 2**53 - 1
    history: list[Event] = [
        (0.0, {"id": "p", "event": "loss", "count": top}, "producer", None),
        (0.0, {"id": "p", "event": "loss", "count": top}, "producer", None),
        (0.0, {"id": "p", "event": "loss", "from": 5, "to": top}, "producer", None),
        (0.0, {"id": "p", "event": "loss", "from": top, "count": top}, "producer", None),
        (0.0, {"id": "p", "event": "heartbeat", "last": top}, "producer", None),
        (0.0, {"id": "p", "n": top}, "operation", None),
        (0.0, {"id": "p", "event": "end", "last": top, "n": top}, "producer", None),
    ]
    account, sets = Account(1, 1, "w", "p", 1, 0), Numbers()
    for seq, (_, facts, kind, _) in enumerate(history):
        take(account, sets, seq, 5, {"kind": kind, "producer": facts}, CADENCE_S, lambda *_: False)
    settle(account, sets)
    figures = (account.highest, account.missing, account.lost, account.unlocated, account.delivered)
    assert all(-(2**60) < figure < 2**60 for figure in figures)
    assert judged(account, sets, 5).verdict is Verdict.CONFLICT
