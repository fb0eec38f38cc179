"""What `configure` set up in this process, and what becomes of it in a child after fork."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol

from counterfoil.sdk import ids
from counterfoil.sdk.capture import Capture
from counterfoil.sdk.complaints import complaints
from counterfoil.sdk.record import Delivered, Fact, Record


class Sink(Protocol):
    """Takes records, and never blocks."""

    capture: Capture
    agent: Mapping[str, Fact]

    def put(self, record: Record, waiter: Delivered | None = None) -> None:
        """Take a record; `waiter` is resolved with its promise."""

    def receipts(self, promise: bytes, trace_id: int, span_id: int, deadline: float) -> list[bytes]:
        """The tlog-proofs of promised records; blocks until they are there. NotRecorded at the deadline."""

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was taken is out."""

    def stop(self, timeout_s: float) -> bool:
        """Close."""

    def status(self) -> dict[str, int]:
        """Numbers of this producer."""

    def renewed(self) -> Sink:
        """The sink of a child after fork."""


class _State:
    """One a process."""

    def __init__(self) -> None:
        self.sink: Sink | None = None
        self.fork_handled = False


_state = _State()


def current_sink() -> Sink | None:
    """Where records go now; None before `configure` and after `shutdown`."""
    return _state.sink


def replace_sink(sink: Sink | None) -> Sink | None:
    """Send records elsewhere from now on; returns what was there. The caller closes it."""
    before, _state.sink = _state.sink, sink
    if sink is not None and not _state.fork_handled:
        _state.fork_handled = True
        os.register_at_fork(after_in_child=_renew)
    return before


def _renew() -> None:
    complaints.renew()
    ids.renew()
    if _state.sink is not None:
        _state.sink = _state.sink.renewed()
