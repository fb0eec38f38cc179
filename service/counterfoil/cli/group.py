"""The group of commands, and how an error reaches a person: one line, exit code 2, no traceback."""

from __future__ import annotations

import traceback
from typing import Any

import click

from counterfoil import __version__
from counterfoil.cli.check import fsck, reindex, restore
from counterfoil.cli.directory import init, serve
from counterfoil.cli.documents import openapi
from counterfoil.cli.evidence import export, policy
from counterfoil.cli.identity import key, log, tenant
from counterfoil.cli.story import demo, trail
from counterfoil.core.errors import CounterfoilError


class Commands(click.Group):
    """Turns our errors into one line on standard error and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CounterfoilError as error:
            raise CommandFailed(str(error)) from error
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except Exception as error:
            # Exit 1 says "damaged": a mistake of ours must never look like a finding.
            traceback.print_exc()
            raise CommandFailed(f"an unexpected error: {error}") from error


class CommandFailed(click.ClickException):
    """Could not run."""

    exit_code = 2


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="counterfoil")
def cli() -> None:
    """Counterfoil keeps the audit-ready record of what AI agents decide.

    \b
    counterfoil init --data DIR
    counterfoil serve --data DIR
    """


for command in (init, serve, key, tenant, log, fsck, reindex, restore, export, policy, trail, demo, openapi):
    cli.add_command(command)
