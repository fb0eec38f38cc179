"""The conventions put together: which attribute is which fact, field or kind. The rows are in `mapping.conventions`.

A row says: this attribute means this target, in records of these kinds (none named: of every kind). Where several rows
have the same target, the first in the table that the item has, and that fits, wins; so order is priority. What single
instrumentations mean by a name (`conventions.quirks`) comes before what everybody means. Old spellings stay for ever.

Targets: a leaf path (`agent.name`), whose rule in `core.schema` says what fits; `content:NAME`, a content field; or one
of the words of `SPECIAL`. What does not fit its target is content all the same: nothing is lost by not being named.

Each leaf names the version of the tables that named its facts (`VERSIONS`): a release that changes a row is another.

`python -m counterfoil.mapping.tables` prints the tables as Markdown (docs/conventions.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from counterfoil.core.rules import Rule, enum
from counterfoil.core.schema import common_facts, facts_of
from counterfoil.mapping.conventions import audit, frameworks, genai, openinference, openllmetry, own
from counterfoil.mapping.conventions.own import GENERAL_FIELDS, INTERACTION, OF_RULES, OWN_FIELDS, SUBJECT
from counterfoil.mapping.conventions.quirks import QUIRKS
from counterfoil.mapping.conventions.rows import EventRow, KindRow, PartRow, Quirk, Row

NAME: Final = "counterfoil"
VERSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "1": "our own attributes; GenAI with its older names; OpenInference and OpenLLMetry without messages",
        "2": (
            "GenAI of every age, its events and proposals; flattened messages; annotations; hidden content; Langfuse, "
            "LangSmith, ADK, pydantic-ai, the Vercel AI SDK and MCP; the draft audit signal; rows by scope"
        ),
    }
)
"""What each version brought. Released rows are never taken back, so a leaf can be read by the newest tables."""
VERSION: Final = list(VERSIONS)[-1]
MAPPING: Final = {"name": NAME, "version": VERSION}
"""The leaf's `mapping`; one dict for every draft, never changed."""

SPECIAL: Final = MappingProxyType(
    {
        INTERACTION: "id of the interaction: as it is where it is a token, else a pseudonym",
        SUBJECT: "the person concerned: always a pseudonym",
        "oversight.person": "a person: always a pseudonym",
        "handoff.to": "as it is where `handoff.to_kind` is agent or queue, else a pseudonym",
    }
)
"""Targets that the log may have to replace by a pseudonym first."""

ITEM_FIELDS: Final = ("resource", "scope", "attributes", "span", "links", "events", "body")
"""Content fields that hold an OpenTelemetry item."""
CONTENT_FIELDS: Final = frozenset(
    (*(name for names in OWN_FIELDS.values() for name in names), *GENERAL_FIELDS, *ITEM_FIELDS)
)
"""Every content field that mapping may fill."""

EVENT_KINDS: Final[Mapping[str, str]] = MappingProxyType({**own.EVENTS, **genai.EVENT_KINDS})
"""Names of log events and span events, and the kind they become. Span events with these names become records."""

EVENT_ROWS: Final[tuple[EventRow, ...]] = genai.EVENTS
"""Events that are content fields of their item; where a span event is both, the field wins."""

# Span attributes only: a log event beside its span would count the same call twice.
KIND_ROWS: Final[tuple[KindRow, ...]] = (
    *genai.KINDS,
    *openinference.KINDS,
    *openllmetry.KINDS,
    *frameworks.KINDS,
    *genai.MCP_KINDS,
)
"""How a span shows its kind when it carries none of our own objects, first match first."""

AUDIT_KIND_ROWS: Final[tuple[KindRow, ...]] = audit.KINDS
"""How a record of the audit signal shows its kind."""

NAME_PREFIX_KINDS: Final = genai.KINDS[0].kinds
"""The first word of a span name, where no attribute says the kind: `chat gpt-x`, `execute_tool lookup`."""

PART_ROWS: Final[tuple[PartRow, ...]] = (*genai.PARTS, *openinference.PARTS)
"""Attributes that are records of their own."""

ABSENT_RULE: Final = enum("redacted", "unavailable", "not_recorded", other=False)

ROWS: Final[Mapping[str, tuple[Row, ...]]] = MappingProxyType(
    {
        "Counterfoil": own.ROWS,
        "OpenTelemetry GenAI": genai.ROWS,
        "OpenInference": openinference.ROWS,
        "OpenLLMetry": openllmetry.ROWS,
        "Frameworks and products": frameworks.ROWS,
        "MCP": genai.MCP_ROWS,
        "Proposed for GenAI": genai.PROPOSED_ROWS,
        "Last of all": genai.LAST_ROWS,
    }
)
"""Every row by convention, in order of priority."""

AUDIT_ROWS: Final[tuple[Row, ...]] = audit.ROWS
"""Rows that hold for the audit signal alone, before all others."""

SCOPE_QUIRKS: Final[tuple[Quirk, ...]] = QUIRKS

RESOURCE_AGENT_NAME: Final = "service.name"
RESOURCE_AGENT_VERSION: Final = "service.version"
RESOURCE_PRODUCER_ID: Final = "counterfoil.producer.id"
UNNAMED_SERVICE: Final = "unknown_service"
"""What an SDK calls a service that nobody named: no agent's name."""


def rule_at(path: str, kind: str) -> Rule:
    """The rule of `core.schema` for a leaf path in records of this kind; KeyError where there is none."""
    top, *rest = path.split(".")
    if top == "absent":
        return ABSENT_RULE
    if len(rest) > 1 and rest[-2] == "of":
        return OF_RULES[rest[-1]]
    rule = Rule("", "", bool, {}, keys=facts_of(kind)) if top == kind else common_facts()[top]
    for key in rest:
        rule = (rule.keys or {})[key]
    return rule


if __name__ == "__main__":
    from counterfoil.mapping.page import main

    main()
