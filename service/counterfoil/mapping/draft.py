"""What mapping hands to the log: a draft of a record, and the item that the drafts came from.

A draft is a leaf that is not numbered, linked or sealed yet. It holds facts (tokens, enumerations, decimals: what may
stand in a leaf for ever), content fields (words, to be sealed), and raw identifiers of people, which only the log may
turn into pseudonyms. Nothing here is checked twice: `core.record.check_draft(draft.kind, draft.facts)` says whether the
facts are lawful.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Source = Literal["otlp:traces", "otlp:logs", "otlp:audit", "api", "service"]


@dataclass(slots=True)
class Draft:
    """One record to be.

    `facts` are leaf keys, without `v log seq prev recorded_at writer supersedes content`, without `kind` and `source`
    (beside it here), and without what must become a pseudonym first. `fields` are content fields in order: name and
    JSON value. A value may be an `orjson.Fragment`: JSON that is printed already, which `orjson.dumps` takes as it is.
    """

    kind: str
    source: Source
    facts: dict[str, Any]
    fields: list[tuple[str, Any]]
    interaction_id: str | None = None
    """Raw, as reported. The log writes it, or its pseudonym where it is no token, into `facts["interaction"]["id"]`."""
    subject_id: str | None = None
    """Raw identifier of the person concerned; always becomes a pseudonym (`subject`)."""
    persons: tuple[tuple[str, str], ...] = ()
    """(leaf path, raw identifier) of other people: ("handoff.to", …), ("oversight.person", …); become pseudonyms."""


@dataclass(slots=True)
class Item:
    """One span or log event of a request, with the records it becomes (part 0 is the item itself)."""

    signal: str
    """"traces" or "logs"."""
    trace_id: bytes
    """16 bytes, or empty."""
    span_id: bytes
    """8 bytes, or empty."""
    producer: tuple[str, int] | None
    """`producer.id` and `n`, where the producer numbers what it sends."""
    identity: bytes
    """Length-prefixed deterministic protobuf of item, resource and scope: the same for every encoding and batching."""
    ordinal: int
    """This is the nth identical unnumbered item of its request, 0 first."""
    drafts: list[Draft] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Refused:
    """One item that can never be accepted as it is; the rest of its request is kept."""

    item: str
    """Where it stood: `resourceSpans[0].scopeSpans[0].spans[3]`."""
    code: str
    """Stable snake_case code."""
    message: str
    limit: str | None = None
    """The limit that it broke, as `name=value`, where it was a limit."""


@dataclass(slots=True)
class Mapped:
    """A whole request: what becomes records, and what was refused, both in the order of the request."""

    items: list[Item]
    refused: list[Refused]
