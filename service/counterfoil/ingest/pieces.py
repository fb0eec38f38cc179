"""A large request cut into requests of about a mebibyte: decoding takes memory for a piece and not for the whole.

Decoded and mapped, a body takes about thirteen times its bytes; 64 MiB at once would be most of a gigabyte. So what is
over `WHOLE_BYTES` is indexed first (`pieces_wire`, `pieces_json`: where each item begins and ends, without building it)
and then put together again piece by piece: the same resource and scope, some of the items, byte for byte as sent.

Nothing is lost by it. The arrival of an item is made of the item, its resource and its scope (RECORD 8), which a piece
keeps; where equal unnumbered events are counted, the count goes on from piece to piece (`Counting`); and a refused item
is named by its place in the request, not in the piece. Where a piece cannot be read at all, its items are read one by
one: earlier pieces are on disk by then, so the request can no more be refused as a whole.

A body that is not built as expected (damaged, keys that stand twice, resources of 256 KiB) is not cut: up to 4 MiB
the decoder looks at it as a whole and says what is wrong.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from counterfoil.ingest.limits import MAX_ITEM_BYTES, MAX_VALUES, MIB
from counterfoil.ingest.media import Encoding
from counterfoil.ingest.pieces_json import index_json, join_json
from counterfoil.ingest.pieces_wire import count_fields, index_wire, join_wire
from counterfoil.ingest.runs import MAX_HEAD_BYTES, Run
from counterfoil.ingest.surplus import MOST_SURPLUS, TOO_MANY_ITEMS, too_many_items
from counterfoil.mapping.draft import Mapped, Refused
from counterfoil.mapping.signals import Signal as Names

WHOLE_BYTES: Final = 2 * MIB
"""Up to this size a request is decoded as it is; an ordinary batch of 512 spans has 0.8 MB."""
WHOLE_REPEATED_BYTES: Final = 8 * MIB
"""Up to here resource and scope may be repeated by the items of a request that is decoded as it is."""
PIECE_BYTES: Final = MIB
"""With resource and scope counted for each item, as its record will carry them."""
ITEM_TOO_LARGE: Final = "item_too_large"


@dataclass(slots=True)
class Piece:
    """A request of its own, and where its items stood in the whole one."""

    body: bytes
    places: dict[tuple[int, int], tuple[int, int, int]]
    """By resource and scope group of the piece: those of the request, and the index of the first item."""
    runs: list[Run]


@dataclass(slots=True)
class Cut:
    """A request that can be cut: its runs, and the items beyond the limit, which are refused one by one."""

    names: Names
    encoding: Encoding
    body: bytes
    runs: list[Run]
    surplus: list[Refused] = field(default_factory=list)

    @property
    def repeated_bytes(self) -> int:
        """Bytes of resource and scope, counted for each of their items."""
        return sum(len(run.items) * (len(run.resource_head) + len(run.scope_head)) for run in self.runs)

    def pieces(self) -> Iterator[Piece]:
        """The request piece by piece."""
        chosen: list[Run] = []
        size = 0
        for run in self.runs:
            heads = len(run.resource_head) + len(run.scope_head)
            start = 0
            for index, (begin, end) in enumerate(run.items):
                size += heads + end - begin
                if size >= PIECE_BYTES:
                    chosen.append(run._replace(first=run.first + start, items=run.items[start : index + 1]))
                    yield self._piece(chosen)
                    chosen, size, start = [], 0, index + 1
            if start < len(run.items):
                chosen.append(run._replace(first=run.first + start, items=run.items[start:]))
        if chosen:
            yield self._piece(chosen)

    def _piece(self, runs: list[Run]) -> Piece:
        grouped: list[list[Run]] = []
        places: dict[tuple[int, int], tuple[int, int, int]] = {}
        for run in runs:
            if not grouped or grouped[-1][0].resource != run.resource:
                grouped.append([])
            places[len(grouped) - 1, len(grouped[-1])] = (run.resource, run.scope, run.first)
            grouped[-1].append(run)
        join = join_json if self.encoding is Encoding.JSON else join_wire
        return Piece(join(self.names, self.body, grouped), places, runs)

    def one_by_one(self, piece: Piece) -> Iterator[Piece]:
        """The items of a piece, each as a request of its own: to find the one that cannot be read."""
        for run in piece.runs:
            for index, item in enumerate(run.items):
                yield self._piece([run._replace(first=run.first + index, items=[item])])

    def path(self, piece: Piece) -> str:
        """Where the only item of a piece stands in the request."""
        run = piece.runs[0]
        return self.names.path(run.resource, run.scope, run.first)


def cut(names: Names, body: bytes, encoding: Encoding, most_items: int) -> Cut | None:
    """How to cut `body`; None where it is not built as expected. Error: ExportError 413 too_many_items."""
    index = index_json if encoding is Encoding.JSON else index_wire
    runs = index(names, body, most_items * MOST_SURPLUS)
    if runs is None or any(len(run.resource_head) + len(run.scope_head) > MAX_HEAD_BYTES for run in runs):
        return None
    total = sum(len(run.items) for run in runs)
    if total > most_items * MOST_SURPLUS:
        raise too_many_items(most_items, total)
    lawful, giants = _without_giants(names, body, encoding, runs)
    kept, surplus = _within(names, lawful, most_items, total)
    return Cut(names, encoding, body, kept, giants + surplus)


def _without_giants(names: Names, body: bytes, encoding: Encoding, runs: list[Run]) -> tuple[list[Run], list[Refused]]:
    """The runs without items that would take too much when decoded, and those as refused."""
    kept: list[Run] = []
    giants: list[Refused] = []
    for run in runs:
        start = 0
        for index, item in enumerate(run.items):
            if item[1] - item[0] > PIECE_BYTES and (why := _too_large(body, encoding, item)) is not None:
                path = names.path(run.resource, run.scope, run.first + index)
                giants.append(Refused(path, ITEM_TOO_LARGE, *why))
                kept.append(run._replace(first=run.first + start, items=run.items[start:index]))
                start = index + 1
        kept.append(run._replace(first=run.first + start, items=run.items[start:]) if start else run)
    return kept, giants


def _too_large(body: bytes, encoding: Encoding, item: tuple[int, int]) -> tuple[str, str] | None:
    """Why an item cannot be taken, and the limit; None where it can."""
    size = item[1] - item[0]
    if size > MAX_ITEM_BYTES:
        return f"an item has at most {MAX_ITEM_BYTES} bytes, this one {size}", f"item_bytes={MAX_ITEM_BYTES}"
    # Fields that OTLP does not know are values as well, which the guard does not count: each is an object for a while.
    if encoding is Encoding.PROTOBUF and count_fields(body, item, MAX_VALUES) > MAX_VALUES:
        return f"an item has at most {MAX_VALUES} fields", f"values={MAX_VALUES}"
    return None


def _within(names: Names, runs: list[Run], most: int, total: int) -> tuple[list[Run], list[Refused]]:
    """The runs up to `most` items, and every item behind those as refused."""
    kept: list[Run] = []
    surplus: list[Refused] = []
    room = most
    for run in runs:
        taken = run.items[:room]
        if taken:
            kept.append(run._replace(items=taken))
        room -= len(taken)
        surplus += [
            Refused(
                names.path(run.resource, run.scope, run.first + index),
                TOO_MANY_ITEMS,
                f"a request holds at most {most} items, this one {total}",
                f"items={most}",
            )
            for index in range(len(taken), len(run.items))
        ]
    return kept, surplus


_PATH = re.compile(r"\A([a-zA-Z]+)\[(\d+)\]\.([a-zA-Z]+)\[(\d+)\]\.([a-zA-Z]+)\[(\d+)\]")


class Counting:
    """What goes on from piece to piece of one request: the ordinals of equal events, and the names of items."""

    def __init__(self) -> None:
        self._seen: Counter[bytes] = Counter()

    def correct(self, piece: Piece, mapped: Mapped) -> None:
        """Put ordinals and paths of a mapped piece right, as if the request had been mapped as a whole."""
        before = Counter(self._seen)
        for item in mapped.items:
            if item.signal == "traces" or item.producer is not None:
                continue
            key = sha256(item.identity).digest()
            item.ordinal += before[key]
            self._seen[key] += 1
        mapped.refused = [refused_in_request(piece, one) for one in mapped.refused]


def refused_in_request(piece: Piece, refused: Refused) -> Refused:
    """The refusal with the place that its item has in the request."""
    match = _PATH.match(refused.item)
    if match is None:
        return refused
    outer, resource, inner, scope, items, index = match.groups()
    place = piece.places.get((int(resource), int(scope)))
    if place is None:
        return refused
    path = f"{outer}[{place[0]}].{inner}[{place[1]}].{items}[{place[2] + int(index)}]"
    return Refused(path + refused.item[match.end() :], refused.code, refused.message, refused.limit)
