"""Leaf filters: the same question gives the same records, wherever it is asked."""

import pickle
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.core import filter as leaf_filter
from counterfoil.core.errors import InputError
from counterfoil.core.filter import Filter, parse_filter

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LEAF: dict[str, Any] = {
    "v": 1,
    "log": "example.com/log",
    "seq": 5,
    "recorded_at": "2026-11-22T10:48:39.000123Z",
    "kind": "decision",
    "source": "otlp:logs",
    "writer": "k-1",
    "status": "ok",
    "subject": "p-anna",
    "trace_id": TRACE,
    "producer": {"id": "p-1", "n": 1},
    "agent": {"id": "a-1", "name": "refunds"},
    "interaction": {"id": "conv-42", "region": "eu"},
    "decision": {"type": "refund", "outcome": "deny", "risk": "high", "autonomy": "autonomous"},
}
FALLBACK = {**LEAF, "kind": "fallback", "fallback": {"trigger": "timeout"}}
HANDOFF = {**LEAF, "kind": "handoff", "handoff": {"state": "offered", "reason": "sentiment"}}
OVERSIGHT = {**LEAF, "kind": "oversight", "oversight": {"verdict": "override"}}
BARE = {"v": 1, "log": "example.com/log", "seq": 6, "recorded_at": "2026-11-22T10:48:40.000000Z", "kind": "operation"}


@pytest.mark.parametrize(
    ("name", "value", "leaf"),
    [
        ("log", "example.com/log", LEAF),
        ("kind", "decision", LEAF),
        ("agent", "refunds", LEAF),
        ("agent", "a-1", LEAF),
        ("interaction", "conv-42", LEAF),
        ("trace_id", TRACE, LEAF),
        ("decision_type", "refund", LEAF),
        ("outcome", "deny", LEAF),
        ("risk", "high", LEAF),
        ("autonomy", "autonomous", LEAF),
        ("region", "eu", LEAF),
        ("status", "ok", LEAF),
        ("subject", "p-anna", LEAF),
        ("writer", "k-1", LEAF),
        ("producer", "p-1", LEAF),
        ("fallback", "timeout", FALLBACK),
        ("fallback", "any", FALLBACK),
        ("handoff", "offered", HANDOFF),
        ("handoff", "sentiment", HANDOFF),
        ("handoff", "any", HANDOFF),
        ("oversight", "override", OVERSIGHT),
        ("oversight", "any", OVERSIGHT),
    ],
)
def test_a_filter_selects_by_its_fact_and_by_nothing_else(name: str, value: str, leaf: dict[str, Any]) -> None:
    chosen = parse_filter({name: value})
    assert chosen.matches(leaf)
    if name != "log":
        assert not chosen.matches(BARE)
    others = {"kind": "note", "risk": "low", "autonomy": "observe", "status": "error", "trace_id": "0" * 31 + "1"}
    others |= {"fallback": "budget", "handoff": "failed", "oversight": "approve"}
    assert not parse_filter({name: others.get(name, "another")}).matches(leaf)


def test_any_asks_for_the_kind_and_not_for_the_fact() -> None:
    assert parse_filter({"fallback": "any"}).matches({**BARE, "kind": "fallback"})
    assert not parse_filter({"fallback": "timeout"}).matches({**BARE, "kind": "fallback"})
    assert parse_filter({"fallback": ["any", "timeout"]}).matches({**BARE, "kind": "fallback"})


def test_times_include_their_beginning_and_exclude_their_end() -> None:
    at = LEAF["recorded_at"]
    assert parse_filter({"from": at}).matches(LEAF)
    assert not parse_filter({"to": at}).matches(LEAF)
    assert not parse_filter({"from": "2026-11-22T10:48:39.000124Z"}).matches(LEAF)
    assert parse_filter({"to": "2026-11-22T10:48:39.000124Z"}).matches(LEAF)
    assert parse_filter({"from": "2026-11-22T10:48:39Z", "to": "2026-11-22T10:48:40Z"}).matches(LEAF)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2026-11-22T10:48:39Z", "2026-11-22T10:48:39.000000Z"),
        ("2026-11-22T10:48:39.5Z", "2026-11-22T10:48:39.500000Z"),
        ("2026-11-22T10:48:39.000123Z", "2026-11-22T10:48:39.000123Z"),
        ("2026-11-22T11:48:39.000123+01:00", "2026-11-22T10:48:39.000123Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
    ],
)
def test_times_are_kept_in_one_form(text: str, canonical: str) -> None:
    assert parse_filter({"from": text}).parsed() == {"from": [canonical]}


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22",
        "2026-11-22T10:48:39",
        "2026-11-22 10:48:39Z",
        "2026-11-22T10:48:39.0000001Z",
        "2026-11-22T10:48:39.Z",
        "2026-02-30T10:48:39Z",
        "2026-11-22T25:48:39Z",
        "1969-12-31T23:59:59Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "yesterday",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_filter({"to": text})
    assert (caught.value.code, caught.value.item) == ("bad_filter_value", "to")


def test_values_are_alternatives_and_names_must_all_hold() -> None:
    assert parse_filter({"risk": ["low", "high"], "agent": "refunds"}).matches(LEAF)
    assert not parse_filter({"risk": ["low", "medium"], "agent": "refunds"}).matches(LEAF)
    assert not parse_filter({"risk": ["low", "high"], "agent": "sales"}).matches(LEAF)


def test_a_filter_can_be_sent_to_another_process() -> None:
    chosen = parse_filter({"risk": ["low", "high"], "agent": "refunds", "from": "2026-11-22T10:48:39Z"})
    arrived = pickle.loads(pickle.dumps(chosen))  # noqa: S301 - our own bytes, as multiprocessing sends them
    assert arrived == chosen
    assert arrived.matches(LEAF)


def test_the_empty_filter_selects_everything() -> None:
    everything = parse_filter({})
    assert everything.matches(LEAF)
    assert everything.matches(BARE)
    assert (everything.text(), everything.parsed()) == ("", {})


def test_a_filter_has_one_text_and_one_mapping() -> None:
    first = parse_filter({"risk": ["low", "high", "low"], "from": "2026-11-22T10:48:39Z", "agent": "a&b=c d"})
    second = parse_filter({"agent": ("a&b=c d",), "risk": ["high", "low"], "from": "2026-11-22T11:48:39+01:00"})
    assert first == second
    assert hash(first) == hash(second)
    assert first.text() == "agent=a%26b%3Dc+d&from=2026-11-22T10%3A48%3A39.000000Z&risk=high&risk=low"
    assert first.parsed() == {"agent": ["a&b=c d"], "from": ["2026-11-22T10:48:39.000000Z"], "risk": ["high", "low"]}


@pytest.mark.parametrize("name", ["q", "derived", "started_from", "started_to"])
def test_a_filter_that_only_the_index_answers_is_refused_by_name(name: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_filter({name: "x"})
    assert (caught.value.code, caught.value.item) == ("not_a_leaf_filter", name)


@pytest.mark.parametrize("name", ["", "Kind", "seq", "limit", "decision.type"])
def test_an_unknown_filter_is_refused_by_name(name: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_filter({name: "x"})
    assert (caught.value.code, caught.value.item) == ("unknown_filter", name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("agent", ""),
        ("agent", []),
        ("agent", [""]),
        ("agent", [1]),
        ("agent", "x" * 513),
        ("agent", [f"a{i}" for i in range(257)]),
        ("kind", "unknown"),
        ("kind", "any"),
        ("risk", "huge"),
        ("autonomy", "x"),
        ("status", "other"),
        ("fallback", "x"),
        ("handoff", "x"),
        ("oversight", "x"),
        ("trace_id", "ABC"),
        ("from", ["2026-11-22T10:48:39Z", "2026-11-22T10:48:40Z"]),
        ("to", []),
    ],
)
def test_a_value_that_can_never_match_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        parse_filter({name: value})
    assert (caught.value.code, caught.value.item) == ("bad_filter_value", name)


def test_the_filters_are_those_of_the_specification() -> None:
    names = "log kind agent interaction trace_id decision_type outcome risk autonomy region fallback handoff oversight"
    assert set(leaf_filter.LEAF_FILTERS) == {*names.split(), "status", "subject", "writer", "producer", "from", "to"}


TOKENS = st.sampled_from(["a", "b", "c"])
RISKS = st.sampled_from(["low", "medium", "high", "critical", "other"])
KINDS = st.sampled_from(["decision", "fallback", "handoff"])
TIMES = st.sampled_from([f"2026-11-22T10:48:3{i}.000000Z" for i in range(5)])
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "agent": st.lists(TOKENS, min_size=1),
        "risk": st.lists(RISKS, min_size=1),
        "kind": st.lists(KINDS, min_size=1),
        "outcome": TOKENS,
        "from": TIMES,
        "to": TIMES,
    },
)
LEAVES = st.builds(
    lambda kind, agent, decision, at: (
        {"kind": kind, "recorded_at": at}
        | ({"agent": agent} if agent else {})
        | ({"decision": decision} if decision and kind == "decision" else {})
    ),
    KINDS,
    st.fixed_dictionaries({}, optional={"id": TOKENS, "name": TOKENS}),
    st.fixed_dictionaries({}, optional={"risk": RISKS, "outcome": TOKENS}),
    TIMES,
)


def model(given_filter: dict[str, Any], leaf: dict[str, Any]) -> bool:
    """The table of the specification, name by name."""
    facts = {
        "agent": [leaf.get("agent", {}).get("id"), leaf.get("agent", {}).get("name")],
        "risk": [leaf.get("decision", {}).get("risk")],
        "outcome": [leaf.get("decision", {}).get("outcome")],
        "kind": [leaf["kind"]],
    }
    for name, wanted in given_filter.items():
        if name == "from" and leaf["recorded_at"] < wanted:
            return False
        if name == "to" and leaf["recorded_at"] >= wanted:
            return False
        if name in facts and not set(facts[name]) & set([wanted] if isinstance(wanted, str) else wanted):
            return False
    return True


@given(FILTERS, LEAVES)
def test_filters_agree_with_their_table(given_filter: dict[str, Any], leaf: dict[str, Any]) -> None:
    assert parse_filter(given_filter).matches(leaf) is model(given_filter, leaf)


@given(FILTERS)
def test_filters_round_trip_through_mapping_and_text(given_filter: dict[str, Any]) -> None:
    parsed = parse_filter(given_filter)
    assert parse_filter(parsed.parsed()) == parsed
    again: dict[str, list[str]] = {}
    for name, value in parse_qsl(parsed.text(), strict_parsing=bool(parsed.text())):
        again.setdefault(name, []).append(value)
    assert parse_filter(again) == parsed
    assert isinstance(parsed, Filter)
