"""`completeness`: which producers left nothing out, as far as they demonstrated it."""

from __future__ import annotations

from pathlib import Path

import click

from counterfoil.cli.options import data_options, json_option, services_of
from counterfoil.identity.principal import Principal
from counterfoil.identity.roles import Role
from counterfoil.trails.completeness.query import FILTERS
from counterfoil.trails.completeness.schemas import CompletenessOut
from counterfoil.trails.completeness.sheet import format_report
from counterfoil.trails.completeness.verdict import Verdict
from counterfoil.trails.query import DEFAULT_LIMIT, MAX_LIMIT


@click.command()
@data_options
@click.option("--tenant", "tenant_name", default="default", show_default=True, help="Tenant whose producers they are.")
@click.option("--log", multiple=True, help="Log by its short name. May be given again, as those below.")
@click.option("--writer", multiple=True, help="Id of a writer's key.")
@click.option("--producer", multiple=True, help="Id of a producer; it shows all its ranges.")
@click.option(
    "--verdict", multiple=True, type=click.Choice([str(one) for one in Verdict]), help="A verdict that holds."
)
@click.option("--from", "from_", metavar="TIME", help="Heard of at or after.")
@click.option("--to", metavar="TIME", help="First heard of before.")
@click.option(
    "--limit", type=click.IntRange(1, MAX_LIMIT), default=DEFAULT_LIMIT, show_default=True, help="Producers shown."
)
@click.option("--cursor", help="Where the page before ended.")
@click.option("--dropped", is_flag=True, help="Count what SDKs without numbers say that they dropped; reads content.")
@json_option
def completeness(
    data: Path, heads: Path | None, keystore: Path | None, tenant_name: str, as_json: bool, **asked: object
) -> None:
    """Show each producer's verdict, and exactly which numbers are missing.

    Reads the index, so it shows what the service has indexed; asking is recorded in the access log.

    \b
    counterfoil completeness --data ./audit --verdict gaps --verdict silent
    """
    parameters: list[tuple[str, str]] = [("limit", str(asked["limit"]))]
    for name in FILTERS:
        values = asked[name]
        parameters += [(name, value) for value in values] if isinstance(values, tuple) else []
    if asked["dropped"]:
        parameters.append(("dropped", "true"))
    for name, option in (("from", "from_"), ("to", "to"), ("cursor", "cursor")):
        if (value := asked[option]) is not None:
            parameters.append((name, str(value)))
    with services_of(data, heads, keystore) as services:
        tenant_id = services.accounts.tenant_id(tenant_name)
        reader = Principal(tenant_id, tenant_name, "command-line", Role.AUDITOR, None, "command line")
        report = services.completeness.report(reader, parameters)
    if as_json:
        click.echo(CompletenessOut.of(report).model_dump_json(indent=2))
    else:
        click.echo(format_report(report), nl=False)
