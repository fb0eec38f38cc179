"""Where the items of a request stand in its bytes: what the two encodings are indexed to."""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_HEAD_BYTES: Final = 256 * 1024
"""Resource and scope, which every piece of theirs repeats: a request with larger ones is not cut."""


class Run(NamedTuple):
    """Items that stand side by side in one scope of one resource of the request."""

    resource: int
    scope: int
    first: int
    resource_head: bytes
    """What the resource group holds beside its scope groups, as sent."""
    scope_head: bytes
    """What the scope group holds beside its items, as sent."""
    items: list[tuple[int, int]]
    """Where each begins and ends in the body."""
