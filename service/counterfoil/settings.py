"""Settings of the service: `COUNTERFOIL_*` variables or a TOML file, checked once at the start.

Only `app` and `cli` read them; every room receives plain values. Secrets come from files (the keys folder of the data
directory), never from an argument or a URL. Precedence: command line, variables, file, default.

    COUNTERFOIL_PORT=4400 counterfoil serve --data DIR
    COUNTERFOIL_CONFIG=/etc/counterfoil.toml counterfoil serve --data DIR

`python -m counterfoil.settings` prints all of them as the table of docs/operations.md.
"""

from __future__ import annotations

import os
from pathlib import Path

from annotated_types import Ge, Gt, Le
from pydantic import Field
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from counterfoil.ingest.limits import MAX_BODY_BYTES, MAX_IN_FLIGHT_ITEMS, MAX_INFLATED_BYTES, MAX_ITEMS, Limits

PREFIX = "COUNTERFOIL_"
DEFAULT_GRPC_PORT = 4317


class Settings(BaseSettings):
    """Every setting, its default and its meaning."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    data: Path | None = Field(default=None, description="The embedded directory: ledger, keystore, index, heads, keys.")
    heads: Path | None = Field(default=None, description="Folder of the signed heads, if apart.")
    keystore: Path | None = Field(default=None, description="Folder of the keystore, if it lies apart.")
    host: str = Field(default="127.0.0.1", description="Address to listen on. Loopback unless told otherwise.")
    port: int = Field(default=4318, ge=0, le=65535, description="Port of everything; 0 takes a free one.")
    grpc: bool = Field(default=True, description="Whether OTLP/gRPC is served.")
    grpc_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port of OTLP/gRPC; 4317 if not set (a free one where `port` is 0); 0 takes a free one.",
    )
    open_tiles: bool = Field(default=False, description="Serve tiles to anyone without a key; never of access logs.")
    max_body_bytes: int = Field(default=MAX_BODY_BYTES, ge=1, le=MAX_BODY_BYTES, description="Largest body as sent.")
    max_inflated_bytes: int = Field(
        default=MAX_INFLATED_BYTES, ge=1, le=MAX_INFLATED_BYTES, description="Largest body after decompression."
    )
    max_items: int = Field(default=MAX_ITEMS, ge=1, le=MAX_ITEMS, description="Spans or log records in one request.")
    in_flight_items: int = Field(
        default=MAX_IN_FLIGHT_ITEMS, ge=1, le=MAX_IN_FLIGHT_ITEMS, description="Items under way before 429."
    )
    ingest_threads: int = Field(default=1, ge=1, le=32, description="Threads that decode and seal what came in.")
    checkpoint_interval_s: float = Field(default=1.0, gt=0, le=60, description="Seconds between checkpoints of a log.")
    project_interval_s: float = Field(default=0.05, gt=0, le=5, description="Seconds between looks for new records.")
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="What goes to stderr.")

    @property
    def rpc_port(self) -> int | None:
        """The port of OTLP/gRPC: None where it is off, 0 for any free one."""
        if not self.grpc:
            return None
        if self.grpc_port is None:
            return DEFAULT_GRPC_PORT if self.port else 0
        return self.grpc_port

    @property
    def limits(self) -> Limits:
        """What ingest takes at most."""
        return Limits(
            body_bytes=self.max_body_bytes,
            inflated_bytes=self.max_inflated_bytes,
            items=self.max_items,
            in_flight_items=self.in_flight_items,
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then variables, then the TOML file named by COUNTERFOIL_CONFIG."""
        del dotenv_settings, file_secret_settings
        config = os.environ.get("COUNTERFOIL_CONFIG")
        if config is None:
            return (init_settings, env_settings)
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, Path(config)))


def variable_names() -> list[str]:
    """The variable of every setting, in the order of the class."""
    return [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]


def settings_table() -> str:
    """Every setting as a Markdown table: variable, key in the TOML file, default, bounds, meaning."""
    rows = ["| variable | TOML key | default | bounds | meaning |", "| --- | --- | --- | --- | --- |"]
    for (name, info), variable in zip(Settings.model_fields.items(), variable_names(), strict=True):
        default = "" if info.default is None else f"`{_toml(info.default)}`"
        rows.append(f"| `{variable}` | `{name}` | {default} | {_bounds(info)} | {info.description} |")
    return "\n".join(rows) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _bounds(info: FieldInfo) -> str:
    bounds = []
    for rule in info.metadata:
        match rule:
            case Ge(ge=least):
                bounds.append(f"from {least}")
            case Gt(gt=above):
                bounds.append(f"over {above}")
            case Le(le=most):
                bounds.append(f"to {most}")
            case _ if isinstance(pattern := getattr(rule, "pattern", None), str):
                bounds.append(", ".join(pattern.strip("^$()").split("|")))
    return " ".join(bounds)


if __name__ == "__main__":
    print(settings_table(), end="")
