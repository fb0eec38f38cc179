"""Recognises attributes by the tables: from an attribute list to facts, fields, people and the kind.

An attribute list is walked once. Every attribute becomes an OTLP/JSON pair in the content; those that the tables know
are noted beside it. Then the kind is settled, and each noted attribute is offered to its targets. An attribute whose
value stands exactly in the leaf or in a content field leaves `{"key": k, "promoted": "<leaf path or field>"}` in its
place: a string token as that string, an integer or boolean as itself, a field as that very value. Anything else (a
double that became a decimal string) stays where it is *and* is copied.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any, Final, cast

import orjson

from counterfoil.core.rules import MAX_TOKEN_CHARS
from counterfoil.mapping.anyvalue import pair_json
from counterfoil.mapping.compiled import native
from counterfoil.mapping.conventions.own import INTERACTION, OWN_FIELDS
from counterfoil.mapping.groups import Groups, gather, winners
from counterfoil.mapping.reading import Best, Reading, Seen
from counterfoil.mapping.settle import settle
from counterfoil.mapping.tables import NAME_PREFIX_KINDS
from counterfoil.mapping.targets import (
    EVENT_RANK,
    NAME_TARGET,
    NO_RANK,
    PART_RANK,
    PRODUCER_ID_TARGET,
    SPAN_RANK,
    Known,
    Raw,
    Target,
    cached_is_token,
    fits_token,
    raw_json,
)
from counterfoil.mapping.vocabulary import Vocabulary


def walk(pairs: Iterable[Any], vocabulary: Vocabulary) -> Seen:
    """Every attribute as OTLP/JSON pair, and those that the tables know. ItemError where one is nested too deeply."""
    if native is not None and type(pairs) is native.Pairs:
        return Seen(*native.walk(pairs, vocabulary, pair_json, orjson.Fragment))
    out: list[Any] = []
    noted: list[tuple[int, Known, Raw]] = []
    append = out.append
    note = noted.append
    for pair in pairs:
        key = pair.key
        value = pair.value
        string = value.string_value
        # An indexed key is not the key that it seems; empty strings and absent values say nothing.
        if pair.key_strindex:
            append(pair_json(pair))
        elif string:
            if (known := vocabulary[key]) is None:
                append({"key": key, "value": {"stringValue": string}})
            else:
                note((len(out), known, string))
                append(None)
        elif number := value.int_value:
            if (known := vocabulary[key]) is None:
                append({"key": key, "value": {"intValue": str(number)}})
            else:
                note((len(out), known, number))
                append(None)
        elif (known := vocabulary[key]) is None or (raw := _raw(pair)) is None:
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


def kind_of(seen: Seen, event_kind: str | None, span_name: str | None, vocabulary: Vocabulary) -> tuple[str, bool]:
    """The kind of an item, and whether it has attributes that may be records of their own (`PART_ROWS`).

    By the event's name, by our own objects, then (for spans) by what their scope calls so, by conventions and by the
    first word of the name; at last by attributes that would be a part of something else.
    """
    best = NO_RANK if span_name is not None else SPAN_RANK
    kind: str | None = None
    of_part: str | None = None
    splits = False
    for _, known, raw in seen.known:
        if (rank := known.kind_rank) < NO_RANK:
            if rank >= PART_RANK:
                splits = True
                if known.part is not None and not known.part.index:
                    of_part = of_part or known.kind
            elif rank < best:
                if known.kinds is None:
                    best, kind = rank, known.kind
                elif type(raw) is str and (named := known.kinds.get(raw)) is not None:
                    best, kind = rank, named
    if event_kind is not None:
        return event_kind, splits
    if span_name is not None and best >= SPAN_RANK:
        if vocabulary.names and (by_name := vocabulary.kind_by_name(span_name)) is not None:
            kind = by_name
        elif kind is None:
            word, space, _ = span_name.partition(" ")
            kind = NAME_PREFIX_KINDS.get(word) if space else None
    return kind or of_part or "operation", splits


_reader = None if native is None else native.Reader(Target, Known, cached_is_token, INTERACTION)


def offer(seen: Seen, kind: str, best: Best, groups: Groups) -> bool:
    """Offer every noted attribute to its targets and fill its gap; whether several wanted one path.

    The compiled part has the same loop (native/offer.c): what is changed here is changed there.
    """
    if _reader is not None:
        return _reader.offer(seen.known, seen.pairs, kind, best, groups)
    pairs = seen.pairs
    contested = False
    for position, known, raw in seen.known:
        for target in known.targets:
            if target.kinds and kind not in target.kinds:
                continue
            if target.gathers:
                groups.setdefault(target.rank, (target, []))[1].append(position)
                pairs[position] = _pair(known.key, raw)
                break
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
            if target.goes_on:
                continue
            pairs[position] = target.promoted if _is_exact(target, raw, value) else _pair(known.key, raw)
            break
        else:
            pairs[position] = _pair(known.key, raw)
    return contested


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
    groups: Groups = {}
    contested = offer(seen, kind, best, groups)
    reading = Reading(kind, facts)
    count = len(best)
    if groups:
        groups = winners(groups, best)
    if kind in OWN_FIELDS or "producer.n" in best or "producer.id" in best or kind == "producer":
        settle(best, reading)
    if contested or part or len(best) != count:
        _take_back(seen, kind, best, part)
    _fill(best, reading)
    if groups:
        gather(seen, groups, reading.fields)
    return reading


def _is_exact(target: Target, raw: Raw, value: Any) -> bool:
    """Whether the value, where it now stands, says exactly what the attribute said."""
    if not target.promotes:
        return False
    if target.field:
        return True
    return value is raw and (target.path != INTERACTION or fits_token(cast("str", raw)))


_NUMBER: Final = ("producer.id", "producer.n")


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
    if _reader is not None:
        for target, value in _reader.fill(best, facts, fields):
            _name_who(target, value, reading)
        return
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
        else:
            _name_who(target, value, reading)


def _name_who(target: Target, value: Any, reading: Reading) -> None:
    if target.path == INTERACTION:
        reading.interaction_id = value
    else:
        reading.subject_id = value


def _put(facts: dict[str, Any], parts: tuple[str, ...], value: Any) -> None:
    for part in parts[:-1]:
        facts = facts.setdefault(part, {})
    facts[parts[-1]] = value
