"""What was demonstrated, in words, and what was not. Nothing here says more than the sums do. Pure."""

from __future__ import annotations

from counterfoil.trails.completeness.query import Sums
from counterfoil.trails.completeness.verdict import Verdict

LIMITS = (
    "A verdict is about what a producer numbered. It does not show that the producer numbered everything that it did, "
    "nor that what it says is true."
)


def is_complete(sums: Sums) -> bool:
    """Whether every producer that the question selects is complete, and there is one."""
    return sums.producers > 0 and sums.by_verdict[Verdict.COMPLETE] == sums.producers


def statement(sums: Sums) -> str:
    """One paragraph."""
    if not sums.producers:
        return "No producer was heard of here, so nothing is demonstrated."
    of = sums.by_verdict
    producers = _count(sums.producers, "producer")
    parts = [
        f"{of[Verdict.COMPLETE]} of {producers} demonstrated that nothing is left out "
        "(delivered + declared lost = produced)."
    ]
    parts += [f"{text}: {of[verdict]}." for verdict, text in _NOT_DEMONSTRATED.items() if of[verdict]]
    if sums.unnumbered_items:
        parts.append(f"Without a number came {_count(sums.unnumbered_items, 'item')}.")
    return " ".join([*parts, LIMITS])


_NOT_DEMONSTRATED = {
    Verdict.CONFLICT: "In contradiction with themselves",
    Verdict.GAPS: "With numbers that are missing and were not declared lost",
    Verdict.SILENT: "Fallen silent without closing, so that it is not known what they sent last",
    Verdict.UNACCOUNTED: "Without numbers, so that nothing is known of what they left out",
    Verdict.OPEN: "Not closed, with nothing missing so far that is not under way",
}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
