"""Attack 2: change, swap or drop sealed content."""

import sqlite3

import pytest

from counterfoil.core.state import ContentState
from counterfoil.log.contents import Contents
from counterfoil.log.fsck.chain import parse_leaf
from tests.attacks.store import Store, names, with_attack

SEALED = "SELECT key_id, sealed FROM contents WHERE log_id = ? AND seq = ?"


def row(ledger: sqlite3.Connection, store: Store, seq: int) -> tuple[bytes, bytes]:
    key_id, sealed = ledger.execute(SEALED, (store.log.id, seq)).fetchone()
    return key_id, sealed


def states(store: Store, seq: int) -> set[ContentState]:
    """What a reader is told about the fields of a record."""
    opened = Contents(store.ledger, store.keystore).open(store.log, [(seq, parse_leaf(store.leaf(seq)))])
    return {content.state for content in opened[seq].values()}


@pytest.mark.parametrize("place", [0, 12, 40, -1])
def test_a_changed_byte_of_sealed_content_is_a_mismatch(store: Store, place: int) -> None:
    with store.attack_without_triggers() as ledger:
        changed = bytearray(row(ledger, store, 333)[1])
        changed[place] ^= 0x10
        change = "UPDATE contents SET sealed = ? WHERE log_id = ? AND seq = 333"
        ledger.execute(change, (bytes(changed), store.log.id))
    findings = store.fsck()
    assert [(finding.check, finding.seq, finding.attack) for finding in findings] == [("content_mismatch", 333, 2)]
    assert states(store, 333) == {ContentState.MISMATCH}


def test_swapped_contents_are_mismatches_even_under_one_key(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        one, other = row(ledger, store, 3), row(ledger, store, 4)
        assert one[0] == other[0], "both belong to one interaction, so to one key"
        change = "UPDATE contents SET sealed = ? WHERE log_id = ? AND seq = ?"
        ledger.execute(change, (other[1], store.log.id, 3))
        ledger.execute(change, (one[1], store.log.id, 4))
    findings = store.fsck()
    assert {(finding.check, finding.seq) for finding in findings} == {("content_mismatch", 3), ("content_mismatch", 4)}
    assert with_attack(findings, 2) == {"content_mismatch"}


def test_dropped_content_is_missing(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        ledger.execute("DELETE FROM contents WHERE log_id = ? AND seq BETWEEN 500 AND 502", (store.log.id,))
    findings = store.fsck()
    assert {finding.seq for finding in findings if finding.check == "content_missing"} == {500, 501, 502}
    assert with_attack(findings, 2) == names(findings) == {"content_missing"}
    assert states(store, 500) == {ContentState.MISSING}


def test_content_that_no_leaf_asks_for_is_named(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        key_id, sealed = row(ledger, store, 10)
        insert = "INSERT INTO contents (log_id, seq, key_id, sealed) VALUES (?, ?, ?, ?)"
        ledger.execute(insert, (store.log.id, 1, key_id, sealed))
        ledger.execute(insert, (store.log.id, 9999, key_id, sealed))
    findings = store.fsck()
    assert {(finding.check, finding.seq) for finding in findings} == {("content_unasked", 1), ("content_ahead", 9999)}


def test_a_key_that_vanished_without_an_erasure_is_named(store: Store) -> None:
    with store.attack() as ledger:
        key_id = row(ledger, store, 20)[0]
    with store.attack("keystore") as keystore:
        keystore.execute("DELETE FROM data_keys WHERE key_id = ?", (key_id,))
    findings = store.fsck()
    assert names(findings) == {"content_key_missing"}
    assert 20 in {finding.seq for finding in findings}
    assert with_attack(findings, 2) == {"content_key_missing"}


def test_a_damaged_key_is_named_and_hides_no_other_content(store: Store) -> None:
    with store.attack() as ledger:
        key_id = row(ledger, store, 20)[0]
    with store.attack("keystore") as keystore:
        keystore.execute("UPDATE data_keys SET wrapped = zeroblob(60) WHERE key_id = ?", (key_id,))
    findings = store.fsck()
    assert names(findings) == {"key_damaged", "content_key_missing"}
    assert len({finding.seq for finding in findings if finding.check == "content_key_missing"}) < 12


def test_a_removal_that_no_erasure_record_covers_excuses_nothing(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        columns = "(log_id, first_seq, last_seq, by_seq, kind, fields)"
        insert = f"INSERT INTO removals {columns} VALUES (?, ?, ?, ?, 'erasure', NULL)"
        ledger.execute(insert, (store.log.id, 100, 110, 400))
        ledger.execute(insert, (store.log.id, 120, 120, 5000))
        ledger.execute("DELETE FROM contents WHERE log_id = ? AND seq = 105", (store.log.id,))
    findings = store.fsck()
    assert {(finding.check, finding.seq) for finding in findings if finding.attack == 2} >= {
        ("removal_unfounded", 400),
        ("removal_unfounded", 5000),
    }
    assert states(store, 105) == {ContentState.MISSING}
