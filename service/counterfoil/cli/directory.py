"""`init`, `serve` and `upgrade`: make an embedded directory, run the service on it, bring it to this version."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from counterfoil.cli.options import data_options, json_option, print_json
from counterfoil.log.initialise import init_directory
from counterfoil.settings import Settings, variable_names
from counterfoil.store.database import open_index, open_ledger
from counterfoil.store.directory import Directory
from counterfoil.store.migrate import current_revision, migrate
from counterfoil.trails.prepare import prepare_index


@click.command()
@data_options
@click.option("--origin", help="Schema-less URL that begins the name of every log, e.g. audit.example.com.")
@click.option("--tenant", default="default", show_default=True, help="Name of the first tenant.")
@click.option("--region", help="Region of the log `main`, e.g. eu-west-1.")
@click.option(
    "--fulltext",
    "fulltext_fields",
    multiple=True,
    metavar="FIELD",
    help="Content field that full text may read, e.g. rationale. May be given again; none by default.",
)
@json_option
def init(
    data: Path,
    heads: Path | None,
    keystore: Path | None,
    origin: str | None,
    tenant: str,
    region: str | None,
    fulltext_fields: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make a directory: stores, keys, a tenant with its logs `main` and `access`, an administrator's key.

    The key is printed once and kept hashed.

    \b
    counterfoil init --data ./audit --origin audit.example.com --region eu-west-1
    """
    directory = Directory.at(data, heads=heads, keystore=keystore)
    made = init_directory(directory, origin=origin, tenant=tenant, region=region, fulltext_fields=fulltext_fields)
    index = open_index(directory.index_url)
    prepare_index(index)
    index.dispose()
    if as_json:
        print_json(
            {"data": str(data), "origin": made.origin, "tenant": tenant, "administrator_key": made.administrator_key}
        )
        return
    click.echo(f"Made {data}: tenant {tenant} with the logs main and access, under {made.origin}.")
    click.echo(f"Administrator's key, shown once:  {made.administrator_key}")
    click.echo(f"Next:  counterfoil serve --data {data}")


@click.command()
@data_options
def upgrade(data: Path, heads: Path | None, keystore: Path | None) -> None:
    """Bring the ledger of a directory to the schema of this version. The service must not be running; back up first.

    \b
    counterfoil upgrade --data ./audit
    """
    directory = Directory.at(data, heads=heads, keystore=keystore)
    directory.open()
    with directory.lock_serving():
        ledger = open_ledger(directory.ledger_url)
        try:
            before = current_revision(ledger)
            migrate(ledger)
            click.echo(f"The ledger was at revision {before} and is at {current_revision(ledger)}.")
        finally:
            ledger.dispose()


_VARIABLES = "\b\nSettings as variables:\n" + "\n".join(f"  {name}" for name in variable_names())


@click.command(epilog=_VARIABLES)
@data_options
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port for OTLP/HTTP, API and tiles; 0 takes a free one.  [default: 4318]",
)
@click.option(
    "--grpc-port",
    type=click.IntRange(0, 65535),
    help="Port for OTLP/gRPC; 0 takes a free one.  [default: 4317, or a free one with --port 0]",
)
@click.option("--no-grpc", is_flag=True, help="Serve OTLP over HTTP alone.")
@click.option(
    "--open-tiles", is_flag=True, default=None, help="Serve tiles to anyone without a key; never of access logs."
)
def serve(
    data: Path,
    heads: Path | None,
    keystore: Path | None,
    host: str | None,
    port: int | None,
    grpc_port: int | None,
    no_grpc: bool,
    open_tiles: bool | None,
) -> None:
    """Run the service on a directory until it is told to stop (SIGTERM or Ctrl-C), then drain and end with status 0.

    Status 3: its background process ended by itself, so that the service ended too; start it again.

    Every setting can also come from COUNTERFOIL_<NAME> or from the TOML file that COUNTERFOIL_CONFIG names; the command
    line wins. The names are below, meanings and defaults in docs/operations.md. Prints `listening on URL` once requests
    are answered, and where gRPC listens.

    \b
    counterfoil serve --data ./audit --port 4318
    """
    from counterfoil.serving import serve_directory

    given = {
        "data": data,
        "heads": heads,
        "keystore": keystore,
        "host": host,
        "port": port,
        "grpc_port": grpc_port,
        "grpc": False if no_grpc else None,
        "open_tiles": open_tiles,
    }
    settings = Settings.model_validate(Settings().model_dump() | {k: v for k, v in given.items() if v is not None})
    sys.exit(serve_directory(Directory.at(data, heads=settings.heads, keystore=settings.keystore), settings))
