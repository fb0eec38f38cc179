"""Attack 13: replay or duplicate submission."""

from tests.attacks.store import Store, names, span, with_attack


def test_everything_sent_again_in_other_batches_makes_no_second_record(store: Store) -> None:
    before = store.size()
    first = store.send_items([span(number) for number in range(40, 60)])
    again = store.send(600, batch=7)
    given = [one for answer in (first, *again) for one in answer.seqs if one is not None]
    assert len(given) == 620
    assert not any(one.new for one in given)
    assert store.size() == before
    assert {one.first for one in given[20:]} == {one.first for answer in again for one in answer.seqs if one}
    assert store.fsck() == []


def test_a_replay_after_a_restart_is_still_recognised(store: Store) -> None:
    before = store.size()
    store = store.reopen()
    store.send(100, batch=33)
    assert store.size() == before
    assert store.fsck() == []
    store.close()


def test_arrivals_taken_away_to_let_a_replay_in_are_counted(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        gone = ledger.execute("DELETE FROM arrivals WHERE log_id = ? AND seq < 20", (store.log.id,)).rowcount
    findings = store.fsck()
    assert names(findings) == with_attack(findings, 13) == {"arrivals_missing"}
    assert findings[0].message.startswith(f"{gone} records")


def test_an_arrival_that_points_elsewhere_is_named(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        ledger.execute("UPDATE arrivals SET seq = 300 WHERE log_id = ? AND seq = 2", (store.log.id,))
        ledger.execute("UPDATE arrivals SET seq = 5000 WHERE log_id = ? AND seq = 4", (store.log.id,))
        ledger.execute("UPDATE arrivals SET parts = 900 WHERE log_id = ? AND seq = 5", (store.log.id,))
    findings = [finding for finding in store.fsck() if finding.check == "arrival_misdirected"]
    assert {finding.seq for finding in findings} == {300, 5000, 5}
    assert {finding.attack for finding in findings} == {13}


def test_an_arrival_with_another_trace_or_span_is_named(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        ledger.execute("UPDATE arrivals SET trace_id = zeroblob(16) WHERE log_id = ? AND seq = 2", (store.log.id,))
        ledger.execute("UPDATE arrivals SET span_id = x'' WHERE log_id = ? AND seq = 4", (store.log.id,))
    findings = [finding for finding in store.fsck() if finding.check == "arrival_misdirected"]
    assert {finding.seq for finding in findings} == {2, 4}
