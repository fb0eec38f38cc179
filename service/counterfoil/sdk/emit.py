"""From a call of the host to a record in the queue: copy, stamp, hand over. Microseconds, and nothing is raised.

What is raised inside (a bug of ours) is counted as `internal` and logged once; under the pytest fixture it is raised.
Exceptions of the host that pass through a block are not ours and stay untouched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from opentelemetry.trace import get_current_span

from counterfoil.sdk import context
from counterfoil.sdk.complaints import complaints, describe
from counterfoil.sdk.not_recorded import NotRecorded
from counterfoil.sdk.plain import Unavailable, size_of, snapshot
from counterfoil.sdk.record import Delivered, Fact, Record
from counterfoil.sdk.state import current_sink

P = ParamSpec("P")
T = TypeVar("T")
MAX_FACT_BYTES = 4_096
MAX_FACT_CHARS = MAX_FACT_BYTES // 4
"""So many are surely not more bytes than that."""
_NOTHING: Mapping[str, Fact] = {}


def guarded(otherwise: T) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """The host never sees an error of ours: it is counted, and the answer is `otherwise`."""

    def guard(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                if complaints.strict:
                    raise
                complaints.note("internal", describe(error), subject=function.__qualname__)
                return otherwise

        return call

    return guard


def facts_of(given: Mapping[str, object]) -> dict[str, Fact]:
    """The facts that were given, as scalars: enumerations by their value, None left out."""
    facts: dict[str, Fact] = {}
    for key, value in given.items():
        kind = type(value)
        if value is None:
            continue
        if kind is bool or kind is float or (kind is str and len(value) <= MAX_FACT_CHARS):  # type: ignore[arg-type]  # mypy does not narrow by `kind is`
            facts[key] = value  # type: ignore[assignment]  # mypy does not narrow by `type(...) is`
        else:
            fact = fact_of(key, value)
            if fact is not None:
                facts[key] = fact
    return facts


def fact_of(key: str, value: object) -> Fact | None:
    """A fact from any value; None, and a complaint, where there is none."""
    if type(value) is int and value.bit_length() < 64:
        return value
    try:
        plain, _ = snapshot(value, MAX_FACT_BYTES)
    except Unavailable as error:
        complaints.add("fact_unavailable", f"{key} is left out: {error}", subject=key)
        return None
    return plain if isinstance(plain, str | bool | int | float) else str(plain)


def emit(
    subject: str,
    facts: Mapping[str, object],
    fields: Mapping[str, object] = _NOTHING,
    *,
    more: Mapping[str, Fact] = _NOTHING,
    waiter: Delivered | None = None,
    trace_id: int = 0,
    agent: str | None = None,
) -> tuple[int, int]:
    """Record an event of `subject`. Returns the trace and span id that it carries (0: none)."""
    sink = current_sink()
    if sink is None:
        if waiter is not None:
            waiter.set_exception(NotRecorded("counterfoil.sdk is not configured"))
        complaints.add("not_configured", "counterfoil.sdk is not configured: nothing is recorded")
        return 0, 0
    now = time.time_ns()
    scope = context.scope.get()
    span = get_current_span().get_span_context()
    span_id = flags = 0
    if span.is_valid:
        trace_id, span_id, flags = span.trace_id, span.span_id, int(span.trace_flags)
    elif scope is not None:
        trace_id = trace_id or scope.trace_id
    taken, absent, size = sink.capture.take(fields) if fields else ({}, {}, 0)
    scalars = facts_of(facts)
    for value in scalars.values():
        if type(value) is str:
            size += size_of(value)
    common: Mapping[str, Fact] = sink.agent
    if scope is not None:
        common = {**common, **scope.attributes}
    if agent is not None:
        common = {**common, "gen_ai.agent.name": agent}
    sink.put(Record(subject, now, trace_id, span_id, flags, common, scalars, taken, absent, more, size), waiter)
    return trace_id, span_id


def error_attributes(error: BaseException) -> dict[str, Any]:
    """`error.type` of an exception, as OpenTelemetry names it: module and class, the class alone for builtins."""
    kind = type(error)
    name = kind.__qualname__.rpartition("<locals>.")[2]
    return {"error.type": name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"}
