"""Completeness as a person reads it in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from counterfoil.core.encoding import format_time_us
from counterfoil.trails.completeness.judged import Judged, Shown
from counterfoil.trails.completeness.service import Report
from counterfoil.trails.completeness.statement import statement

MAX_LISTED = 12
"""Ranges on a line; the rest is counted."""


def format_report(report: Report) -> str:
    """Every producer of the page, what is wrong with it, and what was demonstrated."""
    lines = [
        f"{entry['log']}: as of {entry['tree_size']} records, {entry['at'] or 'none of them indexed'}"
        for entry in report.as_of
    ]
    for item in report.items:
        lines += ["", *_producer(item)]
    lines += ["", statement(report.sums)]
    if report.next is not None:
        lines.append(f"More: --cursor {report.next}")
    return "\n".join(lines) + "\n"


def format_range(first: int, last: int) -> str:
    """`7`, or `7-9`."""
    return str(first) if first == last else f"{first}-{last}"


def _producer(item: Judged) -> Iterator[str]:
    account = item.account
    name = account.producer or "(no numbers)"
    also = ", ".join(one.value for one in item.verdicts[1:])
    yield f"{item.verdict.upper():<12} {name}  {item.log}, writer {account.writer}" + (f"  also {also}" if also else "")
    if not account.producer:
        yield f"  {account.items} items came without numbers, records {account.first_seq} to {account.heard_seq}"
        if (dropped := item.dropped) is not None:
            counts = f"{dropped.attributes} attributes, {dropped.events} events, {dropped.links} links"
            which = "all" if dropped.whole else f"the newest {dropped.records}"
            yield f"  their SDK says that it dropped {counts}, over {which} of them"
        return
    produced = "not said yet" if item.produced is None else str(item.produced)
    lost = item.lost.numbers + account.unlocated
    yield f"  produced {produced}, delivered {account.delivered}, declared lost {lost}, missing {item.gaps.numbers}"
    for label, shown in (
        ("missing", item.gaps),
        ("awaited", item.awaited),
        ("lost", item.lost),
        ("twice", item.conflicts),
        ("beyond its last number", item.beyond_last),
    ):
        if shown.count:
            yield f"  {label}: {_ranges(shown)}"
    if not item.exact:
        yield "  its numbers make more ranges than are kept: some that are listed as missing may be here"
    if item.silent_since_us is not None:
        heard, since = format_time_us(account.heard_us), format_time_us(item.silent_since_us)
        yield f"  silent since {since}; last heard of at {heard}"
    if item.unknown_after is not None:
        after = "what it sent" if item.unknown_after < 0 else f"what came after {item.unknown_after}"
        yield f"  not closed: nobody has said {after}"


def _ranges(shown: Shown) -> str:
    listed = ", ".join(format_range(*one) for one in shown.ranges[:MAX_LISTED])
    more = shown.count - min(len(shown.ranges), MAX_LISTED)
    return listed + (f" and {more} more ranges" if more else "") + f" ({shown.numbers} in all)"
