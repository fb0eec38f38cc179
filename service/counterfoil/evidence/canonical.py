"""JSON as bundle files hold it: UTF-8, keys sorted, no spaces, one object a line where there are many."""

from __future__ import annotations

from typing import Any

import orjson


def to_json(value: Any) -> bytes:
    """One value, without a line end."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def to_line(value: Any) -> bytes:
    """One line of NDJSON."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
