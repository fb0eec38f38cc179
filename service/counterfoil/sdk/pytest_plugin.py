"""The pytest fixture `counterfoil_records`: what the code under test recorded, in memory.

    def test_a_late_return_is_denied(counterfoil_records):
        decide_refund(days=41)
        assert counterfoil_records.decisions[0]["outcome"] == "deny"

Nothing leaves the process, whatever the environment says, and a `configure` of the code under test only sets agent,
capture and redaction. What is otherwise logged and counted is raised (`Misuse`), so a wrong enumeration or a value that
cannot be recorded fails the test. `counterfoil_records.away = True` makes `durable` decisions raise NotRecorded.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from counterfoil.sdk.complaints import Misuse, complaints
from counterfoil.sdk.memory import MemorySink, Recorded
from counterfoil.sdk.state import replace_sink

__all__ = ["CounterfoilRecords", "Misuse", "Recorded", "counterfoil_records"]


class CounterfoilRecords:
    """The events of one test, in order."""

    def __init__(self, sink: MemorySink) -> None:
        self._sink = sink

    @property
    def all(self) -> list[Recorded]:
        """Every event."""
        return list(self._sink.records)

    def of(self, event: str) -> list[Recorded]:
        """The events of one name: `of("handoff")`, `of("counterfoil.handoff")`."""
        name = event if event.startswith("counterfoil.") else f"counterfoil.{event}"
        return [record for record in self._sink.records if record.event == name]

    @property
    def decisions(self) -> list[Recorded]:
        """The decisions."""
        return self.of("decision")

    @property
    def away(self) -> bool:
        """Whether the service is played to be away."""
        return self._sink.away

    @away.setter
    def away(self, away: bool) -> None:
        self._sink.away = away

    def clear(self) -> None:
        """Forget what was recorded so far."""
        self._sink.records.clear()

    def __len__(self) -> int:
        return len(self._sink.records)

    def __iter__(self) -> Iterator[Recorded]:
        return iter(self.all)


@pytest.fixture
def counterfoil_records() -> Iterator[CounterfoilRecords]:
    """What the code under test records with counterfoil.sdk; its mistakes are raised."""
    sink = MemorySink()
    before, strict = replace_sink(sink), complaints.strict
    complaints.strict = True
    try:
        yield CounterfoilRecords(sink)
    finally:
        complaints.strict = strict
        replace_sink(before)
