"""The list of interactions: filters, order, pages; and what is folded into what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from counterfoil.core.errors import InputError
from counterfoil.trails.interactions import list_interactions, parse_interaction_query
from tests.trails.site import Site, event, make_site


def listed(site: Site, **parameters: str | list[str]) -> list[Any]:
    pairs = [
        (name.rstrip("_"), value)
        for name, values in parameters.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    items = []
    cursor: list[tuple[str, str]] = []
    while True:
        page = list_interactions(site.stores, site.readable, parse_interaction_query([*pairs, *cursor]))
        items += page.items
        if page.next is None:
            return items
        cursor = [("cursor", page.next)]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = fill(make_site(tmp_path_factory.mktemp("interactions") / "audit"))
    yield site
    site.close()


def fill(site: Site) -> Site:
    for number in range(12):
        name = f"c-{number}"
        about = {"channel": ("chat", "voice")[number % 2], "region": ("eu", "us")[number % 3 == 0]}
        agent = {"name": f"a-{number % 4}"}
        items = [event(number * 10, "agent_run", conversation=name, agent=agent, interaction=about)]
        if number % 3 == 0:
            items.append(event(number * 10 + 1, "fallback", conversation=name, own={"trigger": "timeout"}))
        if number % 5 == 0:
            own = {"state": "offered", "reason": "sentiment"}
            items.append(event(number * 10 + 2, "handoff", conversation=name, own=own))
        if number % 4 == 0:
            items.append(event(number * 10 + 3, "decision", conversation=name, own={"outcome": "deny"}))
            items.append(event(number * 10 + 4, "interaction", conversation=name, interaction={"phase": "end"}))
        site.send(items)
    return site


def ids(items: list[Any]) -> list[str]:
    return [item.id for item in items]


@pytest.mark.parametrize(
    ("parameters", "numbers"),
    [
        ({}, range(12)),
        ({"agent": "a-1"}, [1, 5, 9]),
        ({"agent": ["a-1", "a-2"]}, [1, 2, 5, 6, 9, 10]),
        ({"region": "us"}, [0, 3, 6, 9]),
        ({"channel": "voice"}, [1, 3, 5, 7, 9, 11]),
        ({"fallback": "any"}, [0, 3, 6, 9]),
        ({"fallback": "timeout"}, [0, 3, 6, 9]),
        ({"fallback": "error"}, []),
        ({"handoff": "any"}, [0, 5, 10]),
        ({"handoff": "sentiment"}, [0, 5, 10]),
        ({"handoff": "accepted"}, []),
        ({"outcome": "deny"}, [0, 4, 8]),
        ({"fallback": "any", "handoff": "any"}, [0]),
        ({"agent": "nobody"}, []),
        ({"log": "main", "region": "eu", "channel": "chat"}, [2, 4, 8, 10]),
    ],
)
@pytest.mark.parametrize("limit", ["1", "2", "500"])
def test_each_filter_lists_exactly_its_interactions_newest_first(
    filled: Site, parameters: dict[str, Any], numbers: Any, limit: str
) -> None:
    expected = [f"c-{number}" for number in numbers]
    assert ids(listed(filled, limit=limit, **parameters)) == expected[::-1]
    assert ids(listed(filled, limit=limit, order="oldest", **parameters)) == expected


def test_a_range_of_time_lists_those_that_were_alive_in_it(site: Site) -> None:
    everything = listed(fill(site), order="oldest")
    third = everything[3]
    site.send([event(900, "notice", conversation="c-1")])
    found = ids(listed(site, from_=third.first_at, to_=everything[5].first_at, order="oldest"))
    assert found == ["c-1", "c-3", "c-4"]


def test_counts_and_outcome_and_end_are_told(filled: Site) -> None:
    first = listed(filled, order="oldest")[0]
    assert (first.records, first.decisions, first.fallbacks, first.handoffs) == (5, 1, 1, 1)
    assert (first.outcome, first.ended, first.channel, first.region, first.agents) == (
        "deny",
        True,
        "chat",
        "us",
        ["a-0"],
    )


def test_records_that_name_nobody_belong_to_the_interaction_that_their_trace_names(site: Site) -> None:
    # The child comes first and names no interaction; its fallback is found all the same.
    site.send(
        [event(1, "fallback", trace=1, own={"trigger": "timeout"}), event(2, "tool_call", trace=1, status="error")]
    )
    (alone,) = listed(site)
    assert (alone.derived, alone.records, alone.fallbacks) == (True, 2, 1)
    site.send([event(3, "agent_run", conversation="c-1", trace=1)])
    (one,) = listed(site)
    assert (one.id, one.derived, one.records, one.fallbacks, one.errors) == ("c-1", False, 3, 1, 1)
    assert ids(listed(site, fallback="timeout")) == ["c-1"]
    site.send([event(4, "tool_call", trace=1)])
    assert [item.records for item in listed(site)] == [4]


def test_an_interaction_whose_id_is_a_trace_id_is_told_apart_from_the_derived_one(site: Site) -> None:
    item = event(1, "notice", trace=1)
    trace_id = item.trace_id.hex()
    site.send([item, event(2, "notice", conversation=trace_id, trace=2)])
    assert sorted((entry.id, entry.derived) for entry in listed(site)) == [(trace_id, False), (trace_id, True)]


@pytest.mark.parametrize(
    ("pairs", "code", "item"),
    [
        ([("mood", "good")], "unknown_filter", "mood"),
        ([("fallback", "invented")], "bad_filter_value", "fallback"),
        ([("from", "x")], "bad_filter_value", "from"),
        ([("limit", "-1")], "bad_filter_value", "limit"),
        ([("cursor", "x")], "bad_cursor", "cursor"),
        ([("to", "2026-01-01T00:00:00Z")] * 2, "bad_filter_value", "to"),
        ([("agent", f"a-{n}") for n in range(17)], "bad_filter_value", "agent"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(pairs: list[tuple[str, str]], code: str, item: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_interaction_query(pairs)
    assert (caught.value.code, caught.value.item) == (code, item)
