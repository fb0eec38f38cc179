"""Attack 4: delete from the middle, swap, insert back-dated."""

import json

from counterfoil.core.encoding import print_canonical
from tests.attacks.store import Store, names, with_attack


def test_a_record_deleted_from_the_middle_is_missing_by_number(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        ledger.execute("DELETE FROM records WHERE log_id = ? AND seq = 417", (store.log.id,))
    findings = store.fsck()
    assert [(finding.check, finding.seq) for finding in findings if finding.check == "records_missing"] == [
        ("records_missing", 417)
    ]
    assert "records_missing" in with_attack(findings, 4)
    assert {"chain_broken", "tile_mismatch", "checkpoint_root"} <= names(findings)


def test_a_record_deleted_and_the_rest_moved_up_does_not_fit_its_numbers(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        ledger.execute("DELETE FROM records WHERE log_id = ? AND seq = 417", (store.log.id,))
        # In two steps, because the primary key would be in the way.
        ledger.execute("UPDATE records SET seq = -seq WHERE log_id = ? AND seq > 417", (store.log.id,))
        ledger.execute("UPDATE records SET seq = -seq - 1 WHERE log_id = ? AND seq < 0", (store.log.id,))
    findings = store.fsck()
    assert {finding.seq for finding in findings if finding.check == "leaf_moved"} >= {417, 418}
    assert with_attack(findings, 4) >= {"leaf_moved"}
    assert with_attack(findings, 5), "one record fewer than were signed"


def test_two_swapped_records_are_both_named(store: Store) -> None:
    one, other = store.leaf(200), store.leaf(210)
    with store.attack_without_triggers() as ledger:
        for seq, leaf in ((200, other), (210, one)):
            ledger.execute("UPDATE records SET leaf = ? WHERE log_id = ? AND seq = ?", (leaf, store.log.id, seq))
    findings = store.fsck()
    assert {finding.seq for finding in findings if finding.check == "leaf_moved"} == {200, 210}
    assert with_attack(findings, 4) == {"leaf_moved"}
    assert {"chain_broken", "tile_mismatch", "checkpoint_root"} <= names(findings)


def test_a_back_dated_record_put_between_two_others_is_caught_by_number_link_and_time(store: Store) -> None:
    forged = json.loads(store.leaf(300))
    forged["recorded_at"] = "2026-11-01T00:00:00.000000Z"
    forged["seq"] = 300
    with store.attack_without_triggers() as ledger:
        ledger.execute("UPDATE records SET seq = -seq - 1 WHERE log_id = ? AND seq >= 300", (store.log.id,))
        ledger.execute("UPDATE records SET seq = -seq WHERE log_id = ? AND seq < 0", (store.log.id,))
        insert = "INSERT INTO records (log_id, seq, leaf) VALUES (?, ?, ?)"
        ledger.execute(insert, (store.log.id, 300, print_canonical(forged)))
    findings = store.fsck()
    assert [finding.seq for finding in findings if finding.check == "recorded_at_decreases"] == [300]
    assert 301 in {finding.seq for finding in findings if finding.check == "leaf_moved"}
    assert with_attack(findings, 4) >= {"leaf_moved"}
    assert "checkpoint_root" in names(findings)


def test_a_record_of_another_log_does_not_belong(store: Store) -> None:
    other = store.logs.by_origin("audit.example/acme/access")
    assert other is not None
    with store.attack_without_triggers() as ledger:
        query = "SELECT leaf FROM records WHERE log_id = ? AND seq = 1"
        foreign = ledger.execute(query, (other.id,)).fetchone()[0]
        ledger.execute("UPDATE records SET leaf = ? WHERE log_id = ? AND seq = 1", (foreign, store.log.id))
    findings = store.fsck()
    assert [finding.seq for finding in findings if finding.check == "leaf_of_another_log"] == [1]
    assert "leaf_of_another_log" in with_attack(findings, 4)
