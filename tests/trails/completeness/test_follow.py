"""Accounts in the index: a function of the records alone, through the real append path and projector."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from counterfoil.core.errors import EvidenceError
from counterfoil.log.configuration import DEFAULT_HEARTBEAT_S
from counterfoil.mapping.draft import Item
from counterfoil.store.database import open_index
from counterfoil.trails.completeness.follow import follow_producers
from counterfoil.trails.completeness.notes import silence_note
from counterfoil.trails.completeness.ranges import MAX_RANGES
from counterfoil.trails.completeness.tables import TABLES
from counterfoil.trails.facts import Facts
from counterfoil.trails.projector import Projector
from counterfoil.trails.reindex import reindex
from tests.trails.completeness.sending import Counted, counted_site, declare, numbered, plain

NAMES = [table.name for table in TABLES]


def tables(counted: Counted) -> dict[str, list[tuple[object, ...]]]:
    return {name: counted.rows(name) for name in NAMES}


def mixed(counted: Counted) -> None:
    """A log with everything in it that an account depends on."""
    site = counted.site
    counted.send(declare("start", n=0, coverage="digest-of-coverage"), numbered(1), numbered(2, span=2), plain())
    counted.configuration.set_heartbeat(site.log, 5, by="k-admin")
    counted.clock.wait(3)
    counted.send(numbered(7), numbered(5), declare("start", "q"), numbered(0, "q"), plain(), plain())
    counted.send(numbered(2, span=2, data="corrected"), numbered(5, data="other"), writer="k-test")
    counted.send(numbered(0, "q"), plain(), writer="k-second")
    counted.clock.wait(11)
    assert counted.watcher().run_once() == 3
    site.projector.run_once()
    counted.configuration.set_heartbeat(site.log, 30, by="k-admin")
    counted.send(declare("heartbeat", last=9), declare("loss", from_=8, to=9), numbered(3, "q"))
    counted.send(declare("end", "q", last=3))


def test_where_a_block_ends_leaves_no_trace(counted: Counted) -> None:
    mixed(counted)
    expected = tables(counted)
    assert len(expected["producers"]) == 5
    for block_records in (1, 2, 3, 7):
        fresh = open_index(f"sqlite:///{counted.site.directory.path / f'{block_records}.db'}")
        site = counted.site
        Projector(site.logs.ledger, site.logs.keystore, fresh, block_records=block_records).run_once()
        with fresh.read() as connection:
            for name in NAMES:
                rows = connection.exec_driver_sql(f"SELECT * FROM {name}").fetchall()
                assert sorted((tuple(row) for row in rows), key=repr) == expected[name], (name, block_records)
        fresh.dispose()


def test_reindex_makes_the_same_accounts_again(counted: Counted) -> None:
    mixed(counted)
    expected = tables(counted)
    with counted.site.attack() as index:
        for name in NAMES:
            index.execute(f"DELETE FROM {name}")
    reindex(counted.site.stores, counted.site.directory.index_file)
    assert tables(counted) == expected


def test_a_log_that_is_read_again_from_its_first_record_has_the_same_accounts(counted: Counted) -> None:
    mixed(counted)
    expected = tables(counted)
    with counted.site.attack() as index:
        index.execute("UPDATE positions SET leaf_hash = zeroblob(32)")
    counted.site.reopened_projector().run_once()
    assert tables(counted) == expected


def test_a_closed_producer_that_delivered_all_is_complete(counted: Counted) -> None:
    counted.send(declare("start", n=0, coverage="digest"), *(numbered(n) for n in range(1, 500)))
    counted.send(declare("end", n=500, last=500))
    one = counted.one()
    assert (one.verdict, one.produced, one.delivered, one.gaps.ranges) == ("complete", 501, 501, [])
    assert (one.closed, one.exact, one.unknown_after, one.coverage) == (True, True, None, "digest")
    assert counted.rows("producer_ranges") == [(counted.site.log.id, 1, 1, 0, 500)]


def test_one_that_is_open_says_what_nobody_knows(case: Counted) -> None:
    case.send(*(case.numbered(n) for n in range(5)))
    one = case.one()
    assert (one.verdict, one.produced, one.unknown_after) == ("open", None, 4)


def test_declared_losses_close_gaps_and_the_rest_is_named(case: Counted) -> None:
    case.send(*(case.numbered(n) for n in (0, 1, 2, 10, 11, 15)))
    case.send(case.declare("loss", from_=3, to=6), case.declare("loss", from_=14, to=15), case.declare("end", last=15))
    one = case.one()
    assert one.verdict == "gaps"
    assert one.gaps.ranges == [(7, 9), (12, 13)]
    assert (one.lost.ranges, one.lost.numbers) == ([(3, 6), (14, 14)], 5)
    case.send(case.declare("loss", from_=7, to=9), case.declare("loss", from_=12, count=2))
    assert case.one().verdict == "complete"


def test_a_late_delivery_closes_the_gap_of_a_closed_producer(case: Counted) -> None:
    case.send(case.numbered(0), case.numbered(2), case.declare("end", last=2))
    assert case.one().gaps.ranges == [(1, 1)]
    case.send(case.numbered(1))
    assert case.one().verdict == "complete"


def test_a_retry_in_another_batch_and_order_changes_nothing(counted: Counted) -> None:
    items = [numbered(n, span=n) for n in range(40)]
    counted.send(*items)
    before = counted.rows("producers")
    random.Random(3).shuffle(items)
    counted.send(*items[:25])
    counted.send(*items)
    assert counted.rows("producers") == before


def test_the_same_number_with_other_data_is_a_conflict(case: Counted) -> None:
    case.send(*(case.numbered(n) for n in range(6)), case.declare("end", last=5))
    assert case.one().verdict == "complete"
    case.send(case.numbered(3, data="other"), case.numbered(4, data="other"))
    one = case.one()
    assert (one.verdict, one.conflicts.ranges, one.gaps.ranges) == ("conflict", [(3, 4)], [])


def test_the_same_span_sent_again_with_its_number_is_none(case: Counted) -> None:
    case.send(case.numbered(0, span=1), case.numbered(1, span=2), case.declare("end", last=1))
    case.send(case.numbered(1, span=2, data="with its end"))
    assert case.one().verdict == "complete"


def test_supersedes_does_not_excuse_a_number_that_was_another_spans(case: Counted) -> None:
    case.send(case.numbered(0, span=1), case.numbered(1, span=2), case.declare("end", last=1))
    # Span 1 is sent again, now under the number of span 2: the log marks it as superseding, the number came twice.
    seqs = case.send(case.numbered(1, span=1, data="moved"))
    assert seqs
    one = case.one()
    assert (one.verdict, one.conflicts.ranges) == ("conflict", [(1, 1)])


def test_a_restart_with_a_new_id_is_a_new_producer(counted: Counted) -> None:
    counted.send(numbered(0, "before"), numbered(1, "before"))
    counted.send(numbered(0, "after"), declare("end", "after", last=0))
    assert {item.producer: item.verdict for item in counted.ask().items} == {"after": "complete", "before": "open"}


def test_a_restart_that_numbers_from_0_under_the_same_id_is_a_conflict(case: Counted) -> None:
    case.send(case.numbered(0), case.numbered(1))
    case.send(case.numbered(0, data="second life"))
    assert case.one().verdict == "conflict"


def test_the_same_id_of_another_writer_is_another_producer(case: Counted) -> None:
    case.send(case.numbered(0), case.declare("end", last=0))
    case.send(case.numbered(0, data="mine"), writer="k-other")
    verdicts = {item.writer: item.verdict for item in case.ask(producer=case.name).items}
    assert verdicts == {"k-test": "complete", "k-other": "open"}


def test_numbers_beyond_the_declared_last_contradict_it(case: Counted) -> None:
    case.send(*(case.numbered(n) for n in range(4)), case.declare("end", last=2))
    one = case.one()
    assert (one.verdict, one.beyond_last.ranges, one.produced) == ("conflict", [(3, 3)], 3)


def test_two_different_last_numbers_contradict_each_other(case: Counted) -> None:
    case.send(case.numbered(0), case.numbered(1), case.declare("end", last=1))
    assert case.one().verdict == "complete"
    case.send(case.declare("end", last=1))
    assert case.one().verdict == "complete"
    case.send(case.declare("end", last=0))
    assert case.one().verdict == "conflict"


def test_an_end_without_a_last_number_closes_nothing(case: Counted) -> None:
    case.send(case.numbered(0), case.declare("end"))
    one = case.one()
    assert (one.verdict, one.closed, one.produced) == ("open", False, None)


def test_a_producer_that_made_nothing_and_says_so_is_complete(case: Counted) -> None:
    case.send(case.declare("start"), case.declare("end", count=0))
    one = case.one()
    assert (one.verdict, one.produced, one.delivered) == ("complete", 0, 0)


def test_the_parts_of_a_split_item_are_one_number(case: Counted) -> None:
    item = case.numbered(0, span=1)
    more = case.numbered(0, span=1, kind="decision").drafts[0]
    item.drafts += [more, more]
    seqs = case.send(item, case.declare("end", last=0))
    one = case.one()
    assert (one.verdict, one.items, one.delivered) == ("complete", 1, 1)
    assert seqs[1] - seqs[0] == 3


def test_what_comes_without_numbers_is_unaccounted_and_never_more(counted: Counted) -> None:
    counted.send(*(plain() for _ in range(7)), numbered(0), declare("end", last=0))
    answer = counted.ask()
    unnumbered = next(item for item in answer.items if item.producer is None)
    assert (unnumbered.verdict, unnumbered.items, unnumbered.heartbeat_s) == ("unaccounted", 7, None)
    assert unnumbered.verdicts == ["unaccounted"]
    assert answer.summary.complete is False
    assert "Without numbers, so that nothing is known of what they left out: 1." in answer.summary.statement


def test_losses_that_a_plain_producer_reports_are_known_losses(counted: Counted) -> None:
    """An SDK that numbers nothing may still count what its queue dropped."""
    counted.send(declare("loss", "plain-sdk", count=12), declare("loss", "plain-sdk", count=3))
    one = counted.one("plain-sdk")
    assert (one.verdict, one.lost_unlocated) == ("unaccounted", 15)
    assert counted.ask().summary.lost == 15


def test_hostile_numbers_are_kept_within_a_limit_and_said_to_be_inexact(tmp_path: Path) -> None:
    with counted_site(tmp_path / "audit") as counted:
        numbers = range(0, 2 * (MAX_RANGES + 900), 2)
        items: list[Item] = [numbered(n) for n in numbers]
        counted.send(*items[:3000])
        counted.send(*items[3000:], numbered(2**53 - 1))
        one = counted.one()
        assert one.exact is False
        assert (one.verdict, one.gaps.count) == ("open", 0)
        assert one.awaited.count == MAX_RANGES  # a gap before every range but the first, and what follows the last
        assert len(one.awaited.ranges) == MAX_RANGES
        counted.send(declare("end", last=2**53 - 1))
        one = counted.one()
        assert (one.verdict, one.produced, one.gaps.count) == ("gaps", 2**53, MAX_RANGES)
        listed = counted.ask().items[0]
        assert len(listed.gaps.ranges) == 100
        assert listed.gaps.count == MAX_RANGES
        assert counted.ask().summary.missing == one.gaps.numbers


def test_the_cadence_is_the_one_in_force_at_the_producers_last_record(counted: Counted) -> None:
    counted.send(numbered(0, "a"))
    counted.configuration.set_heartbeat(counted.site.log, 5, by="k-admin")
    counted.clock.wait(2)
    counted.send(numbered(0, "b"))
    assert (counted.one("a").heartbeat_s, counted.one("b").heartbeat_s) == (DEFAULT_HEARTBEAT_S, 5)
    counted.send(declare("heartbeat", "a"))
    assert counted.one("a").heartbeat_s == 5


def test_right_after_a_change_a_producer_may_have_been_told_the_longer_cadence(counted: Counted) -> None:
    log = counted.site.log
    counted.configuration.set_heartbeat(log, 3_600, by="k-admin")
    counted.clock.wait(2)
    counted.configuration.set_heartbeat(log, 5, by="k-admin")
    counted.send(numbered(0, "a"))
    assert counted.one("a").heartbeat_s == 3_600
    counted.configuration.set_heartbeat(log, 7, by="k-admin")
    counted.send(numbered(0, "b"))
    assert counted.one("b").heartbeat_s == 7
    counted.clock.wait(2)
    counted.send(declare("heartbeat", "a"))
    assert counted.one("a").heartbeat_s == 7


def test_a_note_of_a_person_raises_no_alarm(case: Counted) -> None:
    (seq,) = case.send(case.numbered(0))
    draft = silence_note(seq)
    draft.source = "api"
    case.site.logs.append_drafts(case.site.log.id, [draft], "k-person")
    case.site.projector.run_once()
    assert case.one().alarm is None


@pytest.mark.parametrize("seq", [0, 10_000])
def test_a_note_about_no_producer_is_passed_over(counted: Counted, seq: int) -> None:
    counted.site.logs.append_drafts(counted.site.log.id, [silence_note(seq)])
    counted.site.projector.run_once()
    assert counted.rows("producers") == []


def test_hundreds_of_producers_in_one_block_are_accounted_for(counted: Counted) -> None:
    counted.send(*(numbered(0, f"p-{at}") for at in range(500)))
    counted.send(*(numbered(1, f"p-{at}") for at in range(500)))
    answer = counted.ask(limit="1")
    assert (answer.summary.producers, answer.summary.delivered) == (500, 1_000)


@pytest.mark.parametrize(
    "leaf",
    [
        {"kind": "operation", "writer": "w"},
        {"kind": "operation", "source": "otlp:logs"},
        {"kind": "operation", "source": "otlp:logs", "writer": "w", "producer": 7},
        {"kind": "operation", "source": "otlp:logs", "writer": "w", "producer": {"id": "p", "n": "seven"}},
        {"kind": "operation", "source": "otlp:logs", "writer": "w", "producer": {"id": ["p"], "n": 7}},
        {
            "kind": "producer",
            "source": "otlp:logs",
            "writer": "w",
            "producer": {"id": "p", "event": "end", "last": "x"},
        },
        {"kind": "note", "source": "service", "note": {"meaning": "producer_silent", "of": 3}},
    ],
)
def test_a_leaf_that_no_writer_made_is_named_as_damage(counted: Counted, leaf: dict[str, Any]) -> None:
    facts = Facts(*([None] * (len(Facts._fields) - 1)), leaf=leaf)  # type: ignore[arg-type]  # as far as it is read
    with counted.site.index.write() as connection:
        with pytest.raises(EvidenceError, match="a stored leaf says of its producer what no leaf can"):
            follow_producers(connection, 99, 5, [facts._replace(recorded_us=5)], lambda _: b"null")
        connection.rollback()
