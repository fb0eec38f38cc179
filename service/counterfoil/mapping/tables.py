"""The conventions as data: which attribute is which fact, field or kind. Adding a spelling adds a row, nothing else.

A row says: this attribute means this target, in records of these kinds (none named: of every kind). Where several rows
have the same target, the first in the table that the item has, and that fits, wins; so order is priority. Old spellings
stay for ever. `VERSION` changes with every change here, since each leaf names the table that named its facts.

Targets: a leaf path (`agent.name`), whose rule in `core.schema` says what fits; `content:NAME`, a content field; or one
of the words of `SPECIAL`. What does not fit its target is content all the same: nothing is lost by not being named.

`python -m counterfoil.mapping.tables` prints the tables as Markdown (docs/conventions.md).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from counterfoil.core.rules import INTEGER, SPAN_ID, TOKEN, TRACE_ID, Rule, enum
from counterfoil.core.schema import common_facts, facts_of

NAME: Final = "counterfoil"
VERSION: Final = "1"
MAPPING: Final = {"name": NAME, "version": VERSION}
"""The leaf's `mapping`; one dict for every draft, never changed."""

INTERACTION: Final = "interaction.id"
SUBJECT: Final = "subject"
SPECIAL: Final = MappingProxyType(
    {
        INTERACTION: "id of the interaction: as it is where it is a token, else a pseudonym",
        SUBJECT: "the person concerned: always a pseudonym",
        "oversight.person": "a person: always a pseudonym",
        "handoff.to": "as it is where `handoff.to_kind` is agent or queue, else a pseudonym",
    }
)
"""Targets that the log may have to replace by a pseudonym first."""

OWN_OBJECTS: Final = ("decision", "fallback", "handoff", "oversight", "outcome", "notice")
"""Our own objects by which an item shows its kind, first match first."""

OWN_FIELDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "decision": ("rationale", "alternatives", "inputs", "output"),
        "fallback": ("reason",),
        "handoff": (
            *("summary", "intent", "sentiment", "attempted", "verified_identity", "promises", "open_questions"),
            "next_step",
        ),
        "oversight": ("reason", "shown"),
        "outcome": ("effect",),
        "notice": ("text",),
    }
)
"""Content fields of each of our objects (RECORD 3)."""

GENERAL_FIELDS: Final = ("input", "output", "error", "arguments", "result")
"""Content fields that any kind may have, by meaning."""
ITEM_FIELDS: Final = ("resource", "scope", "attributes", "span", "links", "events", "body")
"""Content fields that hold an OpenTelemetry item."""
CONTENT_FIELDS: Final = frozenset(
    (*(name for names in OWN_FIELDS.values() for name in names), *GENERAL_FIELDS, *ITEM_FIELDS)
)
"""Every content field that mapping may fill."""

EVENT_KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{f"counterfoil.{kind}": kind for kind in (*OWN_OBJECTS, "interaction", "producer")},
        "gen_ai.evaluation.result": "evaluation",
    }
)
"""Names of log events and span events, and the kind they become. Span events with these names become records."""


@dataclass(frozen=True, slots=True)
class Row:
    """`attribute` means `target` in records of `kinds` (empty: of every kind)."""

    attribute: str
    target: str
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KindRow:
    """The values of an attribute, and the kinds they name."""

    attribute: str
    kinds: Mapping[str, str]


# Span attributes only: a log event beside its span would count the same call twice.
KIND_ROWS: Final = (
    KindRow(
        "gen_ai.operation.name",
        {
            **dict.fromkeys(("chat", "generate_content", "text_completion", "embeddings"), "model_call"),
            **dict.fromkeys(("fetch_response", "realtime_inference"), "model_call"),
            **dict.fromkeys(("speech_to_text", "text_to_speech"), "model_call"),
            **dict.fromkeys(("invoke_agent", "invoke_workflow", "invoke_swarm"), "agent_run"),
            "execute_tool": "tool_call",
            **dict.fromkeys(("retrieval", "search_memory"), "retrieval"),
            **dict.fromkeys(("apply_guardrail", "run_guardrail"), "guardrail"),
            **dict.fromkeys(("create_agent", "plan", "execute_event_loop_cycle"), "operation"),
        },
    ),
    KindRow(
        "openinference.span.kind",
        {
            **dict.fromkeys(("LLM", "EMBEDDING"), "model_call"),
            "TOOL": "tool_call",
            "AGENT": "agent_run",
            **dict.fromkeys(("RETRIEVER", "RERANKER"), "retrieval"),
            "GUARDRAIL": "guardrail",
            "EVALUATOR": "evaluation",
            "DECISION": "decision",
            **dict.fromkeys(("CHAIN", "PROMPT"), "operation"),
        },
    ),
    KindRow(
        "traceloop.span.kind",
        {
            **dict.fromkeys(("workflow", "agent"), "agent_run"),
            "tool": "tool_call",
            "handoff": "handoff",
            "task": "operation",
        },
    ),
    KindRow(
        "llm.request.type",
        dict.fromkeys(("chat", "completion", "embedding"), "model_call"),
    ),
    KindRow(
        "langfuse.observation.type",
        {
            **dict.fromkeys(("generation", "embedding"), "model_call"),
            "agent": "agent_run",
            "tool": "tool_call",
            "retriever": "retrieval",
            "guardrail": "guardrail",
            "evaluator": "evaluation",
            **dict.fromkeys(("span", "chain"), "operation"),
        },
    ),
)
"""How a span shows its kind when it carries none of our own objects, first match first."""

NAME_PREFIX_KINDS: Final = KIND_ROWS[0].kinds
"""The first word of a span name, where no attribute says the kind: `chat gpt-x`, `execute_tool lookup`."""


OF_RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {"id": TOKEN, "trace_id": TRACE_ID, "span_id": SPAN_ID, "seq": INTEGER}
)
"""The keys of an `of`, of which one form is used: id, trace_id with span_id, or seq (RECORD 1)."""
ABSENT_RULE: Final = enum("redacted", "unavailable", "not_recorded", other=False)


def _paths(prefix: str, rules: Mapping[str, Rule]) -> Iterator[str]:
    """Every leaf path below `prefix`: those of an object, and those of each form that an `of` may have."""
    for key, rule in rules.items():
        if rule.keys is not None:
            yield from _paths(f"{prefix}.{key}", rule.keys)
        elif key == "of":
            yield from (f"{prefix}.of.{inner}" for inner in OF_RULES)
        else:
            yield f"{prefix}.{key}"


def _own_rows() -> Iterator[Row]:
    """`counterfoil.<object>.<key>` for every fact of RECORD 3 and every content field of it."""
    for kind in OWN_OBJECTS:
        for path in _paths(kind, facts_of(kind)):
            yield Row(f"counterfoil.{path}", path, (kind,))
            if path.endswith(".of.id"):
                yield Row(f"counterfoil.{path.removesuffix('.id')}", path, (kind,))
        for name in OWN_FIELDS[kind]:
            yield Row(f"counterfoil.{kind}.{name}", f"content:{name}", (kind,))
    yield Row("counterfoil.decision.policy", "decision.policy.id", ("decision",))
    for key in ("phase", "channel", "type", "language", "region"):
        yield Row(f"counterfoil.interaction.{key}", f"interaction.{key}")
    yield Row("counterfoil.producer.id", "producer.id")
    yield Row("counterfoil.producer.n", "producer.n")
    for key in facts_of("producer"):
        if key not in {"id", "n", "part"}:
            yield Row(f"counterfoil.producer.{key}", f"producer.{key}", ("producer",))
    for name in dict.fromkeys((*(name for names in OWN_FIELDS.values() for name in names), *GENERAL_FIELDS, "body")):
        yield Row(f"counterfoil.absent.{name}", f"absent.{name}")


ROWS: Final[Mapping[str, tuple[Row, ...]]] = MappingProxyType(
    {
        "Counterfoil": (
            Row("counterfoil.interaction.id", INTERACTION),
            Row("counterfoil.subject.id", SUBJECT),
            *_own_rows(),
        ),
        "OpenTelemetry GenAI": (
            Row("gen_ai.conversation.id", INTERACTION),
            Row("gen_ai.agent.id", "agent.id"),
            Row("gen_ai.agent.name", "agent.name"),
            Row("gen_ai.agent.version", "agent.version"),
            Row("gen_ai.workflow.name", "agent.name", ("agent_run",)),
            Row("gen_ai.provider.name", "model.provider"),
            Row("gen_ai.system", "model.provider"),
            Row("gen_ai.request.model", "model.requested"),
            Row("gen_ai.response.model", "model.name"),
            Row("gen_ai.usage.input_tokens", "usage.input_tokens"),
            Row("gen_ai.usage.prompt_tokens", "usage.input_tokens"),
            Row("gen_ai.usage.output_tokens", "usage.output_tokens"),
            Row("gen_ai.usage.completion_tokens", "usage.output_tokens"),
            Row("gen_ai.tool.name", "tool.name"),
            Row("gen_ai.tool.call.id", "tool.call_id"),
            Row("gen_ai.tool.call.arguments", "content:arguments"),
            Row("gen_ai.tool.call.result", "content:result"),
            Row("gen_ai.input.messages", "content:input"),
            Row("gen_ai.prompt", "content:input"),
            Row("gen_ai.output.messages", "content:output"),
            Row("gen_ai.completion", "content:output"),
            Row("gen_ai.evaluation.explanation", "content:rationale", ("evaluation",)),
            Row("event.name", "name"),
            Row("gen_ai.operation.name", "name"),
            Row("error.type", "error_type"),
            Row("user.id", SUBJECT),
            Row("enduser.id", SUBJECT),
        ),
        "OpenInference": (
            Row("session.id", INTERACTION),
            Row("agent.name", "agent.name"),
            Row("graph.node.id", "agent.name", ("agent_run",)),
            Row("llm.provider", "model.provider"),
            Row("llm.system", "model.provider"),
            Row("llm.request.model_name", "model.requested"),
            Row("llm.response.model_name", "model.name"),
            Row("llm.model_name", "model.name"),
            Row("llm.token_count.prompt", "usage.input_tokens"),
            Row("llm.token_count.completion", "usage.output_tokens"),
            Row("tool.name", "tool.name", ("tool_call",)),
            Row("tool.id", "tool.call_id", ("tool_call",)),
            Row("input.value", "content:arguments", ("tool_call",)),
            Row("output.value", "content:result", ("tool_call",)),
            Row("input.value", "content:input"),
            Row("output.value", "content:output"),
        ),
        "OpenLLMetry and frameworks": (
            Row("traceloop.association.properties.thread_id", INTERACTION),
            Row("traceloop.association.properties.session_id", INTERACTION),
            Row("traceloop.association.properties.conversation_id", INTERACTION),
            Row("gcp.vertex.agent.session_id", INTERACTION),
            Row("langfuse.session.id", INTERACTION),
            Row("traceloop.association.properties.user_id", SUBJECT),
            Row("langfuse.user.id", SUBJECT),
            Row("traceloop.entity.name", "tool.name", ("tool_call",)),
            Row("traceloop.entity.input", "content:arguments", ("tool_call",)),
            Row("traceloop.entity.output", "content:result", ("tool_call",)),
            Row("traceloop.entity.name", "agent.name", ("agent_run",)),
            Row("traceloop.entity.input", "content:input"),
            Row("traceloop.entity.output", "content:output"),
            Row("agent_name", "agent.name"),
        ),
        "Exceptions": (
            Row("exception.type", "error_type"),
            Row("exception.message", "content:error"),
        ),
    }
)
"""Every row by convention, in order of priority."""

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


def markdown() -> str:
    """docs/conventions.md."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield "# Which attribute becomes what"
    yield ""
    yield "<!-- Printed by `python -m counterfoil.mapping.tables`. Change the tables there, not this page. -->"
    yield ""
    yield f"Mapping `{NAME}`, version `{VERSION}` (the leaf names it). Every span and every log event is a record; so"
    yield "is every span event whose name is listed below. Rows are in order of priority: of several attributes with"
    yield "one target, the first that fits wins. A value enters the leaf only if it fits the rule of its target;"
    yield "everything else, and every attribute not listed here, is content, with key, type and order. Nothing is"
    yield "dropped."
    yield ""
    yield "## Kind"
    yield ""
    yield "1. The name of a log event or span event:"
    yield ""
    yield from _table(("event name", "kind"), [(f"`{name}`", f"`{kind}`") for name, kind in EVENT_KINDS.items()])
    yield ""
    yield (
        "2. An attribute `counterfoil.<object>.…`, in this order: "
        + ", ".join(f"`{name}`" for name in OWN_OBJECTS)
        + "."
    )
    yield "3. On spans, the value of one of these, first match first:"
    yield ""
    rows = [(f"`{row.attribute}`", f"`{value}`", f"`{kind}`") for row in KIND_ROWS for value, kind in row.kinds.items()]
    yield from _table(("attribute", "value", "kind"), rows)
    yield ""
    yield f"4. On spans, the first word of a name of several words, as the values of `{KIND_ROWS[0].attribute}`."
    yield "5. Otherwise `operation`."
    yield ""
    yield "## Facts and fields"
    yield ""
    yield "`content:` marks a sealed content field; anything else is a path in the leaf."
    for convention, convention_rows in ROWS.items():
        yield ""
        yield f"### {convention}"
        yield ""
        cells = [(f"`{row.attribute}`", f"`{row.target}`", _kinds(row), _what_fits(row)) for row in convention_rows]
        yield from _table(("attribute", "becomes", "in records of kind", "if it is"), cells)
    yield ""
    yield f"Where no agent is named, resource `{RESOURCE_AGENT_NAME}` is `agent.name`; where no version is,"
    yield f"`{RESOURCE_AGENT_VERSION}` is `agent.version`. `{RESOURCE_PRODUCER_ID}` may stand on the resource. A span"
    yield "status of Ok or Error is `status`, its message `content:error`; without `error.type`, the `exception.type`"
    yield "of a span's first exception is `error_type`."
    yield ""
    yield "`decision.owner` and `outcome.observed_by` name a role, team or system, never a person: they stay in the"
    yield "leaf for ever."


def _kinds(row: Row) -> str:
    return ", ".join(f"`{kind}`" for kind in row.kinds) or "any"


def _what_fits(row: Row) -> str:
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


if __name__ == "__main__":
    sys.stdout.write(markdown())
