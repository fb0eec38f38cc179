"""Numbers of a producer that are missing between the records of a trail are gaps of the trail."""

from __future__ import annotations

from typing import Any

from counterfoil.mapping.draft import Item
from counterfoil.trails.missing_numbers import MAX_SHOWN
from counterfoil.trails.query import Page
from counterfoil.trails.trail import Trail, read_trail
from tests.trails.site import Site, event

PRODUCER = "p-1"


def numbered(n: int, conversation: str = "conv-1", producer: str = PRODUCER) -> Item:
    facts: dict[str, Any] = {"producer": {"id": producer, "n": n, "part": 0}}
    item = event(n, "tool_call", conversation=conversation, trace=n, tool={"name": "lookup"}, **facts)
    item.producer = (producer, n)
    return item


def loss(n: int, first: int, last: int) -> Item:
    facts = {"id": PRODUCER, "n": n, "part": 0, "event": "loss", "from": first, "to": last}
    item = event(n, "producer", trace=n, producer=facts)
    item.producer = (PRODUCER, n)
    return item


def gaps_of(site: Site) -> list[tuple[int, str]]:
    """Gaps of the trail by the rule: number of the step that they stand at, and message."""
    trail: Trail = read_trail(site.stores, site.readable, "conv-1", Page(500, None, "oldest"), with_content=True)
    with_n = {step.seq: step for step in trail.steps if step.basis == "reported"}
    found = [gap for gap in trail.gaps if gap["rule"] == "numbers_missing"]
    assert all(gap["message"] in [mark["message"] for mark in with_n[gap["seq"]].gaps] for gap in found)
    return [(gap["seq"], gap["message"]) for gap in found]


def test_numbers_that_are_nowhere_in_the_log_are_a_gap_before_the_next_record(site: Site) -> None:
    site.send([numbered(n) for n in (0, 1, 4, 5, 7)])
    found = gaps_of(site)
    assert [message for _, message in found] == [
        "numbers 2 to 3 of producer p-1: not in the log (of this interaction or of another)",
        "number 6 of producer p-1: not in the log (of this interaction or of another)",
    ]
    assert found[1][0] - found[0][0] == 2
    site.send([numbered(2), numbered(3), numbered(6)])
    assert gaps_of(site) == []


def test_what_another_interaction_got_is_no_gap_of_this_one(site: Site) -> None:
    site.send([numbered(0), numbered(1, "conv-2"), numbered(2), numbered(7, "conv-2")])
    assert gaps_of(site) == []


def test_the_numbers_of_two_producers_are_told_apart(site: Site) -> None:
    site.send([numbered(0), numbered(1), numbered(5, producer="p-2"), numbered(6, producer="p-2")])
    assert gaps_of(site) == []


def test_numbers_that_were_declared_lost_are_a_gap_that_says_so(site: Site) -> None:
    site.send([numbered(0), numbered(3), loss(4, 1, 2)])
    assert [message for _, message in gaps_of(site)] == [
        "numbers 1 to 2 of producer p-1: declared lost (of this interaction or of another)"
    ]


def test_a_producer_that_skips_every_second_number_is_shown_to_a_limit(site: Site) -> None:
    site.send([numbered(2 * n) for n in range(MAX_SHOWN + 9)])
    assert len(gaps_of(site)) == MAX_SHOWN
