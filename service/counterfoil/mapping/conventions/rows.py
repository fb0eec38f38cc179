"""The shapes of the tables: what a row of each sort says.

An attribute may be an exact key, or a pattern: `N` as a whole segment stands for an index (decimal, at most nine
digits), `*` as the last segment for anything. A pattern that ends in `*` names a *group*: flattened messages, say,
or the arguments of a call.

    Row("gen_ai.request.model", "model.requested")
    Row("metadata", "interaction.id", inside="thread_id")            # a member of a JSON object
    Row("gen_ai.handoff.to_agent", "handoff.to_kind", means="agent")  # that it is there says so
    Row("llm.input_messages.N.*", "content:input")                   # a group
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

INDEX = "N"
REST = "*"


@dataclass(frozen=True, slots=True)
class Row:
    """`attribute` means `target` in records of `kinds` (empty: of every kind).

    Targets: a leaf path (`agent.name`), `content:NAME`, or a word of `tables.SPECIAL`. Only a plain row moves a value:
    one with `inside`, `values` or `means` says something *about* the attribute, which also stays where it is.
    """

    attribute: str
    target: str
    kinds: tuple[str, ...] = ()
    inside: str = ""
    """The member that is meant, where the value is a JSON object (as text or as a map)."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Their word (in lower case) to ours; a value that is not here says nothing."""
    means: str = ""
    """What the attribute says by being there, whatever its value."""


@dataclass(frozen=True, slots=True)
class KindRow:
    """The values of an attribute, and the kinds they name."""

    attribute: str
    kinds: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartRow:
    """Attributes that are a record of their own on a span of another kind: part n of the item.

    `prefixes` begin the keys; those with an index (`annotations.N.`) make one record for each index. Where `chosen_by`
    names an attribute, its value chooses the kind, and without one of the `kinds` nothing is taken out. On a log event,
    or on a span that shows no other kind, attributes without an index make the item itself a record of that kind.
    """

    prefixes: tuple[str, ...]
    kind: str = ""
    of_span: bool = True
    """Whether an oversight is of the span that it stands on."""
    chosen_by: str = ""
    kinds: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventRow:
    """A span event, or the body of a log event, with this name is the content field `field` in items of `kinds`.

    With `attribute`, only that attribute of the span event is the field.
    """

    event: str
    field: str
    kinds: tuple[str, ...] = ()
    attribute: str = ""


@dataclass(frozen=True, slots=True)
class Quirk:
    """What is different, or additional, in the spans of one instrumentation scope.

    `rows` come before all others but our own. `names` are span names and their kinds, above what attributes say; `*` at
    the end of a name stands for anything. `shows` are attributes that show the kind by being there, above what their
    conventions say.
    """

    scope: str
    """The scope's name."""
    rows: tuple[Row, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    shows: Mapping[str, str] = field(default_factory=dict)
    before: str = ""
    """The first version of the scope that it no longer holds for; empty: it holds to this day."""
