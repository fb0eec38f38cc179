"""The installed command: the built wheel, bare, in an environment that has nothing else; every case through it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.verify.cases import FOLDER
from tests.verify.test_cases import NAMES

pytestmark = pytest.mark.wheel

ROOT = Path(__file__).parents[2]
EXIT = {"VERIFIED": 0, "REJECTED": 1, "INCOMPLETE": 2}
AT = "2030-01-01T00:00:00Z"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment with the wheel and what it requires, which is `cryptography`."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("counterfoil-*.whl")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    python = folder / "env" / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", str(wheel)],
        check=True,
        capture_output=True,
    )
    return python.parent


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)


def test_the_bare_install_has_cryptography_and_nothing_of_a_server(installed: Path, tmp_path: Path) -> None:
    code = "import importlib.metadata as m; print(sorted(d.name.lower() for d in m.distributions()))"
    done = _run([str(installed / "python"), "-c", code], tmp_path)
    assert set(json.loads(done.stdout.replace("'", '"'))) <= {
        "counterfoil",
        "cryptography",
        "cffi",
        "pycparser",
        "typing_extensions",
    }


def test_the_verifier_imports_no_network_code(installed: Path, tmp_path: Path) -> None:
    code = (
        "import sys, counterfoil.verify.command, counterfoil.verify.onefile; "
        "print([n for n in ('ssl', '_ssl', 'http.client', 'urllib.request', 'asyncio', 'ftplib') if n in sys.modules])"
    )
    assert _run([str(installed / "python"), "-c", code], tmp_path).stdout == "[]\n"


def _command(name: str) -> tuple[list[str], dict[str, object]]:
    said = json.loads((FOLDER / name / "case.json").read_text())
    arguments = [str(FOLDER / name / "bundle.zip"), "--json"]
    if said["policy"]:
        arguments += ["--policy", str(FOLDER / name / said["policy"])]
    if "since" in said:
        arguments += ["--since", str(FOLDER / name / said["since"])]
    if name != "4_token_after_reference_time_fail":
        arguments += ["--at", AT]
    return arguments, said


GROUPS = 6
_SCRIPT = """
import contextlib, io, json, sys
from counterfoil.verify.command import main
for arguments in json.loads(sys.stdin.read()):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = main(arguments)
    print(json.dumps([status, json.loads(out.getvalue())]))
"""


@pytest.mark.parametrize("group", range(GROUPS))
def test_the_installed_verifier_gives_every_case_its_verdict(group: int, installed: Path, tmp_path: Path) -> None:
    names = NAMES[group::GROUPS]
    commands = [_command(name) for name in names]
    done = subprocess.run(
        [str(installed / "python"), "-I", "-c", _SCRIPT],
        input=json.dumps([arguments for arguments, _ in commands]),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    for name, (_, said), line in zip(names, commands, done.stdout.splitlines(), strict=True):
        status, report = json.loads(line)
        assert (report["result"], status) == (said["result"], EXIT[str(said["result"])]), name
        failed = [step["number"] for step in report["steps"] if step["outcome"] == "failed"]
        assert failed == ([said["step"]] if "step" in said else []), name


@pytest.mark.parametrize("name", ["good_range", "good_selection", "9_disclosure_changed_fail", "no_policy_incomplete"])
def test_the_command_on_the_path_does_the_same(name: str, installed: Path, tmp_path: Path) -> None:
    arguments, said = _command(name)
    done = _run([str(installed / "counterfoil-verify"), *arguments], tmp_path)
    assert (done.returncode, done.stderr) == (EXIT[str(said["result"])], "")
    assert json.loads(done.stdout)["result"] == said["result"]
