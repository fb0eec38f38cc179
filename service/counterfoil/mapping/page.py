"""docs/conventions.md, printed from the tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from counterfoil.mapping.conventions.own import OWN_OBJECTS
from counterfoil.mapping.conventions.rows import KindRow, Row
from counterfoil.mapping.tables import (
    AUDIT_KIND_ROWS,
    AUDIT_ROWS,
    EVENT_KINDS,
    EVENT_ROWS,
    KIND_ROWS,
    NAME,
    PART_ROWS,
    RESOURCE_AGENT_NAME,
    RESOURCE_AGENT_VERSION,
    RESOURCE_PRODUCER_ID,
    ROWS,
    SCOPE_QUIRKS,
    SPECIAL,
    VERSION,
    VERSIONS,
    rule_at,
)


def main() -> None:
    """Print the page."""
    sys.stdout.write(markdown())


def markdown() -> str:
    """docs/conventions.md."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield "# Which attribute becomes what"
    yield ""
    yield "<!-- Printed by `python -m counterfoil.mapping.tables`. Change the tables there, not this page. -->"
    yield ""
    yield f"Mapping `{NAME}`, version `{VERSION}` (the leaf names it). Every span and every log event is a record; so"
    yield "is every span event whose name is listed below, and every group of attributes listed under *Parts*."
    yield "Rows are in order of priority: of several attributes with one target, the first that fits wins. A value"
    yield "enters the leaf only if it fits the rule of its target; everything else, and every attribute not listed"
    yield "here, is content, with key, type and order. Nothing is dropped."
    yield ""
    yield "In a key, `N` stands for an index and `*` for anything. Attributes of a group (`…N.*`) that win become one"
    yield "content field together: the list of their OTLP/JSON pairs."
    yield from _kinds_section()
    yield from _parts_section()
    yield from _events_section()
    yield from _rows_section()
    yield from _quirks_section()
    yield from _audit_section()
    yield ""
    yield "## Versions"
    yield ""
    yield from _table(("version", "brought"), [(f"`{version}`", brought) for version, brought in VERSIONS.items()])


def _kinds_section() -> Iterator[str]:
    yield ""
    yield "## Kind"
    yield ""
    yield "1. The name of a log event or span event:"
    yield ""
    yield from _table(("event name", "kind"), [(f"`{name}`", f"`{kind}`") for name, kind in EVENT_KINDS.items()])
    yield ""
    own = ", ".join(f"`{name}`" for name in OWN_OBJECTS)
    yield f"2. An attribute `counterfoil.<object>.…`, in this order: {own}."
    yield "3. On spans, a name, then an attribute, that shows the kind in their instrumentation scope (below)."
    yield "4. On spans, the value of one of these, first match first:"
    yield ""
    yield from _kind_table(KIND_ROWS)
    yield ""
    yield f"5. On spans, the first word of a name of several words, as the values of `{KIND_ROWS[0].attribute}`."
    yield "6. An attribute of a part without index (below)."
    yield "7. Otherwise `operation`."


def _kind_table(rows: Sequence[KindRow]) -> Iterator[str]:
    cells = [(f"`{row.attribute}`", f"`{value}`", f"`{kind}`") for row in rows for value, kind in row.kinds.items()]
    yield from _table(("attribute", "value", "kind"), cells)


def _parts_section() -> Iterator[str]:
    yield ""
    yield "## Parts"
    yield ""
    yield "On a span of another kind, attributes whose keys begin so are a record of their own: a part of the item. An"
    yield "oversight that is taken out of a span is of that span, unless it is of the whole trace or session."
    yield ""
    cells = []
    for row in PART_ROWS:
        begins = ", ".join(f"`{prefix}`" for prefix in row.prefixes)
        if row.chosen_by:
            cells += [(begins, f"`{kind}`", f"`{row.chosen_by}` is `{value}`") for value, kind in row.kinds.items()]
        else:
            cells.append((begins, f"`{row.kind}`", "any of them is there"))
    yield from _table(("keys begin with", "kind", "where"), cells)


def _events_section() -> Iterator[str]:
    yield ""
    yield "## Events that are words of their item"
    yield ""
    yield "A span event with this name becomes the content field, or part of it: a list of OTLP/JSON span events."
    yield "Where an attribute is named, its value alone is the field. Of a log event with such a name, the body is"
    yield "the field."
    yield ""
    cells = [
        (
            f"`{row.event}`",
            f"`{row.attribute}`" if row.attribute else "",
            f"`content:{row.field}`",
            ", ".join(f"`{kind}`" for kind in row.kinds) or "any",
        )
        for row in EVENT_ROWS
    ]
    yield from _table(("event", "attribute", "becomes", "in items of kind"), cells)


def _rows_section() -> Iterator[str]:
    yield ""
    yield "## Facts and fields"
    yield ""
    yield "`content:` marks a sealed content field; anything else is a path in the leaf."
    for convention, rows in ROWS.items():
        yield ""
        yield f"### {convention}"
        yield ""
        yield from _row_table(rows)
    yield ""
    yield f"Where no agent is named, resource `{RESOURCE_AGENT_NAME}` is `agent.name`; where no version is,"
    yield f"`{RESOURCE_AGENT_VERSION}` is `agent.version`. `{RESOURCE_PRODUCER_ID}` may stand on the resource. A span"
    yield "status of Ok or Error is `status`, its message `content:error`; without `error.type`, the `exception.type`"
    yield "of a span's first exception is `error_type`."
    yield ""
    yield "`decision.owner` and `outcome.observed_by` name a role, team or system, never a person: they stay in the"
    yield "leaf for ever."


def _row_table(rows: Sequence[Row]) -> Iterator[str]:
    cells = [(f"`{row.attribute}`", f"`{row.target}`", _kinds(row), _what_fits(row)) for row in rows]
    yield from _table(("attribute", "becomes", "in records of kind", "if it is"), cells)


def _quirks_section() -> Iterator[str]:
    yield ""
    yield "## By instrumentation scope"
    yield ""
    yield "Before everything but our own attributes, in the spans of these scopes:"
    for quirk in SCOPE_QUIRKS:
        yield ""
        before = f", before version {quirk.before}" if quirk.before else ""
        yield f"### Scope `{quirk.scope}`{before}"
        if quirk.names:
            yield ""
            yield from _table(("span name", "kind"), [(f"`{name}`", f"`{kind}`") for name, kind in quirk.names.items()])
        if quirk.shows:
            yield ""
            shows = [(f"`{attribute}`", f"`{kind}`") for attribute, kind in quirk.shows.items()]
            yield from _table(("attribute that is there", "kind"), shows)
        if quirk.rows:
            yield ""
            yield from _row_table(quirk.rows)


def _audit_section() -> Iterator[str]:
    yield ""
    yield "## The audit signal (draft)"
    yield ""
    yield "Records of `POST /v1/audit`, before what holds for every log event. Their kind, first match first:"
    yield ""
    yield from _kind_table(AUDIT_KIND_ROWS)
    yield ""
    yield from _row_table(AUDIT_ROWS)


def _kinds(row: Row) -> str:
    return ", ".join(f"`{kind}`" for kind in row.kinds) or "any"


def _what_fits(row: Row) -> str:
    if row.means:
        return f"there: `{row.means}`"
    if row.values:
        pairs = ", ".join(f"`{theirs}` (`{ours}`)" for theirs, ours in row.values.items())
        return f"one of {pairs}"
    fits = _fits(row)
    return f"a JSON object, whose `{row.inside}` is {fits}" if row.inside else fits


def _fits(row: Row) -> str:
    if row.target.startswith("content:"):
        return "anything"
    if row.target in SPECIAL:
        return SPECIAL[row.target]
    rule = rule_at(row.target, row.kinds[0] if row.kinds else "operation")
    if rule.name == "token":
        return "a token"
    if rule.values:
        return ", ".join(f"`{value}`" for value in rule.values)
    return rule.wanted


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{' --- |' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
