"""What a store can answer instead of a result. All are our own fault (`Fault`), none is the caller's input.

Each carries a stable `code`, by which the table of `problems` finds the HTTP status.
"""

from __future__ import annotations

from counterfoil.core.errors import Fault


class StorageError(Fault):
    """The store did not do it, and nothing was written: the caller may send again."""

    code = "storage_unavailable"


class UnknownOutcome(StorageError):
    """The commit failed in a way that leaves open whether it happened. The writer stops and reads the head again."""


class Refused(StorageError):
    """A constraint or a trigger said no (a second record at one index, a change of what is immutable)."""

    code = "refused_by_store"
