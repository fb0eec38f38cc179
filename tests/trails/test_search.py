"""Search selects what a linear scan with the filters of `core` selects, in order, page by page, along an index."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.engine import Engine

from counterfoil.core.errors import InputError
from counterfoil.core.filter import parse_filter
from counterfoil.log.accounts import Accounts
from counterfoil.log.records import read_leaves
from counterfoil.trails.query import parse_query
from tests.trails.site import Site, event, make_site

KINDS = ["decision", "fallback", "handoff", "oversight", "model_call", "tool_call", "outcome"]
OWN: dict[str, list[dict[str, Any]]] = {
    "decision": [
        {"type": "refund", "outcome": "deny", "risk": "high"},
        {"type": "refund", "outcome": "approve", "risk": "low", "autonomy": "autonomous"},
        {"type": "card_block", "outcome": "block"},
        {},
    ],
    "fallback": [{"trigger": "timeout"}, {"trigger": "error", "to": "rules"}, {}],
    "handoff": [{"state": "offered", "reason": "policy_limit"}, {"state": "accepted"}, {"reason": "sentiment"}, {}],
    "oversight": [{"verdict": "override", "person": "p-1"}, {"verdict": "none"}, {}],
    "outcome": [{"status": "refunded"}],
}
VALUES: dict[str, list[str]] = {
    "kind": [*KINDS, "genesis"],
    "agent": ["refunds", "triage", "fraud", "triage/1", "nobody"],
    "interaction": ["conv-1", "conv-2", "conv-3", "customer 4711 0815 2342", "conv-none"],
    "decision_type": ["refund", "card_block", "deny"],
    "outcome": ["deny", "approve", "block", "never"],
    "risk": ["low", "high", "critical"],
    "autonomy": ["autonomous", "assist"],
    "region": ["eu", "us", "mars"],
    "fallback": ["timeout", "error", "any", "budget"],
    "handoff": ["offered", "accepted", "policy_limit", "sentiment", "any", "failed"],
    "oversight": ["override", "none", "any", "reject"],
    "status": ["ok", "error"],
    "subject": ["jane", "joe", "nobody"],
    "writer": ["k-test", "k-other"],
    "producer": ["proc-1", "proc-2"],
}
RAW = ("interaction", "subject")


def random_items(count: int, seed: int) -> Iterator[Any]:
    random = Random(seed)
    for number in range(count):
        kind = random.choice(KINDS)
        facts: dict[str, Any] = {}
        if random.random() < 0.8:
            facts["agent"] = random.choice([{"name": "refunds"}, {"name": "triage", "id": "triage/1"}, {"id": "fraud"}])
        if random.random() < 0.5:
            facts["status"] = random.choice(["ok", "error"])
        if random.random() < 0.5:
            facts["interaction"] = {"region": random.choice(["eu", "us"])}
        if random.random() < 0.3:
            facts["producer"] = {"id": random.choice(["proc-1", "proc-2"]), "n": number}
        yield event(
            number,
            kind,
            conversation=random.choice(["conv-1", "conv-2", "customer 4711 0815 2342", None]),
            trace=random.choice([1, 2, 3, None]),
            subject=random.choice(["jane", "joe", None]),
            own=random.choice(OWN.get(kind, [{}])),
            **facts,
        )


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = make_site(tmp_path_factory.mktemp("search") / "audit")
    # The log itself numbers arrivals; a producer's own number belongs to the item.
    site.send(list(random_items(300, 1)))
    site.send(list(random_items(300, 2)))
    yield site
    site.close()


def scan(site: Site, given: dict[str, list[str]]) -> list[int]:
    """What a reader of the leaves finds, with raw identifiers replaced as a person would have to."""
    named = dict(given)
    for name in RAW:
        if name in named:
            tokens = [site.logs.keystore.find_pseudonym(site.log.id, value) for value in named[name]]
            named[name] = [*named[name], *(token for token in tokens if token is not None)]
    wanted = parse_filter(named)
    with site.logs.ledger.read() as ledger:
        size = site.search().as_of[0]["tree_size"]
        leaves = [json.loads(leaf) for _, leaf in read_leaves(ledger, site.log.id, 0, size)]
    return [leaf["seq"] for leaf in leaves if wanted.matches(leaf)]


def pages(site: Site, given: dict[str, Any], *, limit: int, order: str) -> list[int]:
    seqs: list[int] = []
    cursor: str | None = None
    while True:
        more = {"cursor": cursor} if cursor else {}
        results = site.search(**given, limit=str(limit), order=order, **more)
        assert len(results.items) <= limit
        seqs += [item.seq for item in results.items]
        cursor = results.next
        if cursor is None:
            return seqs


filters = st.dictionaries(st.sampled_from(sorted(VALUES)), st.none(), max_size=3).flatmap(
    lambda names: st.fixed_dictionaries(
        {name: st.lists(st.sampled_from(VALUES[name]), min_size=1, max_size=3, unique=True) for name in names}
    )
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=filters, limit=st.sampled_from([1, 7, 50, 500]), order=st.sampled_from(["newest", "oldest"]))
def test_search_finds_what_a_scan_of_the_leaves_finds(
    filled: Site, chosen: dict[str, list[str]], limit: int, order: str
) -> None:
    expected = scan(filled, chosen)
    if limit == 1 and len(expected) > 40:
        limit = 7
    found = pages(filled, chosen, limit=limit, order=order)
    assert found == (expected if order == "oldest" else expected[::-1])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_ranges_of_time_are_inclusive_and_exclusive(filled: Site, data: st.DataObject) -> None:
    times = [item.leaf["recorded_at"] for item in filled.search(limit="500").items]
    start, end = sorted([data.draw(st.sampled_from(times)), data.draw(st.sampled_from(times))])
    given_filter = {"from": [start], "to": [end], "kind": ["decision", "handoff"]}
    assert pages(filled, {"from_": start, "to_": end, "kind": given_filter["kind"]}, limit=50, order="oldest") == scan(
        filled, given_filter
    )


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("limit", [1, 3, 500])
def test_pages_over_several_logs_are_one_order_of_time(site: Site, limit: int, order: str) -> None:
    logs = [site.log, *(Accounts(site.logs).create_log("default", name) for name in ("second", "third"))]
    for number in range(12):
        # Two records with the same time in each batch, so that ties are paged over too.
        items = [event(2 * number + n, "notice", trace=number) for n in range(2)]
        site.send(items, log=logs[number % 3])
    found: list[tuple[str, str, int]] = []
    cursor: dict[str, str] = {}
    while True:
        page = site.search(kind="notice", limit=str(limit), order=order, **cursor)
        found += [(item.leaf["recorded_at"], item.log, item.seq) for item in page.items]
        assert {entry["log"] for entry in page.as_of} == {"main", "second", "third"}
        if page.next is None:
            break
        cursor = {"cursor": page.next}
    assert len(found) == len(set(found)) == 24
    times = [at for at, _, _ in found]
    assert times == sorted(times, reverse=order == "newest")
    assert {log for _, log, _ in found} == {"main", "second", "third"}
    assert {item.log for item in site.search(log=["second", "third"], kind="notice").items} == {"second", "third"}


def test_the_short_name_and_the_origin_of_a_log_select_the_same(filled: Site) -> None:
    by_name = filled.search(log="main", kind="decision")
    assert [item.seq for item in by_name.items] == [
        item.seq for item in filled.search(log=filled.log.origin, kind="decision").items
    ]
    with pytest.raises(InputError) as caught:
        filled.search(log="elsewhere")
    assert caught.value.code == "not_found"


def test_a_raw_identifier_finds_the_records_of_its_pseudonym(filled: Site) -> None:
    items = filled.search(interaction="customer 4711 0815 2342").items
    assert items
    assert {item.leaf["interaction"]["id"] for item in items} != {"customer 4711 0815 2342"}
    assert all("4711" not in json.dumps(item.leaf) for item in items)
    assert filled.search(subject="jane").items


def test_started_times_are_asked_of_the_index_alone(site: Site) -> None:
    at = "2026-11-18T10:00:0{}.000000000Z"
    site.send([event(n, "model_call", started_at=at.format(n), ended_at=at.format(n)) for n in range(5)])
    found = site.search(started_from="2026-11-18T10:00:01Z", started_to="2026-11-18T10:00:03Z")
    assert [item.leaf["started_at"] for item in found.items] == [at.format(2), at.format(1)]


def test_derived_finds_what_nobody_reported(site: Site) -> None:
    parent = "00f067aa0ba902b7"
    calls = [("timeout", "error"), (None, "ok")]
    site.send(
        [
            event(
                n,
                "tool_call",
                trace=1,
                parent_span_id=parent,
                tool={"name": "crm"},
                status=status,
                started_at=f"2026-11-18T10:00:0{n}.000000000Z",
                **({"error_type": error} if error else {}),
            )
            for n, (error, status) in enumerate(calls)
        ]
    )
    assert site.search(fallback="any").items == []
    for parameters in ({"rule": "tool_retry"}, {"fallback": "any"}, {"fallback": "timeout"}):
        (item,) = site.search(derived="true", **parameters).items
        assert item.rules == ("called_tool", "tool_retry")
        assert item.leaf["status"] == "ok"
    assert site.search(derived="true", fallback="budget").items == []
    assert len(site.search(derived="true", outcome="crm").items) == 2
    assert len(site.search(rule=["tool_retry", "called_tool"]).items) == 2
    assert site.search(derived="true", decision_type="tool_call", fallback="timeout").items == [item]
    assert site.search(derived="true", decision_type="answer").items == []
    assert site.search(decision_type="tool_call").items == []
    (plain,) = site.search(kind="tool_call", status="ok").items
    assert plain.rules == ("called_tool", "tool_retry")


def test_a_retry_that_arrives_later_is_concluded_all_the_same(site: Site) -> None:
    def call(number: int, status: str) -> Any:
        return event(
            number,
            "model_call",
            trace=1,
            parent_span_id="00f067aa0ba902b7",
            model={"requested": f"m-{number}"},
            status=status,
            started_at=f"2026-11-18T10:00:0{number}.000000000Z",
        )

    def replacing() -> list[str]:
        return [item.leaf["model"]["requested"] for item in site.search(rule="model_fallback").items]

    site.send([call(1, "error")])
    assert site.search(derived="true").items == []
    site.send([call(3, "ok")])
    assert replacing() == ["m-3"]
    # One that began between the two turns out to be the replacement; the other is none any more.
    site.send([call(2, "ok")])
    assert replacing() == ["m-2"]


def test_a_superseded_record_stays_and_is_marked(site: Site) -> None:
    site.send([event(1, "decision", trace=1, own={"outcome": "deny"})])
    changed = event(1, "decision", trace=1, own={"outcome": "approve"})
    changed.identity = b"the same span with other data"
    site.send([changed])
    new, old = site.search(kind="decision").items
    assert new.leaf["supersedes"] == old.seq
    assert (old.superseded_by, new.superseded_by) == (new.seq, None)
    assert [item.seq for item in site.search(outcome="deny").items] == [old.seq]


@pytest.mark.parametrize(
    ("parameters", "code", "item"),
    [
        ([("kind", "invented")], "bad_filter_value", "kind"),
        ([("mood", "good")], "unknown_filter", "mood"),
        ([("limit", "0")], "bad_filter_value", "limit"),
        ([("limit", "501")], "bad_filter_value", "limit"),
        ([("limit", "ten")], "bad_filter_value", "limit"),
        ([("limit", "01")], "bad_filter_value", "limit"),
        ([("limit", "5"), ("limit", "5")], "bad_filter_value", "limit"),
        ([("order", "random")], "bad_filter_value", "order"),
        ([("q", '"')], "bad_query", "q"),
        ([("derived", "yes")], "bad_filter_value", "derived"),
        ([("rule", "guess")], "bad_filter_value", "rule"),
        ([("rule", "parent_missing")], "bad_filter_value", "rule"),
        ([("from", "yesterday")], "bad_filter_value", "from"),
        ([("started_from", "yesterday")], "bad_filter_value", "started_from"),
        ([("from", "2026-01-01T00:00:00Z"), ("from", "2026-01-02T00:00:00Z")], "bad_filter_value", "from"),
        ([("trace_id", "XYZ")], "bad_filter_value", "trace_id"),
        ([("agent", "")], "bad_filter_value", "agent"),
        ([("cursor", "!")], "bad_cursor", "cursor"),
        ([("cursor", "MS4yLjM=")], "bad_cursor", "cursor"),
        ([("cursor", "MS4y")], "bad_cursor", "cursor"),
        ([("cursor", "LTEuMi4z")], "bad_cursor", "cursor"),
        ([("cursor", "A" * 200)], "bad_cursor", "cursor"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(parameters: list[tuple[str, str]], code: str, item: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_query(parameters)
    assert (caught.value.code, caught.value.item) == (code, item)


COMMONEST: dict[str, dict[str, str]] = {
    "latest": {},
    "latest decisions": {"kind": "decision"},
    "one agent": {"agent": "refunds"},
    "one interaction": {"interaction": "conv-1"},
    "decisions with an outcome": {"outcome": "deny"},
    "fallbacks by trigger": {"fallback": "timeout"},
    "handoffs in a range of time": {
        "handoff": "any",
        "from_": "2026-11-18T00:00:00Z",
        "to_": "2026-11-19T00:00:00Z",
    },
    "overrides": {"oversight": "override"},
    "one word": {"q": "refund"},
    "failures": {"status": "error"},
    "a customer": {"subject": "jane"},
    "what was concluded": {"derived": "true"},
    "concluded fallbacks by trigger": {"derived": "true", "fallback": "timeout"},
    "concluded refusals": {"derived": "true", "oversight": "reject"},
    "what was concluded to be chosen": {"derived": "true", "outcome": "crm"},
    "what a rule concluded": {"rule": "tool_retry"},
    "an agent's decisions in a region": {"agent": "triage", "kind": "decision", "region": "eu"},
}
WALKED = {
    "latest": "INTEGER PRIMARY KEY",
    "latest decisions": "ix_records_kind",
    "one agent": "ix_records_agent",
    "one interaction": "ix_records_interaction",
    "one trace": "ix_records_trace",
    "decisions with an outcome": "ix_records_outcome",
    "fallbacks by trigger": "ix_records_fallback",
    "handoffs in a range of time": "ix_records_kind",
    "overrides": "ix_records_oversight",
    "one word": "VIRTUAL TABLE INDEX",
    "failures": "ix_records_failed",
    "a customer": "ix_records_subject",
    "what was concluded": "PRIMARY KEY",
    "concluded fallbacks by trigger": "ix_derived_kind",
    "concluded refusals": "ix_derived_kind",
    "what was concluded to be chosen": "ix_derived_kind",
    "what a rule concluded": "ix_derived_rule",
    "an agent's decisions in a region": "ix_records_",
}


@pytest.mark.parametrize("question", [*COMMONEST, "one trace"])
@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_each_common_question_walks_an_index_and_sorts_nothing(filled: Site, question: str, order: str) -> None:
    trace_id = next(item.leaf["trace_id"] for item in filled.search().items if "trace_id" in item.leaf)
    parameters = COMMONEST.get(question, {"trace_id": trace_id})
    plans: list[str] = []
    engine: Engine = filled.index.engine

    def explain(connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, _many: bool) -> None:
        if "ORDER BY" in statement and "LIMIT" in statement and "EXPLAIN" not in statement:
            driver = connection.connection.cursor()
            plans.extend(str(row[3]) for row in driver.execute(f"EXPLAIN QUERY PLAN {statement}", values))

    sqlalchemy_event.listen(engine, "before_cursor_execute", explain)
    try:
        filled.search(**parameters, order=order)
    finally:
        sqlalchemy_event.remove(engine, "before_cursor_execute", explain)
    assert plans
    assert all("TEMP B-TREE" not in plan for plan in plans)
    walked = [plan for plan in plans if plan.startswith(("SEARCH", "SCAN"))]
    assert all(plan.startswith("SEARCH") or "VIRTUAL TABLE" in plan for plan in walked), walked
    assert WALKED[question] in walked[0]
