"""The records of the draft OpenTelemetry audit signal, read and checked (`POST /v1/audit`).

The draft: apeirora/opentelemetry-specification, branch `auditing`, commit a48a631 of 2026-06-03 (OTEP 0267,
specification/audit/{data-model,sdk,collector}.md). A request is an ExportLogsServiceRequest whose log records are audit
records. What a record must have, in the words of the draft:

    Timestamp, EventName                                      MUST be set
    audit.record.id  audit.actor.id  audit.action             strings that are not empty
    audit.actor.type                                          user, service or system
    audit.outcome                                             success, failure or unknown

One record that has not, or that cannot be read, refuses the whole batch: this signal knows no partial success.
`audit.integrity.value` and `audit.sequence.*` are kept as they came and not checked: we hold no keys of producers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from counterfoil.core.errors import InputError
from counterfoil.ingest.audit_hash import integrity_hash
from counterfoil.ingest.decoding import check_structure, check_uncut, repeats_much, too_much_repeated
from counterfoil.ingest.limits import Limits
from counterfoil.ingest.media import Encoding
from counterfoil.ingest.response import describe_refusals
from counterfoil.ingest.signal import Signal
from counterfoil.ingest.status import ExportError
from counterfoil.ingest.surplus import TOO_MANY_ITEMS, too_many_items
from counterfoil.log.lawful import check_facts, check_producer
from counterfoil.mapping.decode import decode_logs
from counterfoil.mapping.decoded import Decoded
from counterfoil.mapping.draft import Item, Refused
from counterfoil.mapping.map import map_audit

MAX_RECORD_ID_CHARS: Final = 256
_REQUIRED: Final = ("audit.record.id", "audit.actor.id", "audit.actor.type", "audit.action", "audit.outcome")
_CLOSED: Final = {
    "audit.actor.type": frozenset({"user", "service", "system"}),
    "audit.outcome": frozenset({"success", "failure", "unknown"}),
}


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One record that may be appended."""

    path: str
    record_id: str
    item: Item
    """Recognised by its id and nothing else: `identity` is the id, filed outside any trace."""
    content: bytes
    """All of the record with its resource, deterministic: the same for every encoding."""
    integrity_hash: str
    """As the draft's receipt has it: hex."""


def read_records(body: bytes, encoding: Encoding, limits: Limits) -> list[AuditRecord]:
    """The records of a request in order. Error: ExportError 400 or 413 for all of it, naming the items at fault."""
    if not body:
        return []
    check_structure(Signal.AUDIT, body, encoding, limits)
    check_uncut(body)
    try:
        decoded = decode_logs(body, encoding.value)
    except InputError as error:
        if error.code == TOO_MANY_ITEMS:
            raise too_many_items(limits.items) from None
        raise
    if repeats_much(decoded):
        raise too_much_repeated()
    messages = _messages(body, encoding, decoded)
    total = max(len(messages), sum(len(group.items) for group in decoded.groups) + len(decoded.refused))
    if total > limits.items:
        raise too_many_items(limits.items, total)
    refused = list(decoded.refused)
    identified: list[tuple[str, str, Any]] = []
    for path, message in messages:
        try:
            identified.append((path, _check(message), message))
        except InputError as error:
            refused.append(Refused(path, error.code, error.message))
    if refused:
        raise _all_refused(refused, total)
    mapped = map_audit(decoded)
    for item in mapped.items:
        try:
            check_producer(item)
            for draft in item.drafts:
                check_facts(draft)
        except InputError as error:
            mapped.refused.append(Refused("request", error.code, error.message))
    if mapped.refused:
        raise _all_refused(mapped.refused, total)
    return [
        _record(path, record_id, item, message)
        for (path, record_id, message), item in zip(identified, mapped.items, strict=True)
    ]


def _messages(body: bytes, encoding: Encoding, decoded: Decoded) -> list[tuple[str, Any]]:
    """Every record with its path, as messages: what only this signal asks of them, mapping does not say."""
    path = decoded.signal.path
    if encoding is Encoding.JSON:
        return [
            (path(group.resource_index, group.scope_index, group.index(position)), message)
            for group in decoded.groups
            for position, message in enumerate(group.items)
        ]
    try:
        request = ExportLogsServiceRequest.FromString(body)
    except DecodeError as error:
        # Item by item some could be read (`decode_bytes`), but half a batch is no batch here.
        raise ExportError(400, "bad_protobuf", f"the body is no ExportLogsServiceRequest: {error}") from None
    return [
        (path(resource_index, scope_index, index), message)
        for resource_index, outer in enumerate(request.resource_logs)
        for scope_index, inner in enumerate(outer.scope_logs)
        for index, message in enumerate(inner.log_records)
    ]


def content_of(request: bytes) -> bytes:
    """`AuditRecord.content` of the only record of an OTLP/JSON request: what was stored and is compared."""
    return map_audit(decode_logs(request, Encoding.JSON.value)).items[0].identity


def _record(path: str, record_id: str, item: Item, message: Any) -> AuditRecord:
    content = item.identity
    item.identity = record_id.encode("utf-8", "surrogatepass")
    item.trace_id = item.span_id = b""
    item.producer = None
    item.ordinal = 0
    return AuditRecord(path, record_id, item, content, integrity_hash(message))


def _check(message: Any) -> str:
    """The id of a record that has what the draft asks for. InputError names what is missing."""
    if not message.time_unix_nano:
        raise InputError("bad_audit_record", "timeUnixNano is not set")
    if not message.event_name:
        raise InputError("bad_audit_record", "eventName is empty")
    found: dict[str, str] = {}
    for pair in message.attributes:
        if pair.key in _REQUIRED:
            # SPEC: data-model, Attributes: if the same key is set multiple times, the last value is used.
            found[pair.key] = pair.value.string_value
    for name in _REQUIRED:
        value = found.get(name)
        if not value:
            raise InputError("bad_audit_record", f"{name} is missing or not a string")
        if name in _CLOSED and value not in _CLOSED[name]:
            raise InputError("bad_audit_record", f"{name} is none of {', '.join(sorted(_CLOSED[name]))}")
    record_id = found["audit.record.id"]
    if len(record_id) > MAX_RECORD_ID_CHARS:
        raise InputError("bad_audit_record", f"audit.record.id has over {MAX_RECORD_ID_CHARS} characters")
    return record_id


def _all_refused(refused: list[Refused], total: int) -> ExportError:
    code = refused[0].code if len({one.code for one in refused}) == 1 else "several"
    message = describe_refusals(Signal.AUDIT, refused, total)
    return ExportError(400, code, f"nothing of this batch is taken: {message}", refused=refused)
