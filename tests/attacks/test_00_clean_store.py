"""The store that every attack starts from has nothing wrong with it, and the report says what that means."""

from counterfoil.log.fsck import Report, format_report
from counterfoil.log.fsck.report import SHARED_VOLUME, UNWITNESSED
from tests.attacks.store import ORIGIN, Store


def test_a_clean_store_gives_no_finding_and_everything_in_it_was_looked_at(store: Store) -> None:
    report = Report()
    assert store.fsck(report=report) == []
    agents = next(log for log in report.logs if log.origin == ORIGIN)
    assert agents.counts.records == agents.size == agents.signed_size == store.size() == 802
    assert agents.counts.contents == 800
    assert agents.counts.disclosures == 1400
    assert agents.counts.arrivals == agents.counts.arriving == 600
    assert agents.counts.tiles == 3
    assert agents.counts.checkpoints == 6
    assert "CLEAN" in format_report(report, [])


def test_worker_processes_find_the_same_as_one_process(store: Store) -> None:
    assert store.fsck(workers=2) == []
    with store.attack_without_triggers() as ledger:
        ledger.execute("DELETE FROM contents WHERE log_id = ? AND seq = 400", (store.log.id,))
    assert store.fsck(workers=2) == store.fsck(workers=0)
    assert len(store.fsck()) == 1


def test_the_report_says_what_a_check_on_one_disk_cannot_show(store: Store) -> None:
    report = Report()
    list(store.fsck(report=report))
    assert SHARED_VOLUME in report.not_shown
    assert UNWITNESSED in report.not_shown
    text = format_report(report, [])
    assert "rollback of the whole directory is not detectable here without a witness" in text


def test_without_the_keystore_contents_are_reported_as_not_opened_and_nothing_else_is_missed(store: Store) -> None:
    report = Report()
    assert store.fsck(report=report, with_keystore=False) == []
    agents = next(log for log in report.logs if log.origin == ORIGIN)
    assert agents.counts.disclosures == 0
    assert agents.counts.unopened == 800
    assert "contents of 800 records were not opened" in format_report(report, [])
    assert any("keystore" in text for text in report.not_shown)


def test_a_trigger_that_was_taken_away_is_named(store: Store) -> None:
    with store.attack() as ledger:
        ledger.execute("DROP TRIGGER records_refuse_update")
    findings = store.fsck()
    assert [finding.check for finding in findings] == ["trigger_missing"]
    assert "records_refuse_update" in findings[0].message
