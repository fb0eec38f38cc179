"""The tables of RECORD 1 to 3 as data: they drive validation, JSON Schema and what `mapping` may put into a leaf.

`python -m counterfoil.core.schema` prints the JSON Schema (2020-12). Types are in `rules`. (A long file, because it is
one table.) Where RECORD leaves room, format version 1 says:

**Every leaf** has `v` `log` `seq` `prev` `recorded_at` `kind` `source`; `writer` exactly where the source is not
`service`; `mapping` where it is OTLP, and never where it is `service`. Producers' kinds have an OTLP source or `api`;
the service's kinds have `service` or `api` (a person through our API). `prev` is 32 zero bytes exactly at `seq` 0.
`supersedes` is lower than `seq`.

**Numbers** are integers from 0 to 2^53-1. **Times** have six digits where the service sets them (`recorded_at`,
`deadline`, `due`, `granted`, `until`, ...) and nine where a producer does (`started_at`, `ended_at`, oversight's
`shown_at` and `decided_at`). Confidence and threshold are decimal strings from "0" to "1": at most nine fraction
digits, no trailing zero.

**Enumerations** of section 3 take exactly the listed values and `other`; `status`, `interaction.phase`,
`producer.event` and `absent` (section 1) take exactly the listed ones. `planned`, `exhausted`, `evaluated`,
`could_still_change` and a notice's `shown` are booleans. Trace and span ids are never all zero.

**Objects.** A leaf holds only the object named like its kind, and none is empty. Of producers' kinds nothing is
required in it, since what was not reported is left out: except that kind `producer` has `id` and `event`, and `n`
stands only beside `id`. Of the service's kinds what is required is marked in the table.

**Digests** of the service's own are 32 bytes in base64, base64url or lower-case hex; `prev`, `root`, `hash_total` and
`commitment` are base64. `policy.digest`, `policy_digest` and `coverage` are a producer's: a digest or a token.
**References** (`request`, `population`, `seed`, `approvals`, the `object` of an access) are a token or an `of` object.
`effective_after`, and a population's `from` and `to`, are a time or a `seq`; `limit` is a number or a token.
`fields` is an array of field names or "all", and never left out of an erasure, expiry or redaction. `granted` is true,
false or a time. A `seed` has `method` and `size` beside its commitment (EVIDENCE 2), a `configuration` may say which
`object` it sets. `content` and `absent` have at most 64 fields, `links` at most 32 entries, every other array at most
1,024.
"""

import json
import sys
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from counterfoil.core.rules import (
    BOOLEAN,
    DECIMAL,
    DIGEST,
    FIELD,
    FIELD_DIGEST,
    HASH,
    INTEGER,
    ORIGIN,
    RANGES,
    SPAN_ID,
    TIME_NS,
    TIME_US,
    TOKEN,
    TRACE_ID,
    VKEY,
    Rule,
    either,
    enum,
    integer,
    list_of,
    mapping_of,
    table_of,
)

FORMAT_VERSION = 1
MAX_LEAF_BYTES = 16_384
MAX_LINKS = 32
MAX_FIELDS = 64

PRODUCER_KINDS = frozenset(
    (
        *("interaction", "decision", "fallback", "handoff", "oversight", "outcome", "notice", "agent_run"),
        *("model_call", "tool_call", "retrieval", "guardrail", "evaluation", "operation", "producer"),
    )
)
INTERACTIONS_LOG_KINDS = frozenset(
    (
        *("genesis", "close", "refusal", "erasure", "expiry", "redaction", "hold", "restore", "key"),
        *("configuration", "seed", "population", "sample", "reconciliation", "export", "request", "letter"),
        *("approval", "review", "finding", "note", "witnessed"),
    )
)
"""The service's kinds in a log of interactions."""
ACCESS_LOG_KINDS = frozenset(
    ("genesis", "close", "key", "configuration", "access", "approval", "break_glass", "restore", "witnessed")
)
"""The kinds of an access log."""
SERVICE_KINDS = INTERACTIONS_LOG_KINDS | ACCESS_LOG_KINDS
KINDS = PRODUCER_KINDS | SERVICE_KINDS
PURPOSES = ("interactions", "access")
KINDS_BY_PURPOSE: Mapping[str, frozenset[str]] = MappingProxyType(
    {"interactions": PRODUCER_KINDS | INTERACTIONS_LOG_KINDS, "access": ACCESS_LOG_KINDS}
)
"""Which kinds a log may hold, by the `purpose` in its genesis (RECORD 2)."""

OTLP_SOURCES = ("otlp:traces", "otlp:logs", "otlp:audit")
SOURCES = (*OTLP_SOURCES, "api", "service")

OF = either(
    mapping_of({"id": TOKEN}, "id"),
    mapping_of({"trace_id": TRACE_ID, "span_id": SPAN_ID}, "trace_id", "span_id"),
    mapping_of({"seq": INTEGER}, "seq"),
)
REFERENCE = either(TOKEN, OF)
REPORTED_DIGEST = either(DIGEST, TOKEN)
TIME_OR_SEQ = either(TIME_US, INTEGER)
APPROVALS = list_of(REFERENCE)
FIELDS = either(enum("all", other=False), list_of(FIELD, MAX_FIELDS))

_LINK = mapping_of({"trace_id": TRACE_ID, "span_id": SPAN_ID}, "trace_id", "span_id")
_SPARED = {
    "request": REFERENCE,
    "ranges": RANGES,
    "fields": FIELDS,
    "ground": TOKEN,
    "approvals": APPROVALS,
    "effective_after": TIME_OR_SEQ,
}
_REVIEW = {
    "of": OF,
    "meaning": TOKEN,
    "verdict": TOKEN,
    "assigned": TOKEN,
    "due": TIME_US,
    "severity": TOKEN,
    "status": TOKEN,
}
_ACCESS = {
    "action": TOKEN,
    "object": REFERENCE,
    "count": INTEGER,
    "purpose": TOKEN,
    "person": TOKEN,
    "granted": either(BOOLEAN, TIME_US),
    "until": TIME_US,
}

# Section 1: keys that any kind may have. `producer` and `interaction` are also objects of their own kinds.
_INTERACTION = {
    "id": TOKEN,
    "phase": enum("start", "end", other=False),
    "channel": TOKEN,
    "type": TOKEN,
    "language": TOKEN,
    "region": TOKEN,
}
_PRODUCER = {"id": TOKEN, "n": INTEGER, "part": INTEGER}
_PRODUCER_KIND = {
    **_PRODUCER,
    "event": enum("start", "heartbeat", "loss", "end", other=False),
    "from": INTEGER,
    "to": INTEGER,
    "count": INTEGER,
    "last": INTEGER,
    "coverage": REPORTED_DIGEST,
}
_COMMON: dict[str, Rule] = {
    "mapping": mapping_of({"name": TOKEN, "version": TOKEN}, "name", "version"),
    "producer": mapping_of(_PRODUCER),
    "trace_id": TRACE_ID,
    "span_id": SPAN_ID,
    "parent_span_id": SPAN_ID,
    "links": list_of(_LINK, MAX_LINKS),
    "name": TOKEN,
    "status": enum("ok", "error", other=False),
    "error_type": TOKEN,
    "started_at": TIME_NS,
    "ended_at": TIME_NS,
    "interaction": mapping_of(_INTERACTION),
    "subject": TOKEN,
    "agent": mapping_of({"id": TOKEN, "name": TOKEN, "version": TOKEN}),
    "model": mapping_of({"provider": TOKEN, "requested": TOKEN, "name": TOKEN}),
    "tool": mapping_of({"name": TOKEN, "call_id": TOKEN}),
    "usage": mapping_of({"input_tokens": INTEGER, "output_tokens": INTEGER}),
    "supersedes": INTEGER,
    "absent": table_of(FIELD, enum("redacted", "unavailable", "not_recorded", other=False), MAX_FIELDS),
}
_ENVELOPE: dict[str, Rule] = {
    "v": integer(FORMAT_VERSION, FORMAT_VERSION),
    "log": ORIGIN,
    "seq": INTEGER,
    "prev": HASH,
    "recorded_at": TIME_US,
    "writer": TOKEN,
    "content": table_of(FIELD, FIELD_DIGEST, MAX_FIELDS),
}
ENVELOPE_KEYS = frozenset(_ENVELOPE)
"""What a draft has not got yet: the service sets these when it seals and appends."""

# Section 3: the object named like its kind, and what is required in it.
_OBJECTS: dict[str, tuple[dict[str, Rule], tuple[str, ...]]] = {
    "interaction": (_INTERACTION, ()),
    "producer": (_PRODUCER_KIND, ("id", "event")),
    "decision": (
        {
            "id": TOKEN,
            "type": TOKEN,
            "outcome": TOKEN,
            "phase": enum("proposed", "authorised", "executed", "observed"),
            "autonomy": enum("observe", "assist", "recommend", "act_with_approval", "autonomous"),
            "risk": enum("low", "medium", "high", "critical"),
            "confidence": DECIMAL,
            "threshold": DECIMAL,
            "confidence_method": enum("self_reported", "calibrated", "ensemble", "rule"),
            "reversible": enum("yes", "partly", "no"),
            "owner": TOKEN,
            "policy": mapping_of({"id": TOKEN, "version": TOKEN, "digest": REPORTED_DIGEST}),
            "rationale_source": enum("model_stated", "provider_summary", "rule_trace", "human", "none"),
            "rationale_captured": enum("before_action", "after_action"),
            "alternatives": INTEGER,
        },
        (),
    ),
    "fallback": (
        {
            "of": OF,
            "trigger": enum(
                *("timeout", "error", "low_confidence", "policy", "guardrail", "budget", "unavailable"),
                *("customer_request", "human_unavailable"),
            ),
            "mode": enum("fail_closed", "fail_open", "degraded", "human", "retry"),
            "from": TOKEN,
            "to": TOKEN,
            "step": INTEGER,
            "planned": BOOLEAN,
            "exhausted": BOOLEAN,
            "policy_digest": REPORTED_DIGEST,
            "evaluated": BOOLEAN,
        },
        (),
    ),
    "handoff": (
        {
            "id": TOKEN,
            "state": enum("offered", "accepted", "declined", "failed"),
            "to_kind": enum("human", "agent", "queue"),
            "to": TOKEN,
            "reason": enum(
                *("customer_request", "policy_limit", "missing_authority", "low_confidence", "tool_failure"),
                *("repeated_failure", "out_of_scope", "identity_unverified", "risk_or_vulnerability"),
                *("regulated_topic", "complaint_legal", "sentiment", "system_error", "sla_timeout"),
            ),
            "context": list_of(FIELD, MAX_FIELDS),
        },
        (),
    ),
    "oversight": (
        {
            "of": OF,
            "act": enum("observation", "check", "decision", "release"),
            "verdict": enum("approve", "reject", "override", "amend", "none"),
            "person": TOKEN,
            "role": TOKEN,
            "shown_at": TIME_NS,
            "decided_at": TIME_NS,
            "could_still_change": BOOLEAN,
        },
        (),
    ),
    "outcome": (
        {"of": OF, "status": TOKEN, "agrees": enum("yes", "no", "unknown"), "observed_by": TOKEN},
        (),
    ),
    "notice": (
        {"type": enum("ai_disclosure", "adverse_decision", "contest_channel"), "shown": BOOLEAN},
        (),
    ),
    "genesis": (
        {
            "tenant": TOKEN,
            "region": TOKEN,
            "purpose": enum(*PURPOSES),
            "vkeys": list_of(VKEY, 16),
            "predecessor": mapping_of({"origin": ORIGIN, "size": INTEGER, "root": HASH}, "origin", "size", "root"),
        },
        ("tenant", "purpose", "vkeys"),
    ),
    "close": ({"successor": ORIGIN, "reason": TOKEN}, ()),
    "configuration": (
        {"setting": TOKEN, "object": REFERENCE, "digest": DIGEST, "heartbeat_s": INTEGER},
        ("setting",),
    ),
    "key": (
        {
            "event": enum("create", "activate", "retire", "revoke", "compromise"),
            "algorithm": TOKEN,
            "vkey": VKEY,
            "credential": TOKEN,
        },
        ("event",),
    ),
    "refusal": (
        {"signal": TOKEN, "code": TOKEN, "count": INTEGER, "limit": either(INTEGER, TOKEN)},
        ("signal", "code", "count"),
    ),
    "erasure": (_SPARED, ("ranges", "fields")),
    "expiry": (
        {**_SPARED, "schedule": mapping_of({"id": TOKEN, "version": TOKEN}, "id", "version")},
        ("ranges", "fields"),
    ),
    "redaction": ({**_SPARED, "rule": TOKEN}, ("ranges", "fields")),
    "hold": ({**_SPARED, "matter": TOKEN, "event": enum("place", "release")}, ("matter", "event")),
    "seed": ({"commitment": HASH, "method": TOKEN, "size": INTEGER}, ("commitment",)),
    "population": (
        {
            "seed": REFERENCE,
            "from": TIME_OR_SEQ,
            "to": TIME_OR_SEQ,
            "tree_size": INTEGER,
            "root": HASH,
            "count": INTEGER,
            "hash_total": HASH,
        },
        ("tree_size", "root", "count", "hash_total"),
    ),
    "sample": ({"population": REFERENCE, "method": TOKEN, "size": INTEGER}, ("population",)),
    "reconciliation": (
        {
            "population": REFERENCE,
            "list_digest": DIGEST,
            "matched": INTEGER,
            "claimed": INTEGER,
            "witnessed": INTEGER,
        },
        ("population",),
    ),
    "export": (
        {"form": TOKEN, "population": REFERENCE, "bundle_digest": DIGEST, "approvals": APPROVALS},
        ("form",),
    ),
    "request": ({"reference": TOKEN, "deadline": TIME_US, "status": TOKEN}, ()),
    "letter": ({"of": OF, "version": TOKEN, "digest": DIGEST}, ("of",)),
    "approval": ({"of": OF, "verdict": TOKEN, "meaning": TOKEN}, ("of", "verdict")),
    "review": (_REVIEW, ("of",)),
    "finding": (_REVIEW, ()),
    "note": (_REVIEW, ()),
    "access": (_ACCESS, ("action",)),
    "break_glass": (_ACCESS, ("person",)),
    "restore": (
        {"from_size": INTEGER, "to_size": INTEGER, "incarnation": either(INTEGER, TOKEN)},
        ("from_size", "to_size"),
    ),
    "witnessed": ({"origin": ORIGIN, "size": INTEGER, "root": HASH}, ("origin", "size", "root")),
}


def common_facts() -> Mapping[str, Rule]:
    """Keys that a leaf of any kind may have, apart from those that the service sets when it appends."""
    return MappingProxyType(_COMMON)


def facts_of(kind: str) -> Mapping[str, Rule]:
    """Keys of the object named like the kind (none for kinds without one); KeyError for a kind that does not exist.

    `facts_of("decision")["risk"].accepts("high")` says whether a value may be put into the leaf.
    """
    if kind not in KINDS:
        raise KeyError(kind)
    return MappingProxyType(_OBJECTS.get(kind, ({}, ()))[0])


def sources_of(kind: str) -> tuple[str, ...]:
    """Where a record of this kind may come from."""
    return (*OTLP_SOURCES, "api") if kind in PRODUCER_KINDS else ("api", "service")


@cache
def leaf_rules(kind: str) -> tuple[Mapping[str, Rule], frozenset[str]]:
    """The rules of a whole leaf of this kind, by key, and the keys that every such leaf has; KeyError for no kind."""
    if kind not in KINDS:
        raise KeyError(kind)
    rules = {**_ENVELOPE, **_COMMON, "kind": enum(kind, other=False), "source": enum(*sources_of(kind), other=False)}
    required = {"v", "log", "seq", "prev", "recorded_at", "kind", "source"}
    if kind in _OBJECTS:
        keys, needed = _OBJECTS[kind]
        rules[kind] = mapping_of(keys, *needed)
        if needed:
            required.add(kind)
    return MappingProxyType(rules), frozenset(required)


_DEFINITIONS: dict[str, Rule] = {
    "token": TOKEN,
    "integer": INTEGER,
    "decimal": DECIMAL,
    "boolean": BOOLEAN,
    "origin": ORIGIN,
    "trace_id": TRACE_ID,
    "span_id": SPAN_ID,
    "field": FIELD,
    "fields": FIELDS,
    "field_digest": FIELD_DIGEST,
    "hash": HASH,
    "digest": DIGEST,
    "reported_digest": REPORTED_DIGEST,
    "vkey": VKEY,
    "time_us": TIME_US,
    "time_ns": TIME_NS,
    "time_or_seq": TIME_OR_SEQ,
    "ranges": RANGES,
    "of": OF,
    "reference": REFERENCE,
    "references": APPROVALS,
    "producer": _COMMON["producer"],
    "interaction": _COMMON["interaction"],
}


def _refer(schema: Any, names: Mapping[int, str], *, inside: bool = True) -> Any:
    """The schema with a reference in place of each part that has a name (known by identity: rules share theirs)."""
    if inside and id(schema) in names:
        return {"$ref": f"#/$defs/{names[id(schema)]}"}
    if isinstance(schema, dict):
        return {key: _refer(inner, names) for key, inner in schema.items()}
    if isinstance(schema, list):
        return [_refer(inner, names) for inner in schema]
    return schema


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a leaf. What it cannot say is in this module's docstring and checked in code."""
    shared = {key: rule.schema for key, rule in {**_ENVELOPE, **_COMMON}.items() if key not in _OBJECTS}
    kinds = []
    for kind in sorted(KINDS):
        rules, required = leaf_rules(kind)
        own = {"kind": {"const": kind}, "source": rules["source"].schema}
        own |= {key: rules[key].schema for key in _OBJECTS if key in rules}
        kinds.append({"properties": own, "required": sorted(required)})
    names = {id(rule.schema): name for name, rule in _DEFINITIONS.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Counterfoil record, format version 1: the leaf",
        "description": "UTF-8 JSON in RFC 8785 form, at most 16,384 bytes, no floats, nulls or empty values.",
        "type": "object",
        "properties": _refer({"kind": {"enum": sorted(KINDS)}, "source": {"enum": list(SOURCES)}, **shared}, names),
        "oneOf": _refer(kinds, names),
        "unevaluatedProperties": False,
        "$defs": {name: _refer(rule.schema, names, inside=False) for name, rule in _DEFINITIONS.items()},
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n")
