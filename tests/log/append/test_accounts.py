"""Tenants, logs and credentials: each change and its record are one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from counterfoil.core.errors import Fault, InputError
from counterfoil.core.note import parse_vkey
from counterfoil.identity.credentials import authenticate
from counterfoil.identity.principal import Principal
from counterfoil.identity.roles import Role
from counterfoil.log.access import record_access
from counterfoil.log.accounts import Accounts
from counterfoil.log.contents import Contents, parse_leaves
from counterfoil.log.initialise import init_directory, open_logs
from counterfoil.log.records import head, read_leaves
from counterfoil.log.signing import key_path, load_signer
from counterfoil.store.directory import Directory
from counterfoil.store.errors import StorageError
from tests.log.append.making import NOON_US, FixedClock, Made, check_every_log, leaves, open_with
from tests.log.append.test_steps import FailingDatabase, broken_at

ADMIN = "kadministratorsx"


def words(made: Made, log_id: int, seq: int) -> dict[str, object]:
    log = made.logs.by_id(log_id)
    with made.logs.ledger.read() as connection:
        rows = parse_leaves(read_leaves(connection, log_id, seq, seq + 1))
    return {
        name: field.value for name, field in Contents(made.logs.ledger, made.logs.keystore).open(log, rows)[seq].items()
    }


def test_init_makes_a_tenant_with_a_log_and_an_access_log_that_begin_with_genesis_and_key(made: Made) -> None:
    assert [log.name for log in made.logs.all()] == ["access", "main"]
    for log in made.logs.all():
        genesis, key = leaves(made.path, log.id)[:2]
        assert genesis["genesis"] == {
            "tenant": "default",
            "purpose": log.purpose,
            "region": "eu-west-1",
            "vkeys": [log.vkey],
        }
        assert key["key"] == {"event": "create", "algorithm": "ed25519", "vkey": log.vkey}
        assert load_signer(made.first.directory.keys, log.origin).vkey == log.vkey
        assert parse_vkey(log.vkey).name == log.origin
    assert made.first.log.origin == "audit.example.com/default/main"
    assert load_signer(made.first.directory.keys, "audit.example.com/bundles").vkey == made.first.bundle_vkey


def test_init_hands_out_one_administrators_key_and_keeps_no_secret(made: Made) -> None:
    principal = authenticate(made.logs.ledger, made.first.administrator_key, NOON_US)
    assert principal is not None
    assert (principal.role, principal.tenant) == (Role.ADMINISTRATOR, "default")
    secret = made.first.administrator_key.rpartition("_")[2].encode()
    assert all(secret not in path.read_bytes() for path in made.path.rglob("*") if path.is_file())
    for path in made.path.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0 or path.suffix in (".db-wal", ".db-shm"), path


def test_init_refuses_what_is_there_already_and_names_that_are_none(made: Made, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists already"):
        init_directory(made.path, "audit.example.com")
    for origin in ("https://audit.example.com", "a b", "a" * 121, "a//b", "/a", "a/"):
        with pytest.raises(InputError) as caught:
            init_directory(tmp_path / "other", origin)
        assert caught.value.code == "bad_origin"
    for options in ({"tenant": "Acme"}, {"log": "a" * 64}, {"region": "eu west"}, {"fulltext_fields": ["No Field"]}):
        with pytest.raises(InputError):
            init_directory(tmp_path / "other", "audit.example.com", **options)
    assert not (tmp_path / "other").exists()


def test_init_makes_up_an_origin_that_nobody_else_has(tmp_path: Path) -> None:
    origins = {init_directory(tmp_path / name, clock=FixedClock()).origin for name in ("a", "b")}
    assert len(origins) == 2
    assert all(origin.startswith("counterfoil.local/") for origin in origins)


def test_a_directory_without_its_parts_does_not_open(made: Made, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        open_logs(Directory.at(tmp_path / "nothing"))
    assert caught.value.code == "not_initialised"
    made.logs.close()
    master = made.path / "keys" / "master.key"
    kept = master.read_bytes()
    master.unlink()
    with pytest.raises(Fault, match="missing"):
        open_logs(made.first.directory)
    master.write_bytes(kept)
    master.chmod(0o600)
    made.reopen()


def test_a_tenant_has_its_own_logs_and_names(made: Made) -> None:
    accounts = Accounts(made.logs)
    accounts.create_tenant("other")
    info = accounts.create_log("other", "main", fulltext_fields=("rationale",))
    assert accounts.tenant_names() == ["default", "other"]
    assert made.logs.by_name(info.tenant_id, "main") == info
    assert made.logs.by_origin("audit.example.com/other/main") == info
    assert info.fulltext_fields == ("rationale",)
    assert {log.tenant for log in made.logs.all(info.tenant_id)} == {"other"}
    for again in (lambda: accounts.create_tenant("other"), lambda: accounts.create_log("other", "main")):
        with pytest.raises(InputError) as caught:
            again()
        assert caught.value.code == "conflict"
    with pytest.raises(InputError) as caught:
        accounts.create_log("nobody", "main")
    assert caught.value.code == "not_found"
    with pytest.raises(InputError):
        accounts.create_log("other", "access")


def test_a_new_log_is_told_in_the_access_log(made: Made) -> None:
    info = Accounts(made.logs).create_log("default", "eu", region="eu-central-1", by=ADMIN)
    last = leaves(made.path, made.first.access.id)[-1]
    assert last["configuration"] == {"setting": "log", "object": "default/eu"}
    assert (last["source"], last["writer"]) == ("api", ADMIN)
    value = words(made, made.first.access.id, last["seq"])["value"]
    assert value == {"name": "eu", "origin": info.origin, "fulltext_fields": [], "vkey": info.vkey}


def test_a_credential_and_its_end_are_records_of_the_access_log(made: Made) -> None:
    accounts = Accounts(made.logs)
    made_key = accounts.create_credential("default", Role.WRITER, log_name="main", name="refunds", by=ADMIN)
    principal = authenticate(made.logs.ledger, made_key.key, NOON_US)
    assert principal == Principal(1, "default", made_key.id, Role.WRITER, made.log.id, "refunds")
    accounts.revoke_credential("default", made_key.id, reason="lost", by=ADMIN)
    assert authenticate(made.logs.ledger, made_key.key, NOON_US) is None
    accounts.revoke_credential("default", made_key.id)  # again: nothing happens, and nothing is recorded
    create, revoke = leaves(made.path, made.first.access.id)[-2:]
    assert create["key"] == {"event": "create", "credential": made_key.id}
    assert revoke["key"] == {"event": "revoke", "credential": made_key.id}
    assert words(made, made.first.access.id, create["seq"])["value"] == {
        "name": "refunds",
        "role": "writer",
        "log": "main",
    }
    assert words(made, made.first.access.id, revoke["seq"]) == {"reason": "lost"}
    listed = next(row for row in accounts.credentials("default") if row.id == made_key.id)
    assert (listed.id, listed.log, listed.revoked_us) == (made_key.id, "main", NOON_US)


def test_a_credential_needs_a_real_tenant_log_name_and_future(made: Made) -> None:
    accounts = Accounts(made.logs)
    attempts: list[tuple[str, Callable[[], object]]] = [
        ("not_found", lambda: accounts.create_credential("nobody", Role.WRITER)),
        ("not_found", lambda: accounts.create_credential("default", Role.WRITER, log_name="nothing")),
        ("bad_name", lambda: accounts.create_credential("default", Role.WRITER, name="a\nb")),
        ("bad_name", lambda: accounts.create_credential("default", Role.WRITER, name="x" * 201)),
        ("bad_expiry", lambda: accounts.create_credential("default", Role.WRITER, expires_us=NOON_US)),
        ("not_found", lambda: accounts.revoke_credential("default", "unknown")),
    ]
    for code, attempt in attempts:
        with pytest.raises(InputError) as caught:
            attempt()
        assert caught.value.code == code


def test_no_key_that_may_append_is_made_for_an_access_log(made: Made) -> None:
    accounts = Accounts(made.logs)
    size, before = len(leaves(made.path, made.first.access.id)), accounts.credentials("default")
    with pytest.raises(InputError) as caught:
        accounts.create_credential("default", Role.WRITER, log_name="access")
    assert (caught.value.code, caught.value.item) == ("bad_log", "log")
    assert accounts.credentials("default") == before
    assert len(leaves(made.path, made.first.access.id)) == size
    assert accounts.create_credential("default", Role.AUDITOR, log_name="access").key


def test_one_credential_is_found_by_its_id_within_its_tenant(made: Made) -> None:
    accounts = Accounts(made.logs)
    accounts.create_tenant("other")
    mine = accounts.create_credential("default", Role.WRITER, log_name="main", name="refunds")
    found = accounts.credential("default", mine.id)
    assert found is not None
    assert (found.id, found.role, found.log, found.name) == (mine.id, "writer", "main", "refunds")
    assert accounts.credential("other", mine.id) is None
    assert accounts.credential("default", "unknown") is None


def test_a_credential_of_another_tenant_cannot_be_revoked(made: Made) -> None:
    accounts = Accounts(made.logs)
    accounts.create_tenant("other")
    theirs = accounts.create_credential("other", Role.WRITER)
    with pytest.raises(InputError) as caught:
        accounts.revoke_credential("default", theirs.id)
    assert caught.value.code == "not_found"
    assert authenticate(made.logs.ledger, theirs.key, NOON_US) is not None


def test_credentials_are_listed_in_pages(made: Made) -> None:
    accounts = Accounts(made.logs)
    for number in range(5):
        made.clock.at_us += number % 2
        accounts.create_credential("default", Role.WRITER, name=f"key {number}")
    seen: list[str] = []
    after = None
    while page := accounts.credentials("default", after=after, limit=2):
        seen += [row.id for row in page]
        after = (page[-1].created_us, page[-1].id)
    assert len(seen) == len(set(seen)) == 6


@pytest.mark.parametrize("step", ["head_read", "records_inserted", "contents_inserted", "arrivals_inserted"])
def test_a_change_that_fails_half_way_leaves_neither_change_nor_record(made: Made, step: str) -> None:
    logs = open_with(made, reached=broken_at(step))
    accounts = Accounts(logs)
    with pytest.raises(Fault, match="stopped"):
        accounts.create_credential("default", Role.WRITER, name="half")
    with pytest.raises(Fault, match="stopped"):
        accounts.create_log("default", "half")
    logs.close()
    check_every_log(made.path)
    again = Accounts(made.logs)
    assert [row.name for row in again.credentials("default")] == ["first administrator"]
    assert made.logs.by_name(1, "half") is None
    assert key_path(made.first.directory.keys, "audit.example.com/default/half").exists()
    assert again.create_log("default", "half").name == "half"  # takes up the key that was left behind


@pytest.mark.parametrize(("when", "persisted"), [("before", False), ("after", True)])
def test_a_change_whose_commit_fails_is_there_with_its_record_or_not_at_all(
    made: Made, when: str, persisted: bool
) -> None:
    failing: list[FailingDatabase] = []

    def opened(url: str) -> FailingDatabase:
        failing.append(FailingDatabase(url, when))
        return failing[0]

    logs = open_with(made, ledger=opened)
    failing[0].armed = True
    with pytest.raises(StorageError):
        Accounts(logs).create_credential("default", Role.WRITER, name="half")
    logs.close()
    check_every_log(made.path)
    names = [row.name for row in Accounts(made.logs).credentials("default")]
    records = [leaf for leaf in leaves(made.path, made.first.access.id) if "credential" in leaf.get("key", {})]
    assert ("half" in names) == persisted
    assert len(records) == len(names)


def test_reading_is_recorded_before_it_is_answered(made: Made) -> None:
    principal = Principal(1, "default", ADMIN, Role.REVIEWER, None, "reviewer")
    seq = record_access(
        made.logs, principal, "search", "main", 17, "complaint", {"q": "Mr. Smith", "from": "2026-11-01T00:00:00Z"}
    )
    found = leaves(made.path, made.first.access.id)[seq]
    assert found["access"] == {"action": "search", "object": "main", "count": 17, "purpose": "complaint"}
    assert (found["writer"], found["source"]) == (ADMIN, "api")
    assert words(made, made.first.access.id, seq) == {"query": {"q": "Mr. Smith", "from": "2026-11-01T00:00:00Z"}}
    with made.logs.ledger.read() as connection:
        assert head(connection, made.first.access.id).size == seq + 1


def test_words_in_a_purpose_or_an_object_are_content(made: Made) -> None:
    principal = Principal(1, "default", ADMIN, Role.REVIEWER, None, "reviewer")
    seq = record_access(made.logs, principal, "read_content", {"seq": 5}, purpose="complaint of Mr. Smith")
    assert leaves(made.path, made.first.access.id)[seq]["access"] == {"action": "read_content", "object": {"seq": 5}}
    assert words(made, made.first.access.id, seq) == {"reason": "complaint of Mr. Smith"}
    seq = record_access(made.logs, principal, "search", "conversation of Mr. Smith", 0)
    assert leaves(made.path, made.first.access.id)[seq]["access"] == {"action": "search", "count": 0}
    assert words(made, made.first.access.id, seq) == {"object": "conversation of Mr. Smith"}


def test_nothing_can_be_shown_when_it_cannot_be_recorded(made: Made) -> None:
    principal = Principal(1, "default", ADMIN, Role.REVIEWER, None, "reviewer")
    logs = open_with(made, reached=broken_at("head_moved"))
    with pytest.raises(Fault):
        record_access(logs, principal, "search")
    logs.close()
    with pytest.raises(Fault, match="no access log"):
        record_access(made.logs, Principal(7, "nobody", ADMIN, Role.REVIEWER, None, ""), "search")


def test_a_directory_whose_init_did_not_finish_says_so(made: Made) -> None:
    with sqlite3.connect(made.path / "ledger.db") as connection:
        connection.execute("DELETE FROM deployment")
    connection.close()
    with pytest.raises(InputError, match="did not finish"):
        Accounts(made.logs).create_log("default", "more")
