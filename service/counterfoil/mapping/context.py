"""What the items of one scope of one resource share: content, part of the identity, and facts of last resort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from counterfoil.mapping.anyvalue import resource_json, scope_json
from counterfoil.mapping.decoded import Group
from counterfoil.mapping.tables import (
    RESOURCE_AGENT_NAME,
    RESOURCE_AGENT_VERSION,
    RESOURCE_PRODUCER_ID,
    UNNAMED_SERVICE,
)
from counterfoil.mapping.targets import fits_token
from counterfoil.mapping.vocabulary import Vocabulary, vocabulary_of


@dataclass(frozen=True, slots=True)
class Context:
    """What the items of one scope share."""

    fields: tuple[tuple[str, Any], ...]
    identity: bytes
    agent_name: str | None
    agent_version: str | None
    producer_id: str | None
    vocabulary: Vocabulary


def context_of(group: Group, known: dict[bytes, Context], vocabulary: Vocabulary | None = None) -> Context:
    """What the items of a group share, computed once for equal resources and scopes of a request.

    `vocabulary` is that of the signal, where it has one of its own; otherwise the scope says what attributes mean.
    """
    resource, scope = group.resource, group.scope
    heads = group.heads or (
        b"" if resource is None else resource.SerializeToString(deterministic=True),
        group.resource_schema_url.encode(),
        b"" if scope is None else scope.SerializeToString(deterministic=True),
        group.scope_schema_url.encode(),
    )
    identity = b"".join(len(data).to_bytes(4, "big") + data for data in heads)
    key = identity + bytes((resource is None, scope is None))
    if (context := known.get(key)) is not None:
        return context
    fields = []
    if (value := _head(resource, group.resource_schema_url, resource_json)) is not None:
        fields.append(("resource", printed(value)))
    if (value := _head(scope, group.scope_schema_url, scope_json)) is not None:
        fields.append(("scope", printed(value)))
    strings: dict[str, str] = {}
    for pair in () if resource is None else resource.attributes:
        if (string := pair.value.string_value) and fits_token(string):
            strings.setdefault(pair.key, string)
    name = strings.get(RESOURCE_AGENT_NAME)
    if name is not None and name.startswith(UNNAMED_SERVICE):
        name = None
    if vocabulary is None:
        vocabulary = vocabulary_of("", "") if scope is None else vocabulary_of(scope.name, scope.version)
    context = Context(
        tuple(fields),
        identity,
        name,
        strings.get(RESOURCE_AGENT_VERSION),
        strings.get(RESOURCE_PRODUCER_ID),
        vocabulary,
    )
    known[key] = context
    return context


def _head(message: Any, schema_url: str, to_json: Any) -> dict[str, Any] | None:
    """Resource or scope as a content value, with the schema URL that stood beside it."""
    if message is None:
        return {"absent": True, "schemaUrl": schema_url} if schema_url else None
    value: dict[str, Any] = to_json(message)
    if schema_url:
        value["schemaUrl"] = schema_url
    return value


def printed(value: Any) -> orjson.Fragment:
    """A content value as JSON already: a third of the memory, and printed while it is at hand."""
    return orjson.Fragment(orjson.dumps(value))
