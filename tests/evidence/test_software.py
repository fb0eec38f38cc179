"""A bundle says which program built it, by a digest that anybody can compute from the installed package."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import counterfoil
from counterfoil.evidence import software


def test_the_command_in_the_module_gives_the_same_digest() -> None:
    (command,) = re.findall(r"^ {4}(find .*)$", software.__doc__ or "", re.MULTILINE)
    package = Path(next(iter(counterfoil.__path__)))
    printed = subprocess.run(["bash", "-c", command], cwd=package, capture_output=True, text=True, check=True).stdout
    assert printed.split()[0] == software.digest_of_sources(package)


def test_the_running_software_names_its_version() -> None:
    running = software.running_software()
    assert (running.name, running.version) == ("counterfoil", counterfoil.__version__)
    assert re.fullmatch(r"[0-9a-f]{64}", running.digest)
