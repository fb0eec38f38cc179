"""One decision: what was considered, what was chosen and why, and which fallback was taken.

    with counterfoil.decision("refund", risk="medium", autonomy="autonomous") as d:
        d.consider("approve", score=0.35)
        d.consider("deny", score=0.65, because="outside the 30-day window")
        d.choose("deny", rationale="Bought 41 days ago; policy R-12 allows 30.", confidence=0.65, policy="R-12")

The record is sent by `choose`: when the decision is made, so it survives a crash of what follows. A block that ends
without a choice is recorded at its end; one that an exception leaves, with the error's type. After a choice such an
error is an `outcome` of the decision. A second choice is a second record with an id of its own. The exception itself
passes through untouched.

`durable=True`: leaving the block waits up to `timeout_s` for the service's promise of all that the block recorded;
`durable="receipt"`: for the receipts too. Without, NotRecorded is raised. In async code use `async with`, which waits
without blocking the loop. An exception that leaves the block is not waited for.

The same object is a decorator for functions of every kind (see `functions`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from contextvars import Token
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, TypeVar

from counterfoil.sdk import context
from counterfoil.sdk.complaints import complaints, describe
from counterfoil.sdk.durable import in_event_loop, new_waiter, wait_promised, wait_promised_async
from counterfoil.sdk.emit import emit, error_attributes, fact_of, guarded
from counterfoil.sdk.ids import new_id, new_trace_id
from counterfoil.sdk.not_recorded import NotRecorded
from counterfoil.sdk.plain import Copied, Plain, Unavailable, snapshot
from counterfoil.sdk.record import Delivered
from counterfoil.sdk.state import current_sink

F = TypeVar("F", bound=Callable[..., Any])
Durable = Literal[False, True, "receipt"]
_TOO_LARGE = 1 << 40


class Terms(NamedTuple):
    """What is known of a decision before it is made."""

    facts: dict[str, object]
    id: str | None
    inputs: object
    agent: str | None
    durable: Durable
    timeout_s: float
    real: bool = True
    """False: stands where no decision is under way."""


class Decision:
    """A decision under way. Not to be shared between threads; `id` is what others refer to."""

    __slots__ = (
        *("_alternatives", "_chosen", "_ids", "_inputs", "_size", "_steps"),
        *("_terms", "_token", "_trace_id", "_waiters", "id", "promise", "receipts"),
    )

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._alternatives: list[list[Plain]] = []
        self._size = 0
        self._chosen = False
        self._ids = (0, 0)
        self._inputs: object = None
        self._steps = 0
        self._token: Token[Decision | None] | None = None
        self._trace_id = 0
        self._waiters: list[Delivered] = []
        self.id = terms.id if type(terms.id) is str and terms.id else (_named(terms.id) or new_id())
        self.promise: bytes | None = None
        """The signed note that `durable` waited for."""
        self.receipts: list[bytes] = []
        """The tlog-proofs that `durable="receipt"` waited for."""

    # -- what is said ------------------------------------------------------------------------------------------------

    @guarded(None)
    def consider(self, option: object, *, score: float | None = None, because: object = None) -> None:
        """An alternative, its score, and what speaks against it (for the chosen one: for it). Before `choose`."""
        if not self._terms.real:
            complaints.add("no_decision", "an alternative was considered outside of a decision, and is not recorded")
            return
        if self._chosen:
            complaints.add("late", "an alternative was considered after the choice, and is not in its record")
            return
        sink = current_sink()
        if sink is None or self._size > (limit := sink.capture.field_bytes):
            return  # the field is over its limit, which its record will say, or there is no record
        try:
            copied = [snapshot(value, limit) for value in (option, score, because)]
        except Unavailable as error:
            complaints.add("field_unavailable", f"alternatives are left out: {error}", subject="alternatives")
            self._size = _TOO_LARGE
            return
        self._size += 32 + sum(size for _, size in copied)
        self._alternatives.append([plain for plain, _ in copied])

    @guarded(None)
    def choose(
        self,
        outcome: object,
        *,
        rationale: object = None,
        confidence: float | None = None,
        confidence_method: str | None = None,
        policy: str | None = None,
        policy_version: str | None = None,
        rationale_source: str | None = None,
        rationale_captured: str | None = None,
        phase: str | None = None,
        output: object = None,
    ) -> None:
        """The decision is made: recorded now. `outcome` is a short name; words belong into `rationale`, `output`."""
        if not self._terms.real:
            complaints.add("no_decision", "a choice was made outside of a decision, and is not recorded")
            return
        if self._chosen:
            self.id = new_id()  # the record of the first choice stays what it is
        facts = {
            "outcome": outcome,
            "confidence": confidence,
            "confidence_method": confidence_method,
            "rationale_source": rationale_source,
            "rationale_captured": rationale_captured,
        }
        facts |= {"policy.id": policy} if policy is not None else {}
        facts |= {"policy.version": policy_version} if policy_version is not None else {}
        facts |= {"phase": phase} if phase is not None else {}
        self._chosen = True
        self._send(facts, {"rationale": rationale, "output": output}, chosen=outcome)
        self._alternatives, self._size = [], 0

    @guarded(None)
    def fall_back(
        self,
        to: str,
        *,
        trigger: str | None = None,
        origin: str | None = None,
        mode: str | None = None,
        reason: object = None,
        step: int | None = None,
        planned: bool | None = None,
        exhausted: bool | None = None,
        evaluated: bool | None = None,
        policy_digest: str | None = None,
    ) -> None:
        """A step of the fallback path: from `origin` to `to`, because of `trigger`. Steps number themselves from 1."""
        if step is None and self._terms.real:
            step = self._steps + 1
        self._steps = step or 0
        facts = {
            "of.id": self.reference,
            "trigger": trigger,
            "mode": mode,
            "from": origin,
            "to": to,
            "step": step,
            "planned": planned,
            "exhausted": exhausted,
            "policy_digest": policy_digest,
            "evaluated": evaluated,
        }
        self._emit("fallback", facts, {"reason": reason})

    @property
    def reference(self) -> str | None:
        """What `of` says: the id, None where no decision is under way."""
        return self.id if self._terms.real else None

    def has_chosen(self) -> bool:
        """Whether `choose` was called."""
        return self._chosen

    # -- the block ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.begin()
        self._token = context.decision.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)
        if error is None:
            self.wait()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)
        if error is None:
            await self.wait_async()

    def __call__(self, function: F) -> F:
        """As a decorator: each call of the function is a decision of its own."""
        from counterfoil.sdk.functions import decorate

        return decorate(function, lambda inputs: Decision(self._terms).given(inputs), self._terms.inputs is None)

    def given(self, inputs: object) -> Self:
        """With the arguments of a decorated function as inputs, where none were named."""
        self._inputs = inputs
        return self

    @guarded(None)
    def begin(self) -> None:
        """The inputs are copied as they are now; events without span and interaction get a trace id in common."""
        if self._inputs is None and self._terms.inputs is not False:
            self._inputs = self._terms.inputs
        sink = current_sink()
        if self._inputs is not None and sink is not None and "inputs" in sink.capture.fields:
            # Where it cannot be copied, the copy for the record fails again, and says so there.
            with contextlib.suppress(Unavailable):
                self._inputs = Copied(*snapshot(self._inputs, sink.capture.field_bytes))
        outer = context.decision.get()
        if outer is not None and outer._trace_id and self._terms.durable != "receipt":
            self._trace_id = outer._trace_id
        elif context.scope.get() is None or self._terms.durable == "receipt":
            self._trace_id = new_trace_id()

    def _leave(self, error: BaseException | None) -> None:
        if self._token is not None:
            context.leave(context.decision, self._token)
            self._token = None
        self.end(error)

    @guarded(None)
    def end(self, error: BaseException | None) -> None:
        """The block is left: record what was not recorded yet."""
        if error is None or isinstance(error, GeneratorExit):
            if not self._chosen:
                self._send({}, {})
        elif self._chosen:
            of = {"of.id": self.id, "status": "error"}
            self._emit("outcome", of, {"error": _message(error)}, error_attributes(error))
        else:
            self._send({}, {"error": _message(error)}, more=error_attributes(error))

    def _send(
        self,
        facts: dict[str, object],
        fields: dict[str, object],
        *,
        chosen: object = None,
        more: dict[str, Any] | None = None,
    ) -> None:
        alternatives = None
        if self._size:
            alternatives = Copied([_alternative(one, chosen) for one in self._alternatives], self._size)
        self._emit(
            "decision",
            {"id": self.id, **self._terms.facts, **facts},
            {**fields, "alternatives": alternatives, "inputs": self._inputs},
            more or {},
        )

    def _emit(
        self,
        subject: str,
        facts: Mapping[str, object],
        fields: Mapping[str, object],
        more: Mapping[str, Any] | None = None,
    ) -> None:
        waiter: Delivered | None = None
        if self._terms.durable:
            waiter = new_waiter()
            self._waiters.append(waiter)
        self._ids = emit(
            subject,
            facts,
            fields,
            more=more or {},
            waiter=waiter,
            trace_id=self._trace_id,
            agent=self._terms.agent,
        )

    # -- durable -----------------------------------------------------------------------------------------------------

    def wait(self) -> None:
        """Until the service has promised all that was recorded here. NotRecorded where it does not in time."""
        if not self._terms.durable:
            return
        if in_event_loop():
            complaints.note("blocking", "a durable decision blocks the event loop: use `async with`")
        deadline = time.monotonic() + self._terms.timeout_s
        self.promise = wait_promised(self._waiters, self._terms.timeout_s)
        if self._terms.durable == "receipt":
            self._fetch(deadline)

    async def wait_async(self) -> None:
        """The same without blocking the event loop (asyncio)."""
        if not self._terms.durable:
            return
        if not in_event_loop():
            self.wait()
            return
        deadline = time.monotonic() + self._terms.timeout_s
        self.promise = await wait_promised_async(self._waiters, self._terms.timeout_s)
        if self._terms.durable == "receipt":
            await asyncio.to_thread(self._fetch, deadline)

    def _fetch(self, deadline: float) -> None:
        sink = current_sink()
        if sink is None or self.promise is None:
            raise NotRecorded("the SDK is shut down")
        try:
            self.receipts = sink.receipts(self.promise, *self._ids, deadline)
        except NotRecorded:
            raise
        except Exception as error:
            # Whatever went wrong, there is no receipt: the host has to take its fallback, and waits for this error.
            complaints.note("internal", describe(error), subject="receipts")
            raise NotRecorded(f"no receipt: {type(error).__name__}") from error


@guarded("")
def _named(given: object) -> str:
    """An id that somebody gave and that is no text."""
    fact = None if given is None else fact_of("id", given)
    return "" if fact is None else str(fact)


def _message(error: BaseException) -> str | None:
    try:
        return str(error) or None
    except Exception:  # noqa: BLE001 - the host's own __str__
        return None


def _alternative(one: list[Plain], chosen: object) -> dict[str, Plain]:
    """As RECORD 3 has it: what spoke against an alternative that was not taken is `rejected_because`."""
    option, score, because = one
    named = {"option": option}
    if score is not None:
        named["score"] = score
    if because is not None:
        same = type(chosen) is str and option == chosen
        named["because" if same else "rejected_because"] = because
    return named
