"""The command: exit status, text for people, JSON for programs, and hostile text that stays text."""

from __future__ import annotations

import io
import json
import os
import runpy
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from counterfoil.verify import command
from counterfoil.verify.command import main, show_progress, tell_progress
from counterfoil.verify.report import (
    Outcome,
    Report,
    Step,
    Verdict,
    escape,
    format_json,
    format_text,
    parse_report,
)
from tests.verify.build import Plan, build, policy_text
from tests.verify.cases import FOLDER
from tests.verify.log import Tree, chain, make_records
from tests.verify.test_cases import verify_case

GOOD = str(FOLDER / "good_range" / "bundle.zip")
POLICY = ("--policy", str(FOLDER / "policy.toml"))


def test_a_good_bundle_is_verified_and_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([GOOD, *POLICY]) == 0
    out, err = capsys.readouterr()
    assert out.rstrip().endswith("\nVERIFIED")
    assert err == ""
    for number in range(1, 14):
        assert f"\n{number:>3}  " in out
    assert "Not proven:" in out
    assert "Log: log.example/acme/main, 5 records at the checkpoint" in out
    assert "Attested by: log.example/bundles" in out
    assert "Witnesses: w1.example at 2025-11-22T09:26:40.000000Z" in out


def test_a_bad_bundle_is_rejected_with_step_file_and_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(FOLDER / "9_disclosure_changed_fail" / "bundle.zip"), *POLICY]) == 1
    out = capsys.readouterr().out
    assert "  9  FAIL" in out
    assert "data/disclosures.ndjson; record 3: field rationale does not match" in out
    assert "not checked (the run ended before)" in out
    assert out.rstrip().endswith("REJECTED: step 9")


def test_without_a_policy_the_result_is_incomplete(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([GOOD]) == 2
    assert capsys.readouterr().out.rstrip().endswith("INCOMPLETE: self-consistent only")


def test_json_says_the_same_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(FOLDER / "7_other_log_fail" / "bundle.zip"), *POLICY, "--json"]) == 1
    value = json.loads(capsys.readouterr().out)
    assert value["result"] == "REJECTED"
    assert value["steps"][6] == {
        "number": 7,
        "name": "every leaf well-formed and in order",
        "outcome": "failed",
        "check": "log",
        "file": "data/leaves/000.p/5",
        "message": "record 3 is of another log",
    }
    assert value["population"]["origin"] == "log.example/acme/main"


def test_a_timestamp_and_its_reference_time(capsys: pytest.CaptureFixture[str]) -> None:
    folder = FOLDER / "good_timestamped"
    arguments = [str(folder / "bundle.zip"), "--policy", str(folder / "policy.toml")]
    assert main(arguments) == 0
    assert "by CN=Test authority" in capsys.readouterr().out
    assert main([*arguments, "--at", "2020-01-01T00:00:00Z"]) == 1
    assert "REJECTED: step 4" in capsys.readouterr().out
    folder = FOLDER / "4_token_after_reference_time_fail"
    assert main([str(folder / "bundle.zip"), "--policy", str(folder / "policy.toml")]) == 1
    assert main([GOOD.replace("good_range", "good_timestamped"), *POLICY]) == 0
    assert "the policy names no timestamp root" in capsys.readouterr().out


def test_a_timestamp_without_any_policy_is_only_sound_in_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([GOOD.replace("good_range", "good_timestamped")]) == 2
    assert "the token is sound in itself" in capsys.readouterr().out


def test_an_earlier_checkpoint_is_taken_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kept").write_bytes(Tree(chain(make_records(5))).note(5))
    assert main([GOOD, *POLICY, "--since", str(tmp_path / "kept")]) == 0
    assert "the log only grew from 5 to 5 leaves" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.zip"], "cannot read the bundle"),
        ([GOOD, "--policy", "nothing.toml"], "cannot read nothing.toml"),
        ([GOOD, "--policy", GOOD], "is not UTF-8"),
        ([GOOD, "--since", "/"], "cannot read /"),
        ([GOOD, "--at", "noon"], "no RFC 3339 time"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


def test_a_file_over_its_limit_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "big").write_bytes(bytes(2 << 20))
    assert main([GOOD, "--policy", str(tmp_path / "big")]) == 2
    assert "over the limit" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["command", "onefile"])
def test_it_runs_as_a_module(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["verify", GOOD])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(Path(command.__file__).with_name(f"{module}.py")), run_name="__main__")
    assert ended.value.code == 2  # without a policy or keys


def _run(*arguments: str, **given: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "counterfoil.verify.command", *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, check=False, **given)


@pytest.mark.parametrize("name", ["good_range", "9_disclosure_changed_fail"])
def test_a_report_that_cannot_be_written_is_neither_verified_nor_rejected(name: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = _run(str(FOLDER / name / "bundle.zip"), *POLICY, stdout=full)
    assert done.returncode == 2
    assert done.stderr.startswith(b"counterfoil-verify: the verifier failed, which says nothing about the bundle: OSEr")
    assert done.stderr.count(b"\n") == 1


def test_a_reader_that_went_away_gives_exit_status_2() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        done = _run(GOOD, *POLICY, stdout=pipe)
    assert (done.returncode, b"BrokenPipeError" in done.stderr) == (2, True)


def test_with_nowhere_to_say_why_the_exit_status_is_still_2() -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "counterfoil.verify.command", GOOD, *POLICY]
        assert subprocess.run(command, stdout=full, stderr=full, check=False).returncode == 2


@pytest.mark.parametrize(
    "error", [MemoryError(), BrokenProcessPool("a worker died"), RecursionError("deep"), PermissionError(1, "no")]
)
def test_a_failure_of_the_verifier_itself_is_no_rejection(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise error

    # What a machine without memory, or without a worker, would raise in the middle of the pass.
    monkeypatch.setattr("counterfoil.verify.workers.check_unit", fail)
    assert main([GOOD, *POLICY]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert type(error).__name__ in err


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert "counterfoil-verify counterfoil-main-0-900.zip --policy trusted.toml" in out
    assert "exit status: 0 VERIFIED, 1 REJECTED" in out


def test_progress_is_shown_on_a_terminal_and_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main([GOOD, *POLICY, "--workers", "1"]) == 0
    assert "step 7 (every leaf well-formed and in order): 100 %" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_progress_is_not_written_more_often_than_ten_times_a_second() -> None:
    terminal = io.StringIO()
    show = show_progress(terminal)
    for done in range(50):
        show(2, done, 1_000)
    assert terminal.getvalue().count("step 2") < 10


def test_progress_is_told_to_programs_as_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([GOOD, *POLICY, "--workers", "1", "--progress"]) == 0
    lines = [line.split(" ") for line in capsys.readouterr().err.splitlines()]
    assert all(len(line) == 3 and all(part.isdecimal() for part in line) for line in lines)
    assert {line[0] for line in lines} == {"2", "7"}
    assert ["7", "5", "5"] in lines
    stream = io.StringIO()
    tell = tell_progress(stream)
    for done in range(50):
        tell(2, done, 1_000)
    assert stream.getvalue().count("\n") < 10


@pytest.mark.parametrize("name", ["good_range", "9_disclosure_changed_fail", "12_sample_incomplete"])
def test_a_report_for_programs_is_read_back_as_it_was(name: str) -> None:
    report = verify_case(FOLDER / name)
    assert parse_report(format_json(report)) == report


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"steps": []}', '{"steps": [{}]}', '{"steps": 7}'])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - also the errors of json
        parse_report(text)


def test_hostile_text_cannot_leave_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert escape("a\x1b[2Jb\nVERIFIED\u202e\u2028") == "a\\x1b[2Jb\\nVERIFIED\\u202e\\u2028"
    assert escape("Zürich €") == "Zürich €"
    evil = "a\x1b[2J\nVERIFIED"
    plan = Plan(population=lambda value: value.update(origin=evil))
    (tmp_path / "evil.zip").write_bytes(build(plan))
    (tmp_path / "policy.toml").write_text(policy_text())
    assert main([str(tmp_path / "evil.zip"), "--policy", str(tmp_path / "policy.toml")]) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.count("\nVERIFIED") == 0


def test_a_report_without_records_says_so() -> None:
    steps = tuple(Step(number, Outcome.PASSED) for number in range(1, 14))
    population = {
        "origin": "o",
        "tree_size": 3,
        "root": "r",
        "form": "range",
        "range": [2, 2],
        "filter": "",
        "count": 0,
    }
    text = format_text(Report(Verdict.VERIFIED, steps, population=population | {"hash_total": "h"}), "b.zip")
    assert "from no records, filter (none: all)" in text
    assert "Not proven" not in text
    assert format_text(Report(Verdict.INCOMPLETE, steps), "b.zip").endswith("\nINCOMPLETE\n")
    assert [verdict.exit_status for verdict in Verdict] == [0, 1, 2]
