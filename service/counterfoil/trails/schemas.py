"""Answers of the room over HTTP: field by field as documented in the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from counterfoil.core.encoding import encode_base64
from counterfoil.log.contents import Content
from counterfoil.trails.interactions import Listed, Summary
from counterfoil.trails.record import Record
from counterfoil.trails.search import Item, Results
from counterfoil.trails.stores import AsOf
from counterfoil.trails.trail import Trail

Basis = Literal["reported", "derived"]
State = Literal["DISCLOSED", "WITHHELD", "ERASED", "EXPIRED", "MISSING", "MISMATCH"]


class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True, extra="forbid")


class AsOfOut(_Answer):
    """How far the index had read a log."""

    log: str = Field(description="Short name of the log.")
    tree_size: int = Field(description="Records of the log that the answer takes into account.")


class RecordItem(_Answer):
    """A record that was found. Facts only: words are never in a list."""

    log: str = Field(description="Short name of the log.")
    seq: int = Field(description="Index of the record in its log.")
    leaf: dict[str, Any] = Field(description="The leaf, as it is hashed (format: record, version 1).")
    superseded_by: int | None = Field(None, description="A later record of the same writer and span that corrects it.")
    derived: list[str] = Field([], description="Rules that concluded something about it; never part of the log.")

    @classmethod
    def of(cls, item: Item) -> RecordItem:
        return cls(
            log=item.log,
            seq=item.seq,
            leaf=item.leaf,
            superseded_by=item.superseded_by,
            derived=list(item.rules),
        )


class RecordList(_Answer):
    """One page of a search."""

    items: list[RecordItem]
    next: str | None = Field(description="Cursor of the next page; null on the last.")
    as_of: list[AsOfOut]

    @classmethod
    def of(cls, results: Results) -> RecordList:
        return cls(
            items=[RecordItem.of(item) for item in results.items], next=results.next, as_of=_as_of(results.as_of)
        )


class ContentOut(_Answer):
    """One content field of a record."""

    state: State = Field(
        description="WITHHELD: not for this role. ERASED, EXPIRED: see the record `by`. MISSING, MISMATCH: a failure."
    )
    value: Any = Field(None, description="The JSON value, where disclosed.")
    disclosure: str | None = Field(None, description="The RFC 9901 disclosure; its SHA-256 is the digest in the leaf.")
    by: int | None = Field(None, description="The erasure or expiry that covers the field.")

    @classmethod
    def of(cls, content: Content) -> ContentOut:
        state: Any = str(content.state)
        return cls(state=state, value=content.value, disclosure=content.disclosure, by=content.by)


class RecordOut(_Answer):
    """One record with its content."""

    log: str
    origin: str = Field(description="The log's origin, as in its checkpoints.")
    seq: int
    leaf: dict[str, Any] = Field(description="The leaf, parsed.")
    leaf_bytes: str = Field(description="The leaf's bytes, base64: what is hashed.")
    leaf_hash: str = Field(description="SHA-256(0x00 || leaf), base64: its leaf of the Merkle tree.")
    position: Literal["cosigned", "signed", "not_yet_under_a_checkpoint"] = Field(
        description="Which part of the log it is in."
    )
    checkpoint_size: int | None = Field(description="Tree size of the newest checkpoint.")
    content: dict[str, ContentOut] = Field(description="Every field that the leaf commits to, with its state.")
    superseded_by: int | None = None
    derived: list[str] = []
    as_of: list[AsOfOut]

    @classmethod
    def of(cls, record: Record) -> RecordOut:
        position: Any = record.position
        return cls(
            log=record.log,
            origin=record.origin,
            seq=record.seq,
            leaf=record.leaf,
            leaf_bytes=encode_base64(record.leaf_bytes),
            leaf_hash=encode_base64(record.leaf_hash),
            position=position,
            checkpoint_size=record.checkpoint_size,
            content={name: ContentOut.of(content) for name, content in record.content.items()},
            superseded_by=record.superseded_by,
            derived=list(record.rules),
            as_of=_as_of(record.as_of),
        )


class InteractionOut(_Answer):
    """One conversation or case."""

    log: str = Field(description="Log of its first record.")
    id: str = Field(description="As reported (or its pseudonym); the trace id where nobody reported one.")
    derived: bool = Field(description="True: nobody reported it, it is made of the records of one trace.")
    first_seq: int
    last_seq: int
    first_at: str = Field(description="When its first record was recorded.")
    last_at: str
    records: int
    decisions: int
    fallbacks: int = Field(description="Reported fallback steps.")
    handoffs: int
    oversights: int
    errors: int = Field(description="Records with status error.")
    ended: bool = Field(description="Its end was reported.")
    agents: list[str] = Field(description="Agents in order of appearance, at most 16.")
    channel: str | None = None
    region: str | None = None
    type: str | None = None
    language: str | None = None
    subject: str | None = Field(None, description="Pseudonym of the person concerned.")
    outcome: str | None = Field(None, description="Outcome of its last decision.")


class InteractionList(_Answer):
    """One page of interactions."""

    items: list[InteractionOut]
    next: str | None
    as_of: list[AsOfOut]

    @classmethod
    def of(cls, listed: Listed) -> InteractionList:
        return cls(items=[_interaction(item) for item in listed.items], next=listed.next, as_of=_as_of(listed.as_of))


class WhoOut(_Answer):
    """Who acted."""

    agent: str | None = None
    agent_id: str | None = None
    agent_version: str | None = None
    model: str | None = None
    model_requested: str | None = None
    provider: str | None = None
    tool: str | None = None
    person: str | None = Field(None, description="Pseudonym of the person who stepped in.")
    role: str | None = None


class WhyOut(_Answer):
    """A rationale or reason."""

    rationale: str | None = Field(description="The words; null where they are withheld, erased or were not reported.")
    source: str | None = Field(description="Where they come from, e.g. model_stated.")
    captured: str | None = Field(description="before_action or after_action.")
    state: str = Field(description="A content state, `not reported`, or the producer's own reason for absence.")
    basis: Basis


class AlternativeOut(_Answer):
    """An option that was considered."""

    option: str
    score: str | None = None
    rejected_because: str | None = None


class SaidOut(_Answer):
    """Something said in the conversation."""

    role: str
    text: str


class MarkOut(_Answer):
    """Something that a rule noticed."""

    rule: str
    message: str


class AddedOut(_Answer):
    """What a rule adds to a reported step."""

    value: str
    rule: str


class KnownOut(_Answer):
    """One thing that is known of a topic."""

    basis: Basis
    log: str
    seq: int
    says: str = Field(description="In tokens; the words are in the step.")
    rule: str | None = Field(None, description="The rule that concluded it.")


class TopicOut(_Answer):
    """What a trail knows of one thing that a reader asks for."""

    topic: Literal["agents", "decisions", "rationale", "fallbacks", "handoffs", "oversight", "guardrails", "outcomes"]
    basis: Literal["reported", "derived", "absent"] = Field(description="Of its strongest item; absent: nobody says.")
    items: list[KnownOut]


class GapOut(MarkOut):
    """Something that should be there and is not."""

    log: str
    seq: int


class StepOut(_Answer):
    """One step of a trail. What does not apply, or was not reported, is null or empty; `absent` says which."""

    log: str
    seq: int = Field(description="The record; for a derived step, the record that it was concluded from.")
    kind: str
    basis: Basis = Field(description="derived: concluded by `rule`, and not part of the log.")
    at: str = Field(description="When it happened: as the producer said, else when it was recorded.")
    recorded_at: str
    until: str | None = None
    duration_ms: int | None = None
    what: str = Field(description="The step in a few words.")
    who: WhoOut
    status: str | None = None
    error: str | None = None
    error_type: str | None = None
    why: WhyOut | None = None
    what_else: list[AlternativeOut] = Field(description="Alternatives that were considered.")
    facts: dict[str, Any] = Field(description="The facts of its kind, as reported: decision, fallback, handoff, …")
    words: dict[str, Any] = Field(description="Content shown with a step of its kind, e.g. a handoff's summary.")
    said: list[SaidOut] = Field(description="What was said, and had not been said in an earlier step.")
    states: dict[str, State] = Field(description="State of every content field.")
    absent: dict[str, str] = Field(description="What a reader would look for and nobody reported, and why.")
    rule: str | None = None
    failed_seq: int | None = Field(None, description="Derived fallback: the call that failed.")
    from_seqs: list[int] = Field([], description="Derived: the other records that it was concluded from.")
    concluded: dict[str, AddedOut] = Field({}, description="Facts that a rule adds to what was reported.")
    reported_by: int | None = Field(None, description="Derived fallback: the record that reports the same.")
    gaps: list[MarkOut] = []
    folded: bool = Field(description="A wrapper or messaging span, folded in a view, never dropped from the log.")
    linked: str | None = Field(None, description="Another interaction, in one of this one's traces.")
    superseded_by: int | None = None
    supersedes: int | None = None
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None


class TrailOut(_Answer):
    """All records of one interaction, in the order in which things happened, across traces and logs."""

    interaction: InteractionOut
    logs: list[str]
    total: int = Field(description="Records of the whole trail.")
    topics: list[TopicOut] = Field(
        description="What is known of each thing a reader asks for: reported, derived or absent."
    )
    steps: list[StepOut]
    gaps: list[GapOut]
    linked: list[str] = Field(description="Other interactions with records in the same traces; their steps are marked.")
    derived_over: Literal["trail", "page"] = Field(description="What the rules could see.")
    withheld: bool = Field(description="This role reads no content.")
    lost: int = Field(description="Records that the index names and the log does not have: run fsck.")
    next: str | None
    as_of: list[AsOfOut]

    @classmethod
    def of(cls, trail: Trail) -> TrailOut:
        over: Any = trail.derived_over
        return cls(
            interaction=_interaction(trail.interaction),
            logs=trail.logs,
            total=trail.total,
            topics=[TopicOut.model_validate(topic) for topic in trail.topics],
            steps=[StepOut.model_validate(step) for step in trail.steps],
            gaps=[GapOut(**gap) for gap in trail.gaps],
            linked=trail.linked,
            derived_over=over,
            withheld=trail.withheld,
            lost=trail.lost,
            next=trail.next,
            as_of=_as_of(trail.as_of),
        )


def _interaction(summary: Summary) -> InteractionOut:
    return InteractionOut.model_validate(summary)


def _as_of(as_of: list[AsOf]) -> list[AsOfOut]:
    return [AsOfOut(**entry) for entry in as_of]
