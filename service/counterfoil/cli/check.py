"""`fsck`, `reindex` and `restore`: is everything as it was written, and what to do when it is not."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from counterfoil.cli.options import data_options, json_option, print_json, progress_bar, services_of
from counterfoil.composition import Services
from counterfoil.core.errors import CounterfoilError
from counterfoil.log.finding import Finding
from counterfoil.log.fsck import Report, Sources, check_ledger, format_report
from counterfoil.log.masterkey import load_master_key
from counterfoil.log.restore import declare_restore
from counterfoil.log.signing import load_signer
from counterfoil.trails.check_index import check_index
from counterfoil.trails.reindex import reindex as make_index
from counterfoil.trails.stores import Stores


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
        index, not_compared = _compare_index(services.stores, any(finding.check in UNREAD for finding in findings))
        findings += index
        report.findings = len(findings)
        report.not_shown += not_compared
    if as_json:
        print_json(
            {
                **asdict(report),
                "clean": not findings,
                "index_compared": not not_compared,
                "findings": [asdict(finding) for finding in findings],
            }
        )
    else:
        click.echo(format_report(report, findings), nl=False)
    sys.exit(1 if findings else 0)


UNREAD = frozenset({"leaf_invalid", "leaf_version_unknown", "records_missing"})
"""Findings after which there are leaves that the index cannot be derived from."""


def _compare_index(stores: Stores, unread: bool) -> tuple[list[Finding], list[str]]:
    """What the index has that the log does not say, and why it was not compared, if it was not.

    The index is made again from the ledger as it is, also where that has findings: an edit of the index must not hide
    behind one of the log. (A leaf or content that was changed shows here too: the index still says what it said.)
    Only where leaves cannot be read there is nothing to compare with.
    """
    found: list[Finding] = []
    cause = "leaves could not be read, and the index is derived from them"
    if not unread:
        try:
            found.extend(check_index(stores))  # what was found before an error stays found
        except Exception as error:  # noqa: BLE001 - damaged files fail in many ways, and none may end the check
            # The message of a database's error may hold content: its sort says enough.
            cause = str(error) if isinstance(error, CounterfoilError) else f"it failed with {type(error).__name__}"
        else:
            return found, []
    message = f"the index was not compared with the log: {cause}"
    found.append(Finding("index_not_compared", "", None, message))
    return found, [message]


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


REVIEW_KEYS = (
    "Review the keys now (`counterfoil key list`): they lie in the ledger, as it was when this copy was made. "
    "A key that was revoked since works again, and one that was made since is unknown."
)


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
        click.echo(REVIEW_KEYS)
