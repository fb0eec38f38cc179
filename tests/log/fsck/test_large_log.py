"""A log of more than one range: worker processes, tiles of level 1, roots that reach across ranges."""

import json
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from counterfoil.core.encoding import encode_base64, format_time_us, print_canonical
from counterfoil.log.fsck import Report
from counterfoil.log.fsck.job import RANGE_LEAVES, Depth
from tests.attacks.store import Store, TickingClock, create_store, names, open_store

COUNT = RANGE_LEAVES + 600


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A log of `COUNT` records; most are put into the table at once, linked by the rules."""
    store = create_store(tmp_path_factory.mktemp("large") / "store")
    seq = store.size()
    previous = sha256(b"\x00" + store.leaf(seq - 1)).digest()
    recorded_us = store.clock.now_us()
    base = {
        "v": 1,
        "log": store.log.origin,
        "kind": "operation",
        "source": "api",
        "writer": "kagents",
        "recorded_at": format_time_us(recorded_us),
    }
    rows = []
    while seq < COUNT:
        leaf = print_canonical({**base, "seq": seq, "prev": encode_base64(previous)})
        previous = sha256(b"\x00" + leaf).digest()
        rows.append((store.log.id, seq, leaf))
        seq += 1
        if seq in (5_000, RANGE_LEAVES, RANGE_LEAVES + 300, COUNT):
            with store.attack() as ledger:
                ledger.execute("BEGIN")
                ledger.executemany("INSERT INTO records (log_id, seq, leaf) VALUES (?, ?, ?)", rows)
                head = (seq, previous, recorded_us, store.log.id)
                ledger.execute("UPDATE heads SET size = ?, leaf_hash = ?, recorded_us = ? WHERE log_id = ?", head)
                ledger.execute("COMMIT")
            rows = []
            store.checkpoint()
    store.close()
    return store.directory.path, store.clock.time_us


@pytest.fixture
def large(filled: tuple[Path, int], tmp_path: Path) -> Iterator[Store]:
    path, time_us = filled
    shutil.copytree(path, tmp_path / "store")
    clock = TickingClock()
    clock.time_us = time_us
    store = open_store(tmp_path / "store", clock)
    yield store
    store.close()


def test_two_processes_find_nothing_wrong_with_a_good_log(large: Store) -> None:
    report = Report()
    assert large.fsck(workers=2, report=report) == []
    agents = report.logs[-1]
    assert agents.counts.records == agents.signed_size == COUNT
    assert agents.counts.tiles == 256 + 2 + 1, "level 0 in two ranges, and one full tile of level 1"
    assert agents.counts.checkpoints == 4


def test_chain_and_tree_can_be_checked_alone(large: Store) -> None:
    assert large.fsck(workers=0, depth=Depth(parse=False, contents=False, arrivals=False)) == []


def test_damage_in_either_range_and_above_both_is_named(large: Store) -> None:
    with large.attack_without_triggers() as ledger:
        query = "SELECT leaf FROM records WHERE log_id = ? AND seq = ?"
        for seq in (70, RANGE_LEAVES + 70):
            leaf = json.loads(ledger.execute(query, (large.log.id, seq)).fetchone()[0])
            leaf["name"] = "changed"
            change = "UPDATE records SET leaf = ? WHERE log_id = ? AND seq = ?"
            ledger.execute(change, (print_canonical(leaf), large.log.id, seq))
    findings = large.fsck(workers=0)
    assert {finding.seq for finding in findings if finding.check == "chain_broken"} == {70, RANGE_LEAVES + 70}
    assert {finding.seq for finding in findings if finding.check == "tile_mismatch"} == {70, RANGE_LEAVES + 70, None}
    assert len([finding for finding in findings if finding.check == "checkpoint_root"]) == 4


def test_a_changed_record_at_the_border_of_two_ranges_is_named_once(large: Store) -> None:
    with large.attack_without_triggers() as ledger:
        leaf = json.loads(large.leaf(RANGE_LEAVES - 1))
        leaf["name"] = "changed"
        change = "UPDATE records SET leaf = ? WHERE log_id = ? AND seq = ?"
        ledger.execute(change, (print_canonical(leaf), large.log.id, RANGE_LEAVES - 1))
    findings = large.fsck(workers=0)
    assert [finding.seq for finding in findings if finding.check == "chain_broken"] == [RANGE_LEAVES - 1]


def test_a_changed_tile_of_level_one_is_named(large: Store) -> None:
    with large.attack_without_triggers() as ledger:
        query = "SELECT hashes FROM tiles WHERE log_id = ? AND level = 1"
        data = bytearray(ledger.execute(query, (large.log.id,)).fetchone()[0])
        data[32 * 200 + 5] ^= 1
        ledger.execute("UPDATE tiles SET hashes = ? WHERE log_id = ? AND level = 1", (bytes(data), large.log.id))
    findings = large.fsck(workers=0)
    assert [finding.check for finding in findings] == ["tile_mismatch"]
    assert "hash 200 of tile/1/000" in findings[0].message


def test_a_missing_tile_of_level_one_is_named(large: Store) -> None:
    with large.attack_without_triggers() as ledger:
        ledger.execute("DELETE FROM tiles WHERE log_id = ? AND level = 1", (large.log.id,))
    assert [finding.message for finding in large.fsck(workers=0)] == ["tile/1/000 is not stored"]


def test_a_range_whose_records_are_all_gone_is_named_in_few_findings(large: Store) -> None:
    with large.attack_without_triggers() as ledger:
        ledger.execute("DELETE FROM records WHERE log_id = ? AND seq BETWEEN 256 AND 65000", (large.log.id,))
    findings = large.fsck(workers=0)
    assert "records_missing" in names(findings)
    assert len(findings) < 250
