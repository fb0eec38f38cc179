"""The command line as a user meets it, on a real directory; once as a program of its own, then in this process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from counterfoil.cli.group import COMMANDS as LISTED
from counterfoil.cli.group import cli
from counterfoil.log.heads import file_name_of
from counterfoil.settings import Settings
from tests.service.running import PROGRAM, Made, make_directory, start_service
from tests.service.sending import send_conversation

# fmt: off
COMMANDS = (
    "init", "serve", "upgrade", "key create", "key list", "key revoke", "tenant create", "tenant list", "log create",
    "log list", "log configure", "fsck", "reindex", "restore declare", "export", "policy show", "trail",
    "completeness", "demo", "openapi",
)
# fmt: on


def counterfoil(*arguments: str, expect: int = 0) -> Result:
    done = CliRunner().invoke(cli, arguments, prog_name="counterfoil")
    assert done.exit_code == expect, done.output
    return done


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("cli") / "audit")
    counterfoil("init", "--data", path, "--origin", "audit.example.test", "--region", "eu-west-1")
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    said = counterfoil(*command.split(), "--help").stdout
    assert said.startswith("Usage: counterfoil")
    assert f"\n  counterfoil {command}" in said


def test_the_program_lists_every_command() -> None:
    said = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True).stdout
    for name, (_, line) in LISTED.items():
        assert f"  {name} " in said
        assert line in said
    assert set(LISTED) == {command.split()[0] for command in COMMANDS}


def test_a_mistake_ends_the_program_with_status_2_and_one_line(tmp_path: Path) -> None:
    arguments = [PROGRAM, "fsck", "--data", tmp_path / "nothing"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "nothing is no Counterfoil directory" in done.stderr
    assert not (tmp_path / "nothing").exists(), "state is never created by accident"


def test_init_refuses_a_directory_that_is_in_use(data: str) -> None:
    again = counterfoil("init", "--data", data, expect=2)
    assert "exists already" in again.stderr
    assert "Traceback" not in again.stderr


def test_a_key_is_made_listed_and_revoked(data: str) -> None:
    made = json.loads(
        counterfoil("key", "create", "--data", data, "--role", "reviewer", "--name", "Kim", "--json").stdout
    )
    assert made["key"].startswith(f"cf_{made['id']}_")
    listed = counterfoil("key", "list", "--data", data, "--json").stdout
    secret = made["key"].rpartition("_")[2]
    assert secret not in listed
    row = next(row for row in json.loads(listed) if row["id"] == made["id"])
    assert (row["role"], row["name"], row["revoked_at"]) == ("reviewer", "Kim", None)
    counterfoil("key", "revoke", "--data", data, made["id"])
    row = next(
        r for r in json.loads(counterfoil("key", "list", "--data", data, "--json").stdout) if r["id"] == made["id"]
    )
    assert row["revoked_at"] is not None
    assert "there is no such key" in counterfoil("key", "revoke", "--data", data, "nobody", expect=2).stderr


def test_a_second_tenant_gets_logs_of_its_own(data: str) -> None:
    counterfoil("tenant", "create", "--data", data, "acme")
    counterfoil("log", "create", "--data", data, "--tenant", "acme", "--region", "us-east-1", "sales")
    logs = json.loads(counterfoil("log", "list", "--data", data, "--json").stdout)
    assert {(log["tenant"], log["name"]) for log in logs} >= {
        ("acme", "access"),
        ("acme", "sales"),
        ("default", "main"),
    }
    assert all(log["vkey"].startswith(log["origin"] + "+") for log in logs)
    assert "acme" in counterfoil("tenant", "list", "--data", data).stdout


def test_policy_and_export_of_a_store_that_was_never_signed_say_what_to_do(data: str) -> None:
    policy = counterfoil("policy", "show", "--data", data).stdout
    assert "audit.example.test/default/main+" in policy
    out = str(Path(data).with_name("never.zip"))
    said = counterfoil("export", "--data", data, "--out", out, expect=2).stderr
    assert "checkpoint" in said
    assert not Path(out).exists()


def test_upgrade_of_a_current_directory_changes_nothing(data: str) -> None:
    said = counterfoil("upgrade", "--data", data).stdout
    before, after = said.split("revision ")[1].split()[0], said.rstrip(".\n").split()[-1]
    assert before == after


def test_fsck_of_a_fresh_directory_is_clean_before_and_after_reindex(data: str) -> None:
    report = json.loads(counterfoil("fsck", "--data", data, "--json").stdout)
    assert report["clean"] is True
    assert report["findings"] == []
    assert "Indexed" in counterfoil("reindex", "--data", data).stdout
    assert "CLEAN" in counterfoil("fsck", "--data", data).stdout


def test_restore_is_refused_where_nothing_was_rolled_back(data: str) -> None:
    said = counterfoil("restore", "declare", "--data", data, "--log", "main", "--reason", "none", expect=2).stderr
    assert "Traceback" not in said
    assert said.startswith("Error: ")


def test_the_openapi_document_is_the_committed_one() -> None:
    committed = Path(__file__).parents[2] / "openapi" / "openapi.json"
    assert counterfoil("openapi").stdout == committed.read_text()


def test_the_record_schema_is_the_committed_one() -> None:
    committed = Path(__file__).parents[2] / "docs" / "formats" / "record.schema.json"
    printed = subprocess.run(
        [sys.executable, "-m", "counterfoil.core.schema"], capture_output=True, text=True, check=True
    ).stdout
    assert printed == committed.read_text()


def test_a_date_stands_for_its_first_moment_in_utc(audited: Made, tmp_path: Path) -> None:
    def export(name: str, *arguments: str, expect: int = 0) -> str:
        bundle = str(tmp_path / name)
        done = counterfoil("export", "--data", str(audited.data), "--out", bundle, "--json", *arguments, expect=expect)
        return done.stderr if expect else zipfile.ZipFile(bundle).testzip() or bundle

    today = datetime.now(UTC).date()
    tomorrow = today + timedelta(days=2)
    by_date = export("dates.zip", "--from", f"{today - timedelta(days=1)}", "--to", f"{tomorrow}")
    by_time = export("times.zip", "--from", f"{today - timedelta(days=1)}T00:00:00Z", "--to", f"{tomorrow}T00:00:00Z")
    assert _filter_of(by_date) == _filter_of(by_time)
    assert f"to={tomorrow}T00%3A00%3A00.000000Z" in _filter_of(by_date)
    said = export("wrong.zip", "--from", "2026-13-01", expect=2)
    assert "filter from: not a time" in said


def test_an_edit_of_the_index_is_found_beside_damage_of_the_log(audited: Made, tmp_path: Path) -> None:
    copy = tmp_path / "audit"
    shutil.copytree(audited.data, copy)
    (copy / "heads" / file_name_of(audited.origin)).unlink()
    _change(copy / "index.db", "DELETE FROM records WHERE id = (SELECT max(id) FROM records)")
    report = json.loads(counterfoil("fsck", "--data", str(copy), "--json", expect=1).stdout)
    found = {finding["check"] for finding in report["findings"]}
    assert "index_row_missing" in found
    assert any(check.startswith("head_store") for check in found)
    assert report["index_compared"] is True
    assert report["findings"][-1]["check"].startswith("index_")


def test_where_leaves_cannot_be_read_the_report_says_that_the_index_was_not_compared(
    audited: Made, tmp_path: Path
) -> None:
    copy = tmp_path / "audit"
    shutil.copytree(audited.data, copy)
    _change(copy / "ledger.db", "UPDATE records SET leaf = x'00' WHERE seq = 3")
    report = json.loads(counterfoil("fsck", "--data", str(copy), "--json", expect=1).stdout)
    assert {"leaf_invalid", "index_not_compared"} <= {finding["check"] for finding in report["findings"]}
    assert report["index_compared"] is False
    said = counterfoil("fsck", "--data", str(copy), expect=1).stdout
    assert said.count("the index was not compared with the log: leaves could not be read") == 2, "finding and not shown"


def test_an_index_whose_file_is_damaged_is_a_finding_and_no_traceback(audited: Made, tmp_path: Path) -> None:
    copy = tmp_path / "audit"
    shutil.copytree(audited.data, copy)
    with (copy / "index.db").open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    done = counterfoil("fsck", "--data", str(copy), "--json", expect=1)
    found = {finding["check"] for finding in json.loads(done.stdout)["findings"]}
    assert found & {"index_not_compared", "index_damaged"}
    assert "Traceback" not in done.stderr


def test_a_declared_restore_tells_the_operator_to_review_the_keys(audited: Made, tmp_path: Path) -> None:
    copy = tmp_path / "audit"
    shutil.copytree(audited.data, copy)
    made = replace(audited, data=copy)
    with start_service(made) as service:
        send_conversation(service, audited.keys["writer"].key, "conv-after-the-backup")
    for ending in ("", "-wal", "-shm"):
        (copy / f"ledger.db{ending}").unlink(missing_ok=True)
    shutil.copy(audited.data / "ledger.db", copy / "ledger.db")
    said = counterfoil("restore", "declare", "--data", str(copy), "--log", "main", "--reason", "disk lost").stdout
    assert "Its successor is" in said
    assert "Review the keys now" in said
    assert "revoked since works again" in said


def test_ctrl_c_of_a_command_never_looks_like_a_finding(audited: Made, tmp_path: Path) -> None:
    pipe, out = tmp_path / "since", tmp_path / "bundle.zip"
    os.mkfifo(pipe)
    arguments = [PROGRAM, "export", "--data", audited.data, "--out", out, "--since", pipe]
    with (
        subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
        pipe.open("wb"),  # opens once the command reads, which it then does until it is interrupted
    ):
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert not out.exists()


def test_help_of_serve_names_every_setting() -> None:
    said = counterfoil("serve", "--help").stdout
    for name in Settings.model_fields:
        assert f"COUNTERFOIL_{name.upper()}" in said


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A directory with a conversation in it, signed and indexed; no service on it."""
    made = make_directory(tmp_path_factory.mktemp("audited") / "audit")
    with start_service(made) as service:
        send_conversation(service, made.keys["writer"].key, "conv-7")
    return made


def _filter_of(bundle: str) -> str:
    with zipfile.ZipFile(bundle) as archive:
        (statement,) = [name for name in archive.namelist() if name.endswith("population.json")]
        return str(json.loads(archive.read(statement))["filter"])


def _change(file: Path, statement: str) -> None:
    """What somebody with the disk can do: drop what guards a table, then change it."""
    with closing(sqlite3.connect(file)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute(statement)
        connection.commit()


def test_the_cadence_of_a_log_is_configured_and_shown(data: str) -> None:
    assert "every 60 s, by default" in counterfoil("log", "configure", "--data", data, "main").stdout
    done = counterfoil("log", "configure", "--data", data, "--heartbeat", "30", "main").stdout
    shown = json.loads(counterfoil("log", "configure", "--data", data, "--json", "main").stdout)
    assert (shown["log"], shown["heartbeat_s"]) == ("main", 30)
    assert f"every 30 s, by record {shown['seq']} of {shown['recorded_at']}" in done
    assert "takes no telemetry" in counterfoil("log", "configure", "--data", data, "access", expect=2).stderr
    wrong = counterfoil("log", "configure", "--data", data, "--heartbeat", "0", "main", expect=2)
    assert "0 is not in the range" in wrong.stderr


def test_completeness_claims_nothing_where_nobody_was_heard(data: str) -> None:
    assert "nothing is demonstrated" in counterfoil("completeness", "--data", data).stdout
    shown = json.loads(counterfoil("completeness", "--data", data, "--json", "--verdict", "gaps").stdout)
    assert (shown["items"], shown["summary"]["complete"]) == ([], False)
    wrong = counterfoil("completeness", "--data", data, "--from", "yesterday", expect=2).stderr
    assert "filter from" in wrong
