"""Completeness as others see it: checked against the principal, and recorded before it is answered (threat 19).

Facts only: the words of a declaration (its coverage, the reason of a loss) are content of the record itself, which
`GET /api/v1/records?kind=producer` finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from counterfoil.core.encoding import format_time_us, parse_time_us
from counterfoil.core.errors import InputError
from counterfoil.identity.principal import Principal
from counterfoil.identity.roles import Permission
from counterfoil.log.access import record_access
from counterfoil.log.logs import Logs
from counterfoil.log.records import head, read_leaf
from counterfoil.trails.completeness.account import Account
from counterfoil.trails.completeness.dropped import Budget, count_dropped
from counterfoil.trails.completeness.judged import Judged, judge
from counterfoil.trails.completeness.query import (
    CompletenessQuery,
    LogTime,
    Sums,
    count_silent,
    find_producers,
    parse_completeness_query,
    read_numbers,
    silent_producers,
    sum_up,
)
from counterfoil.trails.completeness.ranges import MAX_RANGES
from counterfoil.trails.facts import parse_leaf
from counterfoil.trails.prepare import check_version
from counterfoil.trails.query import Cursor
from counterfoil.trails.stores import ReadableLog, Stores, choose_log, indexed_logs, readable_logs
from counterfoil.trails.walk import IndexedLog

SHOWN_RANGES = 100
"""Ranges of a sort that a producer shows in a list; one that is asked for by its id shows all that are kept."""


class AsOf(TypedDict):
    """How far the index had read a log, and the time at which its producers were judged."""

    log: str
    tree_size: int
    at: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """One page of producers, and the sums over all of them."""

    items: list[Judged]
    sums: Sums
    next: str | None
    as_of: list[AsOf]


@dataclass(frozen=True, slots=True)
class Silence:
    """How many producers of a log are silent, and one of them."""

    log_id: int
    count: int
    first: Account


class Completeness:
    """Producers and their verdicts. Safe to share between threads.

    `listening_since_us`: since when this service could hear producers; before that their silence says nothing.
    """

    def __init__(self, logs: Logs, stores: Stores, listening_since_us: int = 0) -> None:
        self._logs = logs
        self._stores = stores
        self.listening_since_us = listening_since_us
        self._has_index = False

    def report(self, principal: Principal, parameters: Iterable[tuple[str, str]]) -> Report:
        """One page of what a query string asks for. InputError names the parameter at fault."""
        query = parse_completeness_query(parameters)
        self._check_index()
        with self._stores.ledger.read() as ledger:
            readable = readable_logs(ledger, principal.tenant_id, principal.log_id)
        if query.dropped and not principal.may(Permission.READ_CONTENT):
            raise InputError("forbidden", "your role may not read content, where dropped counts are", item="dropped")
        report = self._answer(_chosen(readable, query), query)
        if query.dropped:
            self._count_dropped(report.items, query)
        # Dropped counts are content; opening it for them is on record as that.
        action = "read_content" if query.dropped else "completeness"
        record_access(self._logs, principal, action, "producers", len(report.items), query=query.text())
        return report

    def silences(self) -> list[Silence]:
        """Logs with silent producers, of every tenant: for readiness, which names nobody to strangers."""
        self._check_index()
        found = []
        for log in self._logs.all():
            if log.purpose != "interactions" or log.closed_us is not None:
                continue
            with self._stores.index.read() as index:
                (indexed,) = indexed_logs(index, [ReadableLog(log.id, log.name, log.origin)])
                time = self._time_of(indexed)
                if count := count_silent(index, time):
                    found.append(Silence(log.id, count, silent_producers(index, time, 1)[0]))
        return found

    def _answer(self, readable: Sequence[ReadableLog], query: CompletenessQuery) -> Report:
        with self._stores.index.read() as index:
            indexed = indexed_logs(index, readable)
            times = [self._time_of(log) for log in indexed]
            found = find_producers(index, times, query)
            page = found[: query.page.limit]
            numbers = read_numbers(index, page)
            sums = sum_up(index, times, query)
        names = {log.id: log.name for log in indexed}
        at = {time.id: time for time in times}
        most = MAX_RANGES + 1 if "producer" in query.filters else SHOWN_RANGES
        items = []
        for account, sets in zip(page, numbers, strict=True):
            time = at[account.log_id]
            items.append(judge(names[account.log_id], account, sets, time.now_us, time.listening_since_us, most))
        following = None
        if len(found) > len(page):
            following = Cursor(page[-1].first_us, page[-1].log_id, page[-1].number).text()
        shown: list[AsOf] = [
            {"log": log.name, "tree_size": log.size, "at": format_time_us(time.now_us) if log.size else None}
            for log, time in zip(indexed, times, strict=True)
        ]
        return Report(items, sums, following, shown)

    def _count_dropped(self, items: list[Judged], query: CompletenessQuery) -> None:
        """Into the items that stand for what came without numbers, in the order of the page."""
        budget = Budget()
        keystore = self._stores.keystore
        with self._stores.ledger.read() as ledger:
            for at, item in enumerate(items):
                account = item.account
                if not account.producer:
                    origin = self._logs.by_id(account.log_id).origin
                    dropped = count_dropped(ledger, keystore, origin, account, budget, query.from_us, query.to_us)
                    items[at] = replace(item, dropped=dropped)

    def _time_of(self, log: IndexedLog) -> LogTime:
        return LogTime(log.id, time_of(self._stores, self._logs, log), self.listening_since_us)

    def _check_index(self) -> None:
        """Raise OtherIndexVersion (503) until there is an index that this software can read."""
        if not self._has_index:
            check_version(self._stores.index)
            self._has_index = True


def time_of(stores: Stores, logs: Logs, log: IndexedLog) -> int:
    """When the producers of a log are judged: now, or, while the index lags, when its last record was recorded.

    `log` comes from a snapshot of the index that was taken before.
    """
    now_us = logs.clock.now_us()
    with stores.ledger.read() as ledger:
        if head(ledger, log.id).size <= log.size:
            return now_us
        leaf = read_leaf(ledger, log.id, log.size - 1) if log.size else None
    return 0 if leaf is None else min(now_us, parse_time_us(parse_leaf(leaf)["recorded_at"]))


def _chosen(readable: Sequence[ReadableLog], query: CompletenessQuery) -> list[ReadableLog]:
    if "log" not in query.filters:
        return list(readable)
    return list(dict.fromkeys(choose_log(readable, name) for name in query.filters["log"]))
