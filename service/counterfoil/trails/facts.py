"""A leaf as the index sees it: the columns people filter by, and the words people search for. Pure.

`read_facts` takes the leaf's bytes as they are stored. It reads them with the fastest JSON parser there is and without
checking them: whoever shows a leaf to somebody reads it again from the log, and `fsck` checks every byte.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from counterfoil.core.encoding import parse_time_ns, parse_time_us
from counterfoil.core.errors import CounterfoilError, EvidenceError
from counterfoil.mapping.compiled import native
from counterfoil.trails.tables import STATUS_ERROR, STATUS_OK

_NO_FACTS: dict[str, Any] = {}
_STATUS = {"ok": STATUS_OK, "error": STATUS_ERROR}

# Not words: identity, order, digests and times of the record itself, and what has a filter of its own.
_NOT_WORDS = frozenset(
    (
        *("v", "log", "seq", "prev", "recorded_at", "source", "writer", "mapping", "trace_id", "span_id"),
        *("parent_span_id", "links", "started_at", "ended_at", "subject", "usage", "content", "absent"),
        *("supersedes", "producer"),
    )
)
_NOT_WORDS_INSIDE = frozenset(
    (
        *("call_id", "digest", "policy_digest", "root", "hash_total", "commitment", "bundle_digest", "list_digest"),
        *("shown_at", "decided_at", "due", "vkey", "person", "to_size", "from_size", "confidence", "threshold"),
    )
)


CODED_PATHS: Final = (
    ("kind", None),
    ("agent", "name"),
    ("agent", "id"),
    ("decision", "type"),
    ("decision", "outcome"),
    ("decision", "risk"),
    ("decision", "autonomy"),
    ("interaction", "region"),
    ("fallback", "trigger"),
    ("handoff", "state"),
    ("handoff", "reason"),
    ("oversight", "verdict"),
    ("subject", None),
    ("writer", None),
    ("producer", "id"),
)
"""Where the texts of `tables.CODED` stand in a leaf, in that order."""

_picker = None if native is None else native.Picker(CODED_PATHS, _NOT_WORDS, _NOT_WORDS_INSIDE)


_recorded_us = lru_cache(1_024)(parse_time_us)
"""The records of one commit share their time."""


@lru_cache(4_096)
def _second_us(second: str) -> int:
    """Microseconds of a producer's time up to its second: the spans of a batch share few."""
    return parse_time_ns(second + ".000000000Z") // 1_000


class Facts(NamedTuple):
    """One record. `coded` are the texts of `tables.CODED`, in that order; the rest as in the tables."""

    recorded_us: int
    started_us: int | None
    trace_id: bytes | None
    interaction: str | None
    status: int | None
    supersedes: int | None
    coded: tuple[str | None, ...]
    leaf: dict[str, Any]


def parse_leaf(data: bytes) -> dict[str, Any]:
    """The leaf's JSON; EvidenceError("record") where the stored bytes are no JSON object."""
    try:
        leaf = orjson.loads(data)
    except orjson.JSONDecodeError:
        leaf = None
    if not isinstance(leaf, dict):
        raise EvidenceError("record", "the stored leaf is not a JSON object")
    return leaf


def read_facts(data: bytes) -> Facts:
    """What the index keeps of one leaf."""
    leaf = parse_leaf(data)
    try:
        return facts_of_leaf(leaf)
    except (KeyError, TypeError, ValueError, AttributeError, CounterfoilError) as error:
        raise EvidenceError("record", f"the stored leaf lacks what every leaf has: {error}") from None


def facts_of_leaf(leaf: dict[str, Any]) -> Facts:
    """The same for a leaf that has been parsed."""
    get = leaf.get
    leaf["kind"]  # every leaf has one: KeyError
    started = get("started_at")
    trace_id = get("trace_id")
    return Facts(
        _recorded_us(leaf["recorded_at"]),
        None if started is None else _second_us(started[:19]) + int(started[20:26]),
        None if trace_id is None else bytes.fromhex(trace_id),
        get("interaction", _NO_FACTS).get("id"),
        _STATUS.get(get("status", "")),
        get("supersedes"),
        _coded(leaf) if _picker is None else _picker.pick(leaf),
        leaf,
    )


def _coded(leaf: dict[str, Any]) -> tuple[str | None, ...]:
    """The value at each path of `CODED_PATHS`."""
    return tuple(leaf.get(key) if inner is None else leaf.get(key, _NO_FACTS).get(inner) for key, inner in CODED_PATHS)


def words_of(leaf: dict[str, Any]) -> str:
    """The leaf's words, joined by spaces: every token that is neither an identity of its own nor a digest or a time."""
    if _picker is not None:
        return _picker.words(leaf)
    words: list[str] = []
    for key, value in leaf.items():
        if key in _NOT_WORDS:
            continue
        if type(value) is str:
            words.append(value)
        elif type(value) is dict:
            _add_words(words, value, "id" if key == "interaction" else "")
    return " ".join(words)


def _add_words(words: list[str], facts: dict[str, Any], skip: str) -> None:
    for key, value in facts.items():
        if key in _NOT_WORDS_INSIDE or key == skip:
            continue
        if type(value) is str:
            words.append(value)
        elif type(value) is dict:
            _add_words(words, value, "trace_id" if "span_id" in value else "")
        elif type(value) is list:
            words.extend(item for item in value if type(item) is str)
