"""Decoded OTLP to items and drafts: each span and each log event a record, recognised span events records of their own.

Part 0 is the item itself. Parts 1.. are groups of its attributes that are records of their own (`parts`), then its
span events with a name of `tables.EVENT_KINDS`, in order, each leaving `{"promoted": part}` in part 0; MAX_PARTS of
them in all. A part has its own attributes and `span` (time, dropped count); resource and scope stand in part 0 alone.
What the span says of interaction, agent and person holds for its parts too.

Content of part 0, each field only where there is something in it:

- `resource`, `scope`: the OTLP/JSON object and its `schemaUrl`; `{"absent": true}` marks a schema URL without object
- `attributes`: OTLP/JSON pairs, promoted ones as `recognise` says
- `span`: every other OTLP/JSON member that the leaf does not hold exactly; `status.message` is promoted to `error`
- `events`; `links`, where they say more than the ids in the leaf; `body` of a log event
- fields by meaning: `input`, `output`, `arguments`, `result`, `error`, `rationale`, …

A field by meaning has one of three forms. None keeps words twice, and all give back what came in:

- a text, or an AnyValue object: the value of one attribute, which leaves `{"key": k, "promoted": "input"}`, or the body
  of a log event, which leaves `{"promoted": "input"}` as `body`
- a list of OTLP/JSON pairs: the flattened attributes of a group (`gen_ai.prompt.0.role`, …), in their order; each run
  of n neighbours leaves `{"promoted": "input", "count": n}` in `attributes`
- a list of OTLP/JSON span events (`message_events`), each of which leaves `{"promoted": "input"}` in `events`

The large ones are printed at once (`orjson.Fragment`), resource and scope once for all drafts of a request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from counterfoil.mapping.context import Context, context_of
from counterfoil.mapping.decode_bytes import restore_invalid
from counterfoil.mapping.decoded import Decoded, Extra
from counterfoil.mapping.draft import Item, Mapped, Refused
from counterfoil.mapping.limits import ItemError
from counterfoil.mapping.log_events import map_audit_record, map_log
from counterfoil.mapping.spans import map_span
from counterfoil.mapping.vocabulary import Vocabulary, audit_vocabulary


def map_traces(decoded: Decoded) -> Mapped:
    """Spans to items; those with wrong ids or values nested too deeply are refused."""
    return _map(decoded, map_span)


def map_logs(decoded: Decoded) -> Mapped:
    """Log events to items; those with wrong ids or values nested too deeply are refused."""
    return _map(decoded, map_log)


def map_audit(decoded: Decoded) -> Mapped:
    """Records of the draft audit signal, which come as log events, to items; refused as log events are."""
    return _map(decoded, map_audit_record, audit_vocabulary())


MapItem = Callable[[Any, Context, Extra | None], Item]


def _map(decoded: Decoded, map_item: MapItem, vocabulary: Vocabulary | None = None) -> Mapped:
    """Every item of a request through `map_item`."""
    mapped = Mapped([], list(decoded.refused))
    contexts: dict[bytes, Context] = {}
    ordinals: dict[bytes, int] = {}
    numbered = decoded.signal.name == "traces"
    for group in decoded.groups:
        try:
            context = context_of(group, contexts, vocabulary)
            broken = None
        except ItemError as error:
            context = None
            broken = error
        for position, message in enumerate(group.items):
            extra = group.extras.get(position) if group.extras else None
            try:
                if context is None:
                    raise broken or ItemError("bad_resource", "resource or scope cannot be read")
                item = map_item(message, context, extra)
            except ItemError as error:
                path = decoded.signal.path(group.resource_index, group.scope_index, group.index(position))
                mapped.refused.append(Refused(path, error.code, error.message, error.limit))
                continue
            if not numbered and item.producer is None:
                # Two equal log events without a number are two events; a span is told by its id (RECORD 8).
                item.ordinal = ordinals.get(item.identity, 0)
                ordinals[item.identity] = item.ordinal + 1
            if decoded.invalid_prefix is not None:
                _restore_invalid(item, decoded.invalid_prefix)
            mapped.items.append(item)
    return mapped


def _restore_invalid(item: Item, prefix: str) -> None:
    """Put `{"invalidUtf8": …}` where the decoder had to put a replacement; a replacement names nobody."""
    for draft in item.drafts:
        fields = []
        for name, value in draft.fields:
            if isinstance(value, orjson.Fragment):
                value = orjson.loads(orjson.dumps(value))
            elif isinstance(value, str) and value.startswith(prefix):
                value = {"stringValue": value}
            fields.append((name, restore_invalid(value, prefix)))
        draft.fields = fields
        if draft.interaction_id is not None and draft.interaction_id.startswith(prefix):
            draft.interaction_id = None
        if draft.subject_id is not None and draft.subject_id.startswith(prefix):
            draft.subject_id = None
        draft.persons = tuple(person for person in draft.persons if not person[1].startswith(prefix))
