"""Turns at the CPU work: large requests one after the other, first come first served, nothing lost on the way."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest

from counterfoil.ingest.limits import Limits
from counterfoil.ingest.turns import Turns, weight_of


async def _work(turns: Turns, weight: int, events: list[str], name: str, done: asyncio.Event) -> None:
    async with turns.take(weight):
        events.append(f"{name} begins")
        await done.wait()
    events.append(f"{name} ends")


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_what_fits_works_at_once_and_what_does_not_waits_without_being_overtaken() -> None:
    async def run() -> list[str]:
        turns = Turns(10)
        events: list[str] = []
        done = {name: asyncio.Event() for name in "abcd"}
        weights = {"a": 4, "b": 6, "c": 8, "d": 1}
        tasks = []
        for name, weight in weights.items():
            tasks.append(asyncio.create_task(_work(turns, weight, events, name, done[name])))
            await _settle()
        assert events == ["a begins", "b begins"]  # d would fit, and waits behind c
        done["b"].set()
        await _settle()
        done["a"].set()
        await _settle()
        done["c"].set()
        done["d"].set()
        await asyncio.gather(*tasks)
        return events

    events = asyncio.run(run())
    assert events[:3] == ["a begins", "b begins", "b ends"]
    assert events.index("c begins") > events.index("a ends")
    assert events.index("d begins") > events.index("c begins")


def test_a_request_over_the_whole_limit_works_alone() -> None:
    async def run() -> list[str]:
        turns, done = Turns(10), asyncio.Event()
        events: list[str] = []
        first = asyncio.create_task(_work(turns, 50, events, "large", done))
        await _settle()
        second = asyncio.create_task(_work(turns, 1, events, "small", done))
        await _settle()
        assert events == ["large begins"]
        done.set()
        await asyncio.gather(first, second)
        return events

    assert "small begins" in asyncio.run(run())


@pytest.mark.parametrize("late", [False, True])
def test_who_stops_waiting_keeps_nobody_from_working(late: bool) -> None:
    async def run() -> list[str]:
        turns, done, never = Turns(10), asyncio.Event(), asyncio.Event()
        events: list[str] = []
        first = asyncio.create_task(_work(turns, 10, events, "first", done))
        await _settle()
        quitter = asyncio.create_task(_work(turns, 10, events, "quitter", never))
        last = asyncio.create_task(_work(turns, 10, events, "last", done))
        await _settle()
        if late:
            done.set()
            await asyncio.sleep(0)  # the quitter may have been called in this very moment
        quitter.cancel()
        done.set()
        await asyncio.gather(first, last)
        assert await asyncio.gather(quitter, return_exceptions=True)
        async with turns.take(10):
            events.append("afterwards")
        return events

    assert asyncio.run(asyncio.wait_for(run(), 5))[-1] == "afterwards"


def test_an_error_gives_the_turn_back() -> None:
    async def run() -> None:
        turns = Turns(10)
        for _ in range(3):
            with pytest.raises(KeyError):
                async with turns.take(10):
                    raise KeyError

    asyncio.run(asyncio.wait_for(run(), 5))


def test_the_weight_is_the_size_after_decompression_as_far_as_it_can_be_told() -> None:
    limits, data = Limits(), b"history repeats itself " * 1000
    assert weight_of(data, "identity", limits) == len(data)
    assert weight_of(gzip.compress(data), "gzip", limits) == len(data)
    assert weight_of(gzip.compress(b""), "gzip", limits) == 20
    assert weight_of(b"\x1f\x8b\xff\xff\xff\xff", "gzip", limits) == limits.inflated_bytes
    assert weight_of(zlib.compress(data), "deflate", limits) == 20 * len(zlib.compress(data))
    assert weight_of(b"", "gzip", limits) == 0
