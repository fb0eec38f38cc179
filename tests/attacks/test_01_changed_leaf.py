"""Attack 1: change a byte of a leaf, or a whole leaf with its hash."""

import json
from hashlib import sha256

import pytest

from counterfoil.core.encoding import print_canonical
from counterfoil.core.merkle import root_of
from counterfoil.log.heads import SignedHeadContradicted
from counterfoil.log.tree import split_hashes
from counterfoil.store.database import PAGE_SIZE
from tests.attacks.store import Store, names, open_store, with_attack


def replace_leaf(store: Store, seq: int, leaf: bytes) -> None:
    with store.attack_without_triggers() as ledger:
        ledger.execute("UPDATE records SET leaf = ? WHERE log_id = ? AND seq = ?", (leaf, store.log.id, seq))


@pytest.mark.parametrize("seq", [2, 255, 256, 511, 700])
def test_one_changed_byte_is_caught_by_chain_and_tree_and_the_record_is_named(store: Store, seq: int) -> None:
    leaf = bytearray(store.leaf(seq))
    place = leaf.index(b'"kind":"') + 8
    leaf[place] ^= 0x01
    replace_leaf(store, seq, bytes(leaf))
    findings = store.fsck()
    assert {"leaf_invalid", "chain_broken", "checkpoint_root"} <= names(findings)
    assert {finding.seq for finding in findings if finding.check == "chain_broken"} == {seq}
    if seq < 512:
        assert [finding.seq for finding in findings if finding.check == "tile_mismatch"] == [seq]
    assert with_attack(findings, 1)


def test_a_lawful_change_of_an_outcome_is_caught_although_the_leaf_is_still_canonical(store: Store) -> None:
    leaf = json.loads(store.leaf(300))
    leaf["decision" if "decision" in leaf else "fallback"]["policy_digest" if "fallback" in leaf else "outcome"] = (
        "A" * 43 if "fallback" in leaf else "changed"
    )
    replace_leaf(store, 300, print_canonical(leaf))
    findings = store.fsck()
    assert {"chain_broken", "tile_mismatch", "checkpoint_root"} <= with_attack(findings, 1) | with_attack(findings, 7)
    assert [finding.seq for finding in findings if finding.check == "tile_mismatch"] == [300]


def test_every_position_of_a_leaf_is_covered(store: Store) -> None:
    good = store.leaf(600)
    for place in range(0, len(good), 61):
        changed = bytearray(good)
        changed[place] ^= 0x04
        replace_leaf(store, 600, bytes(changed))
        findings = store.fsck(with_keystore=False)
        assert 600 in {finding.seq for finding in findings if finding.attack == 1}, place
    replace_leaf(store, 600, good)
    assert store.fsck() == []


def test_a_leaf_changed_together_with_its_hash_in_the_tile_is_caught_by_the_chain(store: Store) -> None:
    leaf = json.loads(store.leaf(100))
    leaf["agent"] = {"id": "other"}
    data = print_canonical(leaf)
    replace_leaf(store, 100, data)
    with store.attack_without_triggers() as ledger:
        query = "SELECT hashes FROM tiles WHERE log_id = ? AND level = 0 AND n = 0"
        hashes = split_hashes(ledger.execute(query, (store.log.id,)).fetchone()[0])
        hashes[100] = sha256(b"\x00" + data).digest()
        change = "UPDATE tiles SET hashes = ?, root = ? WHERE log_id = ? AND level = 0 AND n = 0"
        ledger.execute(change, (b"".join(hashes), root_of(hashes), store.log.id))
    findings = store.fsck()
    assert "tile_mismatch" not in names(findings)
    assert {finding.seq for finding in findings if finding.check == "chain_broken"} == {100}
    assert "checkpoint_root" in with_attack(findings, 7)


def test_the_last_record_changed_with_its_head_row_is_caught_by_the_signed_root(store: Store) -> None:
    last = store.size() - 1
    leaf = json.loads(store.leaf(last))
    leaf["agent"] = {"id": "other"}
    data = print_canonical(leaf)
    replace_leaf(store, last, data)
    findings = store.fsck()
    assert [finding.seq for finding in findings if finding.check == "head_row"] == [last]
    with store.attack() as ledger:
        change = "UPDATE heads SET leaf_hash = ? WHERE log_id = ?"
        ledger.execute(change, (sha256(b"\x00" + data).digest(), store.log.id))
    findings = store.fsck()
    assert names(findings) == {"checkpoint_root", "head_store_root"}


def test_a_changed_tile_is_caught_and_the_place_is_named(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        query = "SELECT hashes FROM tiles WHERE log_id = ? AND level = 0 AND n = 1"
        data = bytearray(ledger.execute(query, (store.log.id,)).fetchone()[0])
        data[32 * 44] ^= 1
        ledger.execute("UPDATE tiles SET hashes = ? WHERE log_id = ? AND n = 1", (bytes(data), store.log.id))
        ledger.execute("UPDATE tiles SET root = zeroblob(32) WHERE log_id = ? AND n = 2", (store.log.id,))
        ledger.execute("DELETE FROM tiles WHERE log_id = ? AND n = 0", (store.log.id,))
    findings = store.fsck()
    assert {"tile_mismatch", "tile_root_mismatch", "tile_missing"} == with_attack(findings, 1) == names(findings)
    assert [finding.seq for finding in findings if finding.check == "tile_mismatch"] == [256 + 44]


def test_nothing_more_is_signed_over_a_changed_record_at_the_right_edge(store: Store) -> None:
    before = store.heads.read(store.log.origin)
    leaf = json.loads(store.leaf(780))
    leaf["agent"] = {"id": "other"}
    replace_leaf(store, 780, print_canonical(leaf))
    store.send(3, first=5000)
    with pytest.raises(SignedHeadContradicted, match="fsck") as caught:
        store.checkpoint()
    assert caught.value.code == "signed_head_contradicted"
    assert store.heads.read(store.log.origin) == before


def test_text_in_the_place_of_bytes_is_read_as_the_bytes_that_it_is(store: Store) -> None:
    """SQLite keeps any type in any column. What reads the same is the same; what does not is named."""
    with store.attack_without_triggers() as ledger:
        change = "UPDATE records SET leaf = CAST(leaf AS TEXT) WHERE log_id = ? AND seq = 300"
        ledger.execute(change, (store.log.id,))
    assert store.fsck() == []
    with store.attack_without_triggers() as ledger:
        ledger.execute("UPDATE records SET leaf = 'text' WHERE log_id = ? AND seq = 400", (store.log.id,))
        ledger.execute("UPDATE tiles SET root = 'text' WHERE log_id = ? AND n = 2", (store.log.id,))
        ledger.execute("UPDATE checkpoints SET note = 'text' WHERE log_id = ? AND size = 136", (store.log.id,))
        ledger.execute("UPDATE contents SET sealed = 'text' WHERE log_id = ? AND seq = 500", (store.log.id,))
    findings = store.fsck()
    assert {finding.seq for finding in findings if finding.check == "leaf_invalid"} == {400}
    assert {"tile_root_mismatch", "checkpoint_malformed", "content_mismatch"} <= names(findings)


def test_a_page_of_the_database_that_is_no_page_any_more_is_named_and_the_rest_is_still_checked(store: Store) -> None:
    leaf = store.leaf(400)
    with store.attack() as ledger:
        ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    file = store.directory.ledger_file
    data = bytearray(file.read_bytes())
    page = data.index(leaf) // PAGE_SIZE * PAGE_SIZE
    data[page : page + 200] = b"\xff" * 200
    file.write_bytes(bytes(data))
    with open_store(store.directory.path, store.clock).attack() as ledger:
        ledger.execute("DROP TRIGGER tiles_refuse_delete")
    findings = open_store(store.directory.path, store.clock).fsck()
    assert {finding.attack for finding in findings if finding.check == "store_unreadable"} == {1}
    assert "trigger_missing" in names(findings)


def test_a_value_of_another_type_where_a_number_belongs_is_named(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        ledger.execute("UPDATE arrivals SET seq = 'five' WHERE log_id = ? AND seq = 5", (store.log.id,))
    findings = store.fsck()
    assert {"row_type", "arrivals_missing"} & with_attack(findings, 1)
