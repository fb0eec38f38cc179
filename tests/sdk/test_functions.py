"""The decorator, on functions of every kind: the same results and errors, and a decision around each call."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import counterfoil.sdk as counterfoil
from counterfoil.sdk.pytest_plugin import CounterfoilRecords


def test_a_function_that_never_chooses_has_chosen_what_it_returns(counterfoil_records: CounterfoilRecords) -> None:
    @counterfoil.decision("routing", risk="low")
    def route(ticket: str, *, urgent: bool = False) -> str:
        """Where to."""
        return "billing"

    assert route("an invoice", urgent=True) == "billing"
    assert (route.__name__, route.__doc__) == ("route", "Where to.")
    (record,) = counterfoil_records.decisions
    assert (record["type"], record["outcome"], record["output"]) == ("routing", "billing", "billing")
    assert record["inputs"] == {"ticket": "an invoice", "urgent": True}


def test_words_that_are_returned_are_output_and_no_outcome(counterfoil_records: CounterfoilRecords) -> None:
    @counterfoil.decision("answer")
    def answer() -> str:
        return "We are sorry to hear that."

    answer()
    (record,) = counterfoil_records.decisions
    assert record.get("outcome") is None
    assert record["output"] == "We are sorry to hear that."


def test_inside_the_current_decision_is_the_function_s_own(counterfoil_records: CounterfoilRecords) -> None:
    @counterfoil.decision("refund", inputs=False)
    def decide(days: int) -> int:
        d = counterfoil.current_decision()
        d.consider("approve")
        d.choose("deny" if days > 30 else "approve", rationale=f"{days} days")
        return days

    assert [decide(41), decide(3)] == [41, 3]
    first, second = counterfoil_records.decisions
    assert (first["outcome"], second["outcome"]) == ("deny", "approve")
    assert first["id"] != second["id"]
    assert first.get("inputs") is None
    assert first.get("output") is None


def test_methods_of_every_kind_leave_self_out(counterfoil_records: CounterfoilRecords) -> None:
    class Agent:
        @counterfoil.decision("a")
        def plain(self, x: int) -> int:
            return x

        @counterfoil.decision("b")
        @classmethod
        def of_class(cls, x: int) -> int:
            return x

        @staticmethod
        @counterfoil.decision("c")
        def static(x: int) -> int:
            return x

    assert [Agent().plain(1), Agent.of_class(2), Agent.static(3)] == [1, 2, 3]
    assert [record["inputs"] for record in counterfoil_records.decisions] == [{"x": 1}, {"x": 2}, {"x": 3}]


def test_errors_pass_and_wrong_arguments_are_the_host_s_own_error(counterfoil_records: CounterfoilRecords) -> None:
    @counterfoil.decision("a")
    def fails(x: int) -> None:
        raise ZeroDivisionError("by design")

    with pytest.raises(ZeroDivisionError, match="by design"):
        fails(1)
    with pytest.raises(TypeError):
        fails(1, 2)  # type: ignore[call-arg]  # on purpose
    assert [record["error.type"] for record in counterfoil_records.decisions] == ["ZeroDivisionError", "TypeError"]


def test_coroutines_run_side_by_side_each_in_its_own_decision(counterfoil_records: CounterfoilRecords) -> None:
    @counterfoil.decision("a")
    async def decide(x: int) -> int:
        mine = counterfoil.current_decision()
        await asyncio.sleep(0.001 * (5 - x))
        assert counterfoil.current_decision() is mine
        mine.choose(f"o{x}")
        return x

    async def main() -> list[int]:
        return await asyncio.gather(*(decide(x) for x in range(5)))

    assert inspect.iscoroutinefunction(decide)
    assert asyncio.run(main()) == [0, 1, 2, 3, 4]
    assert {(r["outcome"], r["inputs"]["x"]) for r in counterfoil_records.decisions} == {(f"o{x}", x) for x in range(5)}


def test_a_cancelled_coroutine_is_recorded_as_such(counterfoil_records: CounterfoilRecords) -> None:
    @counterfoil.decision("a")
    async def waits() -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(waits())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert counterfoil_records.decisions[0]["error.type"].endswith("CancelledError")


def test_a_generator_keeps_values_sent_thrown_and_returned(counterfoil_records: CounterfoilRecords) -> None:
    @counterfoil.decision("a")
    def steps() -> Iterator[Any]:
        got = yield counterfoil.current_decision()
        try:
            yield got
        except ValueError as error:
            yield str(error)
        counterfoil.current_decision().choose("done")
        return "end"

    assert inspect.isgeneratorfunction(steps)
    running = steps()
    inside = next(running)
    assert inside is not counterfoil.current_decision()
    assert running.send("sent") == "sent"  # type: ignore[attr-defined]  # it is a generator
    assert running.throw(ValueError("thrown")) == "thrown"  # type: ignore[attr-defined]  # it is a generator
    with pytest.raises(StopIteration) as stopped:
        next(running)
    assert stopped.value.value == "end"
    (record,) = counterfoil_records.decisions
    assert (record["outcome"], record["id"]) == ("done", inside.id)


def test_a_generator_that_is_closed_or_fails_is_recorded(counterfoil_records: CounterfoilRecords) -> None:
    closed = []

    @counterfoil.decision("a")
    def steps(fail: bool) -> Iterator[int]:
        try:
            yield 1
        finally:
            closed.append(counterfoil.current_decision().id)
        if fail:
            raise ValueError

    running = steps(False)
    next(running)
    running.close()  # type: ignore[attr-defined]  # it is a generator
    with pytest.raises(ValueError, match=r"^$"):
        list(steps(True))
    first, second = counterfoil_records.decisions
    assert first.get("error.type") is None
    assert second["error.type"] == "ValueError"
    assert closed == [first["id"], second["id"]]


def test_an_async_generator_keeps_values_sent_and_thrown(counterfoil_records: CounterfoilRecords) -> None:
    @counterfoil.decision("a")
    async def steps() -> AsyncIterator[Any]:
        got = yield counterfoil.current_decision()
        try:
            yield got
        except ValueError as error:
            yield str(error)
        counterfoil.current_decision().choose("done")

    async def main() -> list[Any]:
        running: Any = steps()
        inside = await running.__anext__()
        assert inside is not counterfoil.current_decision()
        found = [await running.asend("sent"), await running.athrow(ValueError("thrown"))]
        return found + [item async for item in running]

    assert inspect.isasyncgenfunction(steps)
    assert asyncio.run(main()) == ["sent", "thrown"]
    assert counterfoil_records.decisions[0]["outcome"] == "done"


def test_an_async_generator_that_is_closed_or_fails_is_recorded(counterfoil_records: CounterfoilRecords) -> None:
    @counterfoil.decision("a")
    async def steps(fail: bool) -> AsyncIterator[int]:
        yield 1
        if fail:
            raise ValueError

    async def main() -> None:
        running: Any = steps(False)
        await running.__anext__()
        await running.aclose()
        with pytest.raises(ValueError, match=r"^$"):
            [item async for item in steps(True)]

    asyncio.run(main())
    first, second = counterfoil_records.decisions
    assert first.get("error.type") is None
    assert second["error.type"] == "ValueError"


def test_a_durable_function_returns_only_once_it_is_recorded(counterfoil_records: CounterfoilRecords) -> None:
    @counterfoil.decision("a", durable=True)
    def decide() -> str:
        return "yes"

    @counterfoil.decision("a", durable=True)
    async def decide_async() -> str:
        return "yes"

    assert decide() == asyncio.run(decide_async()) == "yes"
    counterfoil_records.away = True
    with pytest.raises(counterfoil.NotRecorded, match="away"):
        decide()
    with pytest.raises(counterfoil.NotRecorded, match="away"):
        asyncio.run(decide_async())
