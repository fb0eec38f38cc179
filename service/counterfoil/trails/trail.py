"""The trail of one interaction: all of its records, in the order in which things happened, as one story.

Joined as follows: records that report the interaction's id; records that report none, of traces in which another
record reports it, and of traces that are joined to one of those (joins.py); and, shown as *linked*, records of the same
traces that report another interaction (a nested agent with a conversation of its own). One interaction may stand in
several logs and in any number of traces.

Order is the time that the producer gave (`started_at`), else the time of recording. Rules of `derive/` run over the
whole trail up to MAX_RULED records; beyond that they run over the page (`derived_over` says which).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, or_, select, union

from counterfoil.core.errors import InputError
from counterfoil.core.state import ContentState
from counterfoil.log.contents import Content, open_contents
from counterfoil.log.tables import records as ledger_records
from counterfoil.store.bulk import select_each
from counterfoil.trails.concluded import place as place_steps
from counterfoil.trails.concluded import step_of_conclusion
from counterfoil.trails.conclusions import read_content
from counterfoil.trails.derive.conclude import conclude_tree
from counterfoil.trails.derive.conclusion import Conclusion
from counterfoil.trails.derive.others import cut_by_sdk
from counterfoil.trails.derive.reading import fields_read, is_read
from counterfoil.trails.derive.tree import Told, tree_of, wrappers
from counterfoil.trails.facts import parse_leaf
from counterfoil.trails.interactions import Summary, find_interaction, summary_of_rows
from counterfoil.trails.missing_numbers import missing_numbers
from counterfoil.trails.query import Cursor, Page
from counterfoil.trails.steps import Step, step_of
from counterfoil.trails.stores import AsOf, ReadableLog, Stores, as_of, indexed_logs
from counterfoil.trails.tables import interactions, record_id, records, seq_of
from counterfoil.trails.topics import Topic, topics_of
from counterfoil.trails.walk import IndexedLog
from counterfoil.trails.words import Said

DEFAULT_LIMIT = 500
MAX_LIMIT = 1_000
FIRST_PAGE = Page(DEFAULT_LIMIT, None, "oldest")
MAX_RULED = 5_000
"""Records of a trail that rules run over as a whole."""

_OPENED_KINDS = frozenset(
    (
        *("decision", "fallback", "handoff", "oversight", "outcome", "notice", "interaction", "tool_call"),
        *("model_call", "agent_run", "guardrail", "evaluation", "retrieval"),
    )
)
"""Kinds whose words a trail shows; the others are opened only where they failed."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A record of the trail: where it is in the story and in its log."""

    us: int
    log_id: int
    seq: int
    superseded_by: int | None
    linked: bool


@dataclass(slots=True)
class Trail:
    """The story of one interaction, or one page of it."""

    interaction: Summary
    steps: list[Step]
    gaps: list[dict[str, Any]]
    linked: list[str]
    derived_over: str
    next: str | None
    as_of: list[AsOf]
    content_opened: int = 0
    total: int = 0
    lost: int = 0
    withheld: bool = False
    logs: list[str] = field(default_factory=list)
    topics: list[Topic] = field(default_factory=list)


def read_trail(
    stores: Stores, readable: Sequence[ReadableLog], identifier: str, page: Page, *, with_content: bool
) -> Trail:
    """The trail of the interaction with this id (or raw identifier, or trace id); InputError "not_found"."""
    with stores.index.read() as index:
        indexed = indexed_logs(index, readable)
        found = find_interaction(stores, index, indexed, identifier)
        if not found:
            raise InputError("not_found", "the interaction is not here", item="interaction")
        by_id = {log.id: log for log in indexed}
        summary = summary_of_rows(index, found, {log.id: log.name for log in indexed})
        parts = {row.log_id: row.number for row in found}
        total = sum(_count(index, log_id, number) for log_id, number in parts.items())
        places, following = _page(index, parts, page)
        whole = following is None and page.cursor is None
        ruled = places if whole or total > MAX_RULED else _page(index, parts, Page(MAX_RULED, None, "oldest"))[0]
    trail = Trail(
        summary,
        [],
        [],
        [],
        "trail" if whole or total <= MAX_RULED else "page",
        None if following is None else following.text(),
        as_of([log for log in indexed if log.id in parts]),
        total=total,
        withheld=not with_content,
        logs=[by_id[log_id].name for log_id in parts],
    )
    _tell(trail, stores, by_id, places, ruled, with_content=with_content)
    return trail


def _numbers(log_id: int, number: int) -> Any:
    """The interaction and those that are part of it."""
    mine = or_(interactions.c.number == number, interactions.c.reported_in == number)
    return select(interactions.c.number).where(interactions.c.log_id == log_id, mine)


def _belongs(log_id: int, number: int) -> Any:
    """Records of the interaction, and of other interactions in traces that it has a part in."""
    own, traced, part = records.alias("own"), records.alias("traced"), records.alias("part")
    low, high = record_id(log_id, 0), record_id(log_id + 1, 0) - 1
    numbers = _numbers(log_id, number)
    traces = select(part.c.trace).where(
        part.c.interaction.in_(numbers), part.c.id.between(low, high), part.c.trace.is_not(None)
    )
    ids = union(
        select(own.c.id).where(own.c.interaction.in_(numbers), own.c.id.between(low, high)),
        select(traced.c.id).where(traced.c.trace.in_(traces), traced.c.id.between(low, high)),
    )
    return records.c.id.in_(ids)


def _count(index: Connection, log_id: int, number: int) -> int:
    return index.execute(select(func.count()).select_from(records).where(_belongs(log_id, number))).scalar_one()


def _page(index: Connection, parts: Mapping[int, int], page: Page) -> tuple[list[_Place], Cursor | None]:
    """The next records of the story, oldest first."""
    at = func.coalesce(records.c.started_us, records.c.recorded_us)
    places = []
    for log_id, number in parts.items():
        mine = set(index.execute(_numbers(log_id, number)).scalars())
        query = select(records.c.id, at, records.c.superseded_by, records.c.interaction).where(_belongs(log_id, number))
        if (cursor := page.cursor) is not None:
            if log_id == cursor.log_id:
                same = (at == cursor.us) & (records.c.id > record_id(log_id, cursor.seq))
                query = query.where(or_(at > cursor.us, same))
            else:  # ties of time are ordered by log
                query = query.where(at >= cursor.us if log_id > cursor.log_id else at > cursor.us)
        for row in index.execute(query.order_by(at, records.c.id).limit(page.limit + 1)):
            linked = row.interaction is not None and row.interaction not in mine
            places.append(_Place(row[1], log_id, seq_of(row[0]), row.superseded_by, linked))
    places.sort(key=lambda place: (place.us, place.log_id, place.seq))
    if len(places) <= page.limit:
        return places, None
    last = places[page.limit - 1]
    return places[: page.limit], Cursor(last.us, last.log_id, last.seq)


def _tell(
    trail: Trail,
    stores: Stores,
    logs: Mapping[int, IndexedLog],
    places: Sequence[_Place],
    ruled: Sequence[_Place],
    *,
    with_content: bool,
) -> None:
    """Read the leaves (and content) and put the steps into the trail."""
    with stores.ledger.read() as ledger:
        leaves = _leaves(ledger, {*places, *ruled})
        contents = _contents(ledger, stores, logs, places, leaves, with_content=with_content)
        beside = [place for place in ruled if (place.log_id, place.seq) not in contents]
        read = _contents(ledger, stores, logs, beside, leaves, with_content=with_content, only_read=True)
    steps: dict[tuple[int, int], Step] = {}
    heard: set[Said] = set()
    for place in places:
        key = (place.log_id, place.seq)
        if key not in leaves:  # the ledger was rolled back under the index
            trail.lost += 1
            continue
        leaf = leaves[key]
        content = contents.get(key, {})
        step = steps[key] = step_of(logs[place.log_id].name, leaf, content)
        step.superseded_by = place.superseded_by
        if place.linked:
            step.linked = leaf.get("interaction", {}).get("id")
        step.said = _new_words(step.said, heard)
        step.gaps.extend(_mark(gap) for gap in cut_by_sdk(step.seq, _disclosed(content)))
    trail.content_opened = sum(
        1 for fields in contents.values() if any(found.state is ContentState.DISCLOSED for found in fields.values())
    )
    trail.linked = sorted({step.linked for step in steps.values() if step.linked is not None})
    concluded: list[Step] = []
    for log_id in dict.fromkeys(place.log_id for place in ruled):
        told = [
            (key, leaves[key]) for place in ruled if (key := (place.log_id, place.seq))[0] == log_id and key in leaves
        ]
        of_log = {key[1]: fields for key, fields in (*read.items(), *contents.items()) if key[0] == log_id}
        with stores.index.read() as index:
            missing = missing_numbers(index, log_id, (leaf for _, leaf in told))
        concluded += _conclude(trail, steps, log_id, logs[log_id].name, [leaf for _, leaf in told], of_log, missing)
    trail.steps = place_steps(list(steps.values()), concluded)
    trail.topics = topics_of(trail.steps)


def _leaves(ledger: Connection, places: set[_Place]) -> dict[tuple[int, int], dict[str, Any]]:
    keys = sorted((place.log_id, place.seq) for place in places)
    rows = select_each(ledger, ledger_records, ("log_id", "seq"), ("leaf",), keys)
    return {key: parse_leaf(row[0]) for key, row in zip(keys, rows, strict=True) if row is not None}


def _contents(
    ledger: Connection,
    stores: Stores,
    logs: Mapping[int, IndexedLog],
    places: Sequence[_Place],
    leaves: Mapping[tuple[int, int], dict[str, Any]],
    *,
    with_content: bool,
    only_read: bool = False,
) -> dict[tuple[int, int], dict[str, Content]]:
    """The content of records, opened where this reader may and the story shows it or rules read it.

    `only_read`: of records that are not on this page, and only what rules read.
    """
    answer: dict[tuple[int, int], dict[str, Content]] = {}
    wanted: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    for place in places:
        key = (place.log_id, place.seq)
        leaf = leaves.get(key)
        if leaf is None:
            continue
        shown = not only_read and (leaf["kind"] in _OPENED_KINDS or leaf.get("status") == "error")
        if with_content and (shown or is_read(leaf)):
            wanted.setdefault(place.log_id, []).append((place.seq, leaf))
        else:
            answer[key] = {name: Content(ContentState.WITHHELD) for name in leaf.get("content", {})}
    for log_id, rows in wanted.items():
        values = frozenset[str]().union(*(fields_read(leaf) for _, leaf in rows)) if only_read else None
        found = open_contents(ledger, stores.keystore, log_id, logs[log_id].origin, rows, values)
        answer.update({(log_id, seq): fields for seq, fields in found.items()})
    return answer


def _new_words(said: Sequence[Said], heard: set[Said]) -> list[Said]:
    """What was not said before: every model call repeats the conversation so far."""
    new = [words for words in dict.fromkeys(said) if words not in heard and words.role != "system"]
    heard.update(new)
    return new


def _disclosed(content: Mapping[str, Content]) -> dict[str, Any]:
    return {name: found.value for name, found in content.items() if found.state is ContentState.DISCLOSED}


def _mark(found: Conclusion) -> dict[str, str]:
    return {"rule": found.rule, "message": found.message}


def _conclude(
    trail: Trail,
    steps: Mapping[tuple[int, int], Step],
    log_id: int,
    log: str,
    leaves: Sequence[dict[str, Any]],
    contents: Mapping[int, Mapping[str, Content]],
    missing: Sequence[Conclusion],
) -> list[Step]:
    """What rules conclude: steps of their own, marks on steps that were reported, gaps."""
    reported = [leaf for leaf in leaves if leaf["kind"] == "fallback"]
    tree = tree_of(Told(leaf, read_content(leaf, contents.get(leaf["seq"], {}))) for leaf in leaves)
    found = [*conclude_tree(tree), *missing]
    for seq in wrappers(tree):
        if (wrapper := steps.get((log_id, seq))) is not None and wrapper.status != "error":
            wrapper.folded = True
    derived_steps = []
    for one in found:
        step = steps.get((log_id, one.seq))
        if one.kind == "gap":
            trail.gaps.append({"log": log, "seq": one.seq, **_mark(one)})
        if step is None:
            continue
        if one.kind == "agent":
            step.concluded["agent"] = {"value": one.facts["agent"], "rule": one.rule}
            continue
        if one.kind in ("gap", "outcome"):
            step.gaps.append(_mark(one))
            continue
        about = next((key for seq in one.from_seqs if (key := (log_id, seq)) in steps and _adds(one, steps[key])), None)
        if about is not None:
            added = {
                key: one.facts[key] for key in ("to", "state") if key in one.facts and key not in steps[about].facts
            }
            steps[about].concluded |= {key: {"value": value, "rule": one.rule} for key, value in added.items()}
            continue
        by = _reported_by(one, reported) if one.kind == "fallback" else None
        derived_steps.append(step_of_conclusion(one, step, contents, by))
    return derived_steps


def _adds(found: Conclusion, step: Step) -> bool:
    """Whether a conclusion only says more about a reported step: to whom a reported handoff went."""
    return found.kind == "handoff" and step.kind == "handoff" and step.basis == "reported"


def _reported_by(found: Conclusion, reported: Sequence[dict[str, Any]]) -> int | None:
    """The record in which an agent reports the very fallback that was concluded."""
    for leaf in reported:
        own = leaf.get("fallback", {})
        if own.get("from") == found.facts.get("from") and own.get("to") == found.facts.get("to"):
            return int(leaf["seq"])
    return None
