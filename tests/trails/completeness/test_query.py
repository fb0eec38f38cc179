"""Questions: filters, pages, sums, and the verdict in SQL beside the one in Python."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from counterfoil.core.encoding import format_time_us, parse_time_us
from counterfoil.core.errors import InputError
from counterfoil.identity.principal import Principal
from counterfoil.identity.roles import Role
from counterfoil.log.accounts import Accounts
from counterfoil.log.batch import Batch
from counterfoil.mapping.draft import Item
from counterfoil.store.bulk import insert_rows
from counterfoil.store.database import Database, open_index
from counterfoil.trails.completeness.account import Account, standing_of
from counterfoil.trails.completeness.query import (
    LogTime,
    holds_sql,
    parse_completeness_query,
    sum_up,
    verdict_sql,
)
from counterfoil.trails.completeness.schemas import CompletenessOut
from counterfoil.trails.completeness.service import Completeness
from counterfoil.trails.completeness.tables import producers
from counterfoil.trails.completeness.verdict import US_PER_SECOND, Verdict, due_us, verdicts
from counterfoil.trails.prepare import prepare_index
from tests.trails.completeness.sending import Counted, counted_site, declare, numbered, plain

TIMES = st.sampled_from([100, 105, 110, 119, 120, 125, 140]).map(lambda second: second * US_PER_SECOND)
SMALL = st.integers(0, 3)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    made = open_index(f"sqlite:///{tmp_path_factory.mktemp('index') / 'index.db'}")
    prepare_index(made)
    yield made
    made.dispose()


accounts = st.builds(
    Account,
    log_id=st.just(1),
    number=st.just(1),
    writer=st.just("w"),
    producer=st.sampled_from(["p", "p", "p", ""]),
    first_seq=st.just(1),
    first_us=st.just(0),
    heard_us=TIMES,
    started_us=st.sampled_from([None, 5]),
    heartbeats=st.sampled_from([0, 0, 2]),
    last=st.sampled_from([None, None, -1, 3, 5]),
    unlocated=SMALL,
    untracked=st.sampled_from([0, 0, 0, 2]),
    twice_closed=st.sampled_from([False, False, False, True]),
    highest=st.sampled_from([-1, 3, 4]),
    highest_us=TIMES,
    mark_us=TIMES,
    conflicts=st.sampled_from([0, 0, 0, 1]),
    missing=SMALL,
    missing_at_mark=SMALL,
    missing_before=SMALL,
    heartbeat_s=st.sampled_from([1, 5, 10]),
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(accounts, TIMES, st.sampled_from([0, 100 * US_PER_SECOND, 110 * US_PER_SECOND]))
def test_the_verdict_in_sql_is_the_one_in_python(index: Database, account: Account, now_us: int, since_us: int) -> None:
    standing = standing_of(account)
    row = {field.name: getattr(account, field.name) for field in fields(account)}
    row |= {"numbered": standing.numbered, "contradictory": standing.contradictory}
    waits = standing.numbered and not standing.closed
    row["due_us"] = due_us(account.heard_us, account.heartbeat_s) if waits else None
    wanted = verdicts(standing, now_us, since_us)
    with index.write() as connection:
        connection.execute(delete(producers))
        connection.execute(producers.insert().values(row))
        assert connection.execute(select(verdict_sql(now_us, since_us))).scalar_one() == wanted[0]
        for verdict in Verdict:
            holds = select(producers.c.number).where(holds_sql(verdict, now_us, since_us))
            assert bool(connection.execute(holds).all()) == (verdict in wanted), verdict


def test_sums_of_the_largest_claims_do_not_overflow(index: Database) -> None:
    top = 2**53 - 1
    with index.write() as connection:
        connection.execute(delete(producers))
        rows = []
        for number in range(1, 2_001):
            account = Account(7, number, "w", f"p-{number}", 1, 0, unlocated=top, missing=top, lost=top, delivered=1)
            rows.append((*(getattr(account, field.name) for field in fields(account)), True, False))
        columns = [*(field.name for field in fields(Account)), "numbered", "contradictory"]
        insert_rows(connection, producers, columns, rows)
        sums = sum_up(connection, [LogTime(7, 10, 0)], parse_completeness_query([]))
    assert (sums.missing, sums.lost, sums.unlocated, sums.delivered) == (2_000 * top, 2_000 * top, 2_000 * top, 2_000)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    """Producers of every verdict, from two writers."""
    with counted_site(tmp_path_factory.mktemp("filled") / "audit") as counted:
        counted.send(numbered(0, "whole"), numbered(1, "whole"), declare("end", "whole", last=1))
        counted.send(numbered(0, "holed"), numbered(4, "holed"), declare("end", "holed", last=4))
        counted.send(numbered(0, "killed"), numbered(2, "killed"))
        counted.send(numbered(0, "quiet"), writer="k-second")
        counted.send(numbered(0, "twice"), numbered(0, "twice", data="other"), declare("end", "twice", last=0))
        counted.send(plain(), plain(), writer="k-second")
        counted.clock.wait(500)
        counted.send(numbered(0, "fresh"))
        yield counted


def names(answer: CompletenessOut) -> list[str | None]:
    return [item.producer for item in answer.items]


def test_every_producer_is_listed_newest_first_with_its_verdict(filled: Counted) -> None:
    answer = filled.ask()
    assert [(item.producer, item.verdict) for item in answer.items] == [
        ("fresh", "open"),
        (None, "unaccounted"),
        ("twice", "conflict"),
        ("quiet", "silent"),
        ("killed", "gaps"),
        ("holed", "gaps"),
        ("whole", "complete"),
    ]
    assert next(item for item in answer.items if item.producer == "killed").verdicts == ["gaps", "silent"]
    assert answer.next is None


def test_the_summary_counts_each_producer_once_and_claims_no_more(filled: Counted) -> None:
    summary = filled.ask(limit="1").summary
    assert summary.by_verdict == {
        "conflict": 1, "gaps": 2, "silent": 1, "unaccounted": 1, "open": 1, "complete": 1,
    }  # fmt: skip
    assert (summary.producers, summary.complete, summary.unnumbered_items) == (7, False, 2)
    assert (summary.delivered, summary.missing, summary.lost) == (9, 4, 0)
    assert summary.statement.startswith("1 of 7 producers demonstrated that nothing is left out (")
    assert filled.ask(producer="whole").summary.complete is True


def test_pages_of_one_show_what_one_page_shows(filled: Counted) -> None:
    seen: list[str | None] = []
    answer = filled.ask(limit="1")
    for _ in range(20):
        seen += names(answer)
        if answer.next is None:
            break
        answer = filled.ask(limit="1", cursor=answer.next)
    assert seen == names(filled.ask())


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"verdict": "gaps"}, ["killed", "holed"]),
        ({"verdict": "silent"}, ["quiet", "killed"]),
        ({"verdict": ["complete", "conflict"]}, ["twice", "whole"]),
        ({"verdict": "unaccounted"}, [None]),
        ({"writer": "k-second"}, [None, "quiet"]),
        ({"producer": ["whole", "quiet"]}, ["quiet", "whole"]),
        ({"producer": "nobody"}, []),
        ({"log": "main", "verdict": "open"}, ["fresh"]),
    ],
)
def test_a_filter_selects_what_it_names(filled: Counted, asked: dict[str, str], found: list[str | None]) -> None:
    answer = filled.ask(**asked)
    assert names(answer) == found
    assert answer.summary.producers == len(found)


def test_a_range_of_time_selects_who_was_heard_of_in_it(filled: Counted) -> None:
    fresh = filled.one("fresh").first.at
    assert names(filled.ask(from_=fresh)) == ["fresh"]
    assert "fresh" not in names(filled.ask(to=fresh))
    assert len(filled.ask(to=fresh).items) == 6


@pytest.mark.parametrize(
    ("asked", "item"),
    [
        ({"verdict": "fine"}, "verdict"),
        ({"producer": "x" * 5_000}, "producer"),
        ({"color": "blue"}, "color"),
        ({"limit": "0"}, "limit"),
        ({"limit": "501"}, "limit"),
        ({"limit": ["1", "2"]}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"from_": "yesterday"}, "from"),
        ({"log": "other"}, "log"),
        ({"writer": [f"k{number}" for number in range(17)]}, "writer"),
    ],
)
def test_a_wrong_question_is_refused_by_name(filled: Counted, asked: dict[str, str], item: str) -> None:
    with pytest.raises(InputError) as refused:
        filled.ask(**asked)
    assert refused.value.item == item


def test_nobody_is_silent_whose_word_only_waits_to_be_indexed(tmp_path: Path) -> None:
    with counted_site(tmp_path / "audit") as counted:
        counted.send(numbered(0))
        counted.clock.wait(200)
        assert counted.one().verdict == "silent"
        log = counted.site.log
        counted.site.logs.append(log.id, Batch("k-test", [numbered(1)])).result(30)
        answer = counted.ask()  # the index has not read the second record
        assert answer.items[0].verdict == "open"
        assert answer.as_of[0].at == counted.one().last.at
        counted.site.projector.run_once()
        assert counted.one().verdict == "open"


def test_a_service_that_just_started_calls_nobody_silent(tmp_path: Path) -> None:
    with counted_site(tmp_path / "audit") as counted:
        counted.send(numbered(0))
        counted.clock.wait(200)
        site = counted.site
        counted.completeness = Completeness(site.logs, site.stores, counted.clock.time_us)
        assert counted.one().verdict == "open"
        counted.clock.wait(121)
        assert counted.one().verdict == "silent"


def test_a_tenant_sees_its_own_producers_only(tmp_path: Path) -> None:
    with counted_site(tmp_path / "audit") as counted:
        counted.send(numbered(0, "mine"))
        made = Accounts(counted.site.logs)
        other = made.create_tenant("other")
        side = made.create_log("other", "side")
        counted.site.logs.append(side.id, Batch("k-side", [numbered(0, "theirs")])).result(30)
        counted.site.projector.run_once()
        reader = Principal(other, "other", "k-other", Role.AUDITOR, None, "other")
        assert [item.account.producer for item in counted.completeness.report(reader, []).items] == ["theirs"]
        assert names(counted.ask()) == ["mine"]
        scoped = Principal(other, "other", "k-other", Role.AUDITOR, side.id + 1, "another log's")
        assert counted.completeness.report(scoped, []).items == []
        with pytest.raises(InputError, match="not here"):
            counted.completeness.report(reader, [("log", "main")])


def test_two_logs_are_merged_by_time_and_paged(tmp_path: Path) -> None:
    with counted_site(tmp_path / "audit") as counted:
        logs = counted.site.logs
        second = Accounts(logs).create_log("default", "second")
        for number in range(6):
            log = (counted.site.log, second)[number % 2]
            logs.append(log.id, Batch("k-test", [numbered(0, f"p-{number}")])).result(30)
        counted.site.projector.run_once()
        expected: list[str | None] = [f"p-{number}" for number in reversed(range(6))]
        assert names(counted.ask()) == expected
        seen: list[str | None] = []
        answer = counted.ask(limit="2")
        while True:
            seen += names(answer)
            if answer.next is None:
                break
            answer = counted.ask(limit="2", cursor=answer.next)
        assert seen == expected
        assert {entry.log for entry in answer.as_of} == {"main", "second"}


def test_every_answer_is_on_record_before_it_is_given(filled: Counted) -> None:
    logs = filled.site.logs
    access = logs.access_log(filled.site.log.tenant_id)
    filled.ask(verdict="gaps")
    with filled.site.attack("ledger") as ledger:
        query = "SELECT leaf FROM records WHERE log_id = ? ORDER BY seq DESC LIMIT 1"
        leaf = bytes(ledger.execute(query, (access.id,)).fetchone()[0])
    assert b'"access":{"action":"completeness","count":2,"object":"producers"}' in leaf


def cut(span: dict[str, int], **fields: list[dict[str, int]]) -> Item:
    """An item of a plain SDK that dropped some of it before sending."""
    item = plain()
    item.drafts[0].fields = [("span", span), *fields.items()]
    return item


def test_what_a_plain_sdk_says_that_it_dropped_is_counted_when_asked_for(tmp_path: Path) -> None:
    with counted_site(tmp_path / "audit") as counted:
        nested = {"events": [{"droppedAttributesCount": 4}, {}], "links": [{"droppedAttributesCount": 5}]}
        counted.send(
            cut({"droppedAttributesCount": 3, "droppedEventsCount": 2}),
            cut({"droppedLinksCount": 1}, **nested),
            plain(),
            numbered(0),
        )
        counted.send(cut({"droppedAttributesCount": 100}), writer="k-other")
        counted.clock.wait(100)
        counted.send(cut({"droppedAttributesCount": 20}))
        assert counted.ask(writer="k-test", verdict="unaccounted").items[0].dropped is None
        asked = counted.ask(writer="k-test", dropped="true")
        dropped = next(item.dropped for item in asked.items if item.producer is None)
        assert dropped is not None
        assert (dropped.attributes, dropped.events, dropped.links) == (32, 2, 1)
        assert (dropped.records, dropped.whole, dropped.unread) == (4, True, 0)
        assert next(item for item in asked.items if item.producer == "p").dropped is None
        minute = format_time_us(parse_time_us(asked.items[-1].first.at) + 60_000_000)
        later = counted.ask(writer="k-test", verdict="unaccounted", dropped="true", from_=minute).items[0].dropped
        assert later is not None
        assert (later.attributes, later.records, later.whole) == (20, 1, True)
        earlier = counted.ask(writer="k-test", verdict="unaccounted", dropped="true", to=minute).items[0].dropped
        assert earlier is not None
        assert (earlier.attributes, earlier.records, earlier.whole) == (12, 3, True)
        with pytest.raises(InputError, match="may not read content"):
            counted.ask(Role.ADMINISTRATOR, dropped="true")


def test_dropped_counts_are_read_within_a_limit_and_the_answer_says_over_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("counterfoil.trails.completeness.dropped.MAX_OPENED", 5)
    with counted_site(tmp_path / "audit") as counted:
        counted.send(*(cut({"droppedAttributesCount": 1}) for _ in range(12)))
        dropped = counted.ask(dropped="true").items[0].dropped
        assert dropped is not None
        assert (dropped.attributes, dropped.records, dropped.whole) == (5, 5, False)
        assert dropped.last_seq == counted.ask().items[0].last.seq
