"""The answer of `GET /api/v1/completeness`, field by field as documented in the OpenAPI document."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from counterfoil.core.encoding import format_time_us
from counterfoil.trails.completeness.judged import Judged, Shown
from counterfoil.trails.completeness.service import Report
from counterfoil.trails.completeness.statement import is_complete, statement

VerdictName = Literal["complete", "open", "silent", "gaps", "conflict", "unaccounted"]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RangesOut(_Answer):
    """Numbers of a producer, as ranges."""

    ranges: list[tuple[int, int]] = Field(description="[first, last], both in it, rising.")
    count: int = Field(description="How many ranges there are; more than are listed, if the list is shorter.")
    numbers: int = Field(description="How many numbers there are in all of them.")

    @classmethod
    def of(cls, shown: Shown) -> RangesOut:
        return cls(ranges=shown.ranges, count=shown.count, numbers=shown.numbers)


class MomentOut(_Answer):
    """A record, and when it was recorded."""

    seq: int
    at: str


class DroppedOut(_Answer):
    """What the writer's SDKs say that they dropped before sending: losses that are known of, perhaps not all."""

    attributes: int
    events: int
    links: int
    records: int = Field(description="Over how many records, the newest first.")
    unread: int = Field(description="Records among them whose counts are erased or cannot be read.")
    first_seq: int | None
    last_seq: int | None
    whole: bool = Field(description="Whether that is every record without a number in the range asked for.")


class ProducerOut(_Answer):
    """One producer: one running process of a writer, or all that a writer sent without numbers."""

    log: str = Field(description="Short name of the log.")
    writer: str = Field(description="Id of the key that it sends with.")
    producer: str | None = Field(description="Its own id; null for what the writer sent without numbers.")
    verdict: VerdictName = Field(description="The gravest that holds.")
    verdicts: list[VerdictName] = Field(description="Everything that holds, gravest first.")
    closed: bool = Field(description="Whether it said what its last number is.")
    produced: int | None = Field(description="How many numbers it gave out, as it said when it closed.")
    delivered: int = Field(description="How many numbers are in the log.")
    lost: RangesOut = Field(description="Declared lost, and not delivered after all.")
    lost_unlocated: int = Field(description="Declared lost without saying which numbers.")
    gaps: RangesOut = Field(description="Neither delivered nor declared lost.")
    awaited: RangesOut = Field(description="Not here, but a higher number is known for less than a cadence.")
    conflicts: RangesOut = Field(description="Came twice with other data and no `supersedes`.")
    beyond_last: RangesOut = Field(description="Above its own last number.")
    exact: bool = Field(description="False where its numbers make more ranges than are kept: lists are then too long.")
    unknown_after: int | None = Field(description="Of one that is not closed: nobody has said what comes after this.")
    items: int = Field(description="Spans and log events that it sent.")
    first: MomentOut = Field(description="The first record that was heard of it.")
    last: MomentOut = Field(description="The last one.")
    started_at: str | None = Field(description="When its start was recorded.")
    closed_at: str | None = Field(description="When its end was recorded.")
    coverage: str | None = Field(description="Digest of what it declared to cover when it started.")
    heartbeats: int
    last_heartbeat_at: str | None
    heartbeat_s: int | None = Field(description="The cadence in force when it was last heard of.")
    silent_since: str | None = Field(description="From when its word was overdue.")
    alarm: MomentOut | None = Field(description="The newest note in the log that says that it fell silent.")
    alarm_ended_by: int | None = Field(description="The first record that was heard of it after that alarm.")
    dropped: DroppedOut | None = Field(description="With `dropped=true`, of what came without numbers.")

    @classmethod
    def of(cls, judged: Judged) -> ProducerOut:
        account = judged.account
        return cls(
            log=judged.log,
            writer=account.writer,
            producer=account.producer or None,
            verdict=judged.verdict.value,
            verdicts=[one.value for one in judged.verdicts],
            closed=account.closed,
            produced=judged.produced,
            delivered=account.delivered,
            lost=RangesOut.of(judged.lost),
            lost_unlocated=account.unlocated,
            gaps=RangesOut.of(judged.gaps),
            awaited=RangesOut.of(judged.awaited),
            conflicts=RangesOut.of(judged.conflicts),
            beyond_last=RangesOut.of(judged.beyond_last),
            exact=judged.exact,
            unknown_after=judged.unknown_after,
            items=account.items,
            first=MomentOut(seq=account.first_seq, at=format_time_us(account.first_us)),
            last=MomentOut(seq=account.heard_seq, at=format_time_us(account.heard_us)),
            started_at=_time(account.started_us),
            closed_at=_time(account.closed_us),
            coverage=account.coverage,
            heartbeats=account.heartbeats,
            last_heartbeat_at=_time(account.heartbeat_us),
            heartbeat_s=account.heartbeat_s or None,
            silent_since=_time(judged.silent_since_us),
            alarm=_moment(account.alarm_seq, account.alarm_us),
            alarm_ended_by=None if account.alarmed else account.spoke_seq,
            dropped=None if judged.dropped is None else DroppedOut(**asdict(judged.dropped)),
        )


class SummaryOut(_Answer):
    """Over every producer that the question selects, on all pages."""

    statement: str = Field(description="What was demonstrated, in words, and what was not.")
    complete: bool = Field(description="Whether all of them are complete, and there is one.")
    producers: int
    by_verdict: dict[VerdictName, int] = Field(description="Each producer once, under its gravest verdict.")
    delivered: int = Field(description="Numbers in the log.")
    lost: int = Field(description="Numbers declared lost and not delivered, those without a place included.")
    missing: int = Field(description="Numbers not in the log and not declared lost, those under way included.")
    unnumbered_items: int = Field(description="Spans and log events that came without a number.")


class AsOfOut(_Answer):
    """How far the index had read a log, and at which time its producers were judged."""

    log: str = Field(description="Short name of the log.")
    tree_size: int = Field(description="Records of the log that the answer takes into account.")
    at: str | None = Field(
        description="The service's clock; while the index lags, the time of the last record read; null without any."
    )


class CompletenessOut(_Answer):
    """One page of producers, the newest first, with the sums over all of them."""

    summary: SummaryOut
    items: list[ProducerOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")
    as_of: list[AsOfOut]

    @classmethod
    def of(cls, report: Report) -> CompletenessOut:
        sums = report.sums
        return cls(
            summary=SummaryOut.model_validate(
                {
                    "statement": statement(sums),
                    "complete": is_complete(sums),
                    "producers": sums.producers,
                    "by_verdict": sums.by_verdict,
                    "delivered": sums.delivered,
                    "lost": sums.lost + sums.unlocated,
                    "missing": sums.missing,
                    "unnumbered_items": sums.unnumbered_items,
                }
            ),
            items=[ProducerOut.of(item) for item in report.items],
            next=report.next,
            as_of=[AsOfOut(**entry) for entry in report.as_of],
        )


def _time(us: int | None) -> str | None:
    return None if us is None else format_time_us(us)


def _moment(seq: int | None, us: int | None) -> MomentOut | None:
    return None if seq is None or us is None else MomentOut(seq=seq, at=format_time_us(us))
