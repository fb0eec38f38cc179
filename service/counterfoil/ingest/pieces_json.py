"""An OTLP request in JSON, indexed and joined as text: strings and brackets, nothing is built.

    {"resourceSpans": [{…, "scopeSpans": [{…, "spans": [item, …]}]}]}

The other members of a group are its head and are carried as they stand. An object in which a key stands twice or is
spelled with an escape, or which holds something else than a list where a list belongs, is not cut. What lies inside an
item is skipped bracket by bracket; whether it is JSON at all, the decoder says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from counterfoil.ingest.runs import Run
from counterfoil.mapping.signals import Signal as Names

_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SCALAR: Final = re.compile(rb"[-+.0-9A-Za-z]++")
_SPACE: Final = re.compile(rb"[ \t\r\n]*+")
_BRACKETS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\]]', re.DOTALL)
_OPEN, _CLOSE = frozenset(b"{["), frozenset(b"}]")

Visit = Callable[[int], int]
"""Takes where a value begins, returns where it ends."""


class _Odd(Exception):
    """Not built as expected; the decoder says why."""


def index_json(names: Names, body: bytes, most_items: int) -> list[Run] | None:
    """The runs of a request, None where it is not built as expected. Stops one run after `most_items`."""
    index = _Index(names, body, most_items)
    try:
        start = _skip_space(body, 0)
        head, end = _members(body, start, {names.resource_key.encode(): index.resources})
        if head or _skip_space(body, end) != len(body):
            return None
    except (_Odd, IndexError):
        return None
    except _Enough:
        pass
    return index.runs


def join_json(names: Names, body: bytes, groups: Sequence[Sequence[Run]]) -> bytes:
    """A request of these runs, those of one resource group together."""
    outer: list[bytes] = []
    for runs in groups:
        inner = [
            _object(run.scope_head, names.item_key, b",".join(body[start:end] for start, end in run.items))
            for run in runs
        ]
        outer.append(_object(runs[0].resource_head, names.scope_key, b",".join(inner)))
    return _object(b"", names.resource_key, b",".join(outer))


def _object(head: bytes, key: str, elements: bytes) -> bytes:
    return b'{%b%b"%b":[%b]}' % (head, b"," if head else b"", key.encode(), elements)


class _Enough(Exception):
    """More items than are worth finding."""


class _Index:
    """Collects the runs while the text is walked."""

    def __init__(self, names: Names, body: bytes, most_items: int) -> None:
        self.runs: list[Run] = []
        self._names = names
        self._body = body
        self._room = most_items

    def resources(self, start: int) -> int:
        """The list of resource groups."""
        resource = 0

        def visit(at: int) -> int:
            nonlocal resource
            first = len(self.runs)
            scopes = self._scopes(resource)
            head, end = _members(self._body, at, {self._names.scope_key.encode(): scopes})
            self.runs[first:] = [run._replace(resource_head=head) for run in self.runs[first:]]
            resource += 1
            return end

        return _elements(self._body, start, visit)

    def _scopes(self, resource: int) -> Visit:
        scope = 0

        def group(at: int) -> int:
            nonlocal scope
            found: list[tuple[int, int]] = []
            head, end = _members(self._body, at, {self._names.item_key.encode(): self._items(found)})
            self.runs.append(Run(resource, scope, 0, b"", head, found))
            scope += 1
            self._room -= len(found)
            if self._room < 0:
                raise _Enough
            return end

        return lambda start: _elements(self._body, start, group)

    def _items(self, found: list[tuple[int, int]]) -> Visit:
        def item(at: int) -> int:
            end = _skip_value(self._body, at)
            found.append((at, end))
            return end

        return lambda start: _elements(self._body, start, item)


def _members(body: bytes, start: int, visits: Mapping[bytes, Visit]) -> tuple[bytes, int]:
    """Walk an object: what `visits` names is visited, all other members are returned as text, and where it ends."""
    position = _expect(body, start, b"{")
    seen: set[bytes] = set()
    others: list[bytes] = []
    if body[position] == ord("}"):
        return b"", position + 1
    while True:
        match = _STRING.match(body, position)
        if match is None or b"\\" in match[0] or match[0] in seen:
            raise _Odd
        seen.add(match[0])
        value = _expect(body, _skip_space(body, match.end()), b":")
        visit = visits.get(match[0][1:-1])
        if visit is None:
            end = _skip_value(body, value)
            others.append(body[position:end])
        else:
            end = visit(value)
        end = _skip_space(body, end)
        if body[end] == ord("}"):
            return b",".join(others), end + 1
        position = _expect(body, end, b",")


def _elements(body: bytes, start: int, visit: Visit) -> int:
    """Visit every element of an array; where the array ends."""
    position = _expect(body, start, b"[")
    if body[position] == ord("]"):
        return position + 1
    while True:
        end = _skip_space(body, visit(position))
        if body[end] == ord("]"):
            return end + 1
        position = _expect(body, end, b",")


def _skip_value(body: bytes, start: int) -> int:
    """Where the value that begins at `start` ends."""
    if body[start] not in _OPEN:
        match = _STRING.match(body, start) or _SCALAR.match(body, start)
        if match is None:
            raise _Odd
        return match.end()
    depth = 0
    for match in _BRACKETS.finditer(body, start):
        byte = body[match.start()]
        if byte in _OPEN:
            depth += 1
        elif byte in _CLOSE:
            depth -= 1
            if not depth:
                return match.end()
    raise _Odd


def _expect(body: bytes, position: int, wanted: bytes) -> int:
    """Where what follows `wanted` begins."""
    if body[position : position + 1] != wanted:
        raise _Odd
    return _skip_space(body, position + 1)


def _skip_space(body: bytes, position: int) -> int:
    match = _SPACE.match(body, position)
    assert match is not None  # noqa: S101 - it matches nothing as well
    return match.end()
