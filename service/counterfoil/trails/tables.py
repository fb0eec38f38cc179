"""Tables of the index: a store of its own, made by `create_all`, never migrated.

Another `INDEX_VERSION` is another rebuild. Every row is a function of the log's records alone, taken in order, so two
indexes of one log are equal row for row (check_index.py relies on it). Therefore texts, traces and interactions are
numbered *per log*, in order of first appearance, and rows hold those numbers: that also keeps a row below 100 bytes.

`records.id` is `log_id * 2^40 + seq`. SQLite ends every index with it, so an index on a single column walks the
matching records of one log in order of `seq`, newest first or oldest first, without sorting.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text, text

from counterfoil.core.errors import Fault
from counterfoil.store.metadata import NAMING_CONVENTION

INDEX_VERSION = 3
SEQ_BITS = 40
STATUS_OK, STATUS_ERROR = 1, 2
MAX_AGENTS_SHOWN = 16
"""Names of agents that the row of an interaction keeps; filters know all of them."""

_ONE_TREE: dict[str, Any] = {"sqlite_with_rowid": False}

index_metadata = MetaData(naming_convention=NAMING_CONVENTION)


def record_id(log_id: int, seq: int) -> int:
    """The `records.id` of a record."""
    return (log_id << SEQ_BITS) + seq


def seq_of(identifier: int) -> int:
    """The `seq` within a `records.id`."""
    return identifier & ((1 << SEQ_BITS) - 1)


about = Table(
    "about",
    index_metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
)
"""One row: the INDEX_VERSION that made this file."""

positions = Table(
    "positions",
    index_metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("leaf_hash", LargeBinary(32), nullable=False),
    Column("fulltext_fields", Text, nullable=False),
    Column("names", BigInteger, nullable=False),
    Column("traces", BigInteger, nullable=False),
    Column("interactions", BigInteger, nullable=False),
)
"""How far each log has been read (its first `size` records; the leaf hash of the last), and how many numbers are given
out. Written in the transaction of the rows it speaks of."""

names = Table(
    "names",
    index_metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("text", String(255), primary_key=True),
    Column("code", BigInteger, nullable=False),
    Index(None, "log_id", "code", unique=True),
    **_ONE_TREE,
)
"""Texts that rows hold as numbers."""

CODED = (
    *("kind", "agent", "agent_id", "decision_type", "outcome", "risk", "autonomy", "region"),
    *("fallback", "handoff_state", "handoff_reason", "oversight", "subject", "writer", "producer"),
)
"""Columns of `records` that hold a `names.code`, in the order in which a record gives out new codes."""

records = Table(
    "records",
    index_metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("recorded_us", BigInteger, nullable=False),
    Column("started_us", BigInteger, nullable=True),
    Column("interaction", BigInteger, nullable=True),
    Column("trace", BigInteger, nullable=True),
    Column("status", BigInteger, nullable=True),
    *(Column(name, BigInteger, nullable=name != "kind") for name in CODED),
    Column("superseded_by", BigInteger, nullable=True),
)

# What the commonest questions ask. Each index is partial, so that a record pays only for what it has.
for _name in (
    *("agent", "agent_id", "interaction", "trace", "decision_type", "outcome", "risk", "fallback"),
    *("handoff_state", "handoff_reason", "oversight", "subject"),
):
    Index(f"ix_records_{_name}", records.c[_name], sqlite_where=text(f"{_name} IS NOT NULL"))
Index("ix_records_kind", records.c.kind)
Index("ix_records_failed", records.c.status, sqlite_where=text(f"status = {STATUS_ERROR}"))

derived = Table(
    "derived",
    index_metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("rule", String(32), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("value", String(128), nullable=True),
    Column("detail", String(128), nullable=True),
    Index("ix_derived_kind", "kind", "id", "value", "detail"),
    Index("ix_derived_rule", "rule", "id"),
    **_ONE_TREE,
)
"""What rules (derive/) concluded about records, numbered within each: the rule, what it is (fallback, decision,
handoff, oversight, ...), what is asked for first (trigger, type, state, verdict) and second (path, what was chosen, to
whom)."""

traces = Table(
    "traces",
    index_metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("trace_id", LargeBinary(16), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("joined", BigInteger, nullable=True),
    Column("members", BigInteger, nullable=False),
    Column("anchor", BigInteger, nullable=True),
    Column("derived", BigInteger, nullable=True),
    Column("agent", BigInteger, nullable=True),
    Column("traits", BigInteger, nullable=False),
    Index(None, "log_id", "number", unique=True),
    **_ONE_TREE,
)
"""Each trace, also one that is only linked to so far. `joined`: the trace that it was joined to (joins.py), whose row
speaks for both. `members` and `anchor` are of the whole group: how many traces, and the interaction that they are part
of. `derived`: the interaction derived for its records that report none. `agent`: whose run came first. `traits`: what
rules have to look at (joins.py)."""

open_ends = Table(
    "open_ends",
    index_metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("key", LargeBinary(16), primary_key=True),
    Column("trace", BigInteger, nullable=True),
    **_ONE_TREE,
)
"""What a later trace may take up: an approval that was asked for, an agent that was made. The key is a digest
(joins.py); `trace` is null where two traces left the same open, so that none of them can be told to be meant."""

interactions = Table(
    "interactions",
    index_metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("id", String(128), nullable=False),
    Column("derived", Boolean, nullable=False),
    Column("reported_in", BigInteger, nullable=True),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("first_us", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("decisions", BigInteger, nullable=False),
    Column("fallbacks", BigInteger, nullable=False),
    Column("handoffs", BigInteger, nullable=False),
    Column("oversights", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("ended", Boolean, nullable=False),
    Column("channel", BigInteger, nullable=True),
    Column("region", BigInteger, nullable=True),
    Column("type", BigInteger, nullable=True),
    Column("language", BigInteger, nullable=True),
    Column("subject", BigInteger, nullable=True),
    Column("outcome", BigInteger, nullable=True),
    Column("agents", Text, nullable=False),
    Index("ix_interactions_id", "log_id", "id", "derived", unique=True),
    Index("ix_interactions_folded", "log_id", "reported_in", sqlite_where=text("reported_in IS NOT NULL")),
    **_ONE_TREE,
)
"""Interactions in order of first appearance. One that nobody reported is derived from a trace (`id` is the trace id);
where another record of that trace does report one, `reported_in` names it and the derived one is shown inside it."""

FACT_FIELDS = {"agent": 1, "fallback": 2, "handoff": 3, "oversight": 4, "outcome": 5, "channel": 6, "region": 7}
ANY_CODE = 0

interaction_facts = Table(
    "interaction_facts",
    index_metadata,
    Column("log_id", BigInteger, primary_key=True, autoincrement=False),
    Column("field", BigInteger, primary_key=True, autoincrement=False),
    Column("code", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    **_ONE_TREE,
)
"""Which interactions have which agent, fallback trigger, ... (FACT_FIELDS); code 0 is *any*."""


class OtherIndexVersion(Fault):
    """There is no index yet, or another version of this software made it: it has to be built, and nothing is lost.

    Not the caller's fault, and over in a while: a service that has just started builds it by itself.
    """

    code = "storage_unavailable"

    def __init__(self, found: int | None) -> None:
        what = "there is no index yet" if found is None else f"the index has version {found}, not {INDEX_VERSION}"
        super().__init__(f"{what}: a running service builds it from the log, or run `counterfoil reindex`")
        self.found = found
