"""Fault and attack 12: the clock steps back, or lies."""

import json
from hashlib import sha256

import pytest

from counterfoil.core.merkle import leaf_hash
from counterfoil.log.checkpoints import HEARTBEAT_US
from counterfoil.log.errors import ClockBehind
from tests.attacks.store import Store, names, relink, with_attack

MINUTE_US = 60_000_000


def times(store: Store, first: int, end: int) -> list[str]:
    return [json.loads(store.leaf(seq))["recorded_at"] for seq in range(first, end)]


def test_a_small_step_back_repeats_the_last_time_and_never_goes_below_it(store: Store) -> None:
    before = store.size()
    last = times(store, before - 1, before)[0]
    store.clock.time_us -= MINUTE_US // 2
    store.send(20, first=5000, batch=5)
    assert set(times(store, before, store.size())) == {last}
    store.checkpoint()
    assert store.fsck() == []


def test_a_large_step_back_stops_appending_until_the_clock_catches_up(store: Store) -> None:
    before = store.size()
    store.clock.time_us -= 10 * MINUTE_US
    with pytest.raises(ClockBehind) as caught:
        store.send(1, first=5000)
    assert caught.value.code == "clock_behind"
    assert store.size() == before
    store.clock.time_us += 10 * MINUTE_US
    store.send(1, first=5000)
    store.checkpoint()
    assert store.fsck() == []


def test_issue_times_of_checkpoints_never_decrease(store: Store) -> None:
    store.send(5, first=5000)
    store.clock.time_us -= MINUTE_US // 2
    store.checkpoint()
    store.clock.time_us += 2 * HEARTBEAT_US
    store.checkpoint()
    with store.attack() as ledger:
        query = "SELECT issued_us FROM checkpoints WHERE log_id = ? ORDER BY size, issued_us"
        issued = [row[0] for row in ledger.execute(query, (store.log.id,))]
    assert issued == sorted(issued)
    assert len(issued) == 8, "six, one after the step back, one heartbeat"
    assert store.fsck() == []


def test_a_log_whose_writer_let_time_run_back_is_named_even_when_it_was_signed(store: Store) -> None:
    """An operator who sets the clock and has a writer without our rule: chain, tree and signatures all agree."""
    size = store.size()
    leaf = json.loads(store.leaf(size - 1))
    leaf["recorded_at"] = "2026-11-18T00:00:00.000000Z"
    leaf.pop("content", None)
    leaf["source"] = "api"
    leaf.pop("mapping", None)
    (forged,) = relink([json.dumps(leaf).encode()], size, leaf_hash(store.leaf(size - 1)))
    with store.attack() as ledger:
        ledger.execute("INSERT INTO records (log_id, seq, leaf) VALUES (?, ?, ?)", (store.log.id, size, forged))
        ledger.execute(
            "UPDATE heads SET size = ?, leaf_hash = ?, recorded_us = ? WHERE log_id = ?",
            (size + 1, sha256(b"\x00" + forged).digest(), 1_794_960_000_000_000, store.log.id),
        )
    signed = store.checkpoint()
    assert signed is not None
    assert signed.size == size + 1
    findings = store.fsck()
    assert [(finding.check, finding.seq) for finding in findings] == [("recorded_at_decreases", size)]
    assert names(findings) == with_attack(findings, 12)
