"""A bundle is a valid BagIt bag, by a small checker written from RFC 8493 alone."""

from __future__ import annotations

import hashlib
import re
import subprocess
import zipfile
from pathlib import Path

from tests.evidence.house import House


def check_bag(bag: Path) -> None:
    """RFC 8493 section 3: complete (every listed file there, every payload file listed) and valid (every digest)."""
    declaration = (bag / "bagit.txt").read_bytes()
    assert re.fullmatch(rb"BagIt-Version: \d+\.\d+\nTag-File-Character-Encoding: UTF-8\n", declaration)
    assert (bag / "data").is_dir()
    payload = {path.relative_to(bag).as_posix() for path in (bag / "data").rglob("*") if path.is_file()}
    listed = _manifest(bag / "manifest-sha256.txt")
    assert set(listed) == payload
    tags = _manifest(bag / "tagmanifest-sha256.txt")
    every = {path.relative_to(bag).as_posix() for path in bag.rglob("*") if path.is_file()}
    assert set(tags) == every - payload - {"tagmanifest-sha256.txt"}
    for name, digest in (listed | tags).items():
        assert hashlib.sha256((bag / name).read_bytes()).hexdigest() == digest, name
    info = dict(line.split(": ", 1) for line in (bag / "bag-info.txt").read_text("utf-8").splitlines())
    octets = sum((bag / name).stat().st_size for name in payload)
    assert info["Payload-Oxum"] == f"{octets}.{len(payload)}"
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", info["Bagging-Date"])
    assert info["Source-Organization"] == "acme"


def _manifest(path: Path) -> dict[str, str]:
    lines = path.read_text("utf-8").splitlines()
    pairs = [re.fullmatch(r"([0-9a-f]{64}) [ *](\S.*)", line) for line in lines]
    assert all(pairs)
    found = {match[2]: match[1] for match in pairs if match}
    assert len(found) == len(lines)
    return found


def test_range_and_selection_are_valid_bags(house: House, tmp_path: Path) -> None:
    for number, given in enumerate([{}, {"form": "selection", "seqs": [1, 2, 3]}, {"content": "none"}]):
        target = tmp_path / str(number)
        zipfile.ZipFile(house.export(**given)).extractall(target)
        (bag,) = target.iterdir()
        check_bag(bag)


def test_an_auditor_checks_it_with_sha256sum_and_the_one_file_verifier(house: House, tmp_path: Path) -> None:
    bundle = house.export(filter={"kind": "decision"})
    zipfile.ZipFile(bundle).extractall(tmp_path)
    (bag,) = tmp_path.iterdir()
    for manifest in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        subprocess.run(["sha256sum", "--check", "--quiet", manifest], cwd=bag, check=True)
    keys = [line.removeprefix("log ") for line in house.policy().splitlines() if line.startswith("log ")]
    signer = re.findall(r'"([^"]+/bundles\+[^"]+)"', house.policy())[0]
    log = next(key for key in keys if key.startswith(f"{house.log.origin}+"))
    done = subprocess.run(
        ["python3", "verify/verify.py", str(bundle), "--log", log, "--bundle", signer],
        cwd=bag,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "VERIFIED" in done.stdout


def test_what_a_person_typed_cannot_add_a_line_to_the_bags_tags(house: House, tmp_path: Path) -> None:
    zipfile.ZipFile(house.export(purpose="one\nPayload-Oxum: 0.0\r\nEvil: yes")).extractall(tmp_path)
    (bag,) = tmp_path.iterdir()
    check_bag(bag)
    assert "Evil" not in (bag / "bag-info.txt").read_text()
