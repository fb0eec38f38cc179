"""Attack 3: whoever owns the disk edits only the index, to hide a record or to make it look like something else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from counterfoil.log.batch import Batch
from counterfoil.store.database import open_index
from counterfoil.trails.check_index import check_index
from counterfoil.trails.tables import record_id
from tests.trails.site import Site, event, make_site

LOG_ID_OF_ACCESS = 99


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = make_site(tmp_path_factory.mktemp("index") / "audit")
    site.send(
        [
            event(
                number,
                "decision",
                conversation=f"conv-{number // 4}",
                trace=number // 2,
                own={"type": "refund", "outcome": "deny" if number % 3 else "approve", "id": f"d-{number}"},
                agent={"name": "refunds"},
                fields={"rationale": f"policy {number} allows thirty days"},
            )
            for number in range(40)
        ]
    )
    site.send_file("pydantic_ai_v5_tool_handoff_retry")
    yield site
    site.close()


@pytest.fixture
def site(filled: Site) -> Iterator[Site]:
    """The filled site; its index is put back afterwards."""
    backup = sqlite3.connect(":memory:")
    with filled.attack() as index:
        index.backup(backup)
    yield filled
    with filled.attack() as index:
        backup.backup(index)
    backup.close()


def attacked(site: Site, *statements: str) -> dict[str, set[int | None]]:
    """Findings after the deed: check name to the records named. All must be evidence of attack 3."""
    with site.attack() as index:
        for statement in statements:
            index.execute(statement)
    found: dict[str, set[int | None]] = {}
    for finding in check_index(site.stores):
        assert finding.attack == (None if finding.check == "index_version" else 3)
        found.setdefault(finding.check, set()).add(finding.seq)
    return found


def row(site: Site, seq: int) -> int:
    return record_id(site.log.id, seq)


def code(site: Site, text: str) -> int:
    with site.attack() as index:
        return int(index.execute("SELECT code FROM names WHERE text = ?", (text,)).fetchone()[0])


def test_an_index_that_nobody_touched_has_no_findings(site: Site) -> None:
    assert list(check_index(site.stores)) == []


def test_an_index_that_was_never_built_has_no_findings(site: Site, tmp_path: Path) -> None:
    empty = open_index(f"sqlite:///{tmp_path / 'index.db'}")
    assert list(check_index(replace(site.stores, index=empty))) == []
    empty.dispose()


def test_an_index_that_lags_behind_the_log_has_no_findings(site: Site) -> None:
    site.logs.append(site.log.id, _batch(900)).result(30)
    try:
        assert list(check_index(site.stores)) == []
    finally:
        site.projector.run_once()


def test_a_record_hidden_from_search_is_named(site: Site) -> None:
    assert attacked(site, f"DELETE FROM records WHERE id = {row(site, 7)}") == {"index_row_missing": {7}}


def test_a_changed_outcome_is_named_and_never_shown(site: Site) -> None:
    approve = code(site, "approve")
    denied = next(item.seq for item in site.search(outcome="deny").items)
    found = attacked(site, f"UPDATE records SET outcome = {approve} WHERE id = {row(site, denied)}")
    assert found == {"index_row_differs": {denied}}
    # The edited row sends a search for approvals to this record, whose leaf says otherwise: it is not shown.
    assert denied not in {item.seq for item in site.search(outcome="approve", limit="500").items}


def test_an_added_row_is_named_and_shows_nothing(site: Site) -> None:
    head = site.search().as_of[0]["tree_size"]
    columns = "id, recorded_us, kind"
    found = attacked(
        site, f"INSERT INTO records ({columns}) VALUES ({row(site, head + 5)}, 9, {code(site, 'decision')})"
    )
    assert found == {"index_row_extra": {head + 5}}
    assert head + 5 not in {item.seq for item in site.search(limit="500").items}


def test_rows_of_a_log_that_does_not_exist_are_named(site: Site) -> None:
    found = attacked(
        site,
        f"INSERT INTO records (id, recorded_us, kind) VALUES ({record_id(LOG_ID_OF_ACCESS, 0)}, 9, 1)",
        f"INSERT INTO names (log_id, text, code) VALUES ({LOG_ID_OF_ACCESS}, 'x', 1)",
    )
    assert found == {"index_row_extra": {None}, "index_name_extra": {None}}


@pytest.mark.parametrize(
    ("deed", "check"),
    [
        ("DELETE FROM interactions WHERE number = 1", "index_interaction_missing"),
        ("UPDATE interactions SET decisions = 0 WHERE number = 2", "index_interaction_differs"),
        ("UPDATE names SET text = 'approved' WHERE text = 'approve'", "index_name_missing"),
        ("DELETE FROM interaction_facts WHERE number = 1", "index_interaction_fact_missing"),
        ("DELETE FROM traces WHERE number = 3", "index_trace_missing"),
        ("DELETE FROM derived", "index_derived_missing"),
        (
            "INSERT INTO derived (id, number, rule, kind) SELECT id, 9, 'invented', 'oversight' FROM records LIMIT 1",
            "index_derived_extra",
        ),
        ("UPDATE derived SET value = 'policy'", "index_derived_differs"),
        ("UPDATE traces SET anchor = anchor + 1 WHERE anchor IS NOT NULL", "index_trace_differs"),
        ("UPDATE positions SET leaf_hash = zeroblob(32)", "index_position_differs"),
        ("UPDATE about SET version = 0", "index_version"),
        ("DROP INDEX ix_records_outcome", "index_schema_differs"),
        (
            "CREATE TRIGGER quiet AFTER INSERT ON records BEGIN UPDATE records SET outcome = NULL; END",
            "index_schema_differs",
        ),
    ],
)
def test_every_other_table_is_compared_too(site: Site, deed: str, check: str) -> None:
    assert check in attacked(site, deed)


def test_an_entry_torn_out_of_a_secondary_index_is_named(site: Site) -> None:
    def tear(index: sqlite3.Connection) -> None:
        # Make the index believe that it is partial in another way, delete the row behind its back, put it back.
        index.execute("PRAGMA writable_schema = ON")
        sql = index.execute("SELECT sql FROM sqlite_master WHERE name = 'ix_records_outcome'").fetchone()[0]
        index.execute(
            "UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql + " AND outcome < 0", "ix_records_outcome")
        )

    with site.attack() as index:
        tear(index)
    with site.attack() as index:  # reads the schema as it was changed
        values = index.execute("SELECT * FROM records WHERE outcome IS NOT NULL ORDER BY id LIMIT 1").fetchone()
        index.execute("REINDEX ix_records_outcome")
        index.execute("PRAGMA writable_schema = ON")
        index.execute(
            "UPDATE sqlite_master SET sql = replace(sql, ' AND outcome < 0', '') WHERE name = 'ix_records_outcome'"
        )
    assert values is not None
    assert "index_damaged" in attacked(site)


def _drop_word(site: Site, seq: int) -> Callable[[sqlite3.Connection], None]:
    def deed(index: sqlite3.Connection) -> None:
        table = f"text_{site.log.id}"
        index.execute(
            f"INSERT INTO {table} ({table}, rowid, facts, content_words) VALUES ('delete', ?, ?, ?)",
            (seq, "refund", ""),
        )

    return deed


def test_a_word_taken_out_of_the_full_text_is_named(site: Site) -> None:
    with site.attack() as index:
        _drop_word(site, 6)(index)
    assert attacked(site) == {"index_text_differs": {6}}


def test_a_word_put_into_the_full_text_is_named(site: Site) -> None:
    assert attacked(
        site, f"INSERT INTO text_{site.log.id} (rowid, facts, content_words) VALUES (5, '', 'approved by a person')"
    ) == {"index_text_differs": {5}}


def test_findings_without_end_are_counted_not_listed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfoil.trails.check_index.MAX_FINDINGS", 5)
    with site.attack() as index:
        index.execute("UPDATE records SET writer = 1")
    findings = [finding for finding in check_index(site.stores) if finding.check == "index_row_differs"]
    assert len(findings) == 6
    assert findings[-1].seq is None
    assert "more like these" in findings[-1].message


def test_a_scratch_directory_is_left_empty(site: Site, tmp_path: Path) -> None:
    assert list(check_index(site.stores, tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def _batch(number: int) -> Batch:
    return Batch("k-test", [event(number, "notice", own={"type": "ai_disclosure"})])
