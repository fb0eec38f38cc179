"""Options that several commands share, and the services of the directory they name."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from counterfoil.store.directory import Directory

if TYPE_CHECKING:
    from counterfoil.composition import Services

Command = TypeVar("Command", bound=Callable[..., Any])


def data_options(command: Command) -> Command:
    """`--data`, `--heads`, `--keystore`: where the stores of one service lie."""
    command = click.option(
        "--keystore",
        envvar="COUNTERFOIL_KEYSTORE",
        type=click.Path(path_type=Path),
        help="Folder of the keystore, if it lies apart.",
    )(command)
    command = click.option(
        "--heads",
        envvar="COUNTERFOIL_HEADS",
        type=click.Path(path_type=Path),
        help="Folder of the signed heads, if it lies apart.",
    )(command)
    return click.option(
        "--data",
        envvar="COUNTERFOIL_DATA",
        type=click.Path(path_type=Path),
        required=True,
        help="The embedded directory.",
    )(command)


def json_option(command: Command) -> Command:
    """`--json`: for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")(command)


@contextmanager
def services_of(data: Path, heads: Path | None, keystore: Path | None) -> Iterator[Services]:
    """The services of an existing directory, closed at the end."""
    from counterfoil.composition import open_services  # every room: loaded when a command runs, not for its help

    services = open_services(Directory.at(data, heads=heads, keystore=keystore))
    try:
        yield services
    finally:
        services.close()


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, indent=2, sort_keys=True))


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Yield `progress(done, total)`; a bar on standard error where a terminal is there, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr, show_eta=True) as bar:

        def progress(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(max(done - bar.pos, 0))

        yield progress
