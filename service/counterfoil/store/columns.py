"""The column type for bytes.

SQLite keeps whatever it is given: somebody who owns the file can put text where bytes belong, and then every reader
would stumble before it could say what is wrong. So text comes out of the ledger without loss (invalid UTF-8 as lone
surrogates, see database.py), and this type turns it back into the bytes that lie on the disk, to be checked as such.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import LargeBinary
from sqlalchemy.engine import Dialect

TEXT_ERRORS = "surrogateescape"


class Bytes(LargeBinary):
    """BLOB or BYTEA; a result is always `bytes`."""

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], bytes | None] | None:
        """From what the driver returns."""
        del dialect, coltype
        return as_bytes


def as_bytes(value: Any) -> bytes | None:
    """The bytes that lie on the disk."""
    if value is None or type(value) is bytes:
        return value
    if isinstance(value, str):
        return value.encode("utf-8", TEXT_ERRORS)
    if isinstance(value, int | float):
        return str(value).encode()
    return bytes(value)
