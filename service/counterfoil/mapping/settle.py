"""What a record may not hold as it was reported: second forms of an `of`, people, half a number."""

from __future__ import annotations

from typing import Final

from counterfoil.core.schema import facts_of
from counterfoil.mapping.conventions.own import OF_RULES, OWN_OBJECTS
from counterfoil.mapping.reading import Best, Reading
from counterfoil.mapping.targets import fits_token

_KINDS_WITH_OF: Final = frozenset(kind for kind in OWN_OBJECTS if "of" in facts_of(kind))


def settle(best: Best, reading: Reading) -> None:
    """Take out of `best` what the leaf may not hold as it stands: second forms of an `of`, people, half a number."""
    kind = reading.kind
    if kind in _KINDS_WITH_OF:
        _settle_of(best, kind)
    if kind == "oversight" and (person := best.pop("oversight.person", None)) is not None:
        reading.persons = (("oversight.person", person[2]),)
    if kind == "handoff" and (to := best.get("handoff.to")) is not None:
        to_kind = best.get("handoff.to_kind")
        if to_kind is None or to_kind[2] not in {"agent", "queue"}:
            # Without a word on who it is, it may be a person.
            reading.persons = (("handoff.to", to[2]),)
        if reading.persons or not fits_token(to[2]):
            del best["handoff.to"]
    whole = "producer.id" in best and ("producer.n" in best or kind == "producer")
    if not whole:
        best.pop("producer.id", None)
        best.pop("producer.n", None)
    if kind == "producer" and not (whole and "producer.event" in best):
        # A declaration that does not say whose it is, or what it declares, is none.
        for path in [
            path for path in best if path.startswith("producer.") and path not in {"producer.id", "producer.n"}
        ]:
            del best[path]
        reading.kind = "operation"
        if "producer.n" not in best:
            best.pop("producer.id", None)


def _settle_of(best: Best, kind: str) -> None:
    """An `of` has one form: the first that is whole."""
    given = [key for key in OF_RULES if f"{kind}.of.{key}" in best]
    whole = next((form for form in (("id",), ("trace_id", "span_id"), ("seq",)) if set(form) <= set(given)), ())
    for key in given:
        if key not in whole:
            del best[f"{kind}.of.{key}"]
