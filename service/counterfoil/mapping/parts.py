"""Parts of an item: attributes of a span that are a record of their own (`tables.PART_ROWS`).

    gen_ai.tool.name, gen_ai.mcp.tool.approval.status, gen_ai.mcp.tool.approval.approver_id   # a tool call, and
                                                                                              # part 1: its oversight

The attributes move to the part, as a list of its own; in the span they leave `{"promoted": 1, "count": 2}`, one pointer
for each run of neighbours. Beyond the limit of parts they stay where they are.
"""

from __future__ import annotations

from typing import Any

from counterfoil.mapping.groups import leave_pointers
from counterfoil.mapping.reading import Seen
from counterfoil.mapping.targets import Known, PartOf, Raw

Noted = list[tuple[int, Known, Raw]]


def split(seen: Seen, kind: str, limit: int) -> list[tuple[str, Seen]]:
    """Takes at most `limit` parts out of the attributes of a span of this kind: kind and attributes of each.

    What they leave in `seen.pairs` beside their pointers is None, to be dropped once the span itself is read.
    """
    groups: dict[tuple[tuple[str, ...], str], tuple[PartOf, Noted]] = {}
    for noted in seen.known:
        if (part := noted[1].part) is not None:
            groups.setdefault((part.row.prefixes, part.index), (part, []))[1].append(noted)
    parts: list[tuple[str, Seen]] = []
    taken: set[int] = set()
    for part, group in groups.values():
        part_kind = _kind_of(part, group)
        if not part_kind or (part_kind == kind and not part.index) or len(parts) == limit:
            continue
        positions = [position for position, _, _ in group]
        known = [(place, known, raw) for place, (_, known, raw) in enumerate(group)]
        parts.append((part_kind, Seen([None] * len(group), known)))
        leave_pointers(seen.pairs, positions, len(parts))
        taken.update(positions)
    if taken:
        seen.known = [noted for noted in seen.known if noted[0] not in taken]
    return parts


def _kind_of(part: PartOf, group: Noted) -> str:
    """The kind of a part; empty where its attributes do not say."""
    if not part.row.chosen_by:
        return part.row.kind
    for _, known, raw in group:
        if known.kinds is not None and type(raw) is str:
            return known.kinds.get(raw, "")
    return ""


def drop_gaps(pairs: list[Any]) -> None:
    """Leave out what moved to a part."""
    pairs[:] = [pair for pair in pairs if pair is not None]
