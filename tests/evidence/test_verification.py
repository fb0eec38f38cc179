"""The check before release as a process of its own: the same verdict, progress, and nothing left running."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from counterfoil.core.errors import Fault
from counterfoil.evidence import verification
from counterfoil.evidence.bundle import no_progress
from counterfoil.evidence.release import NotVerified
from counterfoil.evidence.verification import verify_built
from counterfoil.log.checkpoints import latest
from tests.evidence.house import House

Told = list[tuple[int, int]]


def test_a_process_of_its_own_gives_the_same_report(house: House) -> None:
    path = house.export()
    told: Told = []
    apart = verify_built(path, house.policy(), None, verification.INLINE_RECORDS, lambda *done: told.append(done))
    here = verify_built(path, house.policy(), None, 1, no_progress)
    assert apart == here
    assert apart.result.value == "VERIFIED"
    assert told[-1][0] == told[-1][1] > 0


def test_what_it_rejects_is_not_released(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "INLINE_RECORDS", 0)
    data = bytearray(house.export().read_bytes())
    at = data.find(b"PK\x03\x04") + 300
    data[at] ^= 0xFF
    (tmp_path / "changed.zip").write_bytes(data)
    report = verify_built(tmp_path / "changed.zip", house.policy(), None, 1, no_progress)
    assert report.result.value == "REJECTED"
    assert NotVerified(report).step in (1, 2)


def test_an_export_is_verified_apart_and_released(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "INLINE_RECORDS", 0)
    with house.logs.ledger.read() as connection:
        newest = latest(connection, house.log.id)
    assert newest is not None
    path = house.export(since=newest[1].decode())
    assert house.verify(path, newest[1]).result.value == "VERIFIED"


def test_a_verifier_that_gives_no_report_is_our_fault(house: House, tmp_path: Path) -> None:
    with pytest.raises(Fault, match="the verifier ended with status 2 and no report: counterfoil-verify: cannot read"):
        verify_built(tmp_path / "nothing.zip", house.policy(), None, 10**6, no_progress)


def test_stopping_ends_the_verifier(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[str]] = []
    popen = subprocess.Popen

    def kept(*given: object, **more: object) -> subprocess.Popen[str]:
        started.append(popen(*given, **more))  # type: ignore[call-overload]  # passed on as it came
        return started[-1]

    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Stop

    path = house.export()
    monkeypatch.setattr(subprocess, "Popen", kept)
    with pytest.raises(Stop):
        verify_built(path, house.policy(), None, 10**6, stop)
    assert [process.returncode is not None for process in started] == [True]
