"""Traces that are one story: joined by links, approvals that were left open, agents that were made; or left apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from random import Random
from typing import Any

import pytest

from counterfoil.core.rules import is_token
from counterfoil.trails import joins
from counterfoil.trails.check_index import check_index
from counterfoil.trails.interactions import Summary, list_interactions, parse_interaction_query
from counterfoil.trails.prepare import clear
from counterfoil.trails.query import Page
from counterfoil.trails.trail import read_trail
from tests.trails.site import AGENT_SPANS, Site, event, span_hex

WHOLE = Page(1_000, None, "oldest")


def trace_hex(number: int) -> str:
    return sha256(b"trace %d" % number).digest()[:16].hex()


def link(*traces: int) -> list[dict[str, str]]:
    return [{"trace_id": trace_hex(trace), "span_id": span_hex(trace)} for trace in traces]


def listed(site: Site) -> list[Summary]:
    query = parse_interaction_query([("limit", "500"), ("order", "oldest")])
    return list_interactions(site.stores, site.readable, query).items


def seqs(site: Site, identifier: str) -> list[int]:
    trail = read_trail(site.stores, site.readable, identifier, WHOLE, with_content=True)
    return [step.seq for step in trail.steps if step.basis == "reported"]


def words(*parts: dict[str, Any]) -> str:
    return json.dumps([{"role": "assistant", "parts": parts}])


def asking(call_id: str, request_id: str = "") -> dict[str, str]:
    part = {"type": "function_approval_request", "function_call": {"call_id": call_id, "name": "refund"}}
    return {"output": words({**part, "id": request_id} if request_id else {**part, "id": ""})}


def answering(call_id: str, request_id: str = "", *, approved: bool = False) -> dict[str, str]:
    part = {"type": "function_approval_response", "function_call": {"call_id": call_id}, "approved": approved}
    return {"input": words({**part, "id": request_id})}


def agent_run(number: int, trace: int, agent: str = "refunds", **facts: Any) -> Any:
    return event(number, "agent_run", trace=trace, name="invoke_agent", agent={"name": agent}, **facts)


def test_traces_that_link_to_one_another_are_one_interaction(site: Site) -> None:
    site.send([event(1, "operation", trace=1), event(2, "operation", trace=2, links=link(1))])
    site.send([event(3, "operation", trace=3, links=link(4)), event(4, "operation", trace=4, links=link(2))])
    site.send([event(5, "operation", trace=5)])
    first, second = listed(site)
    assert (first.records, second.records, first.derived) == (4, 1, True)
    for trace in (1, 2, 3, 4):
        assert seqs(site, trace_hex(trace)) == [2, 3, 4, 5]
    assert seqs(site, trace_hex(5)) == [6]
    assert list(check_index(site.stores)) == []


def test_a_linked_trace_is_part_of_the_conversation_that_the_other_reports(site: Site) -> None:
    site.send([event(1, "operation", trace=1, links=link(2))])
    site.send([event(2, "agent_run", trace=2, conversation="c-1", agent={"name": "a"})])
    site.send([event(3, "notice", conversation="c-1")])
    (found,) = listed(site)
    assert (found.id, found.records, found.agents) == ("c-1", 3, ["a"])
    assert seqs(site, "c-1") == seqs(site, trace_hex(1)) == [2, 3, 4]


def test_two_conversations_that_are_both_reported_stay_two(site: Site) -> None:
    site.send([event(1, "notice", trace=1, conversation="c-1"), event(2, "notice", trace=2, conversation="c-2")])
    site.send([event(3, "notice", trace=2, conversation="c-2", links=link(1))])
    assert [(item.id, item.records) for item in listed(site)] == [("c-1", 1), ("c-2", 2)]
    # A third that names none belongs to the first it links to.
    site.send([event(4, "operation", trace=3, links=link(1, 2))])
    assert [(item.id, item.records) for item in listed(site)] == [("c-1", 2), ("c-2", 2)]


def test_an_approval_asked_for_in_one_trace_joins_the_trace_that_answers_it(site: Site) -> None:
    site.send([agent_run(1, 1, fields=asking("c9", "af-1"))])
    site.send([agent_run(2, 2, fields=asking("c9", "af-2"))])
    site.send([agent_run(3, 3, fields=answering("c9", "af-1"))])
    assert [(item.id, item.records) for item in listed(site)] == [(trace_hex(1), 2), (trace_hex(2), 1)]
    found = site.search(derived="true", oversight="reject").items
    assert [(item.seq, item.rules) for item in found] == [(4, ("approval_response",))]


def test_an_answer_to_the_same_short_call_id_of_two_traces_joins_neither(site: Site) -> None:
    site.send([agent_run(1, 1, fields=asking("c9")), agent_run(2, 2, fields=asking("c9"))])
    site.send([agent_run(3, 3, fields=answering("c9"))])
    assert [item.records for item in listed(site)] == [1, 1, 1]
    # The ambiguity is over with the answer: the next pair is clear again.
    site.send([agent_run(4, 4, fields=asking("c9"))])
    site.send([agent_run(5, 5, fields=answering("c9", approved=True))])
    assert [item.records for item in listed(site)] == [1, 1, 1, 2]


def test_another_agent_or_writer_does_not_take_up_what_one_left_open(site: Site) -> None:
    site.send([agent_run(1, 1, fields=asking("c9"))])
    site.send([agent_run(2, 2, agent="billing", fields=answering("c9"))])
    assert [item.records for item in listed(site)] == [1, 1]
    assert list(check_index(site.stores)) == []


def test_an_agent_that_was_made_alone_belongs_to_its_first_run(site: Site) -> None:
    made = {"name": "create_agent", "agent": {"name": "refunds"}}
    site.send([event(1, "operation", trace=1, **made), agent_run(2, 2), agent_run(3, 3)])
    assert [item.records for item in listed(site)] == [2, 1]
    busy = [event(4, "operation", trace=4, **made), event(5, "tool_call", trace=4, tool={"name": "crm"})]
    site.send([*busy, agent_run(6, 6)])
    assert [item.records for item in listed(site)] == [2, 1, 2, 1]


def test_a_group_of_traces_has_a_limit(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joins, "MAX_MEMBERS", 3)
    site.send([event(n, "operation", trace=n, **({"links": link(n - 1)} if n > 1 else {})) for n in range(1, 6)])
    assert [item.records for item in listed(site)] == [3, 2]


def random_records(random: Random, count: int) -> Sequence[Any]:
    """A hostile mixture: links in circles and to nowhere, ids that change their mind, approvals, agents made."""
    items = []
    for number in range(1, count + 1):
        trace = random.randrange(1, 14)
        facts: dict[str, Any] = {"trace": trace}
        if random.random() < 0.3:
            facts["links"] = link(*random.sample(range(1, 18), random.randrange(1, 3)))
        if random.random() < 0.15:
            facts["conversation"] = f"c-{random.randrange(3)}"
        match random.randrange(7):
            case 0:
                items.append(agent_run(number, agent=random.choice("ab"), fields=asking(random.choice("xy")), **facts))
            case 1:
                items.append(
                    agent_run(number, agent=random.choice("ab"), fields=answering(random.choice("xy")), **facts)
                )
            case 2:
                made = {"name": "create_agent", "agent": {"name": random.choice("ab")}}
                items.append(event(number, "operation", **made, **facts))
            case 3:
                status = {"status": "error"} if random.random() < 0.5 else {}
                items.append(event(number, "tool_call", tool={"name": random.choice("pq")}, **status, **facts))
            case 4:
                items.append(event(number, "decision", own={"type": "refund", "outcome": "deny"}, **facts))
            case 5:
                words_of = {"output": words({"type": "tool_call", "id": "c1", "name": "p", "arguments": {}})}
                items.append(event(number, "model_call", model={"requested": "m"}, fields=words_of, **facts))
            case _:
                items.append(event(number, "operation", **facts))
    return items


@pytest.mark.parametrize("seed", range(6))
def test_rows_do_not_depend_on_where_blocks_begin_and_end(site: Site, seed: int) -> None:
    random = Random(seed)
    records = random_records(random, 160)
    at = 0
    while at < len(records):
        step = random.randrange(1, 30)
        site.send(records[at : at + step])
        at += step
    assert list(check_index(site.stores)) == []  # derived there in one block
    for size in (1, 7):
        with site.index.write() as index:
            clear(index)
        site.reopened_projector(block_records=size).run_once()
        assert list(check_index(site.stores)) == []
    assert sum(item.records for item in listed(site)) >= 160


def test_what_frameworks_send_makes_the_same_rows_record_by_record(site: Site) -> None:
    for name in (
        "autogen_native_tool_fail_handoff",
        "ms_agent_framework_default_human_approval_rejected",
        "pydantic_ai_v5_tool_handoff_retry",
        "strands_default_swarm_tool_fail_handoff",
    ):
        site.send_file(name)
    with site.index.write() as index:
        clear(index)
    site.reopened_projector(block_records=5).run_once()
    assert list(check_index(site.stores)) == []


def test_what_is_concluded_is_kept_in_tokens_and_never_in_words(site: Site) -> None:
    for path in sorted(AGENT_SPANS.glob("*.bin")):
        if ".logs" not in path.name:
            site.send_file(path.name.removesuffix(".bin"))
    with site.attack() as index:
        rows = index.execute("SELECT rule, kind, value, detail FROM derived").fetchall()
        kept = [text for row in rows for text in row if text is not None]
        tables = [row[0] for row in index.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        everything = " ".join(
            str(row)
            for table in tables
            if not table.startswith(("text_", "sqlite_"))
            for row in index.execute(f"SELECT * FROM {table}")
        )
    assert len(rows) > 60
    assert all(is_token(text) for text in kept)
    for words in (
        "jane@example.com",
        "supervisor said no",
        "Tool execution was not",
        "look the order up",
        "above limit",
    ):
        assert words not in everything
