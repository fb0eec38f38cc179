"""The command line. One file a subject; every command has an example in its help and says what to do on an error.

Exit codes: 0 done, 1 what was checked is damaged, 2 could not run (the message says why), 3 `serve` ended because its
background process did, 130 interrupted (Ctrl-C).
"""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of `counterfoil`. The bare install has no server parts: it is told so, not shown a traceback."""
    try:
        from counterfoil.cli.group import cli
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("counterfoil"):
            raise
        print(
            f"counterfoil: {error.name} is not installed. The bare install is the offline verifier "
            "(`counterfoil-verify BUNDLE`); for the service run: pip install 'counterfoil[server]'",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    cli(prog_name="counterfoil")
