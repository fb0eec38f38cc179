"""JSON as bundle files hold it: UTF-8, keys sorted, no spaces, one object a line where there are many."""

from __future__ import annotations

import json
from typing import Any

import orjson


def to_json(value: Any) -> bytes:
    """One value, without a line end."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def to_line(value: Any) -> bytes:
    """One line of NDJSON."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def to_text(value: Any) -> str:
    """JSON of a content value, in the order that it came in. Agents may report integers of any size: orjson takes 64
    bits, so those go through the slower printer."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
