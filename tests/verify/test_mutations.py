"""No altered bundle verifies: bytes of every file and of the archive, by whoever cannot sign, and by whoever can."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from counterfoil.core.errors import InputError
from counterfoil.verify.check import verify_bundle
from counterfoil.verify.policy import VerifyPolicy, parse_policy
from counterfoil.verify.report import Verdict
from tests.verify.build import Files, Plan, build, build_files, manifest, policy_text, zip_files
from tests.verify.log import erasure

RANGE = Plan(size=6, withheld={(3, "input")})
SELECTION = Plan(size=6, chosen=[1, 3], related=[0])


def _with_erasure(records: list) -> None:  # type: ignore[type-arg]  # records of any kind
    records[5] = erasure(5, 1, 4, ["input"])


ERASED = Plan(size=6, records=_with_erasure, erased={(3, "input"): ("ERASED", 5)})
PLANS = {"range": RANGE, "selection": SELECTION, "erased": ERASED}
SAMPLES = 12
"""Mutations of each file."""


@pytest.fixture(scope="module")
def policy() -> VerifyPolicy:
    return parse_policy(policy_text())


def _verdict(path: Path, data: bytes, policy: VerifyPolicy) -> Verdict:
    path.write_bytes(data)
    return verify_bundle(path, policy=policy).result


def _mutations(data: bytes, chance: random.Random, count: int) -> list[bytes]:
    """A bit flipped, a byte dropped, doubled or replaced, the end cut off, at sampled places."""
    found = []
    for _ in range(count):
        at = chance.randrange(len(data)) if data else 0
        kind = chance.randrange(5) if data else 2
        changed = {
            0: data[:at] + bytes((data[at] ^ 1 << chance.randrange(8),)) + data[at + 1 :] if data else b"",
            1: data[:at] + data[at + 1 :],
            2: data[:at] + b"\n" + data[at:],
            3: data[:at] + data[at : at + 1] + data[at:],
            4: data[:at],
        }[kind]
        if changed != data:
            found.append(changed)
    return found


@pytest.mark.parametrize("name", PLANS)
def test_a_changed_file_is_never_verified(name: str, tmp_path: Path, policy: VerifyPolicy) -> None:
    """As whoever holds the disk: one file is changed, nothing is made again."""
    files = build_files(PLANS[name])
    assert _verdict(tmp_path / "b.zip", zip_files(files), policy) is Verdict.VERIFIED
    chance = random.Random(name)
    for member in sorted(files):
        for changed in _mutations(files[member], chance, SAMPLES):
            assert (
                _verdict(tmp_path / "b.zip", zip_files({**files, member: changed}), policy) is not Verdict.VERIFIED
            ), member
        missing = {other: data for other, data in files.items() if other != member}
        assert _verdict(tmp_path / "b.zip", zip_files(missing), policy) is not Verdict.VERIFIED, member


def _said(population: bytes) -> dict[str, object]:
    """What a population says about records: not by which software, and not how people call the log."""
    value = json.loads(population)
    return {key: value[key] for key in value if key not in ("software", "log")}


FREE = {"data/run.json", "data/custody.ndjson", "data/report.html", "data/redactions.csv", "data/keys/keys.json"}
"""Files that say nothing about records: their maker signs them, and nothing else ties them down."""
VIEWS = {"data/records.csv", "data/records.ndjson"}
"""Views: only two of their columns are tied to the leaves."""


@pytest.mark.parametrize("name", PLANS)
def test_a_changed_file_is_not_verified_even_if_its_maker_signs_it(
    name: str, tmp_path: Path, policy: VerifyPolicy
) -> None:
    """As whoever holds the bundle key, but not the log's: manifests and attestation are made over the change."""
    plan = PLANS[name]
    names = [member for member in build_files(plan) if member.startswith("data/") and member not in FREE | VIEWS]
    chance = random.Random(name)
    for member in sorted(names):
        for changed in _mutations(build_files(plan)[member], chance, SAMPLES):

            def data(files: Files, changed: bytes = changed, member: str = member) -> None:
                files[member] = changed

            forged = Plan(**{key: getattr(plan, key) for key in plan.__dataclass_fields__} | {"data": data})
            try:
                bundle = build(forged)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue  # not even the forger can attest to a population that is no JSON
            verdict = _verdict(tmp_path / "b.zip", bundle, policy)
            if verdict is Verdict.VERIFIED:
                assert member == "data/population.json"
                assert _said(changed) == _said(build_files(plan)[member])


def test_a_changed_byte_of_the_archive_itself_is_never_verified(tmp_path: Path, policy: VerifyPolicy) -> None:
    data = build(SELECTION)
    chance = random.Random("archive")
    central = data.index(b"PK\x01\x02")
    places = [chance.randrange(central) for _ in range(150)] + [
        chance.randrange(central, len(data)) for _ in range(400)
    ]
    accepted = []
    for at in places:
        changed = data[:at] + bytes((data[at] ^ 1 << chance.randrange(8),)) + data[at + 1 :]
        if _verdict(tmp_path / "b.zip", changed, policy) is Verdict.VERIFIED:
            accepted.append(at)
    # Dates, versions and attributes in the headers say nothing about the files' names or bytes.
    assert all(_is_free(data, at) for at in accepted)


def _is_free(data: bytes, at: int) -> bool:
    local, central = data.rfind(b"PK\x03\x04", 0, at), data.rfind(b"PK\x01\x02", 0, at)
    if central >= 0:
        return at - central in {*range(4, 8), *range(12, 16), 36, 37, *range(38, 42)} or data[at - 1 : at + 1] == b"top"
    return at - local in {4, 5, 10, 11, 12, 13}


def test_every_truncation_of_a_bundle_is_refused(tmp_path: Path, policy: VerifyPolicy) -> None:
    data = build(RANGE)
    for size in [*range(0, len(data), 97), *range(len(data) - 60, len(data))]:
        assert _verdict(tmp_path / "b.zip", data[:size], policy) is Verdict.REJECTED


def test_random_bytes_are_refused(tmp_path: Path, policy: VerifyPolicy) -> None:
    chance = random.Random("noise")
    for size in (0, 1, 21, 22, 23, 100, 10_000):
        assert _verdict(tmp_path / "b.zip", chance.randbytes(size), policy) is Verdict.REJECTED


def test_a_missing_bundle_is_no_verdict(tmp_path: Path, policy: VerifyPolicy) -> None:
    with pytest.raises(InputError):
        verify_bundle(tmp_path / "nothing.zip", policy=policy)


def test_the_samples_are_of_a_bundle_whose_manifest_is_right() -> None:
    files = build_files(RANGE)
    data = {name: value for name, value in files.items() if name.startswith("data/")}
    assert files["manifest-sha256.txt"] == manifest(data)
