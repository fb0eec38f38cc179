"""Bytes as they come out of a database that somebody else may have written.

SQLite keeps any type in any column: text where bytes belong, even in a `BLOB` column. Such a value is never what the
service stored, and must be a finding, not an accident in the check.
"""

from typing import Any


def stored_bytes(value: Any) -> bytes:
    """Return the bytes of a column; nothing where it holds no bytes, which then matches no hash and opens no seal."""
    return value if type(value) is bytes else bytes(value) if isinstance(value, memoryview) else b""
