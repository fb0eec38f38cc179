"""Fault 10: appends at the same time must not fork the chain."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.attacks.store import Store, span

REPOSITORY = Path(__file__).resolve().parents[2]

APPENDING = """
import sys
from pathlib import Path
from tests.attacks.store import TickingClock, open_store

clock = TickingClock()
clock.time_us = int(sys.argv[3])
store = open_store(Path(sys.argv[1]), clock)
store.send(200, first=int(sys.argv[2]), batch=4)
store.close()
"""


def test_two_processes_and_four_threads_append_to_one_chain_without_a_gap(store: Store) -> None:
    before = store.size()
    arguments = [sys.executable, "-c", APPENDING, str(store.directory.path)]
    others = [
        subprocess.Popen([*arguments, str(first), str(store.clock.time_us)], cwd=REPOSITORY)
        for first in (10_000, 20_000)
    ]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda number: store.send_items([span(number)]), range(30_000, 30_100)))
    assert [other.wait(timeout=120) for other in others] == [0, 0]
    given = [one for answer in answers for one in answer.seqs if one is not None]
    assert len({one.first for one in given}) == 100, "no number was given twice"
    added = sum(2 if number % 3 == 0 else 1 for first in (10_000, 20_000) for number in range(first, first + 200))
    added += sum(one.last - one.first + 1 for one in given)
    assert store.size() == before + added
    store.checkpoint()
    assert store.fsck() == []


def test_the_database_itself_refuses_a_second_record_at_an_index(store: Store) -> None:
    with store.attack() as ledger, pytest.raises(sqlite3.IntegrityError):
        ledger.execute("INSERT INTO records (log_id, seq, leaf) VALUES (?, 5, x'00')", (store.log.id,))
    assert store.fsck() == []


def test_a_writer_that_believes_in_an_old_head_cannot_move_it(store: Store) -> None:
    """What a second service would do that kept the head in memory: its compare-and-swap finds nothing to update."""
    with store.attack() as ledger:
        old = ledger.execute("SELECT size, leaf_hash FROM heads WHERE log_id = ?", (store.log.id,)).fetchone()
    store.send(5, first=40_000)
    with store.attack() as ledger:
        moved = ledger.execute(
            "UPDATE heads SET size = size + 1 WHERE log_id = ? AND size = ? AND leaf_hash = ?", (store.log.id, *old)
        )
        assert moved.rowcount == 0
    assert store.fsck() == []
