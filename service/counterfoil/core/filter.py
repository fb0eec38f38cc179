"""Leaf filters: questions that every reader of the leaves can ask again (EVIDENCE 1).

Search, population and verifier share this code, so that a filter selects the same records everywhere. Values of one
name are alternatives; names must all hold. All facts are *as reported*.

| name | holds where |
| --- | --- |
| log kind status writer subject | the leaf's key of that name is the value |
| agent | agent.name or agent.id is |
| interaction · region | interaction.id · interaction.region is |
| trace_id | trace_id is (32 lower-case hex digits) |
| decision_type outcome risk autonomy | decision.type, .outcome, .risk, .autonomy is |
| fallback | fallback.trigger is; ``any``: kind is fallback |
| handoff | handoff.state or handoff.reason is; ``any``: kind is handoff |
| oversight | oversight.verdict is; ``any``: kind is oversight |
| producer | producer.id is |
| from to | recorded_at is at or after · before (RFC 3339, up to six fraction digits) |

Text form: URL query form, names and values sorted, times with six digits. InputErrors: ``unknown_filter``,
``not_a_leaf_filter`` (index-only names), ``bad_filter_value``; `item` is the name.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from counterfoil.core.encoding import format_time_us
from counterfoil.core.errors import InputError
from counterfoil.core.rules import Rule
from counterfoil.core.schema import KINDS, common_facts, facts_of

INDEX_FILTERS = frozenset(("q", "derived", "started_from", "started_to"))
MAX_VALUES = 256
MAX_VALUE_CHARS = 512
ANY = "any"

Test = Callable[[dict[str, Any]], bool]
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})")

_PATHS: dict[str, tuple[tuple[str, ...], ...]] = {
    "log": (("log",),),
    "kind": (("kind",),),
    "agent": (("agent", "name"), ("agent", "id")),
    "interaction": (("interaction", "id"),),
    "trace_id": (("trace_id",),),
    "decision_type": (("decision", "type"),),
    "outcome": (("decision", "outcome"),),
    "risk": (("decision", "risk"),),
    "autonomy": (("decision", "autonomy"),),
    "region": (("interaction", "region"),),
    "fallback": (("fallback", "trigger"),),
    "handoff": (("handoff", "state"), ("handoff", "reason")),
    "oversight": (("oversight", "verdict"),),
    "status": (("status",),),
    "subject": (("subject",),),
    "writer": (("writer",),),
    "producer": (("producer", "id"),),
}
LEAF_FILTERS = frozenset((*_PATHS, "from", "to"))
_TIME_FILTERS = frozenset(("from", "to"))
_KIND_FILTERS = frozenset(("fallback", "handoff", "oversight"))


def _enumerated(*rules: Rule) -> frozenset[str]:
    return frozenset(value for rule in rules for value in rule.values)


_VALUES: dict[str, frozenset[str]] = {
    "kind": KINDS,
    "status": _enumerated(common_facts()["status"]),
    "risk": _enumerated(facts_of("decision")["risk"]),
    "autonomy": _enumerated(facts_of("decision")["autonomy"]),
    "fallback": _enumerated(facts_of("fallback")["trigger"]) | {ANY},
    "handoff": _enumerated(facts_of("handoff")["state"], facts_of("handoff")["reason"]) | {ANY},
    "oversight": _enumerated(facts_of("oversight")["verdict"]) | {ANY},
}


def _path_test(path: tuple[str, ...], values: frozenset[str]) -> Test:
    if len(path) == 1:
        key = path[0]
        return lambda leaf: leaf.get(key) in values
    outer, inner = path

    def holds(leaf: dict[str, Any]) -> bool:
        found = leaf.get(outer)
        return found is not None and found.get(inner) in values

    return holds


def _compile(name: str, values: frozenset[str]) -> Test:
    tests = [_path_test(path, values) for path in _PATHS[name]]
    if name in _KIND_FILTERS and ANY in values:
        tests.append(lambda leaf: leaf["kind"] == name)
    if len(tests) == 1:
        return tests[0]
    return lambda leaf: any(test(leaf) for test in tests)


def _time_test(name: str, bound: str) -> Test:
    # Times in leaves and filters have one fixed form, so their order is the order of their text.
    if name == "from":
        return lambda leaf: leaf["recorded_at"] >= bound
    return lambda leaf: leaf["recorded_at"] < bound


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed leaf filter: (name, values) sorted by name, values sorted, `from` and `to` with one value each."""

    terms: tuple[tuple[str, tuple[str, ...]], ...]
    _tests: tuple[Test, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tests: list[Test] = []
        for name, values in self.terms:
            tests.append(_time_test(name, values[0]) if name in _TIME_FILTERS else _compile(name, frozenset(values)))
        object.__setattr__(self, "_tests", tuple(tests))

    def __reduce__(self) -> tuple[type["Filter"], tuple[object]]:
        """Filters travel to worker processes, where their tests are compiled again."""
        return Filter, (self.terms,)

    def matches(self, leaf: dict[str, Any]) -> bool:
        """Whether a leaf (a valid record) is selected."""
        return all(test(leaf) for test in self._tests)

    def text(self) -> str:
        """The canonical text, ``from=...&kind=decision&kind=fallback``; empty where everything is selected."""
        return urlencode([(name, value) for name, values in self.terms for value in values])

    def parsed(self) -> dict[str, Any]:
        """The canonical mapping, name to sorted values; `parse_filter` takes it back."""
        return {name: list(values) for name, values in self.terms}


def _bad(name: str, message: str) -> InputError:
    return InputError("bad_filter_value", f"filter {name}: {message}", item=name)


def _time(name: str, text: str) -> str:
    if _TIME.fullmatch(text) is None:
        raise _bad(name, "not an RFC 3339 time with at most six fraction digits")
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
        since = at - datetime(1970, 1, 1, tzinfo=UTC)
        return format_time_us(since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds)
    except (ValueError, OverflowError, InputError):
        raise _bad(name, "not a time from 1970 to 9999") from None


def _value(name: str, value: object) -> str:
    if not isinstance(value, str) or not value or len(value) > MAX_VALUE_CHARS:
        raise _bad(name, f"a value is text of 1 to {MAX_VALUE_CHARS} characters")
    if name in _TIME_FILTERS:
        return _time(name, value)
    if name in _VALUES and value not in _VALUES[name]:
        raise _bad(name, f"{value!r} is not one of {', '.join(sorted(_VALUES[name]))}")
    if name == "trace_id" and _TRACE_ID.fullmatch(value) is None:
        raise _bad(name, "a trace id has 32 lower-case hex digits")
    return value


def parse_filter(given: Mapping[str, str | Sequence[str]]) -> Filter:
    """The filter of names and values, as a query string or a request body gives them."""
    terms = []
    for name in sorted(given):
        if name in INDEX_FILTERS:
            raise InputError("not_a_leaf_filter", f"{name} asks the index, not the leaves", item=name)
        if name not in LEAF_FILTERS:
            raise InputError("unknown_filter", f"there is no filter {name!r}", item=name)
        raw = given[name]
        values = sorted({_value(name, value) for value in ([raw] if isinstance(raw, str) else raw)})
        if not 1 <= len(values) <= (1 if name in _TIME_FILTERS else MAX_VALUES):
            raise _bad(name, "takes one time" if name in _TIME_FILTERS else f"takes 1 to {MAX_VALUES} values")
        terms.append((name, tuple(values)))
    return Filter(tuple(terms))
