"""What an erasure or expiry record covers: the one rule that says whether absent content is explained (RECORD 3, 4).

The service, fsck and the verifier ask the same function, so that none calls explained what another calls missing.
"""

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

REMOVAL_KINDS = ("erasure", "expiry")
"""Kinds whose records may explain that content is gone."""


def covers(leaf: Mapping[str, Any], seq: int, field: str) -> bool:
    """Whether a checked leaf is an erasure or expiry of this field of this record.

    It comes after the record, one of its `ranges` (ascending, apart, both ends within) holds `seq`, and its `fields`
    are "all" or name the field. A record without `fields`, which `check_record` refuses, covers nothing.
    """
    kind = leaf["kind"]
    if kind not in REMOVAL_KINDS or leaf["seq"] <= seq:
        return False
    facts = leaf[kind]
    fields = facts.get("fields", ())
    if fields != "all" and field not in fields:
        return False
    ranges = facts["ranges"]
    at = bisect_right(ranges, seq, key=_first)
    return bool(at and seq <= ranges[at - 1][1])


def _first(span: tuple[int, int]) -> int:
    return span[0]
