"""A decision block: what it records, when, and that it never harms its host."""

from __future__ import annotations

import asyncio
import contextvars
import enum
import logging
import threading
import weakref
from datetime import UTC, datetime
from typing import Any

import pytest

import counterfoil.sdk as counterfoil
from counterfoil.sdk.complaints import complaints
from counterfoil.sdk.pytest_plugin import CounterfoilRecords, Misuse


def test_a_decision_is_sent_when_it_is_made_not_when_its_block_ends(counterfoil_records: CounterfoilRecords) -> None:
    with counterfoil.decision("refund") as d:
        d.choose("approve")
        (record,) = counterfoil_records.decisions
        assert (record["outcome"], record["id"]) == ("approve", d.id)
    assert len(counterfoil_records) == 1


def test_what_speaks_for_the_chosen_alternative_is_not_called_a_rejection(
    counterfoil_records: CounterfoilRecords,
) -> None:
    with counterfoil.decision("refund") as d:
        d.consider("approve", score=0.35, because="goodwill")
        d.consider("deny", score=0.65, because="late")
        d.choose("deny")
    assert counterfoil_records.decisions[0]["alternatives"] == [
        {"option": "approve", "score": 0.35, "rejected_because": "goodwill"},
        {"option": "deny", "score": 0.65, "because": "late"},
    ]


def test_a_block_without_a_choice_is_recorded_at_its_end(counterfoil_records: CounterfoilRecords) -> None:
    with counterfoil.decision("refund", risk="low") as d:
        d.consider("approve")
        assert len(counterfoil_records) == 0
    (record,) = counterfoil_records.decisions
    assert record.get("outcome") is None
    assert record["risk"] == "low"


def test_a_second_choice_is_a_record_with_an_id_of_its_own(counterfoil_records: CounterfoilRecords) -> None:
    with counterfoil.decision("refund") as d:
        d.choose("approve")
        first = d.id
        d.choose("deny")
    assert [record["id"] for record in counterfoil_records.decisions] == [first, d.id]
    assert first != d.id


def test_an_exception_passes_through_and_an_undecided_decision_has_its_type(
    counterfoil_records: CounterfoilRecords,
) -> None:
    error = KeyError("order 17")
    with pytest.raises(KeyError) as caught, counterfoil.decision("refund"):
        raise error
    assert caught.value is error
    (record,) = counterfoil_records.decisions
    assert record["error.type"] == "KeyError"
    assert record["exception.message"] == "'order 17'"


def test_an_exception_after_the_choice_is_an_outcome_of_the_decision(counterfoil_records: CounterfoilRecords) -> None:
    class PaymentFailed(Exception):
        pass

    def pay(d: counterfoil.Decision) -> None:
        d.choose("approve")
        raise PaymentFailed("bank is closed")

    with pytest.raises(PaymentFailed), counterfoil.decision("refund") as d:
        pay(d)
    decision, outcome = counterfoil_records.all
    assert decision.get("error.type") is None
    assert (outcome.event, outcome["of.id"], outcome["status"]) == ("counterfoil.outcome", d.id, "error")
    assert outcome["error.type"].endswith("PaymentFailed")


def test_a_message_that_cannot_be_read_does_not_matter(counterfoil_records: CounterfoilRecords) -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    with pytest.raises(Broken), counterfoil.decision("refund"):
        raise Broken
    assert counterfoil_records.decisions[0].get("exception.message") is None


def test_fallback_steps_number_themselves_and_name_their_decision(counterfoil_records: CounterfoilRecords) -> None:
    with counterfoil.decision("refund") as d:
        d.fall_back("model-b", trigger="timeout", origin="model-a", mode="retry")
        counterfoil.current_decision().fall_back("rules", trigger="error", origin="model-b", mode="degraded")
    steps = counterfoil_records.of("fallback")
    assert [(step["step"], step["from"], step["to"], step["of.id"]) for step in steps] == [
        (1, "model-a", "model-b", d.id),
        (2, "model-b", "rules", d.id),
    ]


def test_outside_of_a_decision_a_fallback_stands_for_itself_and_a_choice_is_complained_of(
    counterfoil_records: CounterfoilRecords,
) -> None:
    counterfoil.current_decision().fall_back("rules", trigger="error")
    assert counterfoil_records.of("fallback")[0].get("of.id") is None
    with pytest.raises(Misuse, match="outside of a decision"):
        counterfoil.current_decision().choose("deny")


def test_inner_decisions_and_interactions_end_with_their_blocks(counterfoil_records: CounterfoilRecords) -> None:
    with counterfoil.interaction("outer", channel="chat"), counterfoil.decision("a") as a:
        with counterfoil.interaction("inner"), counterfoil.decision("b") as b:
            assert counterfoil.current_decision() is b
            b.choose("x")
        assert counterfoil.current_decision() is a
        a.choose("y")
    first, second = counterfoil_records.decisions
    assert first["counterfoil.interaction.id"] == "inner"
    assert first.get("counterfoil.interaction.channel") is None
    assert second["counterfoil.interaction.id"] == "outer"


def test_tasks_keep_their_own_interaction(counterfoil_records: CounterfoilRecords) -> None:
    async def turn(name: str) -> None:
        async with counterfoil.interaction(name), counterfoil.decision("route") as d:
            await asyncio.sleep(0.01)
            assert counterfoil.current_decision() is d
            d.choose(name)

    async def main() -> None:
        await asyncio.gather(*(turn(f"conv-{number}") for number in range(20)))

    asyncio.run(main())
    pairs = {(record["outcome"], record["counterfoil.interaction.id"]) for record in counterfoil_records.decisions}
    assert pairs == {(f"conv-{number}", f"conv-{number}") for number in range(20)}


def test_a_thread_begins_without_an_interaction_unless_run_in_a_copy_of_the_context(
    counterfoil_records: CounterfoilRecords,
) -> None:
    def work() -> None:
        with counterfoil.decision("route") as d:
            d.choose("x")

    with counterfoil.interaction("conv-1"):
        plain = threading.Thread(target=work)
        copied = threading.Thread(target=contextvars.copy_context().run, args=(work,))
        for thread in (plain, copied):
            thread.start()
            thread.join()
    first, second = counterfoil_records.decisions
    assert first.get("counterfoil.interaction.id") is None
    assert second["counterfoil.interaction.id"] == "conv-1"


def test_a_block_left_in_another_context_just_ends(counterfoil_records: CounterfoilRecords) -> None:
    block = counterfoil.interaction("conv-1")
    contextvars.copy_context().run(block.__enter__)
    block.__exit__(None, None, None)
    with counterfoil.decision("route") as d:
        d.choose("x")
    assert counterfoil_records.decisions[0].get("counterfoil.interaction.id") is None


def test_a_wrong_enumeration_is_raised_in_tests(counterfoil_records: CounterfoilRecords) -> None:
    with pytest.raises(Misuse, match=r"decision[.]risk is not one of low, medium, high, critical, other"):
        counterfoil.decision("refund", risk="enormous").__exit__(None, None, None)


def test_a_late_alternative_is_raised_in_tests(counterfoil_records: CounterfoilRecords) -> None:
    with counterfoil.decision("refund") as d:
        d.choose("deny")
        with pytest.raises(Misuse, match="after the choice"):
            d.consider("approve")


def test_outside_of_tests_wrong_values_are_logged_once_and_sent_all_the_same(
    counterfoil_records: CounterfoilRecords, caplog: pytest.LogCaptureFixture
) -> None:
    complaints.strict = False
    with caplog.at_level(logging.WARNING, "counterfoil.sdk"):
        for _ in range(3):
            with counterfoil.decision("refund", risk="enormous", threshold=7) as d:
                d.choose("no such thing, dear customer", confidence=-0.5)
    assert {record["risk"] for record in counterfoil_records.decisions} == {"enormous"}
    assert len([record for record in caplog.records if "decision.risk" in record.message]) == 1
    assert "dear customer" not in caplog.text
    assert complaints.counts()["no_fact"] == 12


def test_enumerations_numbers_and_odd_types_become_facts(counterfoil_records: CounterfoilRecords) -> None:
    class Risk(enum.Enum):
        HIGH = "high"

    class Name(str):
        __slots__ = ()

    with counterfoil.decision(Name("refund"), risk=Risk.HIGH) as d:  # type: ignore[arg-type]  # what a host may do
        d.choose(Name("approve"), confidence=1)
    (record,) = counterfoil_records.decisions
    assert (record["type"], record["risk"], record["outcome"], record["confidence"]) == ("refund", "high", "approve", 1)
    assert {type(record["type"]), type(record["outcome"])} == {str}


class Hostile:
    """Raises whatever is done with it."""

    def __str__(self) -> str:
        raise RuntimeError("str")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("eq")

    __hash__ = None  # type: ignore[assignment]  # unhashable on purpose


def test_hostile_values_leave_a_record_that_says_so(counterfoil_records: CounterfoilRecords) -> None:
    complaints.strict = False
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    with counterfoil.decision("refund", owner=Hostile(), inputs={"a": Hostile()}) as d:  # type: ignore[arg-type]  # on purpose
        d.consider(Hostile(), because=cyclic)
        d.choose("deny", rationale=Hostile(), output="x" * 2_000_000)
        d.fall_back(Hostile(), reason=cyclic)  # type: ignore[arg-type]  # on purpose
    decision, fallback = counterfoil_records.all
    assert decision["outcome"] == "deny"
    assert decision.absent == dict.fromkeys(("rationale", "output", "alternatives", "inputs"), "unavailable")
    assert fallback.absent == {"reason": "unavailable"}


def test_an_id_that_can_only_be_refused_does_not_stop_the_host(counterfoil_records: CounterfoilRecords) -> None:
    """Of a dead proxy not even the class can be asked."""

    class Thing:
        """Can be referred to weakly."""

    dead: Any = weakref.proxy(Thing())
    complaints.strict = False

    @counterfoil.decision("routing", id=dead)
    def route() -> Any:
        return dead

    with counterfoil.interaction(dead, subject=dead), counterfoil.decision("refund", id=dead) as d:
        d.choose(dead)
    route()
    with counterfoil.decision("refund", id=42) as numbered:  # type: ignore[arg-type]  # what a host may do
        numbered.choose("approve")
    counterfoil.hand_off(dead, id=dead)
    assert len({record["id"] for record in counterfoil_records.decisions}) == 3
    assert numbered.id == "42"
    assert complaints.counts()["internal"] >= 1


def test_a_log_filter_of_the_host_that_raises_does_not_reach_the_host() -> None:
    def refuse(record: logging.LogRecord) -> bool:
        raise RuntimeError("filter")

    logger = logging.getLogger("counterfoil.sdk")
    logger.addFilter(refuse)
    try:
        counterfoil.notice("ai_disclosure")  # not configured, which is complained of
    finally:
        logger.removeFilter(refuse)
    assert complaints.counts() == {"not_configured": 1}


def test_what_is_recorded_is_what_the_value_was_at_the_call(counterfoil_records: CounterfoilRecords) -> None:
    order = {"total": 20}
    with counterfoil.decision("refund", inputs=order) as d:
        order["total"] = 99
        d.choose("deny", output=order)
        order["total"] = 7
    assert counterfoil_records.decisions[0]["inputs"] == {"total": 20}
    assert counterfoil_records.decisions[0]["output"] == {"total": 99}


def test_without_configure_nothing_happens_and_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    counterfoil.shutdown()
    with caplog.at_level(logging.WARNING, "counterfoil.sdk"), counterfoil.interaction("c", starts=True):
        for _ in range(2):
            with counterfoil.decision("refund") as d:
                d.choose("deny")
        counterfoil.hand_off("queue")
    assert [record.message.partition(":")[0] for record in caplog.records] == ["not_configured"]
    assert counterfoil.flush()


def test_without_configure_a_durable_decision_is_not_recorded() -> None:
    counterfoil.shutdown()
    with (
        pytest.raises(counterfoil.NotRecorded, match="not configured"),
        counterfoil.decision("refund", durable=True) as d,
    ):
        d.choose("deny")


def test_alternatives_over_the_limit_are_left_out_whole_and_that_is_said(
    counterfoil_records: CounterfoilRecords,
) -> None:
    complaints.strict = False
    counterfoil.configure(field_bytes=2_000)
    with counterfoil.decision("refund") as d:
        for number in range(1_000):
            d.consider(f"option-{number}", because="x" * 100)
        d.choose("option-1")
    (record,) = counterfoil_records.decisions
    assert record.absent == {"alternatives": "unavailable"}


def test_a_fact_that_is_far_too_long_for_one_is_left_out_and_that_is_counted(
    counterfoil_records: CounterfoilRecords,
) -> None:
    complaints.strict = False
    with counterfoil.interaction("c" * 5_000), counterfoil.decision("x" * 4_096) as d:
        d.choose("é" * 3_000)
    (record,) = counterfoil_records.decisions
    assert record["type"] == "x" * 4_096
    assert record.get("outcome") is None
    assert record.get("counterfoil.interaction.id") is None
    assert complaints.counts()["fact_unavailable"] == 2


def test_a_time_that_cannot_be_is_left_out(counterfoil_records: CounterfoilRecords) -> None:
    complaints.strict = False
    counterfoil.oversee(
        "approve", of="d-1", shown_at=datetime.max.replace(tzinfo=UTC), decided_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    (record,) = counterfoil_records.all
    assert record.get("shown_at") is None
    assert record["decided_at"] == "2026-01-01T00:00:00.000000000Z"
