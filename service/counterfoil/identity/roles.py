"""Roles and what each may do: the table of INTERFACES, deny by default.

| role | append | read facts | read content | export | configure | access log |
| --- | --- | --- | --- | --- | --- | --- |
| writer (an agent's key) | own log | own receipts | no | no | no | no |
| reviewer | reviews | yes | yes | request | no | own |
| auditor (expiring) | notes | yes | yes | request | no | all of it |
| administrator | no | counts | no | no | yes | yes |

No role may update or delete, and none may both configure and read content.
"""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a credential is for; each has exactly one."""

    WRITER = "writer"
    REVIEWER = "reviewer"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class Permission(StrEnum):
    """What a route asks for."""

    APPEND = "append"
    """Send telemetry into a log."""
    READ_OWN_RECEIPTS = "read_own_receipts"
    """Proofs of what this credential itself sent."""
    READ_FACTS = "read_facts"
    """Leaves, checkpoints, tiles, proofs."""
    READ_CONTENT = "read_content"
    """The words: rationale, messages, arguments."""
    EXPORT = "export"
    """Ask for a bundle."""
    CONFIGURE = "configure"
    """Keys, logs, tenants, settings."""
    READ_ACCESS = "read_access"
    """The whole access log."""
    READ_OWN_ACCESS = "read_own_access"
    """What this credential itself looked at."""
    COUNTS = "counts"
    """Totals, without any record."""


ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.WRITER: frozenset({Permission.APPEND, Permission.READ_OWN_RECEIPTS}),
    Role.REVIEWER: frozenset(
        {
            Permission.READ_FACTS,
            Permission.READ_OWN_RECEIPTS,
            Permission.READ_CONTENT,
            Permission.EXPORT,
            Permission.READ_OWN_ACCESS,
            Permission.COUNTS,
        }
    ),
    Role.AUDITOR: frozenset(
        {
            Permission.READ_FACTS,
            Permission.READ_OWN_RECEIPTS,
            Permission.READ_CONTENT,
            Permission.EXPORT,
            Permission.READ_ACCESS,
            Permission.READ_OWN_ACCESS,
            Permission.COUNTS,
        }
    ),
    Role.ADMINISTRATOR: frozenset(
        {Permission.CONFIGURE, Permission.READ_ACCESS, Permission.READ_OWN_ACCESS, Permission.COUNTS}
    ),
}


def may(role: Role, permission: Permission) -> bool:
    """Whether a role may do something."""
    return permission in ROLE_PERMISSIONS[role]
