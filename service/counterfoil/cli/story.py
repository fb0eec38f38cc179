"""`trail` and `demo`: one interaction as a person reads it, and the whole story on a fresh directory."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from counterfoil.cli.options import data_options, services_of
from counterfoil.identity.principal import Principal
from counterfoil.identity.roles import Role
from counterfoil.trails.story import format_trail


@click.command()
@data_options
@click.option("--tenant", "tenant_name", default="default", show_default=True, help="Tenant whose interaction it is.")
@click.argument("interaction")
def trail(data: Path, heads: Path | None, keystore: Path | None, tenant_name: str, interaction: str) -> None:
    """Print the trail of one interaction: what was decided, why, what else, which fallbacks, who stepped in.

    INTERACTION is the identifier that the agent reported. Reading it is recorded in the access log.

    \b
    counterfoil trail --data ./audit conv-42
    """
    with services_of(data, heads, keystore) as services:
        tenant_id = services.accounts.tenant_id(tenant_name)
        reader = Principal(tenant_id, tenant_name, "command-line", Role.AUDITOR, None, "command line")
        click.echo(format_trail(services.trails.trail(reader, interaction)), nl=False)


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Directory to make.  [default: .counterfoil/run-TIME]")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=4318, show_default=True, help="Port; 0 takes a free one."
)
@click.option("--once", is_flag=True, help="End when every step held, instead of serving on.")
@click.option(
    "--conversations", type=click.IntRange(1, 100_000), default=40, show_default=True, help="How much traffic."
)
def demo(data: Path | None, port: int, once: bool, conversations: int) -> None:
    """Tell the whole story on a fresh directory: traffic, a trail, a bundle verified, a tamperer caught.

    \b
    counterfoil demo --port 0 --once
    """
    from counterfoil.demo.run import StepFailed, run

    path = data or Path(".counterfoil") / time.strftime("run-%Y%m%d-%H%M%S")
    try:
        run(path, port=port, once=once, conversations=conversations, say=click.echo)
    except StepFailed as error:
        click.echo(f"Failed: {error}", err=True)
        sys.exit(1)
