"""Bodies of the administration routes."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from counterfoil.core.encoding import format_time_us
from counterfoil.identity.administration import CredentialLike, HeartbeatLike, LogLike
from counterfoil.identity.roles import Role

ShortName = Annotated[str, Field(min_length=1, max_length=63, examples=["main"])]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class KeyRequest(_Closed):
    """A key to be made. A writer's key should name a log."""

    role: Role
    log: ShortName | None = None
    name: Annotated[str, Field(max_length=200, examples=["refunds agent, production"])] = ""
    expires_at: Annotated[str | None, Field(examples=["2027-01-31T00:00:00Z"])] = None


class RevocationRequest(_Closed):
    """Why a key is ended. The reason is content: it goes into a body, never into a URL."""

    reason: Annotated[str | None, Field(min_length=1, max_length=1_000, examples=["The laptop was lost."])] = None


class Key(BaseModel):
    """A key, without its secret."""

    id: str
    role: str
    log: str | None
    name: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None

    @classmethod
    def of(cls, row: CredentialLike) -> Key:
        """The row as an answer."""
        return cls(
            id=row.id,
            role=row.role,
            log=row.log,
            name=row.name,
            created_at=format_time_us(row.created_us),
            expires_at=_time(row.expires_us),
            revoked_at=_time(row.revoked_us),
            last_used_at=_time(row.last_used_us),
        )


class KeyPage(BaseModel):
    """A page of keys, oldest first; `next` is the cursor of the page after it."""

    items: list[Key]
    next: str | None


class NewKey(BaseModel):
    """A key that was just made. `key` is shown this once and kept nowhere."""

    id: str
    key: str
    role: str
    log: str | None
    name: str
    expires_at: str | None


class LogRequest(_Closed):
    """A log to be made."""

    name: ShortName
    region: Annotated[str | None, Field(max_length=64, examples=["eu-west-1"])] = None
    fulltext_fields: Annotated[list[str], Field(max_length=32, examples=[["rationale"]])] = []


class Log(BaseModel):
    """A log of the tenant, with the public key that verifies it."""

    name: str
    origin: str
    purpose: str
    region: str | None
    vkey: str
    fulltext_fields: list[str]
    created_at: str

    @classmethod
    def of(cls, log: LogLike) -> Log:
        """The log as an answer."""
        return cls(
            name=log.name,
            origin=log.origin,
            purpose=log.purpose,
            region=log.region,
            vkey=log.vkey,
            fulltext_fields=list(log.fulltext_fields),
            created_at=format_time_us(log.created_us),
        )


class LogPage(BaseModel):
    """Every log of the tenant that the key may see."""

    items: list[Log]


class LogConfigurationRequest(_Closed):
    """What a log is to be configured to."""

    heartbeat_s: Annotated[
        int, Field(strict=True, ge=1, le=86_400, examples=[60], description="Seconds between heartbeats of producers.")
    ]


class LogConfiguration(BaseModel):
    """What a log is configured to."""

    heartbeat_s: int = Field(description="Seconds between heartbeats of a producer of this log.")
    seq: int | None = Field(description="The record of the log that set it; null where it is the default.")
    recorded_at: str | None

    @classmethod
    def of(cls, heartbeat: HeartbeatLike) -> LogConfiguration:
        """The setting as an answer."""
        return cls(heartbeat_s=heartbeat.heartbeat_s, seq=heartbeat.seq, recorded_at=heartbeat.recorded_at)


class Tenant(BaseModel):
    """The tenant of the key."""

    name: str


class TenantPage(BaseModel):
    """The tenants that the key may see: its own."""

    items: list[Tenant]


def _time(us: int | None) -> str | None:
    return None if us is None else format_time_us(us)
