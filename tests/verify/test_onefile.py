"""The one-file verifier agrees with the main one on every case, apart from what it says that it does not do."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from counterfoil.verify import onefile
from tests.verify.build import Plan, build
from tests.verify.cases import FOLDER
from tests.verify.log import BUNDLES, LOG, OTHER_LOG, recorded_at, seed

SOURCE = Path(onefile.__file__)
SAID = {path.parent.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*/case.json"))}
AGREED = [name for name, said in SAID.items() if said["one_file"]]
STATUS = {"VERIFIED": 0, "REJECTED": 1, "INCOMPLETE": 2}


def run(bundle: Path, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Its exit status, in this process."""
    monkeypatch.setattr(sys, "argv", ["verify.py", str(bundle), *arguments])
    return onefile.main()


KEYS = ("--log", LOG.vkey, "--bundle", BUNDLES.vkey)


@pytest.mark.parametrize("name", AGREED)
def test_it_agrees_with_the_main_verifier_on_verdict_and_step(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(FOLDER / name / "bundle.zip", *KEYS, monkeypatch=monkeypatch)
    out = capsys.readouterr().out
    assert status == STATUS[SAID[name]["result"]], out
    assert out.splitlines()[-1].startswith(SAID[name]["result"])
    step = SAID[name].get("step", 0)
    if step > 1:  # the standard library's ZIP reader meets what is step 1's later
        assert f"step {step}, " in out.splitlines()[-1]


@pytest.mark.parametrize("name", [name for name, said in SAID.items() if said["result"] != "REJECTED"])
def test_it_never_rejects_what_the_main_verifier_does_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(FOLDER / name / "bundle.zip", *KEYS, monkeypatch=monkeypatch) != 1


def test_without_keys_it_is_self_consistent_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(FOLDER / "good_range" / "bundle.zip", monkeypatch=monkeypatch) == 2
    assert "self-consistent only" in capsys.readouterr().out


def test_it_takes_one_of_several_log_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ("--log", OTHER_LOG.vkey, *KEYS)
    assert run(FOLDER / "good_range" / "bundle.zip", *keys, monkeypatch=monkeypatch) == 0


@pytest.mark.parametrize(
    "plan",
    [
        Plan(size=300),
        Plan(size=600, a=260, b=300, filter={"from": recorded_at(260), "to": recorded_at(300)}),
        Plan(size=9, filter={"fallback": ["any"]}),
        Plan(size=9, filter={"agent": ["refunds"], "risk": ["medium", "high"], "region": ["eu-west"]}),
        Plan(size=9, filter={"outcome": ["approve"], "writer": ["k-refunds"]}),
        Plan(size=9, filter={"fallback": ["low_confidence"], "status": ["ok"]}),
    ],
    ids=["two bundles", "borders", "any", "nested", "outcome", "nothing"],
)
def test_it_verifies_larger_ranges_and_every_kind_of_filter(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bundle.zip").write_bytes(build(plan))
    assert run(tmp_path / "bundle.zip", *KEYS, monkeypatch=monkeypatch) == 0


def test_files_of_leaves_are_named_as_tiles_are() -> None:
    names = [onefile.leaves_file(n, width) for n, width in ((0, 256), (5, 7), (999, 256), (1000, 1), (1234067, 256))]
    assert names == [
        *("data/leaves/000", "data/leaves/005.p/7", "data/leaves/999", "data/leaves/x001/000.p/1"),
        "data/leaves/x001/x234/067",
    ]


def test_its_ed25519_agrees_with_cryptography() -> None:
    for number in range(12):
        key = Ed25519PrivateKey.from_private_bytes(seed(f"ed25519 {number}"))
        public, message = key.public_key().public_bytes_raw(), b"m" * number
        signature = bytearray(key.sign(message))
        assert onefile.verifies(public, message, bytes(signature))
        assert not onefile.verifies(public, message + b"x", bytes(signature))
        signature[5 * number] ^= 1
        assert not onefile.verifies(public, message, bytes(signature))


def test_its_ed25519_refuses_what_rfc_8032_refuses() -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed("strict"))
    public, signature = key.public_key().public_bytes_raw(), key.sign(b"m")
    s = int.from_bytes(signature[32:], "little")
    assert not onefile.verifies(public, b"m", signature[:32] + (s + onefile.ORDER).to_bytes(32, "little"))
    assert not onefile.verifies(public, b"m", signature[:-1])
    assert not onefile.verifies(public, b"m", signature + b"\0")
    assert not onefile.verifies(public[:31], b"m", signature)
    assert not onefile.verifies((onefile.P + 1).to_bytes(32, "little"), b"m", signature)  # y not below p
    assert not onefile.verifies((1 | 1 << 255).to_bytes(32, "little"), b"m", signature)  # x = 0 with a sign
    assert not onefile.verifies((2).to_bytes(32, "little"), b"m", signature)  # no such x


def test_a_wrong_vkey_is_refused() -> None:
    name, key_id, key = LOG.vkey.split("+", 2)
    for wrong in (f"other+{key_id}+{key}", f"{name}+{key_id}+{key[:-4]}"):
        with pytest.raises(ValueError, match=r"verifier key|padding"):
            onefile.parse_vkey(wrong)


def test_it_is_one_short_file_of_the_standard_library() -> None:
    source = SOURCE.read_text()
    assert len(source.splitlines()) <= 300
    imported = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(source, feature_version=(3, 9)))
        for name in (
            [each.name for each in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", "")]
        )
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported <= sys.stdlib_module_names
    assert not imported & {"socket", "urllib", "http", "ssl", "asyncio", "subprocess", "ctypes"}


def test_it_runs_by_itself_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "verify.py").write_bytes(SOURCE.read_bytes())
    command = [
        sys.executable,
        "-I",
        "-S",
        str(tmp_path / "verify.py"),
        str(FOLDER / "good_range" / "bundle.zip"),
        *KEYS,
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("VERIFIED")
