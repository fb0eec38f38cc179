"""A sink that keeps records in memory, as they would be sent: for tests of the program that records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from counterfoil.sdk.capture import Capture
from counterfoil.sdk.finish import attributes_of
from counterfoil.sdk.not_recorded import NotRecorded
from counterfoil.sdk.record import Delivered, Fact, Record
from counterfoil.sdk.settings import Settings


@dataclass(frozen=True, slots=True)
class Recorded:
    """One event as it would leave the process: redacted, numbered."""

    event: str
    """`counterfoil.decision`, ..."""
    n: int
    time_ns: int
    trace_id: str
    """32 hex digits, or empty."""
    span_id: str
    """16 hex digits, or empty."""
    attributes: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        """An attribute by its whole name, or by its key below the event's: `record["outcome"]`. KeyError."""
        name = f"{self.event}.{key}"
        return self.attributes[name] if name in self.attributes else self.attributes[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The same, or `default`."""
        try:
            return self[key]
        except KeyError:
            return default

    @property
    def absent(self) -> dict[str, str]:
        """What was left out, and why."""
        prefix = "counterfoil.absent."
        return {name.removeprefix(prefix): state for name, state in self.attributes.items() if name.startswith(prefix)}


class MemorySink:
    """Keeps everything; `away` makes it a service that promises nothing."""

    def __init__(self) -> None:
        self.capture = Capture()
        self.agent: Mapping[str, Fact] = {}
        self.away = False
        self.records: list[Recorded] = []

    def adopt(self, settings: Settings) -> None:
        """What the program's own `configure` says of agent, capture and redaction."""
        self.capture, self.agent = settings.capture, settings.agent

    def put(self, record: Record, waiter: Delivered | None = None) -> None:
        """Keep a record."""
        n = len(self.records)
        attributes = dict(attributes_of(record, n, self.capture))
        self.records.append(
            Recorded(
                f"counterfoil.{record.subject}",
                n,
                record.time_ns,
                f"{record.trace_id:032x}" if record.trace_id else "",
                f"{record.span_id:016x}" if record.span_id else "",
                attributes,
            )
        )
        if waiter is not None and self.away:
            waiter.set_exception(NotRecorded("the service is away"))
        elif waiter is not None:
            waiter.set_result(b"")

    def receipts(self, promise: bytes, trace_id: int, span_id: int, deadline: float) -> list[bytes]:
        """None: there is no log here."""
        del promise, trace_id, span_id, deadline
        return []

    def flush(self, timeout_s: float) -> bool:
        """Everything is here at once."""
        del timeout_s
        return not self.away

    def stop(self, timeout_s: float) -> bool:
        """Nothing to close."""
        return self.flush(timeout_s)

    def status(self) -> dict[str, int]:
        """How many there are."""
        return {"produced": len(self.records), "delivered": len(self.records), "waiting": 0, "lost": 0}

    def renewed(self) -> MemorySink:
        """A child keeps its own."""
        return MemorySink()
