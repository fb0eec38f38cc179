"""Which interaction and which decision the running code belongs to: two context variables.

They follow asyncio tasks by themselves. A new thread begins with an empty context: run it in a copy
(`contextvars.copy_context().run`), or enter `interaction` again in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from counterfoil.sdk.record import Fact

if TYPE_CHECKING:
    from counterfoil.sdk.decisions import Decision

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Scope:
    """An interaction as attributes, and the trace id of its events where no span is active."""

    attributes: Mapping[str, Fact]
    trace_id: int


scope: Final[ContextVar[Scope | None]] = ContextVar("counterfoil_interaction", default=None)
decision: Final[ContextVar[Decision | None]] = ContextVar("counterfoil_decision", default=None)


def leave(variable: ContextVar[T | None], token: Token[T | None]) -> None:
    """Put back what was there before. A block left in another context than it was entered in just ends."""
    try:
        variable.reset(token)
    except ValueError:
        variable.set(None if token.old_value is Token.MISSING else token.old_value)
