"""The conversation or case that everything inside belongs to.

    with counterfoil.interaction("conv-42", channel="chat", subject="cust-7"):
        ...

Enter it for each turn: one interaction may span any number of blocks, processes and days. Every event inside carries
its id, and so does every span that the framework starts (`InteractionSpanProcessor`), so that they join one trail.
`starts=True` and `ends=True` record that the interaction itself begins or ends with this block.
"""

from __future__ import annotations

from contextvars import Token
from types import TracebackType
from typing import Self

from counterfoil.sdk import context
from counterfoil.sdk.context import Scope
from counterfoil.sdk.emit import emit, facts_of, guarded
from counterfoil.sdk.ids import new_trace_id
from counterfoil.sdk.record import Fact


class Interaction:
    """A block of one interaction: `with` and `async with`, any number of times, also nested."""

    __slots__ = ("_ends", "_scope", "_starts", "_tokens")

    def __init__(self, attributes: dict[str, Fact], starts: bool, ends: bool) -> None:
        self._scope = Scope(attributes, new_trace_id())
        self._starts = starts
        self._ends = ends
        self._tokens: list[Token[Scope | None]] = []

    def __enter__(self) -> Self:
        self._tokens.append(context.scope.set(self._scope))
        if self._starts:
            self._mark("start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ends:
            self._mark("end")
        if self._tokens:
            context.leave(context.scope, self._tokens.pop())

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    @guarded(None)
    def _mark(self, phase: str) -> None:
        emit("interaction", {"phase": phase})


def interaction(
    id: str,  # noqa: A002 - the word of the record format
    *,
    channel: str | None = None,
    type: str | None = None,  # noqa: A002 - the word of the record format
    language: str | None = None,
    region: str | None = None,
    subject: str | None = None,
    starts: bool = False,
    ends: bool = False,
) -> Interaction:
    """A block whose events and spans belong to the interaction `id`; `subject` is the person concerned.

    `id` and `subject` may be any text: the leaf holds a pseudonym where they are no tokens, and of `subject` always.
    """
    named = {"id": id, "channel": channel, "type": type, "language": language, "region": region}
    return Interaction(_attributes(named, subject), starts, ends)


@guarded(dict[str, Fact]())
def _attributes(named: dict[str, str | None], subject: str | None) -> dict[str, Fact]:
    attributes = {f"counterfoil.interaction.{key}": value for key, value in facts_of(named).items()}
    attributes |= {f"counterfoil.subject.{key}": value for key, value in facts_of({"id": subject}).items()}
    return attributes
