"""Step 1: is a draft lawful in a leaf?

What is appended can never be put right, so every draft is tested against core's own tables before it is sealed, and
whatever core would refuse is refused here with core's words (`check_draft`). In between lies speed: tokens, days and
small objects that a batch repeats are looked up instead of tested again.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any, Final

from counterfoil.core.encoding import MAX_JSON_INTEGER
from counterfoil.core.errors import InputError
from counterfoil.core.record import check_draft
from counterfoil.core.rules import INTEGER, TIME_NS, Rule, Test, is_token
from counterfoil.core.schema import MAX_FIELDS, leaf_rules
from counterfoil.mapping.compiled import native
from counterfoil.mapping.draft import Draft, Item

is_known_token = lru_cache(maxsize=16_384)(is_token)
"""Most tokens of a batch were seen before."""


@cache
def _draft_rules(kind: str, source: str) -> tuple[dict[str, Rule], frozenset[str]]:
    """Core's rules for the keys that a draft may have, and the keys that it must have; KeyError for no kind."""
    rules, required = leaf_rules(kind)
    later = {"v", "log", "seq", "prev", "recorded_at", "writer", "content", "supersedes", "kind", "source"}
    if not rules["source"].test(source):
        raise InputError("bad_record", f"{kind} does not come from {source}", item="source")
    return {key: rule for key, rule in rules.items() if key not in later}, required - later


@cache
def _draft_tests(kind: str, source: str) -> tuple[dict[str, Test], frozenset[str]]:
    """The tests of those rules."""
    rules, required = _draft_rules(kind, source)
    tests = {key: _test_of(rule) for key, rule in rules.items()}
    return {**tests, "started_at": _is_time, "ended_at": _is_time}, required


def _test_of(rule: Rule) -> Test:
    """The test of a rule, with tokens looked up; it says the same as `rule.test`."""
    if rule.name == "token":
        return is_known_token
    if rule.keys is None:
        return rule.test
    tests = {key: _test_of(inner) for key, inner in rule.keys.items()}
    required = rule.required

    def test(value: Any) -> bool:
        if type(value) is not dict or not value or not required <= value.keys():
            return False
        for key, inner in value.items():
            inner_test = tests.get(key)
            if inner_test is None or not inner_test(inner):
                return False
        return True

    return test


def check_facts(draft: Draft) -> None:
    """The facts are lawful in a leaf: what is appended can never be put right. InputError names the key."""
    facts = draft.facts
    if "supersedes" in facts or ("subject" in facts and draft.subject_id):
        raise InputError("bad_record", "the log itself sets supersedes and subject", item="supersedes")
    try:
        lawful = _are_lawful(draft.kind, draft.source, facts)
    except KeyError:
        lawful = False
    otlp = draft.source[:4] == "otlp"
    if not lawful or (otlp and "mapping" not in facts) or (not otlp and _needs_a_closer_look(facts)):
        check_draft(draft.kind, {**facts, "source": draft.source})
        if not lawful:
            raise InputError("bad_record", f"a {draft.kind} draft is not lawful", item=draft.kind)
    if len(draft.fields) > MAX_FIELDS:
        raise InputError("too_many_fields", f"{len(draft.fields)} content fields are over the limit of {MAX_FIELDS}")


def _are_lawful(kind: str, source: str, facts: dict[str, Any]) -> bool:
    """Whether every fact passes its test and none is missing; KeyError for no kind."""
    if _compiled is not None:
        return _compiled.check(facts, *_compiled_tests(kind, source))
    tests, required = _draft_tests(kind, source)
    if not required <= facts.keys():
        return False
    try:
        for key, value in facts.items():
            if key in _REPEATED and _is_known(key, value):
                continue
            test = tests.get(key)
            if test is None or not test(value):
                return False
    except TypeError:  # a list or object where a token belongs cannot be looked up
        return False
    return True


def check_producer(item: Item) -> None:
    if item.producer is not None:
        name, number = item.producer
        if not is_token(name) or not 0 <= number <= MAX_JSON_INTEGER:
            raise InputError("bad_producer", "a producer is a token and a number from 0 to 2^53-1", item="producer")
    if not item.drafts:
        raise InputError("bad_record", "an item without records")


_REPEATED = frozenset(("mapping", "agent", "model"))
"""Flat objects of tokens that are the same in most records of a batch: one look-up instead of a test for each token."""

_KNOWN_LIMIT = 4096
_known_lawful: set[tuple[str, tuple[Any, ...]]] = set()


def _is_known(key: str, value: Any) -> bool:
    """Whether exactly this object passed the test of `key` before."""
    if type(value) is not dict:
        return False
    seen = (key, tuple(value.items()))
    try:
        if seen in _known_lawful:
            return True
    except TypeError:
        return False  # not flat, so not lawful either: the test will say so
    if leaf_rules("operation")[0][key].test(value):
        if len(_known_lawful) >= _KNOWN_LIMIT:
            _known_lawful.clear()
        _known_lawful.add(seen)
        return True
    return False


_TIME_NS = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T)(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{9}Z")


def _is_time(value: Any) -> bool:
    """Core's test of a producer's time, with the day looked up: most records of a batch are of one day."""
    match = _TIME_NS.fullmatch(value) if type(value) is str else None
    return match is not None and _is_day(match[1])


@lru_cache(maxsize=1024)
def _is_day(day: str) -> bool:
    return TIME_NS.test(f"{day}00:00:00.000000000Z") and TIME_NS.test(f"{day}23:59:59.999999999Z")


def _needs_a_closer_look(facts: dict[str, Any]) -> bool:
    """Whether a record of our own has keys that core also checks against each other."""
    return "mapping" in facts or "key" in facts or "producer" in facts


# The same tests for the compiled part: mapping/native/lawful.c says what the numbers are.
_NUMBERED: Final = {"token": 0, "trace_id": 1, "span_id": 2, "time_ns": 3}
_INTEGER_TEST: Final = 4
_compiled = None if native is None else native.Lawful(is_known_token, _is_day)


@cache
def _compiled_tests(kind: str, source: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    rules, required = _draft_rules(kind, source)
    return {key: _compiled_test(rule) for key, rule in rules.items()}, tuple(required)


def _compiled_test(rule: Rule) -> Any:
    """A number, a set of words, (tests, required keys) of an object, or the rule's own test."""
    if rule.keys is not None:
        return {key: _compiled_test(inner) for key, inner in rule.keys.items()}, tuple(rule.required)
    if rule.name == "enum":
        return frozenset(rule.values)
    if rule is INTEGER:
        return _INTEGER_TEST
    return _NUMBERED.get(rule.name, rule.test)
