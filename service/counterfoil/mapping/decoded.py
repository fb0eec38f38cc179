"""The internal form of an OTLP request: the same for protobuf and for JSON, so everything after it is written once.

Items, resources and scopes are messages of opentelemetry-proto. A string that was not UTF-8 cannot stand in those: it
is replaced by `Decoded.invalid_prefix` + base64 of its bytes (the prefix occurs nowhere in the request), and turned
into `{"invalidUtf8": base64}` once the item is mapped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.unknown_fields import UnknownFieldSet

from counterfoil.core.errors import InputError
from counterfoil.mapping.draft import Refused
from counterfoil.mapping.limits import MAX_ITEMS
from counterfoil.mapping.signals import Signal


@dataclass(slots=True)
class Extra:
    """What an item needs to remember beyond its message; few items do."""

    wire: bytes
    """Its protobuf as it was sent, printed again: where strings are not UTF-8, or fields are unknown to us."""
    unknown: bool = False
    """It has fields, at its top level, that this version of OTLP does not know: `wire` is kept as content. Deeper ones
    are ignored, as OTLP says: looking for them everywhere would cost more than the walk."""


@dataclass(slots=True)
class Group:
    """The items of one scope of one resource. `resource` and `scope` are None where the request had none."""

    resource_index: int
    scope_index: int
    resource: Any
    resource_schema_url: str
    scope: Any
    scope_schema_url: str
    items: Sequence[Any]
    indexes: Sequence[int] | None = None
    """Where each item stood in the request, if some beside it were refused."""
    extras: dict[int, Extra] = field(default_factory=dict)
    """By position in `items`."""
    heads: tuple[bytes, bytes, bytes, bytes] | None = None
    """Resource, its schema URL, scope and its schema URL as they were sent, where a string in them was replaced."""

    def index(self, position: int) -> int:
        """Where the item at this position stood in its request."""
        return position if self.indexes is None else self.indexes[position]


@dataclass(slots=True)
class Decoded:
    """One request: its groups in order, and the items that could not be read."""

    signal: Signal
    groups: list[Group]
    refused: list[Refused]
    invalid_prefix: str | None = None


def check_item_count(count: int) -> None:
    """A request holds at most MAX_ITEMS items, refused ones included."""
    if count > MAX_ITEMS:
        raise InputError("too_many_items", f"{count} items in one request are over the limit of {MAX_ITEMS}")


def unknown_fields_of(item: Any) -> Extra | None:
    """The item's wire form, where it has fields at its top level that this version of OTLP does not know."""
    if len(UnknownFieldSet(item)):
        return Extra(item.SerializeToString(deterministic=True), unknown=True)
    return None
