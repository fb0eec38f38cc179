"""`export` and `policy`: a bundle for the auditor, and what the auditor should trust, handed over apart."""

from __future__ import annotations

import re
from pathlib import Path

import click

from counterfoil.cli.options import data_options, json_option, print_json, progress_bar, services_of
from counterfoil.core.filter import LEAF_FILTERS
from counterfoil.evidence.export_file import export_to_file
from counterfoil.evidence.policy import service_policy

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FILTER_OPTIONS = tuple(name for name in LEAF_FILTERS if name != "log")


def filter_options(command: click.decorators.FC) -> click.decorators.FC:
    """One option for each leaf filter of EVIDENCE 1; given twice, either value matches."""
    for name in reversed(_FILTER_OPTIONS):
        option = click.option(f"--{name.replace('_', '-')}", f"filter_{name}", multiple=True, metavar="VALUE")
        command = option(command)
    return command


@click.command()
@data_options
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Bundle to write (.zip).")
@click.option("--tenant", "tenant_name", default="default", show_default=True, help="Tenant of the log.")
@click.option("--log", "log_name", default="main", show_default=True, help="Log to export from.")
@click.option("--form", type=click.Choice(["range", "selection"]), default="range", show_default=True)
@click.option(
    "--content", type=click.Choice(["all", "none"]), default="all", show_default=True, help="Disclose contents?"
)
@click.option(
    "--since", type=click.Path(path_type=Path, exists=True), help="Earlier checkpoint to prove consistency with."
)
@click.option("--purpose", default="export on the command line", show_default=True, help="Why; kept in the access log.")
@json_option
@filter_options
def export(
    data: Path,
    heads: Path | None,
    keystore: Path | None,
    out: Path,
    tenant_name: str,
    log_name: str,
    form: str,
    content: str,
    since: Path | None,
    purpose: str,
    as_json: bool,
    **filters: tuple[str, ...],
) -> None:
    """Write a bundle that an auditor checks offline. It is verified here before it gets its name.

    A range bundle holds every leaf of the range, so that nothing that matches can be left out; a selection bundle holds
    chosen records and claims no completeness. Filters are facts of the leaf, as reported. --from is the first moment
    and --to the first moment after: RFC 3339 times, or dates, which begin at 00:00 UTC.

    \b
    counterfoil export --data ./audit --out q4.zip --from 2026-10-01 --to 2027-01-01 --kind decision
    """
    chosen = {name.removeprefix("filter_"): values for name, values in filters.items() if values}
    for name in ("from", "to"):
        if name in chosen:
            chosen[name] = tuple(_time_of(value) for value in chosen[name])
    with services_of(data, heads, keystore) as services, progress_bar("export") as progress:
        made = export_to_file(
            services.logs,
            services.log_named(tenant_name, log_name),
            out,
            purpose=purpose,
            form=form,
            filters=chosen,
            content=content,
            since=None if since is None else since.read_bytes(),
            progress=progress,
            rollback_visible=services.directory.rollback_visible,
            stores=services.stores,
        )
    if as_json:
        print_json(made)
    else:
        click.echo("\n".join(f"{name:<12} {value}" for name, value in made.items()))


def _time_of(value: str) -> str:
    """A date as the moment it begins in UTC; anything else as it is, for the filter to judge."""
    return f"{value}T00:00:00Z" if _DATE.fullmatch(value) else value


@click.group()
def policy() -> None:
    """What an auditor should trust: never taken from a bundle."""


@policy.command("show")
@data_options
@click.option("--tenant", "tenant_name", default="default", show_default=True, help="Tenant whose logs it names.")
def policy_show(data: Path, heads: Path | None, keystore: Path | None, tenant_name: str) -> None:
    """Print the verification policy, to be handed over apart from any bundle.

    \b
    counterfoil policy show --data ./audit > policy.toml
    """
    with services_of(data, heads, keystore) as services:
        click.echo(service_policy(services.logs, services.accounts.tenant_id(tenant_name)), nl=False)
