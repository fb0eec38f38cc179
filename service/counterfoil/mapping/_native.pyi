"""The compiled part (native/native.h). Signatures only; each has its twin in Python beside it."""

from collections.abc import Callable, Collection, Iterator
from typing import Any, final

@final
class Layout:
    def __new__(cls, messages: list[tuple[type[Any], list[Any]]], pair: int, value: int, /) -> Layout: ...

@final
class Item:
    def HasField(self, name: str, /) -> bool: ...  # noqa: N802 - the protobuf library's name
    def SerializeToString(self, *, deterministic: bool = ...) -> bytes: ...  # noqa: N802 - the same
    def __getattr__(self, name: str) -> Any: ...

@final
class Pairs:
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...

@final
class Reader:
    def __new__(
        cls, target: type[Any], known: type[Any], is_token: Callable[[str], bool], interaction: str, /
    ) -> Reader: ...
    def offer(
        self,
        noted: list[tuple[int, Any, Any]],
        pairs: list[Any],
        kind: str,
        best: dict[str, tuple[int, Any, Any]],
        groups: dict[int, tuple[Any, list[int]]],
        /,
    ) -> bool: ...
    def fill(
        self, best: dict[str, tuple[int, Any, Any]], facts: dict[str, Any], fields: dict[str, Any], /
    ) -> list[tuple[Any, Any]]: ...

@final
class Committer:
    def __new__(cls, sha256: Callable[[bytes], Any], dumps: Callable[[Any], bytes], limit: int, /) -> Committer: ...
    def commit(self, fields: list[tuple[str, Any]], salts: bytes, at: int, /) -> tuple[bytes, bytes] | None: ...

@final
class Lawful:
    def __new__(cls, is_token: Callable[[str], bool], is_day: Callable[[str], bool], /) -> Lawful: ...
    def check(self, facts: dict[str, Any], tests: dict[str, Any], required: tuple[str, ...], /) -> bool: ...

@final
class Picker:
    def __new__(
        cls, paths: tuple[tuple[str, str | None], ...], not_words: frozenset[str], not_inside: frozenset[str], /
    ) -> Picker: ...
    def pick(self, leaf: dict[str, Any], /) -> tuple[Any, ...]: ...
    def words(self, leaf: dict[str, Any], /) -> str: ...

Split = list[tuple[bytes | None, str, list[tuple[bytes | None, str, list[Any], Collection[int]]]]]

def split(body: bytes, layout: Layout, limit: int, /) -> Split | None: ...
def walk(
    pairs: Pairs,
    vocabulary: dict[str, Any],
    pair_json: Callable[[Any], dict[str, Any]],
    fragment: Callable[[bytes], Any],
    /,
) -> tuple[list[Any], list[tuple[int, Any, Any]]]: ...
