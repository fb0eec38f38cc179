"""`tenant`, `log` and `key`: who may do what. Each creation and revocation is a record of the log."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from counterfoil.cli.options import data_options, json_option, print_json, services_of
from counterfoil.core.checkpoint import open_checkpoint
from counterfoil.core.encoding import encode_base64, format_time_us
from counterfoil.core.note import parse_vkey
from counterfoil.identity.roles import Role
from counterfoil.log.configuration import MAX_HEARTBEAT_S, MIN_HEARTBEAT_S
from counterfoil.log.records import head


@click.group()
def tenant() -> None:
    """Tenants: each has its logs, its access log and its keys; none sees another's."""


@click.group()
def log() -> None:
    """Logs: each is one append-only sequence with its own origin, chain, tree and signing key."""


@click.group()
def key() -> None:
    """Keys of agents and readers: shown once, kept hashed, scoped to a tenant and, if wanted, a log."""


@tenant.command("create")
@data_options
@click.argument("name")
def tenant_create(data: Path, heads: Path | None, keystore: Path | None, name: str) -> None:
    """Create a tenant with its access log.

    \b
    counterfoil tenant create --data ./audit acme
    """
    with services_of(data, heads, keystore) as services:
        services.accounts.create_tenant(name)
        click.echo(f"Made tenant {name} with its access log.")


@tenant.command("list")
@data_options
@json_option
def tenant_list(data: Path, heads: Path | None, keystore: Path | None, as_json: bool) -> None:
    """List tenants.

    \b
    counterfoil tenant list --data ./audit --json
    """
    with services_of(data, heads, keystore) as services:
        names = services.accounts.tenant_names()
        if as_json:
            print_json([{"name": name} for name in names])
        else:
            click.echo("\n".join(names))


@log.command("create")
@data_options
@click.option("--tenant", "tenant_name", default="default", show_default=True, help="Tenant that gets the log.")
@click.option("--region", help="Region that the log's genesis names.")
@click.option(
    "--fulltext", "fulltext_fields", multiple=True, metavar="FIELD", help="Content field that full text may read."
)
@click.argument("name")
def log_create(
    data: Path,
    heads: Path | None,
    keystore: Path | None,
    tenant_name: str,
    region: str | None,
    fulltext_fields: tuple[str, ...],
    name: str,
) -> None:
    """Create a log: signing key, genesis record.

    \b
    counterfoil log create --data ./audit --region us-east-1 us
    """
    with services_of(data, heads, keystore) as services:
        made = services.accounts.create_log(tenant_name, name, region=region, fulltext_fields=fulltext_fields)
        click.echo(f"Made log {made.name}: {made.origin}\n{made.vkey}")


@log.command("list")
@data_options
@json_option
def log_list(data: Path, heads: Path | None, keystore: Path | None, as_json: bool) -> None:
    """List logs: name, origin, verifier key, signed tree size and root.

    \b
    counterfoil log list --data ./audit --json
    """
    with services_of(data, heads, keystore) as services:
        rows = []
        for info in services.logs.all():
            note = services.heads.read(info.origin)
            signed = None if note is None else open_checkpoint(note, info.origin, [parse_vkey(info.vkey)])[0]
            with services.ledger.read() as connection:
                records = head(connection, info.id).size
            rows.append(
                {
                    "tenant": info.tenant,
                    "name": info.name,
                    "origin": info.origin,
                    "purpose": info.purpose,
                    "region": info.region,
                    "vkey": info.vkey,
                    "tree_size": signed.size if signed else 0,
                    "root": encode_base64(signed.root) if signed else None,
                    "records": records,
                }
            )
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo(
            f"{row['tenant']}/{row['name']}  {row['records']} records, signed up to {row['tree_size']}\n  {row['vkey']}"
        )


@log.command("configure")
@data_options
@click.option("--tenant", "tenant_name", default="default", show_default=True, help="Tenant of the log.")
@click.option(
    "--heartbeat",
    "heartbeat_s",
    type=click.IntRange(MIN_HEARTBEAT_S, MAX_HEARTBEAT_S),
    help="Seconds between heartbeats of its producers.",
)
@json_option
@click.argument("name")
def log_configure(
    data: Path,
    heads: Path | None,
    keystore: Path | None,
    tenant_name: str,
    heartbeat_s: int | None,
    as_json: bool,
    name: str,
) -> None:
    """Set the cadence at which a log wants to hear from its producers, or show it. It works beside a running service.

    The setting is a record of the log and of the access log.

    \b
    counterfoil log configure --data ./audit --heartbeat 30 main
    """
    with services_of(data, heads, keystore) as services:
        info = services.log_named(tenant_name, name)
        if heartbeat_s is None:
            found = services.configuration.heartbeat_of(info.tenant_id, info.name)
        else:
            found = services.configuration.set_heartbeat(info, heartbeat_s)
    if as_json:
        print_json({"log": info.name, **asdict(found)})
        return
    where = "by default" if found.seq is None else f"by record {found.seq} of {found.recorded_at}"
    click.echo(f"{info.tenant}/{info.name}: a heartbeat every {found.heartbeat_s} s, {where}.")


@key.command("create")
@data_options
@click.option("--role", type=click.Choice([str(role) for role in Role]), required=True, help="What the key may do.")
@click.option("--tenant", "tenant_name", default="default", show_default=True, help="Tenant the key belongs to.")
@click.option("--log", "log_name", help="Log the key is limited to (a writer's key should be).")
@click.option("--name", default="", help="Whose key it is, for the list.")
@click.option("--days", type=click.IntRange(1, 3650), help="Days until the key expires.  [default: never]")
@json_option
def key_create(
    data: Path,
    heads: Path | None,
    keystore: Path | None,
    role: str,
    tenant_name: str,
    log_name: str | None,
    name: str,
    days: int | None,
    as_json: bool,
) -> None:
    """Create a key and print it, once. It works at once, also beside a running service.

    \b
    counterfoil key create --data ./audit --role writer --log main --name refunds-agent
    """
    expires = None if days is None else datetime.now(UTC) + timedelta(days=days)
    expires_us = None if expires is None else int(expires.timestamp() * 1_000_000)
    with services_of(data, heads, keystore) as services:
        made = services.accounts.create_credential(
            tenant_name, Role(role), log_name=log_name, name=name, expires_us=expires_us
        )
    if as_json:
        print_json({"id": made.id, "key": made.key, "role": role, "tenant": tenant_name, "log": log_name})
    else:
        click.echo(made.key)


@key.command("list")
@data_options
@click.option("--tenant", "tenant_name", default="default", show_default=True, help="Tenant whose keys are listed.")
@json_option
def key_list(data: Path, heads: Path | None, keystore: Path | None, tenant_name: str, as_json: bool) -> None:
    """List keys (never the secrets): id, role, log, name, last use, whether revoked.

    \b
    counterfoil key list --data ./audit
    """
    with services_of(data, heads, keystore) as services:
        rows = [
            {
                "id": row.id,
                "role": row.role,
                "log": row.log,
                "name": row.name,
                "created_at": _time(row.created_us),
                "expires_at": _time(row.expires_us),
                "revoked_at": _time(row.revoked_us),
                "last_used_at": _time(row.last_used_us),
            }
            for row in services.accounts.credentials(tenant_name)
        ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        state = f"revoked {row['revoked_at']}" if row["revoked_at"] else f"last used {row['last_used_at'] or 'never'}"
        click.echo(f"{row['id']}  {row['role']:<14} {row['log'] or 'all logs':<10} {row['name'] or '-':<24} {state}")


@key.command("revoke")
@data_options
@click.option("--tenant", "tenant_name", default="default", show_default=True, help="Tenant the key belongs to.")
@click.argument("key_id")
def key_revoke(data: Path, heads: Path | None, keystore: Path | None, tenant_name: str, key_id: str) -> None:
    """Revoke a key by its id (see `key list`); it stops working at once.

    \b
    counterfoil key revoke --data ./audit k3v9...
    """
    with services_of(data, heads, keystore) as services:
        services.accounts.revoke_credential(tenant_name, key_id)
        click.echo(f"Revoked {key_id}.")


def _time(us: int | None) -> str | None:
    return None if us is None else format_time_us(us)
