"""Attack 5: cut the tail, with more and more of the traces removed."""

import sqlite3
from hashlib import sha256

import pytest

from counterfoil.core.encoding import parse_time_us
from counterfoil.log.errors import LogRolledBack
from counterfoil.log.fsck.chain import parse_leaf
from tests.attacks.store import Store, names, with_attack

CUT = 700
"""Records that the attacker leaves. Checkpoints were published at 669 and 802."""


def cut_records(ledger: sqlite3.Connection, store: Store) -> None:
    ledger.execute("DELETE FROM records WHERE log_id = ? AND seq >= ?", (store.log.id, CUT))


def put_back_head_row(ledger: sqlite3.Connection, store: Store) -> None:
    last = store.leaf(CUT - 1)
    recorded_us = parse_time_us(parse_leaf(last)["recorded_at"])
    row = (CUT, sha256(b"\x00" + last).digest(), recorded_us, store.log.id)
    ledger.execute("UPDATE heads SET size = ?, leaf_hash = ?, recorded_us = ? WHERE log_id = ?", row)


def cut_everything_else(ledger: sqlite3.Connection, store: Store) -> None:
    for table in ("contents", "arrivals"):
        ledger.execute(f"DELETE FROM {table} WHERE log_id = ? AND seq >= ?", (store.log.id, CUT))
    ledger.execute("DELETE FROM tiles WHERE log_id = ? AND (n + 1) * 256 > ?", (store.log.id, CUT))
    ledger.execute("DELETE FROM checkpoints WHERE log_id = ? AND size > ?", (store.log.id, CUT))


def test_a_cut_that_forgets_the_head_row_is_named_by_it(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        cut_records(ledger, store)
    findings = store.fsck()
    assert {"head_row", "checkpoint_ahead", "tile_ahead", "content_ahead"} <= with_attack(findings, 5)
    assert "head_store_ahead" in with_attack(findings, 6)
    assert "arrival_misdirected" in names(findings)


def test_a_cut_that_also_moves_the_head_row_is_named_by_what_was_published(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        cut_records(ledger, store)
        put_back_head_row(ledger, store)
    findings = store.fsck()
    assert "head_row" not in names(findings)
    assert {"checkpoint_ahead", "content_ahead"} <= with_attack(findings, 5)


def test_a_cut_that_leaves_no_trace_in_the_ledger_is_named_by_the_head_kept_elsewhere(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        cut_records(ledger, store)
        put_back_head_row(ledger, store)
        cut_everything_else(ledger, store)
    findings = store.fsck()
    assert names(findings) == {"head_store_ahead"}
    assert "tail was cut" in findings[0].message


def test_a_cut_within_what_was_not_signed_yet_is_named_by_what_hangs_on_it(store: Store) -> None:
    store.send(30, first=5000)
    with store.attack_without_triggers() as ledger:
        ledger.execute("DELETE FROM records WHERE log_id = ? AND seq >= 820", (store.log.id,))
    findings = store.fsck()
    assert {"head_row", "content_ahead"} <= with_attack(findings, 5)
    assert "arrival_misdirected" in with_attack(findings, 13)


def test_after_a_cut_the_service_neither_signs_nor_appends(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        cut_records(ledger, store)
        put_back_head_row(ledger, store)
        cut_everything_else(ledger, store)
    store = store.reopen()
    with pytest.raises(LogRolledBack, match="restore declare") as signing:
        store.checkpoint()
    with pytest.raises(LogRolledBack, match="restore declare") as appending:
        store.send(1, first=9000)
    assert signing.value.code == appending.value.code == "log_rolled_back"
    assert store.size() == CUT
    store.close()
