"""A value of the host as plain data, copied at once: what it is now is what is recorded.

Plain: None, booleans, integers, floats, strings, bytes, and lists and string-keyed dicts of these. Dataclasses, named
tuples, enumerations, dates and pydantic models become what they say; any other object becomes its `str()`. The copy is
bounded in depth, values and bytes; what is beyond a bound, is cyclic, or cannot be read is Unavailable as a whole,
never cut.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence, Set
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 16
MAX_VALUES: Final = 10_000
MAX_TEXT: Final = 4_194_304
"""Characters; the largest limit there is, in bytes."""
_LOW, _HIGH = -(2**63), 2**63 - 1

Plain = Any
"""None | bool | int | float | str | bytes | list[Plain] | dict[str, Plain]."""


@dataclasses.dataclass(frozen=True, slots=True)
class Copied:
    """A value that was copied already, and its size."""

    value: Plain
    size: int


class Unavailable(Exception):
    """A value that cannot be recorded; the message says why, without quoting it."""


def size_of(text: str) -> int:
    """Bytes of a text in UTF-8, lone surrogates counted as three; fewer of one that is over every limit anyway."""
    return len(text) if text.isascii() or len(text) > MAX_TEXT else len(text.encode("utf-8", "surrogatepass"))


def snapshot(value: object, limit: int) -> tuple[Plain, int]:
    """The plain copy of `value` and its size in bytes. Unavailable where it has none within `limit` bytes."""
    kind = type(value)
    if value is None or kind is float or kind is bool:
        return value, 8
    if kind is str or kind is Copied:
        plain, size = (value, size_of(value)) if kind is str else (value.value, value.size)  # type: ignore[arg-type,attr-defined]  # mypy does not narrow by `kind is`
        if size > limit:
            raise Unavailable(f"{size} bytes are over the limit of {limit}")
        return plain, size
    copier = _Copier(limit)
    try:
        return copier.copy(value, 0), limit - copier.left
    except Unavailable:
        raise
    except Exception as error:  # noqa: BLE001 - the host's own code runs here: __str__, __iter__, model_dump
        raise Unavailable(f"cannot be read: {type(error).__name__}") from None


class _Copier:
    """One copy under way: bytes and values left."""

    __slots__ = ("left", "limit", "values")

    def __init__(self, limit: int) -> None:
        self.limit = self.left = limit
        self.values = MAX_VALUES

    def copy(self, value: Any, depth: int) -> Plain:
        kind = type(value)
        if kind is str:
            self.left -= len(value) if value.isascii() else size_of(value)
        elif value is None or kind is bool or kind is float or (kind is int and _LOW <= value <= _HIGH):
            self.left -= 8
        else:
            return self._other(kind, value, depth)
        self.values -= 1
        if self.left < 0 or self.values < 0:
            self._exceeded()
        return value

    def _other(self, kind: type, value: Any, depth: int) -> Plain:
        if kind is int:
            return self._integer(value)
        if depth >= MAX_DEPTH:
            raise Unavailable(f"nested deeper than {MAX_DEPTH}")
        if kind is dict:
            return self._mapping(value, depth)
        if kind is list or kind is tuple:
            return self._sequence(value, depth)
        return self._object(value, depth)

    def _exceeded(self) -> NoReturn:
        if self.values < 0:
            raise Unavailable(f"more than {MAX_VALUES} values")
        raise Unavailable(f"over the limit of {self.limit} bytes")

    def _take(self, value: Plain, size: int) -> Plain:
        self.left -= size
        self.values -= 1
        if self.left < 0 or self.values < 0:
            self._exceeded()
        return value

    def _integer(self, value: int) -> Plain:
        if value.bit_length() > 4_096:
            raise Unavailable("an integer of more than 4096 bits")
        return self.copy(str(value), 0)

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> Plain:
        self._take(None, 8)
        if len(value) > MAX_VALUES:  # before the copy, which would take its time
            raise Unavailable(f"more than {MAX_VALUES} values")
        return {self.copy(_key(key), depth): self.copy(inner, depth + 1) for key, inner in list(value.items())}

    def _sequence(self, value: Sequence[Any] | Set[Any], depth: int) -> Plain:
        self._take(None, 8)
        if len(value) > MAX_VALUES:
            raise Unavailable(f"more than {MAX_VALUES} values")
        return [self.copy(inner, depth + 1) for inner in list(value)]

    def _object(self, value: Any, depth: int) -> Plain:
        if isinstance(value, enum.Enum):
            return self.copy(value.value, depth + 1)
        if isinstance(value, bool | int | float | str):
            base = next(base for base in (bool, int, float, str) if isinstance(value, base))
            return self.copy(base.__str__(value) if base is str else base(value), depth + 1)
        if isinstance(value, bytes | bytearray | memoryview):
            size = value.nbytes if isinstance(value, memoryview) else len(value)
            if size > self.left:
                self._exceeded()
            return self._take(bytes(value), size)
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, tuple) and hasattr(value, "_asdict"):
            return self._mapping(value._asdict(), depth)
        if isinstance(value, list | tuple | Set):
            return self._sequence(value, depth)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value)]
            return self._mapping({name: getattr(value, name) for name in names}, depth)
        if callable(dump := getattr(type(value), "model_dump", None)):
            return self.copy(dump(value), depth + 1)
        return self.copy(str(value), depth + 1)


def _key(key: object) -> str:
    return key if type(key) is str else str(key)
