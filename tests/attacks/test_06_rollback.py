"""Attack 6: roll the database back to an older copy, with and without the head store."""

from pathlib import Path

import pytest

from counterfoil.core.checkpoint import open_checkpoint
from counterfoil.core.errors import EvidenceError
from counterfoil.core.merkle import check_consistency, prove_consistency
from counterfoil.log.checkpoints import latest
from counterfoil.log.errors import LogRolledBack
from counterfoil.log.fsck import Report
from counterfoil.log.fsck.report import SHARED_VOLUME
from counterfoil.log.heads import HeadStoreBehind
from counterfoil.log.tree import read_hashes
from tests.attacks.store import ACCESS_ORIGIN, ORIGIN, Store, names, with_attack


def test_an_older_ledger_is_named_because_the_head_store_is_ahead(store: Store, tmp_path: Path) -> None:
    store.copy_files(tmp_path / "backup")
    store.send(60, first=5000)
    store.checkpoint()
    store = store.put_back(tmp_path / "backup", heads_too=False)
    findings = store.fsck()
    assert [(finding.check, finding.log, finding.attack) for finding in findings] == [("head_store_ahead", ORIGIN, 6)]
    with pytest.raises(LogRolledBack, match=r"signed at size 882, but the ledger holds 802.*restore declare"):
        store.checkpoint()
    with pytest.raises(LogRolledBack, match="restore declare"):
        store.send(1, first=9000)
    assert store.fsck() == findings, "nothing was written meanwhile"
    store.close()


def test_a_rollback_within_what_was_never_signed_cannot_be_seen_and_does_no_harm_to_what_was(
    store: Store, tmp_path: Path
) -> None:
    store.copy_files(tmp_path / "backup")
    store.send(60, first=5000)
    store = store.put_back(tmp_path / "backup", heads_too=False)
    assert store.fsck() == []
    store.send(1, first=9000)
    store.checkpoint()
    assert store.fsck() == []
    store.close()


def test_where_the_head_store_is_rolled_back_too_only_a_pocket_checkpoint_tells_and_the_report_says_so_before(
    store: Store, tmp_path: Path
) -> None:
    store.copy_files(tmp_path / "backup")
    store.send(60, first=5000)
    store.checkpoint()
    with store.ledger.read() as conn:
        pocket = latest(conn, store.log.id)
    assert pocket is not None
    kept, _ = open_checkpoint(pocket[1], ORIGIN, [store.sources().keys[ORIGIN]])

    store = store.put_back(tmp_path / "backup", heads_too=True)
    report = Report()
    assert store.fsck(report=report) == [], "nothing on this disk remembers"
    assert SHARED_VOLUME in report.not_shown

    # The service goes on and signs another history over the same numbers: whoever kept a checkpoint can prove it.
    store.send(90, first=7000)
    now = store.checkpoint()
    assert now is not None
    assert now.size > kept.size
    with store.ledger.read() as conn:
        proof = prove_consistency(kept.size, now.size, read_hashes(conn, store.log.id, now.size))
    with pytest.raises(EvidenceError, match="consistency_root"):
        check_consistency(kept.size, kept.root, now.size, now.root, proof)
    store.close()


def test_a_head_store_that_was_rolled_back_alone_is_named_and_nothing_is_signed(store: Store, tmp_path: Path) -> None:
    store.copy_files(tmp_path / "backup")
    store.send(60, first=5000)
    store.checkpoint()
    for head in (tmp_path / "backup" / "heads").iterdir():
        (store.directory.heads / head.name).write_bytes(head.read_bytes())
    findings = store.fsck()
    assert names(findings) == with_attack(findings, 6) == {"head_store_behind"}
    with pytest.raises(HeadStoreBehind, match="restore declare") as caught:
        store.checkpoint()
    assert caught.value.code == "head_store_behind"


def test_an_empty_head_store_is_named_and_never_taken_for_a_new_one(store: Store) -> None:
    for head in store.directory.heads.iterdir():
        head.unlink()
    findings = store.fsck()
    assert [(finding.check, finding.attack) for finding in findings if finding.log == ORIGIN] == [
        ("head_store_missing", 6)
    ]
    with pytest.raises(HeadStoreBehind):
        store.checkpoint()


def test_a_log_that_was_taken_away_as_a_whole_is_named_by_its_head(store: Store) -> None:
    access = store.logs.by_origin(ACCESS_ORIGIN)
    assert access is not None
    with store.attack_without_triggers() as ledger:
        for table in ("records", "contents", "arrivals", "tiles", "checkpoints", "heads"):
            ledger.execute(f"DELETE FROM {table} WHERE log_id = ?", (access.id,))
        ledger.execute("DELETE FROM logs WHERE id = ?", (access.id,))
    findings = store.fsck()
    assert names(findings) == {"head_of_unknown_log"}
    assert ACCESS_ORIGIN in findings[0].message
    assert findings[0].attack == 6
