"""Groups of attributes that are one field together: flattened messages, say.

Every attribute of a group that wins its field goes there, as a list of OTLP/JSON pairs in their order. Of several
groups for one field the first in the tables wins, as of single attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from counterfoil.mapping.reading import Best, Seen
from counterfoil.mapping.targets import Target

Groups = dict[int, tuple[Target, list[int]]]
"""The groups of an attribute list by rank: the target, and where the attributes stand."""


def winners(groups: Groups, best: Best) -> Groups:
    """The groups that win their field; who loses to one is taken out of `best`."""
    first: dict[str, int] = {}
    for rank in sorted(groups):
        first.setdefault(groups[rank][0].path, rank)
    won = {rank: groups[rank] for path, rank in first.items() if path not in best or rank < best[path][0]}
    for target, _ in won.values():
        best.pop(target.path, None)
    return won


def gather(seen: Seen, groups: Groups, fields: dict[str, Any]) -> None:
    """Move each group to its field, as a list of pairs; neighbours leave one `{"promoted": field, "count": n}`."""
    pairs = seen.pairs
    for target, positions in groups.values():
        fields[target.path] = [pairs[position] for position in positions]
        leave_pointers(pairs, positions, target.path)
    pairs[:] = [pair for pair in pairs if pair is not None]


def leave_pointers(pairs: list[Any], positions: Sequence[int], promoted: str | int) -> None:
    """Put a pointer for each run of neighbouring positions, and None (left out later) in the others."""
    start = 0
    for place, position in enumerate(positions):
        pairs[position] = None
        if place + 1 == len(positions) or positions[place + 1] != position + 1:
            pairs[positions[start]] = {"promoted": promoted, "count": place + 1 - start}
            start = place + 1
