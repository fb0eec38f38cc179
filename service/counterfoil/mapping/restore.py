"""Records back to OTLP: the leaf and content of one item's records to an OTLP/JSON request with exactly that item.

    restore_item([(leaf of part 0, {field: value}), (leaf of part 1, …), …])

The request parses to the same protobuf message as the item that came in, with its resource and scope. What the leaf
holds exactly was left out of the content; a pointer (`{"key": k, "promoted": "agent.name"}`, `{"promoted": 1}`,
`{"promoted": "input", "count": 3}`: see `map`) says where a value went.

Raises InputError "not_restorable" where a record did not come as OTLP, or where a part or a field
that is needed is not there (erased, withheld): half an item is never given out as a whole one.

A string that was not UTF-8 comes back as `{"invalidUtf8": base64}`, which no JSON string could say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, cast

from counterfoil.core.encoding import parse_time_ns
from counterfoil.core.errors import InputError
from counterfoil.mapping.decode_bytes import INVALID_KEY
from counterfoil.mapping.signals import LOGS, TRACES, Signal
from counterfoil.mapping.tables import CONTENT_FIELDS, ITEM_FIELDS

Part = tuple[Mapping[str, Any], Mapping[str, Any]]
"""One record: its leaf (or the facts of its draft), and its content, field to value."""

_SIGNALS = {TRACES.source: TRACES, LOGS.source: LOGS, "otlp:audit": LOGS}
_STATUS_CODES = {"ok": 1, "error": 2}
_NOT_OTLP = frozenset({"unknownFields"})
"""Members of `span` that are ours."""


def restore_item(parts: Sequence[Part]) -> dict[str, Any]:
    """The OTLP/JSON request of one item, from its records in the order of their part."""
    for number, (leaf, _) in enumerate(parts):
        if leaf.get("producer", {}).get("part") != number:
            raise _missing(f"part {number} of the item is not there")
    if not parts:
        raise _missing("no record of the item is there")
    leaf, content = parts[0]
    signal = _SIGNALS.get(leaf.get("source", ""))
    if signal is None:
        raise _missing("the record did not come as OTLP")
    for part_leaf, part_content in parts:
        for name in part_leaf.get("content", {}):
            if name in ITEM_FIELDS and name not in part_content:
                raise _missing(f"its field {name} is not there")
    item = _span(parts) if signal is TRACES else _log(leaf, content)
    return _request(signal, item, content)


def _missing(why: str) -> InputError:
    return InputError("not_restorable", f"this item cannot be given back as OTLP: {why}")


def _request(signal: Signal, item: dict[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    inner: dict[str, Any] = {signal.item_key: [item]}
    outer: dict[str, Any] = {signal.scope_key: [inner]}
    _put_head(outer, "resource", content.get("resource"))
    _put_head(inner, "scope", content.get("scope"))
    return {signal.resource_key: [outer]}


def _put_head(envelope: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        return
    head = dict(value)
    if (url := head.pop("schemaUrl", None)) is not None:
        envelope["schemaUrl"] = url
    if not head.pop("absent", False):
        envelope[key] = head


def _span(parts: Sequence[Part]) -> dict[str, Any]:
    leaf, content = parts[0]
    span: dict[str, Any] = {}
    for key, fact in (("traceId", "trace_id"), ("spanId", "span_id"), ("parentSpanId", "parent_span_id")):
        if fact in leaf:
            span[key] = leaf[fact]
    for key, fact in (("startTimeUnixNano", "started_at"), ("endTimeUnixNano", "ended_at")):
        if fact in leaf:
            span[key] = str(parse_time_ns(leaf[fact]))
    rest = dict(content.get("span", {}))
    status = rest.pop("status", None)
    _put_rest(span, rest, leaf)
    if status is not None or "status" in leaf:
        span["status"] = _status(status or {}, leaf, content)
    if "attributes" in content:
        span["attributes"] = _all_pairs(content["attributes"], parts)
    if "events" in content:
        moved = _Taken(content)
        span["events"] = [_event(event, parts, moved) for event in content["events"]]
    if "links" in content:
        span["links"] = content["links"]
    elif "links" in leaf:
        span["links"] = [{"traceId": link["trace_id"], "spanId": link["span_id"]} for link in leaf["links"]]
    return span


def _status(status: Mapping[str, Any], leaf: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(status)
    if "status" in leaf:
        out["code"] = _STATUS_CODES[leaf["status"]]
    if isinstance(message := out.get("message"), dict) and "promoted" in message:
        out["message"] = _string(_pointed(message["promoted"], leaf, content))
    return out


def _event(event: Mapping[str, Any], parts: Sequence[Part], moved: _Taken) -> Mapping[str, Any]:
    """An event: as it is, with attributes that went to a field, in a field, or a part."""
    if "promoted" not in event:
        leaf, content = parts[0]
        return {**event, "attributes": _pairs(event["attributes"], leaf, content)} if "attributes" in event else event
    if isinstance(event["promoted"], str):
        return cast("Mapping[str, Any]", moved.next(event["promoted"], 1)[0])
    leaf, content = _part(parts, event["promoted"])
    out: dict[str, Any] = {"name": leaf["name"]}
    if "started_at" in leaf:
        out["timeUnixNano"] = str(parse_time_ns(leaf["started_at"]))
    _put_rest(out, content.get("span", {}), leaf)
    if "attributes" in content:
        out["attributes"] = _pairs(content["attributes"], leaf, content)
    return out


def _log(leaf: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for key, fact in (("traceId", "trace_id"), ("spanId", "span_id")):
        if fact in leaf:
            record[key] = leaf[fact]
    if "started_at" in leaf:
        record["timeUnixNano"] = str(parse_time_ns(leaf["started_at"]))
    _put_rest(record, content.get("span", {}), leaf)
    if "body" in content:
        body = content["body"]
        pointed = isinstance(body, dict) and "promoted" in body
        record["body"] = _value(_pointed(body["promoted"], leaf, content) if pointed else body)
    if "attributes" in content:
        record["attributes"] = _pairs(content["attributes"], leaf, content)
    return record


def _put_rest(item: dict[str, Any], rest: Mapping[str, Any], leaf: Mapping[str, Any]) -> None:
    """The members of `span`; they stand above what the leaf says."""
    for key, value in rest.items():
        if key in _NOT_OTLP:
            continue
        pointed = isinstance(value, dict) and "promoted" in value
        item[key] = _at(value["promoted"], leaf) if pointed else value


class _Taken:
    """The members of lists that were moved out of an item, given back in their order."""

    __slots__ = ("_content", "_lists")

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content
        self._lists: dict[str | int, Iterator[Any]] = {}

    def next(self, field: str, count: int) -> list[Any]:
        """The next members of a field that is a list."""
        if field not in self._lists:
            values = self._content.get(field)
            self._lists[field] = iter(values if isinstance(values, list) else ())
        return self._slice(field, count)

    def next_of_part(self, number: int, parts: Sequence[Part], count: int) -> list[Any]:
        """The next attributes of a part."""
        if number not in self._lists:
            leaf, content = _part(parts, number)
            self._lists[number] = iter(_pairs(content.get("attributes", ()), leaf, content))
        return self._slice(number, count)

    def _slice(self, key: str | int, count: int) -> list[Any]:
        values = list(islice(self._lists[key], count))
        if len(values) != count:
            raise _missing(f"its field {key} is not there" if isinstance(key, str) else f"part {key} is not whole")
        return values


def _part(parts: Sequence[Part], number: int) -> Part:
    if number >= len(parts):
        raise _missing(f"part {number} of the item is not there")
    return parts[number]


def _all_pairs(pairs: Sequence[Mapping[str, Any]], parts: Sequence[Part]) -> list[Any]:
    """The attributes of a span, with those of its parts."""
    leaf, content = parts[0]
    taken = _Taken(content)
    out: list[Any] = []
    for pair in pairs:
        if isinstance(number := pair.get("promoted"), int):
            out += taken.next_of_part(number, parts, pair["count"])
        else:
            out += _pair(pair, leaf, content, taken)
    return out


def _pairs(pairs: Sequence[Mapping[str, Any]], leaf: Mapping[str, Any], content: Mapping[str, Any]) -> list[Any]:
    taken = _Taken(content)
    return [whole for pair in pairs for whole in _pair(pair, leaf, content, taken)]


def _pair(
    pair: Mapping[str, Any], leaf: Mapping[str, Any], content: Mapping[str, Any], taken: _Taken
) -> Sequence[Mapping[str, Any]]:
    """A pair as it came: itself, one whose value went elsewhere, or a run of pairs that went to a field."""
    if "promoted" not in pair:
        return (pair,)
    if "key" not in pair:
        return taken.next(pair["promoted"], pair["count"])
    return ({"key": pair["key"], "value": _value(_pointed(pair["promoted"], leaf, content))},)


def _pointed(pointer: str, leaf: Mapping[str, Any], content: Mapping[str, Any]) -> Any:
    """The value that a pointer names: a content field, or a leaf path."""
    if pointer not in CONTENT_FIELDS:
        return _at(pointer, leaf)
    if pointer not in content:
        raise _missing(f"its field {pointer} is not there")
    return content[pointer]


def _at(path: str, leaf: Mapping[str, Any]) -> Any:
    value: Any = leaf
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            raise _missing(f"its fact {path} is not there")
        value = value[key]
    return value


def _string(value: Any) -> Any:
    """A field as the OTLP string that it was: its text, or the object that stands for invalid UTF-8."""
    if isinstance(value, dict) and INVALID_KEY in value.get("stringValue", ()):
        return value["stringValue"]
    return value


def _value(value: Any) -> dict[str, Any]:
    """A fact or field as AnyValue: text is a string, a number an integer, an object already is one."""
    if isinstance(value, dict):
        return value
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"stringValue": value}
