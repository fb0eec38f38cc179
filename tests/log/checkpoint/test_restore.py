"""Declaring a restore: the rolled-back log is closed as it is, and a successor says where it comes from."""

import json
from pathlib import Path

import pytest

from counterfoil.core.checkpoint import open_checkpoint
from counterfoil.core.encoding import decode_base64
from counterfoil.core.errors import InputError
from counterfoil.core.merkle import leaf_hash, root_of
from counterfoil.core.note import parse_vkey
from counterfoil.core.state import ContentState
from counterfoil.identity.roles import Role
from counterfoil.log.accounts import Accounts
from counterfoil.log.batch import Batch, LogInfo
from counterfoil.log.checkpoints import latest
from counterfoil.log.contents import Contents
from counterfoil.log.fsck import Report, format_report
from counterfoil.log.heads import SignedHeadContradicted
from counterfoil.log.receipts import prove_record
from counterfoil.log.restore import declare_restore, find_rolled_back
from tests.attacks.store import ACCESS_ORIGIN, ORIGIN, Store, names, span

REASON = "disk lost on Friday, the backup of 02:00 was put back"


def rolled_back(store: Store, directory: Path) -> Store:
    """The store put back to 802 records after 882 were signed."""
    store.copy_files(directory / "backup")
    store.send(60, first=5000)
    store.checkpoint()
    return store.put_back(directory / "backup", heads_too=False)


def declared(store: Store) -> LogInfo:
    return declare_restore(store.logs, store.heads, store.log, REASON).successor


def leaves(store: Store, log: LogInfo) -> list[dict[str, object]]:
    with store.attack() as ledger:
        query = "SELECT leaf FROM records WHERE log_id = ? ORDER BY seq"
        return [json.loads(row[0]) for row in ledger.execute(query, (log.id,))]


def test_the_successor_begins_with_where_it_comes_from_and_why(store: Store, tmp_path: Path) -> None:
    store = rolled_back(store, tmp_path)
    with store.attack() as ledger:
        query = "SELECT leaf FROM records WHERE log_id = ? ORDER BY seq"
        old_root = root_of([leaf_hash(row[0]) for row in ledger.execute(query, (store.log.id,))])
    declaration = declare_restore(store.logs, store.heads, store.log, REASON)
    new = declaration.successor
    assert (declaration.closed, declaration.from_size, declaration.to_size) == ("agents@1", 882, 802)
    assert (new.name, new.origin) == ("agents", f"{ORIGIN}/2")
    genesis, key, restore = leaves(store, new)
    assert genesis["genesis"]["predecessor"]["origin"] == ORIGIN
    assert genesis["genesis"]["predecessor"]["size"] == 802
    assert decode_base64(genesis["genesis"]["predecessor"]["root"]) == old_root
    assert key["kind"] == "key"
    assert restore["restore"] == {"from_size": 882, "incarnation": 2, "to_size": 802}
    opened = Contents(store.ledger, store.keystore).open(new, [(2, restore)])[2]["reason"]
    assert (opened.state, opened.value) == (ContentState.DISCLOSED, REASON)
    store.close()


def test_appending_signing_and_checking_work_again_and_the_old_head_stays_as_evidence(
    store: Store, tmp_path: Path
) -> None:
    store = rolled_back(store, tmp_path)
    kept = store.heads.read(ORIGIN)
    new = declared(store)
    store.logs.append(new.id, Batch("kagents", [span(7001)])).result(30)
    checkpointer = store.checkpointer()
    assert checkpointer.run_all() == {}
    assert store.heads.size_of(new.origin) == 4
    assert store.heads.read(ORIGIN) == kept
    report = Report()
    assert store.fsck(report=report) == []
    assert f"rolled back by a declared restore; continued as {new.origin}" in format_report(report, [])
    store.close()


def test_the_successor_has_a_key_and_checkpoints_of_its_own(store: Store, tmp_path: Path) -> None:
    store = rolled_back(store, tmp_path)
    old_vkey = store.log.vkey
    new = declared(store)
    assert new.vkey != old_vkey
    store.checkpointer().run_all()
    with store.ledger.read() as conn:
        newest = latest(conn, new.id)
        assert newest is not None
        assert open_checkpoint(newest[1], new.origin, [parse_vkey(new.vkey)])[0].size == 3
        assert prove_record(conn, new.id, 2) is not None
    store.close()


def test_the_closed_log_stays_readable_and_takes_nothing_more(store: Store, tmp_path: Path) -> None:
    store = rolled_back(store, tmp_path)
    old_id = store.log.id
    declared(store)
    old = store.logs.by_name(store.log.tenant_id, "agents@1")
    assert old is not None
    assert (old.id, old.origin) == (old_id, ORIGIN)
    with pytest.raises(InputError, match="closed"):
        store.logs.append(old.id, Batch("kagents", [span(1)]))
    with store.ledger.read() as conn:
        assert prove_record(conn, old.id, 700) is not None
    assert store.checkpointer().run_once(old.id) is None
    store.close()


def test_an_agents_key_writes_to_the_successor_without_a_change_at_the_agent(store: Store, tmp_path: Path) -> None:
    made = Accounts(store.logs).create_credential("acme", Role.WRITER, log_name="agents")
    store.checkpoint()
    store = rolled_back(store, tmp_path)
    new = declared(store)
    with store.attack() as ledger:
        query = "SELECT log_id FROM credentials WHERE id = ?"
        assert ledger.execute(query, (made.id,)).fetchone() == (new.id,)
    store.close()


def test_a_log_rolled_back_twice_has_a_third_incarnation(store: Store, tmp_path: Path) -> None:
    store = rolled_back(store, tmp_path)
    second = declared(store)
    store.checkpointer().run_all()
    store.copy_files(tmp_path / "again")
    store.logs.append(second.id, Batch("kagents", [span(7001), span(7002)])).result(30)
    store.checkpointer().run_all()
    store = store.put_back(tmp_path / "again", heads_too=False)
    log = store.logs.by_name(second.tenant_id, "agents")
    assert log is not None
    assert [one.origin for one in find_rolled_back(store.logs, store.heads)] == [second.origin]
    third = declare_restore(store.logs, store.heads, log, REASON)
    assert (third.closed, third.successor.origin) == ("agents@2", f"{ORIGIN}/3")
    assert store.checkpointer().run_all() == {}
    assert store.fsck() == []
    store.close()


def test_the_access_log_can_be_declared_too_and_goes_on_in_its_successor(store: Store, tmp_path: Path) -> None:
    store.copy_files(tmp_path / "backup")
    Accounts(store.logs).create_credential("acme", Role.AUDITOR)
    store.checkpoint()
    store = store.put_back(tmp_path / "backup", heads_too=False)
    (access,) = find_rolled_back(store.logs, store.heads)
    assert access.origin == ACCESS_ORIGIN
    new = declare_restore(store.logs, store.heads, access, REASON).successor
    assert (new.purpose, new.origin) == ("access", f"{ACCESS_ORIGIN}/2")
    assert store.logs.access_log(new.tenant_id).id == new.id
    made = Accounts(store.logs).create_credential("acme", Role.AUDITOR)
    assert leaves(store, new)[-1]["key"]["credential"] == made.id
    store.checkpointer().run_all()
    assert store.fsck() == []
    store.close()


def test_a_head_store_that_was_lost_is_declared_the_same_way(store: Store) -> None:
    for head in store.directory.heads.iterdir():
        head.unlink()
    for log in store.logs.all():
        declare_restore(store.logs, store.heads, log, "the volume of the head store was lost")
    assert store.checkpointer().run_all() == {}
    assert store.heads.size_of(f"{ORIGIN}/2") == 3
    store.close()


def test_a_log_that_is_not_behind_cannot_be_declared(store: Store) -> None:
    store.send(5, first=5000)
    with pytest.raises(InputError, match="nothing to declare") as caught:
        declared(store)
    assert caught.value.code == "not_rolled_back"
    assert len(store.logs.all()) == 2
    assert store.fsck() == []


def test_a_declaration_is_made_once_and_needs_a_reason(store: Store, tmp_path: Path) -> None:
    store = rolled_back(store, tmp_path)
    log = store.log
    with pytest.raises(InputError, match="reason"):
        declare_restore(store.logs, store.heads, log, "  ")
    declare_restore(store.logs, store.heads, log, REASON)
    with pytest.raises(InputError, match="closed"):
        declare_restore(store.logs, store.heads, store.log, REASON)
    with pytest.raises(InputError, match="closed at the same time"):
        declare_restore(store.logs, store.heads, log, REASON)
    store.close()


def test_a_ledger_that_is_damaged_besides_is_refused(store: Store, tmp_path: Path) -> None:
    store = rolled_back(store, tmp_path)
    with store.attack_without_triggers() as ledger:
        ledger.execute("UPDATE records SET leaf = x'7b7d' WHERE log_id = ? AND seq = 790", (store.log.id,))
    with pytest.raises(SignedHeadContradicted):
        declared(store)
    assert len(store.logs.all()) == 2
    store.close()


def test_fsck_compares_what_a_declaration_says_with_the_log_that_was_left(store: Store, tmp_path: Path) -> None:
    """Attack 6 once more: cut a declared log further, and hope that the declaration covers it."""
    store = rolled_back(store, tmp_path)
    old_id = store.log.id
    declared(store)
    store.checkpointer().run_all()
    with store.attack_without_triggers() as ledger:
        ledger.execute("DELETE FROM records WHERE log_id = ? AND seq >= 780", (old_id,))
    assert "head_store_ahead" in names(store.fsck())
    store.close()
