"""Who is asking: what a credential proves, and nothing that the request itself says."""

from __future__ import annotations

from dataclasses import dataclass

from counterfoil.identity.roles import Permission, Role, may


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated credential. `log_id` is the only log that it is for, None for every log of its tenant."""

    tenant_id: int
    tenant: str
    credential_id: str
    role: Role
    log_id: int | None
    name: str

    def may(self, permission: Permission) -> bool:
        """Whether the role of this credential may do something."""
        return may(self.role, permission)

    def may_see(self, tenant_id: int, log_id: int) -> bool:
        """Whether a log is of this credential's tenant and within its scope."""
        return tenant_id == self.tenant_id and self.log_id in (None, log_id)
