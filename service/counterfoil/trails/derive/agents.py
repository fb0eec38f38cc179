"""The agent's name where a leaf cannot hold it: `Billing Agent` is no token, so it stands in content only (RECORD 1).

The leaf then names the agent by another attribute, or by its service, as the last source of CONVENTIONS 3. Whoever may
read the content is told the name that was given; rules tell two agents of one service apart by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

from counterfoil.mapping.tables import RESOURCE_AGENT_NAME, ROWS
from counterfoil.trails.words import plain

MAX_NAME_CHARS = 256
"""A longer name is cut: it is a name, and stands on every line."""

_TARGET = "agent.name"
_ROWS = [
    row
    for row in chain.from_iterable(ROWS.values())
    if row.target == _TARGET and not (row.inside or row.values or row.means)
]


def named_agent(kind: str, values: Mapping[str, Any]) -> str:
    """The name that a record's attributes give the agent and its leaf does not hold; empty where there is none."""
    pairs = values.get("attributes")
    given: dict[str, str] = {}
    for pair in pairs if isinstance(pairs, list) else ():
        if not isinstance(pair, dict):
            continue
        if pair.get("promoted") == _TARGET:
            return ""
        key, name = pair.get("key"), plain(pair.get("value"))
        if isinstance(key, str) and isinstance(name, str) and name.strip():
            given.setdefault(key, name.strip())
    found = (given[row.attribute] for row in _ROWS if row.attribute in given and (not row.kinds or kind in row.kinds))
    return next(found, "")[:MAX_NAME_CHARS]


def named_service(values: Mapping[str, Any]) -> str:
    """The name of the service, of a record whose leaf names no agent."""
    resource = values.get("resource")
    pairs = resource.get("attributes") if isinstance(resource, dict) else None
    for pair in pairs if isinstance(pairs, list) else ():
        if isinstance(pair, dict) and pair.get("key") == RESOURCE_AGENT_NAME:
            name = plain(pair.get("value"))
            return name.strip()[:MAX_NAME_CHARS] if isinstance(name, str) else ""
    return ""
