"""`fsck`, `reindex` and `restore`: is everything as it was written, and what to do when it is not."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from counterfoil.cli.options import data_options, json_option, print_json, progress_bar, services_of
from counterfoil.composition import Services
from counterfoil.log.fsck import Report, Sources, check_ledger, format_report
from counterfoil.log.masterkey import load_master_key
from counterfoil.log.restore import declare_restore
from counterfoil.log.signing import load_signer
from counterfoil.trails.check_index import check_index
from counterfoil.trails.reindex import reindex as make_index


@click.command()
@data_options
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes.  [default: one a core]")
@json_option
def fsck(data: Path, heads: Path | None, keystore: Path | None, workers: int | None, as_json: bool) -> None:
    """Re-read every byte, rebuild tree, contents and index, compare, and name each finding.

    Runs beside a running service and changes nothing. Exit 0 clean, 1 damaged, 2 could not run.

    \b
    counterfoil fsck --data ./audit
    """
    with services_of(data, heads, keystore) as services:
        report = Report()
        with progress_bar("fsck") as progress:
            findings = list(check_ledger(_sources(services), workers=workers, progress=progress, report=report))
        if not findings:
            # The index is derived from the log: compared only with a log that is as it was written.
            findings += check_index(services.stores)
            report.findings = len(findings)
    if as_json:
        print_json({**asdict(report), "clean": not findings, "findings": [asdict(finding) for finding in findings]})
    else:
        click.echo(format_report(report, findings), nl=False)
    sys.exit(1 if findings else 0)


def _sources(services: Services) -> Sources:
    """What is checked, with the verifier keys of the key folder: never those that the ledger names."""
    directory = services.directory
    return Sources(
        directory.ledger_url,
        directory.heads,
        {log.origin: load_signer(directory.keys, log.origin).verifier_key for log in services.logs.all()},
        directory.keystore_url,
        load_master_key(directory.keys),
    )


@click.command()
@data_options
def reindex(data: Path, heads: Path | None, keystore: Path | None) -> None:
    """Make the index again from the log. The service must not be running.

    \b
    counterfoil reindex --data ./audit
    """
    with services_of(data, heads, keystore) as services:
        with services.directory.lock_serving(), progress_bar("reindex") as progress:
            count = make_index(services.stores, services.directory.index_file, progress)
        click.echo(f"Indexed {count} records.")


@click.group()
def restore() -> None:
    """A log that was rolled back: say so, in the log itself."""


@restore.command("declare")
@data_options
@click.option("--tenant", "tenant_name", default="default", show_default=True, help="Tenant of the log.")
@click.option("--log", "log_name", required=True, help="Log that was rolled back.")
@click.option("--reason", required=True, help="What happened; kept as sealed content of the restore record.")
def declare(
    data: Path, heads: Path | None, keystore: Path | None, tenant_name: str, log_name: str, reason: str
) -> None:
    """Close a rolled-back log and open its successor under a new origin. The service must not be running.

    Two histories are never signed under one origin (C2SP tlog-checkpoint). The successor's genesis names the last
    consistent state of its predecessor, and its `restore` record says what is missing.

    \b
    counterfoil restore declare --data ./audit --log main --reason "disk lost, backup of 02:00 restored"
    """
    with services_of(data, heads, keystore) as services:
        with services.directory.lock_serving():
            declared = declare_restore(services.logs, services.heads, services.log_named(tenant_name, log_name), reason)
        successor = declared.successor
        click.echo(
            f"{log_name} was signed up to {declared.from_size} and holds {declared.to_size} records: it is closed as "
            f"{declared.closed}.\nIts successor is {successor.origin}\n{successor.vkey}"
        )
