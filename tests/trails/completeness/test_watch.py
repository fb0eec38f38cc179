"""The alarm: once for each silence, in the log and in the service's log, cleared by the producer's own word."""

from __future__ import annotations

import json

import pytest

from counterfoil.core.errors import Fault
from counterfoil.log.accounts import Accounts
from counterfoil.log.batch import Batch
from counterfoil.log.initialise import open_logs
from counterfoil.log.signing import key_path
from counterfoil.trails.completeness.notes import silence_note
from counterfoil.trails.completeness.watch import MAX_ALARMS, SilenceWatcher
from tests.trails.completeness.sending import Counted, declare, numbered, plain


def notes(counted: Counted) -> list[dict[str, object]]:
    with counted.site.attack("ledger") as ledger:
        query = "SELECT leaf FROM records WHERE log_id = ? ORDER BY seq"
        leaves = [json.loads(leaf) for (leaf,) in ledger.execute(query, (counted.site.log.id,))]
    return [leaf for leaf in leaves if leaf["kind"] == "note"]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "counterfoil.completeness"]


def test_an_alarm_is_raised_once_and_cleared_when_it_speaks(counted: Counted, caplog: pytest.LogCaptureFixture) -> None:
    watcher = counted.watcher()
    counted.send(declare("start"), numbered(0))
    (heard,) = counted.send(numbered(1))
    counted.clock.wait(119)
    assert watcher.run_once() == 0
    counted.clock.wait(1)
    assert watcher.run_once() == 1
    assert watcher.run_once() == 0, "it is not indexed yet, and not raised again"
    counted.site.projector.run_once()
    assert watcher.run_once() == 0
    one = counted.one()
    assert one.verdict == "silent"
    assert one.alarm is not None
    assert one.alarm_ended_by is None
    (note,) = notes(counted)
    assert note["source"] == "service"
    assert "writer" not in note
    assert note["note"] == {"meaning": "producer_silent", "of": {"seq": heard}}
    assert note["seq"] == one.alarm.seq

    (spoke,) = counted.send(declare("heartbeat"))
    assert watcher.run_once() == 0
    one = counted.one()
    assert (one.verdict, one.alarm_ended_by) == ("open", spoke)
    counted.send(numbered(2))
    assert watcher.run_once() == 0
    lines = said(caplog)
    assert [line.split()[0] for line in lines] == ["producer_silent", "producer_speaks"]
    assert f"writer=k-test producer=p last_seq={heard} since=" in lines[0]
    assert f"seq={spoke} alarm_seq={note['seq']}" in lines[1]

    counted.clock.wait(500)
    assert watcher.run_once() == 1, "a second silence is a second alarm"
    assert len(notes(counted)) == 2


def test_a_restarted_watcher_raises_nothing_again(counted: Counted) -> None:
    counted.send(numbered(0))
    counted.clock.wait(200)
    assert counted.watcher().run_once() == 1
    counted.site.projector.run_once()
    assert counted.watcher().run_once() == 0


def test_a_watcher_that_restarts_before_its_note_is_indexed_raises_nothing_again(counted: Counted) -> None:
    counted.send(numbered(0))
    counted.clock.wait(200)
    assert counted.watcher().run_once() == 1
    # The index lags: nobody's silence is judged by a later time than it has read.
    assert counted.watcher().run_once() == 0
    counted.site.projector.run_once()
    assert len(notes(counted)) == 1


def test_who_closed_or_sends_no_numbers_is_never_alarmed_about(counted: Counted) -> None:
    counted.send(numbered(0), declare("end", last=0), plain(), declare("loss", "plain-sdk", count=3))
    counted.clock.wait(10_000)
    assert counted.watcher().run_once() == 0


def test_after_a_start_the_watcher_waits_as_long_as_a_producer_may(counted: Counted) -> None:
    counted.send(numbered(0))
    counted.clock.wait(10_000)
    watcher = counted.watcher(counted.clock.time_us)
    assert watcher.run_once() == 0
    counted.clock.wait(120)
    assert watcher.run_once() == 1


def test_the_cadence_that_the_producer_was_told_is_the_one_that_counts(counted: Counted) -> None:
    counted.configuration.set_heartbeat(counted.site.log, 5, by="k-admin")
    counted.clock.wait(2)
    counted.send(numbered(0))
    counted.configuration.set_heartbeat(counted.site.log, 3_600, by="k-admin")
    counted.site.projector.run_once()
    counted.clock.wait(11)
    assert counted.watcher().run_once() == 1


def test_a_word_that_crosses_the_note_ends_the_alarm_before_it_begins(counted: Counted) -> None:
    counted.send(numbered(0))
    counted.clock.wait(200)
    watcher = counted.watcher()
    log = counted.site.log
    heard = counted.one().last.seq
    counted.site.logs.append(log.id, Batch("k-test", [numbered(1)])).result(30)
    counted.site.logs.append_drafts(log.id, [silence_note(heard)])
    counted.site.projector.run_once()
    assert counted.one().verdict == "open"
    assert counted.one().alarm is None
    assert watcher.run_once() == 0


def test_many_silences_are_raised_in_rounds_the_longest_first(counted: Counted) -> None:
    for at in range(MAX_ALARMS + 20):
        counted.send(numbered(0, f"p-{at}"))
    counted.clock.wait(1_000)
    watcher = counted.watcher()
    assert watcher.run_once() == MAX_ALARMS
    counted.site.projector.run_once()
    assert counted.one("p-0").alarm is not None
    assert counted.one(f"p-{MAX_ALARMS + 19}").alarm is None
    counted.clock.wait(1)
    assert watcher.run_once() == 20
    counted.site.projector.run_once()
    assert counted.watcher().run_once() == 0


def test_a_closed_log_hears_and_alarms_nobody(counted: Counted) -> None:
    counted.send(numbered(0))
    counted.clock.wait(1_000)
    with counted.site.attack("ledger") as ledger:
        ledger.execute("UPDATE logs SET closed_us = 1 WHERE id = ?", (counted.site.log.id,))
    try:
        assert counted.watcher().run_once() == 0
        assert counted.completeness.silences() == []
    finally:
        with counted.site.attack("ledger") as ledger:
            ledger.execute("UPDATE logs SET closed_us = NULL WHERE id = ?", (counted.site.log.id,))


def test_readiness_names_how_many_are_silent(counted: Counted) -> None:
    counted.send(numbered(0, "a"), numbered(0, "b"))
    assert counted.completeness.silences() == []
    counted.clock.wait(1_000)
    (silence,) = counted.completeness.silences()
    assert (silence.log_id, silence.count, silence.first.producer) == (counted.site.log.id, 2, "a")


def test_a_log_that_takes_no_note_does_not_keep_the_others_from_theirs(counted: Counted) -> None:
    logs = counted.site.logs
    second = Accounts(logs).create_log("default", "second")
    counted.send(numbered(0))
    logs.append(second.id, Batch("k-test", [numbered(0)])).result(30)
    counted.site.projector.run_once()
    counted.clock.wait(1_000)
    key_file = key_path(logs.keys_dir, counted.site.log.origin)
    hidden = key_file.rename(key_file.with_suffix(".away"))
    fresh = open_logs(counted.site.directory, counted.clock)
    try:
        with pytest.raises(Fault, match="default/main"):
            SilenceWatcher(fresh, counted.site.stores, 0).run_once()
    finally:
        fresh.close()
        fresh.ledger.dispose()
        hidden.rename(key_file)
    counted.site.projector.run_once()
    alarms = {item.log: item.alarm is not None for item in counted.ask(producer="p").items}
    assert alarms == {"main": False, "second": True}
