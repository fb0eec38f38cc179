"""Builds the compiled part where there is a C compiler; hatchling calls it for a wheel and for an editable install.

Without a compiler, or without Python's headers, the package is the same in pure Python, and the build says so: the
verifier must install anywhere. COUNTERFOIL_PURE=1 leaves the compiled part out on purpose.

    python -m build --wheel                  counterfoil-…-cp311-cp311-linux_x86_64.whl
    COUNTERFOIL_PURE=1 python -m build       counterfoil-…-py3-none-any.whl
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOM = Path("service/counterfoil/mapping")
FLAGS = ("-std=c11", "-O2", "-fPIC", "-fvisibility=hidden", "-fstack-protector-strong", "-Wall", "-Wextra")
# PyMethodDef holds functions of several types as one; members of a type that are not named are zero.
QUIET = ("-Wno-cast-function-type", "-Wno-missing-field-initializers")


class NativeBuildHook(BuildHookInterface):  # type: ignore[type-arg] # it takes the configuration of a target, of which there is none
    """Compiles `native/*.c` to one extension module."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile beside the sources, and put the module into the wheel. Never fails: see above."""
        if self.target_name != "wheel":
            return
        room = Path(self.root) / ROOM
        module = room / f"_native{sysconfig.get_config_var('EXT_SUFFIX')}"
        trouble = "COUNTERFOIL_PURE is set"
        if os.environ.get("COUNTERFOIL_PURE", "") in ("", "0"):
            trouble = compile_native(sorted((room / "native").glob("*.c")), module)
        if trouble:
            self.app.display_warning(f"The compiled part is not built ({trouble}); everything runs in Python, slower.")
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        if version != "editable":
            build_data["force_include"][str(module)] = f"counterfoil/mapping/{module.name}"


def compile_native(sources: list[Path], module: Path, flags: tuple[str, ...] = ()) -> str:
    """Compile to `module`, which appears whole or not at all; what went wrong, or an empty string."""
    link = shlex.split(sysconfig.get_config_var("LDSHARED") or "cc -shared")
    if "CC" in os.environ:
        link[:1] = shlex.split(os.environ["CC"])
    unfinished = module.with_name(f"{module.name}.{os.getpid()}")
    include = sysconfig.get_paths()["include"]
    command = [*link, *FLAGS, *QUIET, *flags, f"-I{include}", *map(str, sources), "-o", str(unfinished)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"no C compiler: {error.strerror}: {command[0]}"
    if done.returncode:
        unfinished.unlink(missing_ok=True)
        said = [line for line in done.stderr.splitlines() if "error" in line] or ["it said nothing"]
        return f"{command[0]} failed: {said[0][:200]}"
    unfinished.replace(module)
    return ""
