"""Programs in JavaScript: their packages installed once, from the committed lock file, whoever comes first.

folder = install(JAVASCRIPT, pytestconfig.cache.mkdir("otlp-javascript"))
subprocess.run(["node", "send.mjs"], cwd=folder, ...)
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

INSTALL_TIMEOUT_S = 240.0


def install(source: Path, folder: Path) -> Path:
    """`source` (package.json, package-lock.json, .npmrc, programs) copied to `folder` with its packages."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed; CI has it")
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (source / "package-lock.json").read_text()
        installed = folder / "installed.json"
        for path in (*source.glob("*.json"), *source.glob("*.mjs"), source / ".npmrc"):
            shutil.copy(path, folder / path.name)
        if not installed.exists() or installed.read_text() != wanted:
            command = ["npm", "ci", "--ignore-scripts"]
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=INSTALL_TIMEOUT_S)
            installed.write_text(wanted)
    return folder
