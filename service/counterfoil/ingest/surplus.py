"""Items over the limit of a request: the first ones are kept, the rest refused one by one (RECORD 9).

`mapping` refuses a request with too many items as a whole. Here such a request is cut behind its last lawful item and
decoded again, and every item that was cut off is named. Ten times the limit is no batch any more but an attack or a
mistake, and refused whole: naming a million items would cost what the limit is there to save.
"""

from __future__ import annotations

from typing import Any, Final

import orjson
from google.protobuf.message import DecodeError, Message

from counterfoil.ingest.media import Encoding
from counterfoil.ingest.status import ExportError
from counterfoil.mapping.draft import Refused
from counterfoil.mapping.signals import Signal as Names

TOO_MANY_ITEMS: Final = "too_many_items"
MOST_SURPLUS: Final = 10
"""A request with more than this many times the limit is refused whole."""


def cut(names: Names, body: bytes, encoding: Encoding, most: int) -> tuple[bytes, list[Refused]]:
    """The request with its first `most` items, and the others as refused. Error: ExportError 413 too_many_items."""
    if encoding is Encoding.JSON:
        return _cut_json(names, body, most)
    request: Message = names.request()
    try:
        request.ParseFromString(body)
    except DecodeError:
        # It was readable item by item only (a string that is not UTF-8), which cannot be cut and printed again.
        raise too_many_items(most) from None
    groups = [
        [getattr(inner, names.item_field) for inner in getattr(outer, names.scope_field)]
        for outer in getattr(request, names.resource_field)
    ]
    surplus = _cut_groups(names, groups, most)
    return request.SerializeToString(), surplus


def _cut_json(names: Names, body: bytes, most: int) -> tuple[bytes, list[Refused]]:
    value = orjson.loads(body)
    groups = [
        [_list_in(inner, names.item_key) for inner in _list_in(outer, names.scope_key)]
        for outer in _list_in(value, names.resource_key)
    ]
    surplus = _cut_groups(names, groups, most)
    return orjson.dumps(value), surplus


def _cut_groups(names: Names, groups: list[list[Any]], most: int) -> list[Refused]:
    total = sum(len(items) for scopes in groups for items in scopes)
    if total > most * MOST_SURPLUS:
        raise too_many_items(most, total)
    message = f"a request holds at most {most} items, this one {total}"
    surplus: list[Refused] = []
    room = most
    for resource_index, scopes in enumerate(groups):
        for scope_index, items in enumerate(scopes):
            surplus += [
                Refused(names.path(resource_index, scope_index, index), TOO_MANY_ITEMS, message, f"items={most}")
                for index in range(room, len(items))
            ]
            del items[room:]
            room -= len(items)
    return surplus


def _list_in(value: Any, key: str) -> list[Any]:
    """The array at `key`, or nothing where a decoder will say that it is none."""
    inner = value.get(key) if isinstance(value, dict) else None
    return inner if isinstance(inner, list) else []


def too_many_items(most: int, total: int | None = None) -> ExportError:
    """413 for a request that is refused whole; `total` where it was counted."""
    seen = "more" if total is None else f"{total}"
    return ExportError(
        413, TOO_MANY_ITEMS, f"a request holds at most {most} items, this one {seen}", limit=f"items={most}"
    )
