"""What the administration routes ask of the room above: `log.accounts` does it, because each change is a record.

Identity lies below the log, so it names here what it needs; the application puts the real thing into
`app.state.accounts` and `app.state.logs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from counterfoil.identity.roles import Role


class LogLike(Protocol):
    """A log, as far as a list shows it."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def origin(self) -> str: ...
    @property
    def purpose(self) -> str: ...
    @property
    def region(self) -> str | None: ...
    @property
    def vkey(self) -> str: ...
    @property
    def fulltext_fields(self) -> tuple[str, ...]: ...
    @property
    def created_us(self) -> int: ...


class NewCredentialLike(Protocol):
    """A credential that was just made, with the key that is shown once."""

    @property
    def id(self) -> str: ...
    @property
    def key(self) -> str: ...


class CredentialLike(Protocol):
    """A credential, as far as a list shows it."""

    @property
    def id(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def log(self) -> str | None: ...
    @property
    def name(self) -> str: ...
    @property
    def created_us(self) -> int: ...
    @property
    def expires_us(self) -> int | None: ...
    @property
    def revoked_us(self) -> int | None: ...
    @property
    def last_used_us(self) -> int | None: ...


class Administration(Protocol):
    """Making and ending credentials and logs."""

    def create_log(
        self,
        tenant: str,
        name: str,
        *,
        region: str | None = None,
        fulltext_fields: Sequence[str] = (),
        by: str | None = None,
    ) -> LogLike:
        """A log of interactions."""

    def create_credential(
        self,
        tenant: str,
        role: Role,
        *,
        log_name: str | None = None,
        name: str = "",
        expires_us: int | None = None,
        by: str | None = None,
    ) -> NewCredentialLike:
        """A credential."""

    def revoke_credential(
        self, tenant: str, credential_id: str, *, reason: str | None = None, by: str | None = None
    ) -> None:
        """End a credential."""

    def credential(self, tenant: str, credential_id: str) -> CredentialLike | None:
        """One credential, None where the tenant has none of this id."""

    def credentials(
        self, tenant: str, *, after: tuple[int, str] | None = None, limit: int = 1_000
    ) -> Sequence[CredentialLike]:
        """A page of credentials."""


class LogList(Protocol):
    """The logs of a tenant."""

    def all(self, tenant_id: int | None = None) -> Sequence[LogLike]:
        """Every log of one tenant."""


class HeartbeatLike(Protocol):
    """The cadence of heartbeats in force in a log, and the record that set it, if one did."""

    @property
    def heartbeat_s(self) -> int: ...
    @property
    def seq(self) -> int | None: ...
    @property
    def recorded_at(self) -> str | None: ...


class LogSettings(Protocol):
    """What a log is configured to."""

    def heartbeat_of(self, tenant_id: int, name: str) -> HeartbeatLike:
        """The cadence of a tenant's log, by its short name."""

    def set_heartbeat_of(
        self, tenant_id: int, name: str, heartbeat_s: int, *, by: str | None, idempotency_key: str | None
    ) -> HeartbeatLike:
        """Set it; a record of the log says so."""
