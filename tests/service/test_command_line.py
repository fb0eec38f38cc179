"""The command line as a user meets it, on a real directory; once as a program of its own, then in this process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from counterfoil.cli.group import COMMANDS as LISTED
from counterfoil.cli.group import cli
from tests.service.running import PROGRAM

# fmt: off
COMMANDS = (
    "init", "serve", "upgrade", "key create", "key list", "key revoke", "tenant create", "tenant list", "log create",
    "log list", "fsck", "reindex", "restore declare", "export", "policy show", "trail", "demo", "openapi",
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
