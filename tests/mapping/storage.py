"""What the log does to drafts, as far as mapping can see it: JSON out and in, identifiers replaced, parts in order.

Also the real data that the tests share.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from counterfoil.core.record import check_draft, is_token
from counterfoil.mapping.decode import JSON, PROTOBUF, decode_logs, decode_traces
from counterfoil.mapping.decoded import Decoded, Group
from counterfoil.mapping.draft import Draft, Item, Mapped
from counterfoil.mapping.map import map_logs, map_traces
from counterfoil.mapping.restore import restore_item
from counterfoil.mapping.signals import LOGS, TRACES, Signal

AGENT_SPANS = Path(__file__).resolve().parents[1] / "data" / "agent-spans"
PROTOBUF_FILES = sorted(AGENT_SPANS.glob("*.bin"))
JSON_FILES = [path.with_name(path.name.removesuffix(".bin") + ".otlp.json") for path in PROTOBUF_FILES]


def signal_of(path: Path) -> Signal:
    """The signal of a file in agent-spans."""
    return LOGS if ".logs." in path.name else TRACES


def decode(signal: Signal, body: bytes, content_type: str) -> Decoded:
    """Either signal."""
    return (decode_logs if signal is LOGS else decode_traces)(body, content_type)


def decode_file(path: Path) -> Decoded:
    """A file of agent-spans."""
    return decode(signal_of(path), path.read_bytes(), PROTOBUF if path.suffix == ".bin" else JSON)


def map_decoded(decoded: Decoded) -> Mapped:
    """Either signal."""
    return (map_logs if decoded.signal is LOGS else map_traces)(decoded)


def map_protobuf(request: Any) -> Mapped:
    """The mapping of a request message of either signal."""
    signal = LOGS if isinstance(request, LOGS.request) else TRACES
    return map_decoded(decode(signal, request.SerializeToString(), PROTOBUF))


def stored(draft: Draft) -> tuple[dict[str, Any], dict[str, Any]]:
    """Leaf and content of a draft after it was stored and read: facts checked, people pseudonymised, JSON both ways."""
    check_draft(draft.kind, {**draft.facts, "source": draft.source})
    leaf: dict[str, Any] = orjson.loads(orjson.dumps(draft.facts))
    leaf |= {"kind": draft.kind, "source": draft.source}
    if draft.interaction_id is not None:
        known = is_token(draft.interaction_id)
        leaf.setdefault("interaction", {})["id"] = draft.interaction_id if known else "pseudonym-1"
    if draft.subject_id is not None:
        leaf["subject"] = "pseudonym-2"
    for number, (path, _) in enumerate(draft.persons, start=3):
        top, key = path.split(".")
        leaf.setdefault(top, {})[key] = f"pseudonym-{number}"
    content: dict[str, Any] = orjson.loads(orjson.dumps(dict(draft.fields)))
    assert len(content) == len(draft.fields), "a field stands twice"
    leaf["content"] = dict.fromkeys(content, "digest")
    return leaf, content


def content_of(draft: Draft) -> dict[str, Any]:
    """The content fields of a draft, as JSON values."""
    return stored(draft)[1]


def restored(item: Item) -> Group:
    """The item, stored, given back as OTLP/JSON and decoded again: one group with one item."""
    request = restore_item([stored(draft) for draft in item.drafts])
    decoded = decode(TRACES if item.signal == "traces" else LOGS, orjson.dumps(request), JSON)
    assert not decoded.refused
    (group,) = decoded.groups
    assert len(group.items) == 1
    return group


def wire(message: Any) -> bytes | None:
    """Deterministic bytes: unlike `==`, they tell -0.0 from 0.0, and NaN equals NaN."""
    if message is None:
        return None
    data: bytes = message.SerializeToString(deterministic=True)
    return data


def assert_given_back(decoded: Decoded, mapped: Mapped) -> None:
    """Every item of the request comes back as the same message, with its resource and scope."""
    originals = [(group, item) for group in decoded.groups for item in group.items]
    assert len(originals) == len(mapped.items)
    for (group, original), item in zip(originals, mapped.items, strict=True):
        again = restored(item)
        assert wire(again.items[0]) == wire(original)
        assert wire(again.resource) == wire(group.resource)
        assert wire(again.scope) == wire(group.scope)
        assert again.resource_schema_url == group.resource_schema_url
        assert again.scope_schema_url == group.scope_schema_url
