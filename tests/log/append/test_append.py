"""Step 3: numbering, links, promises, and who is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest

from counterfoil.core.errors import InputError
from counterfoil.core.merkle import leaf_hash
from counterfoil.core.note import parse_vkey
from counterfoil.core.promise import open_promise
from counterfoil.core.record import parse_record
from counterfoil.log.append import merge_ranges
from counterfoil.log.batch import Batch, Given
from counterfoil.log.errors import ClockBehind, Closing, LogRolledBack
from counterfoil.log.records import head, read_leaf, read_leaves
from counterfoil.mapping.draft import Draft
from tests.log.append.making import (
    NOON_US,
    OTHER_WRITER,
    WRITER,
    Made,
    check_every_log,
    event,
    leaves,
    open_with,
    send,
    span,
)

SECOND = 1_000_000


def test_a_batch_becomes_numbered_linked_canonical_records(made: Made) -> None:
    answer = send(made.logs, made.log, span(1), span(2), event(1))
    assert answer.seqs == [Given(2, 2, True), Given(3, 3, True), Given(4, 4, True)]
    assert answer.size == 5
    with made.logs.ledger.read() as connection:
        for seq, leaf in read_leaves(connection, made.log.id, 0, 5):
            parsed = parse_record(leaf)  # core reads strictly what orjson printed
            assert parsed["seq"] == seq


def test_an_item_of_several_drafts_gets_contiguous_parts(made: Made) -> None:
    answer = send(made.logs, made.log, span(1, parts=3), span(2))
    assert answer.seqs == [Given(2, 4, True), Given(5, 5, True)]
    parts = [leaf.get("producer") for leaf in leaves(made.path, made.log.id)[2:]]
    assert parts == [{"part": 0}, {"part": 1}, {"part": 2}, None]


def test_a_producers_number_and_part_stand_in_the_leaf(made: Made) -> None:
    send(made.logs, made.log, span(1, producer=("proc-a", 7)))
    assert leaves(made.path, made.log.id)[2]["producer"] == {"id": "proc-a", "n": 7, "part": 0}


def test_the_promise_is_signed_by_the_log_and_covers_what_was_given(made: Made) -> None:
    answer = send(made.logs, made.log, span(1), span(2))
    promise = open_promise(answer.promise, [parse_vkey(made.log.vkey)])
    assert promise.origin == made.log.origin
    assert promise.ranges == ((2, 3),)
    assert promise.at_us == NOON_US
    with made.logs.ledger.read() as connection:
        leaf = read_leaf(connection, made.log.id, 3)
    assert leaf is not None
    assert promise.leaf_hash == leaf_hash(leaf)


def test_the_promise_of_a_retry_covers_the_old_records(made: Made) -> None:
    send(made.logs, made.log, span(1), span(2), span(3))
    send(made.logs, made.log, span(9))
    answer = send(made.logs, made.log, span(1), span(3), span(10))
    promise = open_promise(answer.promise, [parse_vkey(made.log.vkey)])
    assert promise.ranges == ((2, 2), (4, 4), (6, 6))
    again = send(made.logs, made.log, span(2))
    promise = open_promise(again.promise, [parse_vkey(made.log.vkey)])
    with made.logs.ledger.read() as connection:
        leaf = read_leaf(connection, made.log.id, 3)
    assert leaf is not None
    assert (promise.ranges, promise.leaf_hash) == (((3, 3),), leaf_hash(leaf))


def test_ranges_merge_to_the_limit_by_closing_the_smallest_gaps() -> None:
    assert merge_ranges([]) == ()
    assert merge_ranges([(5, 6), (0, 1), (2, 3)]) == ((0, 3), (5, 6))
    assert merge_ranges([(3, 9), (4, 5)]) == ((3, 9),)
    assert merge_ranges([(0, 0), (2, 2), (10, 10), (20, 20)], limit=2) == ((0, 10), (20, 20))
    many = merge_ranges([(at * 3, at * 3) for at in range(1000)])
    assert len(many) == 32
    assert (many[0][0], many[-1][1]) == (0, 2997)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(many))


def test_an_unlawful_draft_is_refused_alone_and_the_rest_is_kept(made: Made) -> None:
    bad = span(2)
    bad.drafts[0].facts["decision"] = {"type": "words of a person are no token"}
    answer = send(made.logs, made.log, span(1), bad, span(3))
    assert answer.seqs == [Given(2, 2, True), None, Given(3, 3, True)]
    assert list(answer.refused) == [1]
    assert answer.refused[1].code == "bad_record"
    assert answer.refused[1].item == "decision"


@pytest.mark.parametrize(
    "facts",
    [
        {"surprise": "x"},
        {"started_at": "2026-11-22T11:59:59.000000001"},
        {"started_at": "2026-02-30T11:59:59.000000001Z"},
        {"ended_at": 5},
        {"mapping": {"name": "no version"}},
        {"mapping": ["test", "1"]},
        {"mapping": {"name": {"nested": "x"}, "version": "1"}},
        {"agent": {"name": "Mr. Smith of room 1234567"}},
        {"supersedes": 0},
        {"v": 1},
        {"content": {}},
        {"links": []},
        {"trace_id": "0" * 32},
    ],
)
def test_facts_that_core_would_refuse_never_reach_the_log(made: Made, facts: dict[str, object]) -> None:
    item = span(1)
    item.drafts[0].facts.update(facts)
    answer = send(made.logs, made.log, item)
    assert answer.seqs == [None]
    assert answer.promise is None
    assert answer.size == 2


def test_otlp_drafts_name_their_mapping_and_our_own_never_do(made: Made) -> None:
    item = span(1)
    del item.drafts[0].facts["mapping"]
    assert send(made.logs, made.log, item).seqs == [None]
    draft = Draft("note", "service", {"mapping": {"name": "x", "version": "1"}}, [])
    with pytest.raises(InputError, match="mapping"):
        made.logs.append_drafts(made.log.id, [draft])


def test_a_producer_that_is_no_token_is_refused(made: Made) -> None:
    answer = send(made.logs, made.log, span(1, producer=("Mr. Smith", 1)), span(2, producer=("proc", -1)))
    assert [answer.refused[at].code for at in (0, 1)] == ["bad_producer", "bad_producer"]


def test_records_of_the_service_may_travel_with_those_of_a_writer(made: Made) -> None:
    refusal = {"signal": "traces", "code": "bad_id", "count": 1}
    item = event(1)
    item.drafts = [Draft("refusal", "service", {"refusal": refusal}, [("detail", "spans[3]")])]
    send(made.logs, made.log, span(1), item)
    first, second = leaves(made.path, made.log.id)[2:]
    assert "writer" in first
    assert "writer" not in second


def test_a_log_that_is_closed_takes_nothing(made: Made) -> None:
    with made.logs.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE logs SET closed_us = 1 WHERE id = ?", (made.log.id,))
    made.reopen()
    with pytest.raises(InputError) as caught:
        send(made.logs, made.log, span(1))
    assert caught.value.code == "log_closed"


def test_while_the_clock_is_a_little_behind_the_last_time_is_repeated_and_counted(made: Made) -> None:
    send(made.logs, made.log, span(1))
    made.clock.at_us = NOON_US - 60 * SECOND
    answer = send(made.logs, made.log, span(2))
    assert answer.recorded_us == NOON_US
    assert made.logs.counters.clock_repeats == 1
    times = [leaf["recorded_at"] for leaf in leaves(made.path, made.log.id)]
    assert times[-1] == times[-2] == "2026-11-22T12:00:00.000000Z"


def test_a_clock_further_behind_appends_nothing(made: Made) -> None:
    send(made.logs, made.log, span(1))
    made.clock.at_us = NOON_US - 60 * SECOND - 1
    with pytest.raises(ClockBehind) as caught:
        send(made.logs, made.log, span(2))
    assert caught.value.code == "clock_behind"
    made.clock.at_us = NOON_US
    assert send(made.logs, made.log, span(2)).seqs == [Given(3, 3, True)]


class SignedSizes:
    """A head store that has signed more than the database holds."""

    def __init__(self, size: int) -> None:
        self.size = size

    def size_of(self, origin: str) -> int:
        assert origin == "audit.example.com/default/main"
        return self.size


def test_a_database_behind_the_head_store_is_neither_appended_to_nor_silently_continued(made: Made) -> None:
    send(made.logs, made.log, span(1))
    logs = open_with(made)
    logs.heads = SignedSizes(4)
    with pytest.raises(LogRolledBack) as caught:
        send(logs, made.log, span(2))
    assert caught.value.code == "log_rolled_back"
    assert "restore declare" in str(caught.value)
    logs.close()
    assert check_every_log(made.path)[made.log.id] == 3
    level = open_with(made)
    level.heads = SignedSizes(3)
    assert send(level, made.log, span(2)).seqs == [Given(3, 3, True)]
    level.close()


def test_two_writers_of_one_log_are_told_apart_in_the_leaf(made: Made) -> None:
    send(made.logs, made.log, span(1))
    send(made.logs, made.log, span(1), writer=OTHER_WRITER)
    first, second = leaves(made.path, made.log.id)[2:]
    assert first["writer"] != second["writer"]
    assert "supersedes" not in second


def test_records_of_our_own_need_no_writer_and_others_do(made: Made) -> None:
    answer = made.logs.append(made.log.id, Batch(None, [span(1)])).result(30)
    assert answer.refused[0].item == "writer"


def test_an_empty_batch_changes_nothing(made: Made) -> None:
    with made.logs.ledger.read() as connection:
        before = head(connection, made.log.id)
    answer = send(made.logs, made.log)
    assert (answer.seqs, answer.promise, answer.size) == ([], None, before.size)


def test_logs_that_are_closed_say_that_the_service_is_stopping(made: Made) -> None:
    made.logs.close()
    with pytest.raises(Closing) as caught:
        made.logs.append(made.log.id, Batch(WRITER, [span(1)]))
    assert caught.value.code == "storage_unavailable"
    assert len(leaves(made.path, made.log.id)) == 2
