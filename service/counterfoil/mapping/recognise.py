"""Recognises attributes by the tables: from an attribute list to facts, fields, people and the kind.

An attribute list is walked once. Every attribute becomes an OTLP/JSON pair in the content; those that the tables know
are noted beside it. Then the kind is settled, and each noted attribute is offered to its targets. An attribute whose
value stands exactly in the leaf or in a content field leaves `{"key": k, "promoted": "<leaf path or field>"}` in its
place: a string token as that string, an integer or boolean as itself, a field as that very value. Anything else (a
double that became a decimal string) stays where it is *and* is copied.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final, cast

import orjson

from counterfoil.core.rules import MAX_TOKEN_CHARS
from counterfoil.core.schema import facts_of
from counterfoil.mapping.anyvalue import pair_json
from counterfoil.mapping.tables import INTERACTION, NAME_PREFIX_KINDS, OF_RULES, OWN_FIELDS, OWN_OBJECTS
from counterfoil.mapping.targets import (
    COUNTED,
    EVENT_RANK,
    NAME_TARGET,
    NO_RANK,
    PRODUCER_ID_TARGET,
    SPAN_RANK,
    Known,
    Raw,
    Target,
    cached_is_token,
    fits_token,
    known_attributes,
    raw_json,
)


@dataclass(slots=True)
class Seen:
    """An attribute list after the walk: OTLP/JSON pairs, with a gap (None) for each attribute in `known`."""

    pairs: list[Any]
    known: list[tuple[int, Known, Raw]]
    """(position in `pairs`, what the tables know, value). `read` fills the gaps."""


@dataclass(slots=True)
class Reading:
    """What an attribute list says."""

    kind: str
    facts: dict[str, Any]
    fields: dict[str, Any] = field(default_factory=dict)
    interaction_id: str | None = None
    subject_id: str | None = None
    persons: tuple[tuple[str, str], ...] = ()


def walk(pairs: Iterable[Any]) -> Seen:
    """Every attribute as OTLP/JSON pair, and those that the tables know. ItemError where one is nested too deeply."""
    out: list[Any] = []
    noted: list[tuple[int, Known, Raw]] = []
    append = out.append
    note = noted.append
    get = known_attributes().get
    for pair in pairs:
        key = pair.key
        value = pair.value
        string = value.string_value
        # An indexed key is not the key that it seems; empty strings and absent values say nothing.
        if pair.key_strindex:
            append(pair_json(pair))
        elif string:
            if (known := get(key)) is None:
                append({"key": key, "value": {"stringValue": string}})
            else:
                note((len(out), known, string))
                append(None)
        elif number := value.int_value:
            if (known := get(key)) is None:
                append({"key": key, "value": {"intValue": str(number)}})
            else:
                note((len(out), known, number))
                append(None)
        elif (known := get(key)) is None or (raw := _raw(pair)) is None:
            append(pair_json(pair))
        else:
            note((len(out), known, raw))
            append(None)
    return Seen(out, noted)


def _pair(key: str, raw: Raw) -> dict[str, Any]:
    """The pair of a noted attribute that stays in the content."""
    return {"key": key, "value": raw_json(raw)}


def _raw(pair: Any) -> Raw | None:
    """The raw value of an attribute that is no string with something in it; None where it says nothing."""
    which = pair.value.WhichOneof("value")
    if which == "int_value" or which == "bool_value" or which == "double_value":
        scalar: Raw = getattr(pair.value, which)
        return None if type(scalar) is float and not isfinite(scalar) else scalar
    if which is None or which == "string_value" or which == "string_value_strindex":
        return None
    return cast("dict[str, Any]", pair_json(pair)["value"])


def kind_of(seen: Seen, event_kind: str | None, span_name: str | None) -> str:
    """The kind of an item: by the event's name, by our own objects, then (for spans) by conventions and name."""
    if event_kind is not None:
        return event_kind
    best = NO_RANK if span_name is not None else SPAN_RANK
    kind: str | None = None
    for _, known, raw in seen.known:
        if known.kind_rank < best:
            if known.kinds is None:
                best, kind = known.kind_rank, known.kind
            elif type(raw) is str and (named := known.kinds.get(raw)) is not None:
                best, kind = known.kind_rank, named
    if kind is None and span_name is not None:
        word, space, _ = span_name.partition(" ")
        kind = NAME_PREFIX_KINDS.get(word) if space else None
    return kind or "operation"


Best = dict[str, tuple[int, Target, Any]]
"""The winner for each path so far: rank, target, value."""


def read(
    seen: Seen, kind: str, facts: dict[str, Any], name: str | None, producer_id: str | None, *, part: int = 0
) -> Reading:
    """The facts and fields of an attribute list in a record of this kind; promotes what stands there exactly.

    `facts` are what the item itself says; the reading adds to them. `name` is the leaf's `name` where the item itself
    has one, `producer_id` what the resource says. Parts have the number of their item, so theirs is never promoted.
    """
    best: Best = {}
    if name is not None:
        best["name"] = (EVENT_RANK, NAME_TARGET, name)
    if producer_id is not None:
        best["producer.id"] = (NO_RANK, PRODUCER_ID_TARGET, producer_id)
    pairs = seen.pairs
    contested = False
    for position, known, raw in seen.known:
        for target in known.targets:
            if target.kinds and kind not in target.kinds:
                continue
            if (convert := target.convert) is not None:
                value = convert(raw)
                if value is None:
                    continue
            elif type(raw) is str and len(raw) <= MAX_TOKEN_CHARS and cached_is_token(raw):
                value = raw
            else:
                continue
            path = target.path
            if path in best:
                contested = True
                if target.rank < best[path][0]:
                    best[path] = (target.rank, target, value)
            else:
                best[path] = (target.rank, target, value)
            if path == COUNTED:
                continue
            pairs[position] = target.promoted if _is_exact(target, raw, value) else _pair(known.key, raw)
            break
        else:
            pairs[position] = _pair(known.key, raw)
    reading = Reading(kind, facts)
    count = len(best)
    if kind in OWN_FIELDS or "producer.n" in best or "producer.id" in best or kind == "producer":
        _settle(best, reading)
    if contested or part or len(best) != count:
        _take_back(seen, kind, best, part)
    _fill(best, reading)
    return reading


def _is_exact(target: Target, raw: Raw, value: Any) -> bool:
    """Whether the value, where it now stands, says exactly what the attribute said."""
    if not target.promotes:
        return False
    if target.field:
        return True
    return value is raw and (target.path != INTERACTION or fits_token(cast("str", raw)))


def _take_back(seen: Seen, kind: str, best: Best, part: int) -> None:
    """Several attributes for one path, or a path that was settled otherwise: keep those whose value does not stand."""
    for position, known, raw in seen.known:
        for target in known.targets:
            if seen.pairs[position] is not target.promoted or (target.kinds and kind not in target.kinds):
                continue
            winner = best.get(target.path)
            value = raw if target.convert is None else target.convert(raw)
            # Objects are compared by print: -0.0 equals 0.0, and is another value.
            stands = winner is not None and (winner[2] is value or orjson.dumps(winner[2]) == orjson.dumps(value))
            if not stands or (part and target.path in _NUMBER):
                seen.pairs[position] = _pair(known.key, raw)


def _fill(best: Best, reading: Reading) -> None:
    """The winners to facts, fields and people."""
    facts, fields = reading.facts, reading.fields
    for _, target, value in best.values():
        parts = target.parts
        if len(parts) == 2:
            if (inner := facts.get(parts[0])) is None:
                facts[parts[0]] = {parts[1]: value}
            else:
                inner[parts[1]] = value
        elif parts:
            _put(facts, parts, value)
        elif target.field:
            fields[target.field] = value
        elif target.path == INTERACTION:
            reading.interaction_id = value
        else:
            reading.subject_id = value


def _put(facts: dict[str, Any], parts: tuple[str, ...], value: Any) -> None:
    for part in parts[:-1]:
        facts = facts.setdefault(part, {})
    facts[parts[-1]] = value


def _settle(best: Best, reading: Reading) -> None:
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


_NUMBER: Final = ("producer.id", "producer.n")
_KINDS_WITH_OF: Final = frozenset(kind for kind in OWN_OBJECTS if "of" in facts_of(kind))


def _settle_of(best: Best, kind: str) -> None:
    """An `of` has one form: the first that is whole."""
    given = [key for key in OF_RULES if f"{kind}.of.{key}" in best]
    whole = next((form for form in (("id",), ("trace_id", "span_id"), ("seq",)) if set(form) <= set(given)), ())
    for key in given:
        if key not in whole:
            del best[f"{kind}.of.{key}"]
