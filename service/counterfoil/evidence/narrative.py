"""What a person reads in report.html: the trails of the records presented, told in order, and what stands out.

Bounded: at most `MAX_TRAILS` interactions, `MAX_ENTRIES` records in them, `MAX_WORDS_CHARS` characters of a text, and
`MAX_EXCEPTIONS` listed exceptions of each sort. Whatever is beyond a bound is counted, and the page says so; the data
files always hold everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from counterfoil.core.state import ContentState
from counterfoil.evidence.flat import WORDS, FieldState, words_of
from counterfoil.evidence.prose import prose_of

MAX_TRAILS = 200
MAX_ENTRIES = 2_000
MAX_WORDS_CHARS = 1_500
MAX_EXCEPTIONS = 50

_LABELS = {
    "supersedes": "replaces record",
    "decision_without_rationale": "decisions whose rationale was not recorded",
    "error": "records that report an error",
    "fallback": "fallbacks",
    "handoff": "handoffs",
    "override": "people who overrode, amended or rejected",
    "refusal": "items that the service refused",
    "superseded": "records that replace an earlier one",
    "not_recorded": "records with a field that the producer could not or would not give",
}


@dataclass(frozen=True, slots=True)
class Told:
    """One record in a trail: when, what happened in a line, the words that were recorded."""

    seq: int
    at: str
    kind: str
    title: str
    facts: tuple[tuple[str, str], ...]
    words: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Trail:
    """The records presented of one interaction (or of one trace, where nobody named an interaction)."""

    name: str
    is_interaction: bool
    entries: list[Told] = field(default_factory=list)
    left_out: int = 0


@dataclass(slots=True)
class Exceptions:
    """Records of one sort that a reviewer looks at first: how many, and the first of them."""

    label: str
    count: int = 0
    seqs: list[int] = field(default_factory=list)


class Glance(NamedTuple):
    """What the narrative needs of one record: which exceptions it is, whose trail it belongs to, how it is told.

    A tuple, since there is one for every record, and tuples travel between processes ten times as fast.
    """

    seq: int
    exceptions: tuple[str, ...]
    trail: tuple[str, bool] | None
    """Name of the interaction (True) or trace (False)."""
    told: Told | None


def glance(leaf: Mapping[str, Any], fields: Mapping[str, FieldState], *, tell: bool = True) -> Glance:
    """A record at a glance; `tell` where the narrative may still have room for its words."""
    interaction = leaf.get("interaction", {}).get("id")
    name = interaction or leaf.get("trace_id")
    trail = None if name is None else (name, interaction is not None)
    return Glance(leaf["seq"], _exceptions_of(leaf, fields), trail, _tell(leaf, fields) if tell else None)


class Narrative:
    """Collects trails and exceptions while records are presented, within its bounds."""

    def __init__(self) -> None:
        self.trails: dict[tuple[str, bool], Trail] = {}
        self.exceptions: dict[str, Exceptions] = {}
        self.entries = 0
        self.left_out = 0
        """Records that belong to no trail shown, or came after the bound."""

    @property
    def has_room(self) -> bool:
        """Whether the words of one more record may be shown."""
        return self.entries < MAX_ENTRIES

    def add(self, record: Glance) -> None:
        """One record presented; told, where there is room."""
        for name in record.exceptions:
            sort = self.exceptions.setdefault(name, Exceptions(_LABELS[name]))
            sort.count += 1
            if len(sort.seqs) < MAX_EXCEPTIONS:
                sort.seqs.append(record.seq)
        trail = self._trail_of(record)
        if trail is None:
            self.left_out += 1
        elif record.told is None or not self.has_room:
            trail.left_out += 1
            self.left_out += 1
        else:
            self.entries += 1
            trail.entries.append(record.told)

    def _trail_of(self, record: Glance) -> Trail | None:
        if record.trail is None:
            return None
        trail = self.trails.get(record.trail)
        if trail is None and len(self.trails) < MAX_TRAILS and self.has_room:
            trail = self.trails[record.trail] = Trail(*record.trail)
        return trail


def _exceptions_of(leaf: Mapping[str, Any], fields: Mapping[str, FieldState]) -> tuple[str, ...]:
    kind = leaf["kind"]
    found = []
    if leaf.get("status") == "error":
        found.append("error")
    if kind in ("fallback", "handoff", "refusal"):
        found.append(kind)
    if kind == "decision" and "rationale" not in fields:
        found.append("decision_without_rationale")
    if leaf.get("oversight", {}).get("verdict") in ("override", "amend", "reject"):
        found.append("override")
    if "supersedes" in leaf:
        found.append("superseded")
    if "absent" in leaf:
        found.append("not_recorded")
    return tuple(found)


def _tell(leaf: Mapping[str, Any], fields: Mapping[str, FieldState]) -> Told:
    kind = leaf["kind"]
    facts = [(label, str(value)) for label, path in _FACTS if (value := _at(leaf, path)) is not None]
    words = []
    for name in WORDS:
        content = fields.get(name)
        if content is None:
            continue
        if content.state is ContentState.DISCLOSED:
            text = words_of(leaf["seq"], name, content) if content.blob_size is not None else prose_of(content.value)
            words.append((name, text if len(text) <= MAX_WORDS_CHARS else f"{text[:MAX_WORDS_CHARS]}… [cut here]"))
        else:
            words.append((name, f"[{content.state}" + (f" by record {content.by}]" if content.by else "]")))
    title = _TITLES.get(kind, _title_of_any)(leaf)
    return Told(leaf["seq"], leaf["recorded_at"], kind, title, tuple(facts), tuple(words))


_FACTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("agent", ("agent", "name")),
    ("status", ("status",)),
    ("error", ("error_type",)),
    ("autonomy", ("decision", "autonomy")),
    ("risk", ("decision", "risk")),
    ("confidence", ("decision", "confidence")),
    ("threshold", ("decision", "threshold")),
    ("policy", ("decision", "policy", "id")),
    ("rationale from", ("decision", "rationale_source")),
    ("mode", ("fallback", "mode")),
    ("person", ("oversight", "person")),
    ("role", ("oversight", "role")),
    ("replaces record", ("supersedes",)),
)


def _at(leaf: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = leaf
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _decision(leaf: Mapping[str, Any]) -> str:
    facts = leaf.get("decision", {})
    phase = f" ({facts['phase']})" if "phase" in facts else ""
    return f"Decision on {facts.get('type', 'a matter not named')}: {facts.get('outcome', 'outcome not named')}{phase}"


def _fallback(leaf: Mapping[str, Any]) -> str:
    facts = leaf.get("fallback", {})
    way = f": {facts.get('from', 'not named')} → {facts.get('to', 'not named')}" if {"from", "to"} & set(facts) else ""
    return f"Fallback after {facts.get('trigger', 'a trigger not named')}{way}"


def _handoff(leaf: Mapping[str, Any]) -> str:
    facts = leaf.get("handoff", {})
    to = " ".join(facts[key] for key in ("to_kind", "to") if key in facts) or "somebody not named"
    return f"Handoff {facts.get('state', '')} to {to}: {facts.get('reason', 'reason not named')}".replace("  ", " ")


def _oversight(leaf: Mapping[str, Any]) -> str:
    facts = leaf.get("oversight", {})
    return f"A person's {facts.get('act', 'act')}: {facts.get('verdict', 'verdict not named')}"


def _outcome(leaf: Mapping[str, Any]) -> str:
    facts = leaf.get("outcome", {})
    agrees = f", agrees with what was expected: {facts['agrees']}" if "agrees" in facts else ""
    return f"Outcome: {facts.get('status', 'not named')}{agrees}"


def _model_call(leaf: Mapping[str, Any]) -> str:
    model = leaf.get("model", {})
    return f"Model call: {model.get('name') or model.get('requested') or 'model not named'}"


def _tool_call(leaf: Mapping[str, Any]) -> str:
    return f"Tool call: {leaf.get('tool', {}).get('name', 'tool not named')}"


def _title_of_any(leaf: Mapping[str, Any]) -> str:
    name = leaf.get("name")
    words = str(leaf["kind"]).replace("_", " ").capitalize()
    return f"{words}: {name}" if name else words


_TITLES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "decision": _decision,
    "fallback": _fallback,
    "handoff": _handoff,
    "oversight": _oversight,
    "outcome": _outcome,
    "model_call": _model_call,
    "tool_call": _tool_call,
}
