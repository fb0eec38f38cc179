"""One block of records as rows of the index: numbers given out, interactions counted, traces joined, rules applied,
everything written at once.

The rows are a function of the records alone, in order; where one block ends and the next begins leaves no trace in
them. Look-ups go out once a block, not once a record.

Content is opened for rules only where they can need it: records of the kinds that rules read, of traces in which no
decision was reported before them. An agent that says what it decides is not second-guessed, and costs nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam

from counterfoil.store.bulk import insert_rows
from counterfoil.trails import fulltext, joins
from counterfoil.trails.census import (
    Links,
    Trace,
    count,
    interaction_of,
    look_up,
    trace_of,
    write_interactions,
    write_traces,
)
from counterfoil.trails.completeness.follow import follow_producers
from counterfoil.trails.conclusions import ReadLeaf, ReadWords, TraceRecords, read_block, write_conclusions
from counterfoil.trails.derive.fallbacks import is_of_interest
from counterfoil.trails.derive.others import lacks_result
from counterfoil.trails.derive.reading import NOTHING, Reading
from counterfoil.trails.facts import Facts, read_facts, words_of
from counterfoil.trails.numbers import Counters, NameCodes
from counterfoil.trails.open_ends import OpenEnds
from counterfoil.trails.tables import CODED, record_id, records

ContentWords = Callable[[Sequence[tuple[int, dict[str, Any]]]], dict[int, str]]

_RECORD_COLUMNS = ("id", "recorded_us", "started_us", "interaction", "trace", "status", *CODED)


def write_block(
    connection: Connection,
    log_id: int,
    first_seq: int,
    leaves: Sequence[bytes],
    counters: Counters,
    codes_of: NameCodes,
    read_leaf: ReadLeaf,
    content_words: ContentWords | None,
    read_words: ReadWords,
) -> None:
    """Write the rows of the records `first_seq`… in the transaction of `connection`.

    `read_leaf` reads another record of the same log (for rules over a whole trace); `content_words` gives the words of
    opened content, None where the log opens none; `read_words` reads the content that rules need.
    """
    block = [read_facts(leaf) for leaf in leaves]
    codes = codes_of.assign(connection, _texts(block), counters)
    linked = [trace_id for facts in block if "links" in facts.leaf for trace_id in joins.linked_traces(facts.leaf)]
    found = look_up(connection, log_id, block, linked)
    readings = read_block(block, first_seq, found, read_words)
    said = [readings.get(first_seq + offset, NOTHING) for offset in range(len(block))]
    ends = OpenEnds(connection, log_id, found, block, said)
    links: Links = set()
    rows = []
    superseded = []
    told: dict[int, TraceRecords] = {}
    for offset, facts in enumerate(block):
        seq = first_seq + offset
        reading = said[offset]
        trace = trace_of(found, facts.trace_id, counters)
        group = None if trace is None else joins.find(found, trace)
        interaction = interaction_of(found, facts, trace, group, seq, counters)
        if interaction is not None:
            count(interaction, facts, seq, codes, links, log_id)
        if trace is not None:
            _note(trace, facts, reading, codes)
            told.setdefault(trace.number, TraceRecords(trace, [])).offsets.append(offset)
            if "links" in facts.leaf:
                for trace_id in joins.linked_traces(facts.leaf):
                    other = trace_of(found, trace_id, counters)
                    if other is not None:
                        joins.unite(found, trace, other)
            ends.meet(facts, reading, trace)
        rows.append(
            (
                record_id(log_id, seq),
                facts.recorded_us,
                facts.started_us,
                None if interaction is None else interaction.number,
                None if trace is None else trace.number,
                facts.status,
                *[codes[text] for text in facts.coded],
            )
        )
        if facts.supersedes is not None:
            superseded.append((seq, record_id(log_id, facts.supersedes)))
    insert_rows(connection, records, _RECORD_COLUMNS, rows)
    _mark_superseded(connection, superseded)
    write_traces(connection, log_id, found)
    ends.write()
    write_interactions(connection, log_id, found, links)
    _write_words(connection, log_id, first_seq, block, content_words)
    write_conclusions(connection, log_id, first_seq, block, readings, told, read_leaf, read_words)
    follow_producers(connection, log_id, first_seq, block, read_leaf)


def _note(trace: Trace, facts: Facts, reading: Reading, codes: dict[str | None, int | None]) -> None:
    """What a record adds to what rules have to look at in its trace."""
    leaf = facts.leaf
    traits = trace.traits | joins.traits_of(facts, reading, failed=is_of_interest(leaf))
    if leaf["kind"] == "tool_call" and lacks_result(leaf):
        traits |= joins.TELLING
    elif leaf["kind"] == "agent_run" and (agent := codes[facts.coded[1]]) is not None:
        if trace.agent is None:
            trace.agent, trace.changed = agent, True
        elif trace.agent != agent:
            traits |= joins.OTHER_AGENT
    if traits != trace.traits:
        trace.traits, trace.changed = traits, True


def _texts(block: Sequence[Facts]) -> dict[str, None]:
    """Every text of the block that needs a code, in order of first appearance."""
    texts: dict[str, None] = {}
    for facts in block:
        for text in facts.coded:
            if text is not None:
                texts[text] = None
        interaction = facts.leaf.get("interaction")
        if interaction is not None:
            for key in ("channel", "type", "language"):
                if key in interaction:
                    texts[interaction[key]] = None
    return texts


_SUPERSEDED = records.update().where(records.c.id == bindparam("record")).values(superseded_by=bindparam("by"))


def _mark_superseded(connection: Connection, superseded: Sequence[tuple[int, int]]) -> None:
    if superseded:
        connection.execute(_SUPERSEDED, [{"by": seq, "record": identifier} for seq, identifier in superseded])


def _write_words(
    connection: Connection, log_id: int, first_seq: int, block: Sequence[Facts], content_words: ContentWords | None
) -> None:
    opened: dict[int, str] = {}
    if content_words is not None:
        opened = content_words([(first_seq + offset, facts.leaf) for offset, facts in enumerate(block)])
    fulltext.insert(
        connection,
        log_id,
        [
            (first_seq + offset, words_of(facts.leaf), opened.get(first_seq + offset, ""))
            for offset, facts in enumerate(block)
        ],
    )
