"""The group of commands, and how an error reaches a person: one line, exit code 2, no traceback for what was foreseen.

A command's module is loaded when the command is named, so that help and small commands do not wait for every room.
"""

from __future__ import annotations

import traceback
from importlib import import_module
from typing import Any

import click

from counterfoil import __version__
from counterfoil.core.errors import CounterfoilError

COMMANDS = {
    "init": ("directory", "Make a directory: stores, keys, a tenant with its logs."),
    "serve": ("directory", "Run the service on a directory."),
    "upgrade": ("directory", "Bring a ledger to the schema of this version."),
    "key": ("identity", "Keys of agents and readers: create, list, revoke."),
    "tenant": ("identity", "Tenants: create, list."),
    "log": ("identity", "Logs: create, list, configure."),
    "fsck": ("check", "Re-read every byte, compare, name each finding."),
    "reindex": ("check", "Make the index again from the log."),
    "restore": ("check", "Declare that a log was rolled back."),
    "export": ("evidence", "Write a bundle that an auditor checks offline."),
    "policy": ("evidence", "Show what an auditor should trust."),
    "trail": ("story", "Print the trail of one interaction."),
    "completeness": ("completeness", "Show which producers left something out."),
    "demo": ("story", "Tell the whole story on a fresh directory."),
    "openapi": ("documents", "Print the OpenAPI document."),
}
"""Name, module under `counterfoil.cli`, one line for the list."""


INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 and the number of SIGINT, as shells have it."""


class CommandFailed(click.ClickException):
    """Could not run."""

    exit_code = 2


class Commands(click.Group):
    """Loads commands when they are named; turns our errors into one line on standard error and exit code 2."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of a user's day."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, its module loaded."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"counterfoil.cli.{COMMANDS[cmd_name][0]}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list, without loading anything."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run, with errors as a person wants them."""
        try:
            return super().invoke(ctx)
        except CounterfoilError as error:
            raise CommandFailed(str(error)) from error
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except KeyboardInterrupt:
            # Without this it were exit 1, which says "damaged".
            raise click.exceptions.Exit(INTERRUPTED) from None
        except Exception as error:
            # Exit 1 says "damaged": a mistake of ours must never look like a finding.
            traceback.print_exc()
            raise CommandFailed(f"an unexpected error: {error}") from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="counterfoil")
def cli() -> None:
    """Counterfoil keeps the audit-ready record of what AI agents decide.

    \b
    counterfoil init --data DIR
    counterfoil serve --data DIR
    """
