"""The projector: follows the log, survives every crash, notices another history."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Connection

from counterfoil.core.errors import EvidenceError
from counterfoil.log.accounts import Accounts
from counterfoil.log.batch import Batch
from counterfoil.log.records import head
from counterfoil.mapping.draft import Item
from counterfoil.store.database import Database
from counterfoil.trails.check_index import check_index
from counterfoil.trails.prepare import check_version, clear, prepare_index
from counterfoil.trails.projector import Projector
from counterfoil.trails.reindex import reindex
from counterfoil.trails.tables import INDEX_VERSION, OtherIndexVersion
from tests.trails.site import AGENT_SPANS, Site, event, make_site, open_site

FILES = sorted(path.name.removesuffix(".bin") for path in AGENT_SPANS.glob("*.bin") if ".logs" not in path.name)


def rows(site: Site) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the index, and every posting."""
    with site.attack() as index:
        found = {
            name: sorted(index.execute(f"SELECT * FROM {name}").fetchall(), key=repr)
            for (name,) in index.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'text\\_%' ESCAPE '\\'"
            )
        }
        index.execute(f"CREATE VIRTUAL TABLE temp.v USING fts5vocab('main', 'text_{site.log.id}', 'instance')")
        found["words"] = index.execute("SELECT * FROM temp.v").fetchall()
    return found


def calls_and_decisions(first: int, count: int) -> list[Item]:
    return [
        event(
            n,
            ("decision", "model_call", "tool_call")[n % 3],
            conversation=f"conv-{n // 7}" if n % 5 else None,
            trace=n // 4,
            status="error" if n % 11 == 0 else "ok",
            parent_span_id="00f067aa0ba902b7",
        )
        for n in range(first, first + count)
    ]


def test_where_blocks_end_leaves_no_trace_in_the_index(tmp_path: Path) -> None:
    site = make_site(tmp_path / "audit")
    site.logs.append(site.log.id, _batch(calls_and_decisions(0, 90))).result(30)
    for name in FILES:
        site.send_file(name)
    site.projector.run_once()
    whole = rows(site)
    with site.index.write() as connection:
        clear(connection)
    site.reopened_projector(block_records=7).run_once()
    assert rows(site) == whole
    with site.index.write() as connection:
        clear(connection)
    while site.reopened_projector(block_records=3).run_once(limit=5):
        pass
    assert rows(site) == whole
    site.close()


def test_a_crash_before_the_commit_leaves_the_block_before_and_the_next_run_goes_on(site: Site) -> None:
    site.send(calls_and_decisions(0, 10))
    before = rows(site)
    site.logs.append(site.log.id, _batch(calls_and_decisions(10, 30))).result(30)

    class Crash(Exception):
        pass

    class Crashing(Database):
        """Fails at one of the two named steps of a transaction, once."""

        def __init__(self, database: Database, step: str) -> None:
            self.engine = database.engine
            self.step = step

        def commit(self, connection: Connection) -> None:
            if self.step == "after":
                super().commit(connection)
            raise Crash

    projector = Projector(site.logs.ledger, site.logs.keystore, Crashing(site.index, "before"))
    with pytest.raises(Crash):
        projector.run_once()
    assert rows(site) == before
    # Persisted but failed: the rows are there, the process does not know it; its next run reads the position again.
    projector = Projector(site.logs.ledger, site.logs.keystore, Crashing(site.index, "after"))
    with pytest.raises(Crash):
        projector.run_once()
    assert site.projector.run_once() == 0
    assert list(check_index(site.stores)) == []
    # The same projector, whose codes were given out in a transaction that it thinks failed, goes on rightly.
    site.logs.append(site.log.id, _batch(calls_and_decisions(50, 10))).result(30)
    projector._index = site.index
    assert projector.run_once() == 10
    assert list(check_index(site.stores)) == []


def test_two_projectors_on_one_index_do_not_write_a_record_twice(site: Site) -> None:
    site.logs.append(site.log.id, _batch(calls_and_decisions(0, 200))).result(30)
    projectors = [site.reopened_projector(block_records=9) for _ in range(2)]
    threads = [threading.Thread(target=lambda p=p: [p.run_once() for _ in range(60)]) for p in projectors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert site.projector.run_once() == 0
    assert list(check_index(site.stores)) == []


def test_a_record_is_found_well_within_half_a_second(site: Site) -> None:
    site.send(calls_and_decisions(0, 50))
    stop = threading.Event()

    def follow() -> None:
        projector = site.reopened_projector()
        while not stop.is_set():
            if projector.run_once() == 0:
                stop.wait(0.02)

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        delays = []
        for number in range(5):
            site.logs.append(
                site.log.id, _batch([event(500 + number, "outcome", own={"status": f"s-{number}"})])
            ).result(30)
            acknowledged = time.monotonic()
            while not site.search(q=f'"s-{number}"').items:
                assert time.monotonic() - acknowledged < 5
                time.sleep(0.002)
            delays.append(time.monotonic() - acknowledged)
        assert sorted(delays)[2] < 0.5
    finally:
        stop.set()
        follower.join()


def _copy(site: Site, to: Path) -> None:
    to.mkdir()
    for file in (site.directory.ledger_file, site.directory.keystore_file):
        source, target = sqlite3.connect(file), sqlite3.connect(to / file.name)
        source.backup(target)
        source.close()
        target.close()


def _put_back(site: Site, backup: Path) -> Site:
    site.close()
    for file in (site.directory.ledger_file, site.directory.keystore_file):
        for rest in file.parent.glob(file.name + "-*"):
            rest.unlink()
        shutil.copyfile(backup / file.name, file)
    # Heads are rolled back too: whether that may happen is the log's business, here it is only the index's.
    shutil.rmtree(site.directory.heads)
    site.directory.heads.mkdir()
    return open_site(site.directory.path, site.clock)


def test_a_ledger_that_was_rolled_back_is_read_again_from_its_first_record(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site.send(calls_and_decisions(0, 20))
    _copy(site, tmp_path / "backup")
    site.send(calls_and_decisions(20, 20))
    back = _put_back(site, tmp_path / "backup")
    assert "another history" in caplog.text
    assert list(check_index(back.stores)) == []
    assert len(back.search(kind=["decision", "model_call", "tool_call"], limit="500").items) == 20
    back.close()


def test_a_ledger_that_was_rolled_back_and_has_grown_beyond_is_noticed_by_its_chain(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site.send(calls_and_decisions(0, 20))
    _copy(site, tmp_path / "backup")
    site.send(calls_and_decisions(20, 5))
    index = tmp_path / "index.db"
    with site.attack() as connection:
        target = sqlite3.connect(index)
        connection.backup(target)
        target.close()
    back = _put_back(site, tmp_path / "backup")
    back.send(calls_and_decisions(100, 30))
    back.close()
    for rest in site.directory.index_file.parent.glob("index.db*"):
        rest.unlink()
    shutil.copyfile(index, site.directory.index_file)
    caplog.clear()
    grown = open_site(site.directory.path, site.clock)
    assert "another history" in caplog.text
    assert list(check_index(grown.stores)) == []
    grown.close()


def test_reindex_makes_the_same_index_and_reports_progress(site: Site, tmp_path: Path) -> None:
    site.send(calls_and_decisions(0, 60))
    site.send_file("google_adk_default_tool_handoff")
    before = rows(site)
    seen: list[tuple[int, int]] = []
    count = reindex(site.stores, site.directory.index_file, lambda done, total: seen.append((done, total)))
    assert rows(site) == before
    assert seen[-1] == (count, count)
    assert not list(site.directory.path.glob("*.rebuild*"))
    assert (site.directory.index_file.stat().st_mode & 0o777) == 0o600
    assert site.search().items


def test_reindex_without_a_file_clears_and_fills_again(site: Site) -> None:
    site.send(calls_and_decisions(0, 60))
    before = rows(site)
    assert reindex(site.stores, None) == sum(entry["tree_size"] for entry in site.search().as_of)
    assert rows(site) == before


def test_reindex_replaces_an_index_that_was_edited(site: Site) -> None:
    site.send(calls_and_decisions(0, 30))
    with site.attack() as index:
        index.execute("DELETE FROM records WHERE kind = 2")
    assert list(check_index(site.stores)) != []
    reindex(site.stores, site.directory.index_file)
    assert list(check_index(site.stores)) == []


def test_an_index_of_another_version_is_rebuilt_and_that_is_said(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.send(calls_and_decisions(0, 12))
    with site.attack() as index:
        index.execute("UPDATE about SET version = ?", (INDEX_VERSION + 1,))
        index.execute("ALTER TABLE records ADD COLUMN mood TEXT")
    with pytest.raises(OtherIndexVersion, match="counterfoil reindex"):
        check_version(site.index)
    assert prepare_index(site.index) == INDEX_VERSION + 1
    site.reopened_projector().run_once()
    check_version(site.index)
    assert list(check_index(site.stores)) == []


def test_a_reopened_site_goes_on_where_it_was(site: Site) -> None:
    site.send(calls_and_decisions(0, 12))
    size = site.search().as_of[0]["tree_size"]
    assert site.reopened_projector().run_once() == 0
    site.send(calls_and_decisions(12, 3))
    assert site.search().as_of[0]["tree_size"] == size + 3


def test_the_access_log_is_not_indexed(site: Site) -> None:
    site.trails.search(site.principal(), [])
    site.projector.run_once()
    assert site.search(kind="access").items == []


def test_a_leaf_that_cannot_be_read_stops_its_log_and_is_not_skipped(site: Site) -> None:
    site.send(calls_and_decisions(0, 5))
    site.logs.append(site.log.id, _batch(calls_and_decisions(5, 5))).result(30)
    size = site.search().as_of[0]["tree_size"]
    with site.attack("ledger") as ledger:
        ledger.execute("DROP TRIGGER IF EXISTS records_no_update")
        for (name,) in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            ledger.execute(f"DROP TRIGGER {name}")
        ledger.execute("UPDATE records SET leaf = x'00' WHERE log_id = ? AND seq = ?", (site.log.id, size + 2))
    with pytest.raises(EvidenceError):
        site.projector.run_once()
    assert site.search().as_of[0]["tree_size"] == size


def test_a_log_that_cannot_be_read_holds_up_no_other(site: Site) -> None:
    second = Accounts(site.logs).create_log("default", "second")
    site.projector.run_once()
    site.logs.append(site.log.id, _batch(calls_and_decisions(0, 5))).result(30)
    site.logs.append(second.id, _batch(calls_and_decisions(0, 5))).result(30)
    with site.attack("ledger") as ledger:
        for (name,) in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            ledger.execute(f"DROP TRIGGER {name}")
        ledger.execute("UPDATE records SET leaf = x'00' WHERE log_id = ? AND seq > 0", (site.log.id,))
    with pytest.raises(EvidenceError):
        site.projector.run_once()
    with site.logs.ledger.read() as ledger:
        size = head(ledger, second.id).size
    assert [entry["tree_size"] for entry in site.search(log="second").as_of] == [size]


def _batch(items: list[Item]) -> Batch:
    return Batch("k-test", items)
