"""Arrivals: a retry never makes a second record (RECORD 8), and the same span with other data supersedes."""

from __future__ import annotations

import random
import sqlite3

import pytest

from counterfoil.log.arrivals import MAX_SENDS
from counterfoil.log.batch import Batch, Given
from counterfoil.log.tables import arrivals
from counterfoil.store.bulk import explain
from tests.log.append.making import (
    NOON_US,
    OTHER_WRITER,
    TRACE,
    WRITER,
    Made,
    check_every_log,
    event,
    firsts,
    leaves,
    send,
    span,
)

DAY = 86_400 * 1_000_000
DECEMBER_US = NOON_US + 10 * DAY
LATE_DECEMBER_US = NOON_US + 38 * DAY
JANUARY_US = NOON_US + 45 * DAY


def test_a_retry_is_answered_with_the_old_numbers(made: Made) -> None:
    first = send(made.logs, made.log, span(1, parts=2), event(1))
    again = send(made.logs, made.log, span(1, parts=2), event(1))
    assert first.seqs == [Given(2, 3, True), Given(4, 4, True)]
    assert again.seqs == [Given(2, 3, False), Given(4, 4, False)]
    assert made.logs.counters.duplicates == 2


def test_a_retry_that_maps_to_other_parts_is_answered_with_the_parts_that_were_recorded(made: Made) -> None:
    send(made.logs, made.log, span(1, parts=3))
    assert send(made.logs, made.log, span(1, parts=1)).seqs == [Given(2, 4, False)]


@pytest.mark.parametrize("seed", range(5))
def test_no_batching_of_retries_makes_a_second_record(made: Made, seed: int) -> None:
    chance = random.Random(seed)
    numbers = [chance.randrange(20) for _ in range(120)]
    given: dict[object, int] = {}
    while numbers:
        size = chance.randrange(1, 15)
        now, numbers = numbers[:size], numbers[size:]
        items = [span(n) if n % 2 else event(n) for n in now]
        for number, place in zip(now, send(made.logs, made.log, *items).seqs, strict=True):
            assert given.setdefault(number, place.first) == place.first
    assert check_every_log(made.path)[made.log.id] == 2 + len(given)


def test_duplicates_within_a_batch_and_within_a_group_are_one_record(made: Made) -> None:
    answer = send(made.logs, made.log, span(1), span(1), event(1), event(1))
    assert answer.seqs == [Given(2, 2, True), Given(2, 2, False), Given(3, 3, True), Given(3, 3, False)]
    waiting = [made.logs.append(made.log.id, Batch(WRITER, [span(7), event(7)])) for _ in range(20)]
    assert {tuple(firsts(one.result(30))) for one in waiting} == {(4, 5)}


def test_identical_unnumbered_events_of_one_request_are_all_kept(made: Made) -> None:
    items = [event(1, ordinal=n) for n in range(3)]
    assert firsts(send(made.logs, made.log, *items)) == [2, 3, 4]
    assert [given.new for given in send(made.logs, made.log, *items).seqs] == [False, False, False]


def test_the_same_data_from_another_writer_or_signal_is_another_record(made: Made) -> None:
    send(made.logs, made.log, span(1))
    assert send(made.logs, made.log, span(1), writer=OTHER_WRITER).seqs == [Given(3, 3, True)]
    other = span(1)
    other.signal = "logs"
    assert send(made.logs, made.log, other).seqs == [Given(4, 4, True)]


def test_the_same_number_with_other_data_is_a_record_of_its_own(made: Made) -> None:
    send(made.logs, made.log, span(1, producer=("proc", 5)))
    answer = send(made.logs, made.log, span(2, producer=("proc", 5)))
    assert answer.seqs == [Given(3, 3, True)]


def test_the_same_span_with_other_data_supersedes_the_newest_earlier_one(made: Made) -> None:
    send(made.logs, made.log, span(1, parts=2))
    send(made.logs, made.log, span(1, identity=b"second"))
    answer = send(made.logs, made.log, span(1, identity=b"third", parts=2))
    found = leaves(made.path, made.log.id)
    assert answer.seqs == [Given(5, 6, True)]
    assert [leaf.get("supersedes") for leaf in found[2:]] == [None, None, 2, 4, 4]


def test_superseding_works_within_one_batch(made: Made) -> None:
    send(made.logs, made.log, span(1), span(1, identity=b"second"), span(1, identity=b"third"), span(1))
    found = leaves(made.path, made.log.id)[2:]
    assert [leaf.get("supersedes") for leaf in found] == [None, 2, 3]


def test_a_retry_of_what_was_superseded_is_still_a_retry(made: Made) -> None:
    send(made.logs, made.log, span(1))
    send(made.logs, made.log, span(1, identity=b"second"))
    assert send(made.logs, made.log, span(1)).seqs == [Given(2, 2, False)]


def test_events_of_a_span_supersede_nothing(made: Made) -> None:
    one, two = event(1, trace=TRACE), event(2, trace=TRACE)
    one.span_id = two.span_id = (1).to_bytes(8, "big")
    for item in (one, two):
        item.drafts[0].facts["span_id"] = item.span_id.hex()
    send(made.logs, made.log, span(1), one, two)
    assert all("supersedes" not in leaf for leaf in leaves(made.path, made.log.id))


def test_a_span_without_ids_supersedes_nothing(made: Made) -> None:
    items = [event(n, identity=b"%d" % n) for n in range(2)]
    for item in items:
        item.signal = "traces"
    send(made.logs, made.log, *items)
    assert all("supersedes" not in leaf for leaf in leaves(made.path, made.log.id))


def test_another_writer_whose_short_hash_is_the_same_is_not_superseded(made: Made) -> None:
    """The filed 20 bytes hold 3 bytes of the writer's hash. Here the row is forged to carry another writer's."""
    from counterfoil.log.arrivals import writer_tag

    send(made.logs, made.log, span(1))
    row = (made.log.id, TRACE, (1).to_bytes(8, "big"), writer_tag("traces", OTHER_WRITER) + bytes(16), 2, 1)
    with made.logs.ledger.write() as connection:
        connection.exec_driver_sql("INSERT INTO arrivals VALUES (?, ?, ?, ?, ?, ?)", row)
    send(made.logs, made.log, span(1, identity=b"mine"), writer=OTHER_WRITER)
    assert "supersedes" not in leaves(made.path, made.log.id)[-1]
    with sqlite3.connect(made.path / "ledger.db") as raw:  # so that the checks at the end see our rows only
        (trigger,) = raw.execute("SELECT sql FROM sqlite_master WHERE name = 'arrivals_refuse_delete'").fetchone()
        raw.execute("DROP TRIGGER arrivals_refuse_delete")
        raw.execute("DELETE FROM arrivals WHERE mac = ?", (row[3],))
        raw.execute(trigger)


def test_a_retry_in_the_next_month_is_recognised_within_the_window(made: Made) -> None:
    send(made.logs, made.log, span(1), event(1))
    made.clock.at_us = DECEMBER_US
    assert [given.new for given in send(made.logs, made.log, span(1), event(1)).seqs] == [False, False]
    made.reopen()
    assert [given.new for given in send(made.logs, made.log, span(1), event(1)).seqs] == [False, False]
    assert made.logs.keystore.destroy_arrival_keys(LATE_DECEMBER_US - DAY) == []


def test_after_the_window_the_key_is_destroyed_and_a_retry_is_a_new_record(made: Made) -> None:
    send(made.logs, made.log, span(1), event(1))
    made.clock.at_us = DECEMBER_US
    send(made.logs, made.log, span(5))
    made.clock.at_us = JANUARY_US
    assert made.logs.keystore.destroy_arrival_keys(JANUARY_US) == [202611]
    assert [key.month for key in made.logs.keystore.arrival_keys(202701, JANUARY_US)] == [202701, 202612]
    answer = send(made.logs, made.log, span(1), event(1), span(5))
    assert [given.new for given in answer.seqs] == [True, True, False]
    # What the writer sent for this span is still found, by trace and span: the new record says what it supersedes.
    assert leaves(made.path, made.log.id)[5]["supersedes"] == 2


def test_a_batch_prepared_before_midnight_and_committed_after_it_is_recognised(made: Made) -> None:
    from counterfoil.log.append import append_group
    from counterfoil.log.prepare import prepare

    midnight = NOON_US + 8 * DAY + DAY // 2
    made.clock.at_us = midnight - 1
    appender = made.logs.appender(made.log.id)
    early = prepare(made.log, Batch(WRITER, [span(1), event(1)]), made.logs.keystore, made.clock)
    made.clock.at_us = midnight
    late = prepare(made.log, Batch(WRITER, [span(1), event(1)]), made.logs.keystore, made.clock)
    first, second = append_group(appender, [early, late])
    assert first.seqs == [Given(2, 2, True), Given(3, 3, True)]
    assert second.seqs == [Given(2, 2, False), Given(3, 3, False)]
    made.clock.at_us = midnight - 1  # another process, whose clock is a little behind
    again = append_group(appender, [prepare(made.log, Batch(WRITER, [event(1)]), made.logs.keystore, made.clock)])
    assert again[0].seqs == [Given(3, 3, False)]


def test_a_span_sent_over_and_over_with_other_data_costs_a_bounded_look(made: Made) -> None:
    rounds = MAX_SENDS + 20
    for number in range(rounds):
        send(made.logs, made.log, span(1, identity=b"version %d" % number))
    assert send(made.logs, made.log, span(1, identity=b"version 3")).seqs == [Given(5, 5, False)]
    last = f"version {rounds - 1}".encode()
    assert send(made.logs, made.log, span(1, identity=last)).seqs == [Given(1 + rounds, 1 + rounds, False)]


def test_every_look_up_walks_the_primary_key(made: Made) -> None:
    columns = "SELECT seq, parts FROM arrivals WHERE log_id = ? AND trace_id = ? AND span_id = ? AND "
    with made.logs.ledger.read() as connection:
        exact = explain(connection, f"{columns} mac = ?", (1, b"", b"", b""))
        spans = explain(connection, f"{columns} mac BETWEEN ? AND ? LIMIT 64", (1, b"", b"", b"", b""))
    wanted = "SEARCH arrivals USING PRIMARY KEY (log_id=? AND trace_id=? AND span_id=? AND mac"
    assert exact == f"{wanted}=?)"
    assert spans == f"{wanted}>? AND mac<?)"
    assert [column.name for column in arrivals.primary_key] == ["log_id", "trace_id", "span_id", "mac"]


def test_ten_thousand_events_of_one_trace_are_looked_up_one_by_one(made: Made) -> None:
    items = [event(n, trace=TRACE) for n in range(10_000)]
    send(made.logs, made.log, *items)
    answer = send(made.logs, made.log, *items[:50], event(10_001, trace=TRACE))
    assert [given.new for given in answer.seqs] == [False] * 50 + [True]


def test_what_is_filed_says_nothing_without_the_key(made: Made) -> None:
    """The same item in two directories is filed under different hashes."""
    send(made.logs, made.log, event(1))
    with sqlite3.connect(made.path / "ledger.db") as connection:
        (mac,) = connection.execute("SELECT mac FROM arrivals").fetchone()
    made.clock.at_us = DECEMBER_US
    keys = made.logs.keystore.arrival_keys(202612, DECEMBER_US)
    assert len(mac) == 20
    assert len({key.key for key in keys}) == 2
