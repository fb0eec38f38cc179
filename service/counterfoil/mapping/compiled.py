"""The compiled part, where there is one: `native`, or None.

What is in it has a twin in Python that does the same (native/native.h), so nothing but speed depends on it. It is built
with the package where there is a C compiler (deploy/build_native.py). The environment variable COUNTERFOIL_PURE=1
leaves it aside: for tests of the twins, and for whoever would rather not run C.

    if native is not None: ...
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from counterfoil.mapping import _native

PURE_VARIABLE = "COUNTERFOIL_PURE"


class Native(Protocol):
    """The module `counterfoil.mapping._native`."""

    Layout: type[_native.Layout]
    Pairs: type[_native.Pairs]
    Reader: type[_native.Reader]
    Committer: type[_native.Committer]
    Lawful: type[_native.Lawful]
    Picker: type[_native.Picker]
    split: Callable[[bytes, _native.Layout, int], _native.Split | None]
    walk: Callable[..., tuple[list[Any], list[tuple[int, Any, Any]]]]


def _load() -> Any:
    if os.environ.get(PURE_VARIABLE, "") not in ("", "0"):
        return None
    try:
        return import_module("counterfoil.mapping._native")
    except ImportError:
        return None


native: Final[Native | None] = _load()
