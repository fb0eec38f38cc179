"""Events beside a decision: handed over, overseen by a person, how it came out, what the person concerned was told.

Each is sent at once and stands for itself; `of` is a Decision, or its id. Words (`summary`, `reason`, ...) are content;
enumerations are those of the record format (docs/formats/record.md), as strings.
"""

from __future__ import annotations

from datetime import datetime

from counterfoil.core.encoding import format_time_ns
from counterfoil.core.errors import CounterfoilError
from counterfoil.sdk import context
from counterfoil.sdk.complaints import complaints
from counterfoil.sdk.decisions import Decision
from counterfoil.sdk.emit import emit, guarded
from counterfoil.sdk.ids import new_id

Of = Decision | str | None


def _of(of: Of) -> str | None:
    """The id that is referred to; without one, that of the decision under way."""
    if of is None:
        of = context.decision.get()
    if isinstance(of, Decision):
        return of.reference
    return of


def _moment(key: str, value: datetime | str | None) -> str | None:
    """A time as the record format has it: RFC 3339, UTC, nine fraction digits."""
    if not isinstance(value, datetime):
        return value
    try:
        return format_time_ns(round(value.timestamp() * 1_000_000) * 1_000)
    except (CounterfoilError, ValueError, OverflowError, OSError):
        complaints.add("fact_unavailable", f"{key} is left out: not a time that can be recorded", subject=key)
        return None


@guarded("")
def hand_off(
    to: str,
    *,
    to_kind: str | None = None,
    reason: str | None = None,
    state: str = "offered",
    id: str | None = None,  # noqa: A002 - the word of the record format
    summary: object = None,
    intent: object = None,
    sentiment: object = None,
    attempted: object = None,
    verified_identity: object = None,
    promises: object = None,
    open_questions: object = None,
    next_step: object = None,
) -> str:
    """Hand the case to a person (`to_kind="human"`), an agent or a queue. Returns the handoff's id.

    Say `hand_off(to, id=that, state="accepted")` when it is taken, or "declined", "failed". What is given along is what
    the record says the other side was told.
    """
    id = id or new_id()  # noqa: A001 - the word of the record format
    emit(
        "handoff",
        {"id": id, "state": state, "to_kind": to_kind, "to": to, "reason": reason},
        {
            "summary": summary,
            "intent": intent,
            "sentiment": sentiment,
            "attempted": attempted,
            "verified_identity": verified_identity,
            "promises": promises,
            "open_questions": open_questions,
            "next_step": next_step,
        },
    )
    return id


@guarded(None)
def oversee(
    verdict: str,
    *,
    of: Of = None,
    act: str = "decision",
    person: str | None = None,
    role: str | None = None,
    reason: object = None,
    shown: object = None,
    shown_at: datetime | str | None = None,
    decided_at: datetime | str | None = None,
    could_still_change: bool | None = None,
) -> None:
    """A person approved, rejected, overrode or amended (`verdict`), or only looked (`act`, `verdict="none"`).

    `person` is any identifier, and becomes a pseudonym; `shown` is what the person saw before deciding.
    """
    facts = {
        "of.id": _of(of),
        "act": act,
        "verdict": verdict,
        "person": person,
        "role": role,
        "shown_at": _moment("shown_at", shown_at),
        "decided_at": _moment("decided_at", decided_at),
        "could_still_change": could_still_change,
    }
    emit("oversight", facts, {"reason": reason, "shown": shown})


@guarded(None)
def outcome(
    status: str,
    *,
    of: Of = None,
    agrees: bool | str | None = None,
    observed_by: str | None = None,
    effect: object = None,
) -> None:
    """How a decision came out in the end, whether that agrees with it, and which system or role observed it."""
    if isinstance(agrees, bool):
        agrees = "yes" if agrees else "no"
    facts = {"of.id": _of(of), "status": status, "agrees": agrees, "observed_by": observed_by}
    emit("outcome", facts, {"effect": effect})


@guarded(None)
def notice(type: str, *, text: object = None, shown: bool = True) -> None:  # noqa: A002 - the word of the record format
    """What the person concerned was told: `ai_disclosure`, `adverse_decision`, `contest_channel`."""
    emit("notice", {"type": type, "shown": shown}, {"text": text})
