"""What fsck makes of single records: removals, large values, corrections, versions it does not know."""

import json
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterfoil.core.disclosure import Disclosure, digest_of, encode_disclosure, format_disclosure, parse_disclosure
from counterfoil.core.encoding import parse_time_us
from counterfoil.core.errors import EvidenceError, UnsupportedError
from counterfoil.core.merkle import leaf_hash
from counterfoil.core.record import parse_record
from counterfoil.log.batch import LogInfo
from counterfoil.log.finding import Finding
from counterfoil.log.fsck import Report, check_ledger, disclosures, format_report
from counterfoil.log.fsck.chain import check_range, parse_leaf
from counterfoil.log.fsck.collector import MAX_OF_A_KIND, Collector
from counterfoil.log.fsck.disclosures import PartReader, parse_part
from counterfoil.log.fsck.job import Depth, LogFacts, RangeJob, Sources
from counterfoil.log.keystore import Keystore
from counterfoil.log.masterkey import load_master_key
from counterfoil.mapping.draft import Draft
from tests.attacks.store import ACCESS_ORIGIN, ORIGIN, Store, names, relink, span

GOOD = (
    b'{"agent":{"id":"refunds"},"decision":{"id":"d5","outcome":"deny","type":"refund"},"interaction":{"id":"conv-1"},'
    b'"kind":"decision","log":"audit.example/agents","mapping":{"name":"counterfoil","version":"1"},'
    b'"prev":"4XuekwLcpXsRlTA5nehW0k+4UuZBSHQ+OoFlxEsgOi8=","recorded_at":"2026-11-18T11:06:40.009000Z","seq":6,'
    b'"source":"otlp:traces","span_id":"2fd3af39542a86a4","trace_id":"be94b770ad92e0757ece16f482d65ae3","v":1,'
    b'"writer":"kagents"}'
)


def append_raw(store: Store, leaf: dict[str, object], log: LogInfo | None = None) -> int:
    """Add a record that the service would not write, with number, link and head row in order."""
    log = log or store.log
    with store.attack() as ledger:
        query = "SELECT seq, leaf FROM records WHERE log_id = ? ORDER BY seq DESC LIMIT 1"
        at, last = ledger.execute(query, (log.id,)).fetchone()
    size = at + 1
    leaf = {"recorded_at": json.loads(last)["recorded_at"], "v": 1, **leaf}
    (data,) = relink([json.dumps(leaf).encode()], size, leaf_hash(last), log.origin)
    with store.attack() as ledger:
        ledger.execute("INSERT INTO records (log_id, seq, leaf) VALUES (?, ?, ?)", (log.id, size, data))
        recorded_us = parse_time_us(str(leaf["recorded_at"]))
        row = (size + 1, sha256(b"\x00" + data).digest(), recorded_us, log.id)
        ledger.execute("UPDATE heads SET size = ?, leaf_hash = ?, recorded_us = ? WHERE log_id = ?", row)
    return int(size)


# -- leaves -------------------------------------------------------------------------------------------------------


def both(data: bytes) -> tuple[object, object]:
    def outcome(parse: object) -> object:
        try:
            return parse(data)  # type: ignore[operator]  # one of the two parsers
        except (EvidenceError, UnsupportedError) as error:
            return type(error)

    return outcome(parse_leaf), outcome(parse_record)


def test_the_fast_parser_takes_what_the_strict_one_takes() -> None:
    fast, strict = both(GOOD)
    assert fast == strict
    assert isinstance(fast, dict)


@settings(max_examples=600, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.sampled_from(["change", "insert", "delete", "repeat"]))
def test_the_fast_parser_refuses_what_the_strict_one_refuses(place: int, byte: int, how: str) -> None:
    one = bytes((byte,))
    data = {
        "change": GOOD[:place] + one + GOOD[place + 1 :],
        "insert": GOOD[:place] + one + GOOD[place:],
        "delete": GOOD[:place] + GOOD[place + 1 :],
        "repeat": GOOD[:place] + GOOD[place : place + byte] + GOOD[place:],
    }[how]
    fast, strict = both(data)
    assert fast == strict


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"seq":6', b'"seq":6.0'),
        (b'"seq":6', b'"seq":-0'),
        (b'"seq":6', b'"seq":9007199254740993'),
        (b'"seq":6', b'"seq":null'),
        (b'"seq":6', b'"seq":true'),
        (b'"v":1', b'"v":1.0'),
        (b'"v":1', b'"v":2'),
        (b'{"id":"refunds"}', b"{}"),
        (b'{"id":"refunds"}', b'{"id":""}'),
        (b'{"id":"refunds"}', b'{"id":"refunds","id":"refunds"}'),
        (b'{"id":"refunds"}', b'{"id":"\\u0072efunds"}'),
        (b'{"id":"refunds"}', b'{"id":"r\xc3\xa9funds"}'),
        (b'{"id":"refunds"}', b'{"id":"\\ud800"}'),
        (b'{"id":"refunds"}', b'{"name":"x","id":"refunds"}'),
    ],
)
def test_both_parsers_agree_on_the_traps_of_json(old: bytes, new: bytes) -> None:
    fast, strict = both(GOOD.replace(old, new))
    assert fast == strict
    assert fast in (EvidenceError, UnsupportedError)


def test_a_record_of_a_later_version_is_named_and_is_no_attack(store: Store) -> None:
    seq = append_raw(store, {"v": 2, "kind": "decision", "source": "api", "writer": "kagents"})
    findings = store.fsck()
    assert [(finding.check, finding.seq, finding.attack) for finding in findings] == [
        ("leaf_version_unknown", seq, None)
    ]


@pytest.mark.parametrize(
    ("changes", "earlier"),
    [({"writer": "another"}, 2), ({"span_id": "0" * 15 + "1"}, 2), ({}, 3)],
    ids=["another writer", "another span", "another record"],
)
def test_a_correction_of_what_somebody_else_sent_is_unlawful(
    store: Store, changes: dict[str, str], earlier: int
) -> None:
    first = json.loads(store.leaf(2))
    leaf = {key: first[key] for key in ("kind", "decision", "span_id", "trace_id", "writer")} | changes
    if earlier == 3:
        leaf["span_id"] = json.loads(store.leaf(4))["span_id"]
    seq = append_raw(store, {**leaf, "source": "api", "supersedes": earlier})
    findings = store.fsck()
    assert [(finding.check, finding.seq, finding.attack) for finding in findings] == [("supersedes_unlawful", seq, 29)]


def test_a_lawful_correction_is_no_finding(store: Store) -> None:
    item = span(40)
    item.identity = b"the same span, sent with other data"
    answer = store.send_items([item])
    given = answer.seqs[0]
    assert given is not None
    assert given.new
    assert b'"supersedes":' in store.leaf(given.first)
    assert store.fsck() == []


def test_a_second_genesis_is_named(store: Store) -> None:
    genesis = json.loads(store.leaf(0))["genesis"]
    seq = append_raw(store, {"kind": "genesis", "source": "service", "genesis": genesis})
    assert [(finding.check, finding.seq) for finding in store.fsck()] == [("genesis_misplaced", seq)]


@pytest.mark.parametrize(
    "leaf",
    [
        {"kind": "access", "source": "api", "writer": "kagents", "access": {"action": "export"}},
        {"kind": "break_glass", "source": "service", "break_glass": {"person": "p-1"}},
    ],
    ids=lambda leaf: str(leaf["kind"]),
)
def test_a_kind_of_the_access_log_among_interactions_is_named(store: Store, leaf: dict[str, Any]) -> None:
    seq = append_raw(store, leaf)
    findings = store.fsck()
    assert [(finding.check, finding.seq) for finding in findings] == [("kind_misplaced", seq)]
    assert leaf["kind"] in findings[0].message


@pytest.mark.parametrize("kind", ["decision", "erasure", "refusal"])
def test_telemetry_in_the_access_log_is_named(store: Store, kind: str) -> None:
    facts: dict[str, Any] = {
        "decision": {"source": "api", "writer": "kagents", "decision": {"id": "d1"}},
        "erasure": {"source": "service", "erasure": {"ranges": [[0, 0]], "fields": "all"}},
        "refusal": {"source": "service", "refusal": {"signal": "traces", "code": "x", "count": 1}},
    }[kind]
    access = store.logs.by_origin(ACCESS_ORIGIN)
    assert access is not None
    seq = append_raw(store, {"kind": kind, **facts}, access)
    findings = store.fsck()
    assert [(finding.check, finding.log, finding.seq) for finding in findings] == [
        ("kind_misplaced", ACCESS_ORIGIN, seq)
    ]


def test_a_removal_row_of_one_field_is_founded_in_a_record_of_all(store: Store) -> None:
    facts = {"ranges": [[100, 101]], "fields": "all"}
    (seq,) = store.logs.append_drafts(store.log.id, [Draft("erasure", "service", {"erasure": facts}, [])])
    with store.attack() as ledger:
        columns = "(log_id, first_seq, last_seq, by_seq, kind, fields)"
        row = (store.log.id, 100, 101, seq, "erasure", '["rationale"]')
        ledger.execute(f"INSERT INTO removals {columns} VALUES (?, ?, ?, ?, ?, ?)", row)
    assert store.fsck() == []


def test_a_removal_row_that_says_more_than_its_record_explains_nothing(store: Store) -> None:
    seq = next(seq for seq in range(100, 120) if b'"rationale"' in store.leaf(seq))
    by = erase(store, seq, seq, ["rationale"])
    with store.attack_without_triggers() as ledger:
        ledger.execute("UPDATE removals SET fields = NULL")
    found = {(finding.check, finding.seq) for finding in store.fsck()}
    assert found == {("removal_unfounded", by), ("content_missing", seq)}


# -- removals -----------------------------------------------------------------------------------------------------


def erase(store: Store, first: int, last: int, fields: list[str] | None) -> int:
    """What the privacy room does: the record first, then the removal, then the content."""
    facts = {"request": "r-1", "ranges": [[first, last]], "fields": fields or "all", "ground": "gdpr-17"}
    (seq,) = store.logs.append_drafts(store.log.id, [Draft("erasure", "service", {"erasure": facts}, [])])
    with store.attack() as ledger:
        columns = "(log_id, first_seq, last_seq, by_seq, kind, fields)"
        row = (store.log.id, first, last, seq, "erasure", None if fields is None else json.dumps(fields))
        ledger.execute(f"INSERT INTO removals {columns} VALUES (?, ?, ?, ?, ?, ?)", row)
        ledger.execute("DELETE FROM contents WHERE log_id = ? AND seq BETWEEN ? AND ?", (store.log.id, first, last))
    return seq


def test_content_that_an_erasure_record_covers_is_accounted_for(store: Store) -> None:
    erase(store, 100, 119, None)
    report = Report()
    assert store.fsck(report=report) == []
    agents = next(log for log in report.logs if log.origin == ORIGIN)
    assert agents.counts.removed == 20
    assert "fields of 20 records are erased or expired, as the log says" in format_report(report, [])


def test_an_erasure_of_one_field_does_not_cover_the_others(store: Store) -> None:
    seq = next(seq for seq in range(100, 120) if b'"rationale"' in store.leaf(seq))
    erase(store, seq, seq, ["rationale"])
    findings = store.fsck()
    assert [(finding.check, finding.seq) for finding in findings] == [("content_missing", seq)]
    assert "inputs" in findings[0].message
    assert "rationale" not in findings[0].message


class ErasingKeystore(Keystore):
    """The real keystore, beside which somebody erases one record just before its key is asked for."""

    store: Store
    key_id: bytes

    def open_keys(self, log_id: int, key_ids: Iterable[bytes]) -> dict[bytes, bytes]:
        if self.store.size() == 802:
            erase(self.store, 2, 801, None)
            self.destroy_keys([self.key_id])
        return super().open_keys(log_id, key_ids)


def test_content_that_is_erased_while_the_check_runs_is_no_damage(store: Store) -> None:
    keystore = ErasingKeystore(store.keystore_database, load_master_key(store.directory.keys))
    keystore.store = store
    with store.attack() as ledger:
        query = "SELECT key_id FROM contents WHERE log_id = ? AND seq = 20"
        keystore.key_id = ledger.execute(query, (store.log.id,)).fetchone()[0]
    facts = LogFacts(store.log.id, ORIGIN, store.sources().keys[ORIGIN], 802, 802)
    result = check_range(RangeJob(facts, 0, 802, (), Depth()), store.ledger, keystore)
    assert keystore.open_key(store.log.id, keystore.key_id) is None
    assert result.findings == []
    store.checkpoint()
    assert store.fsck() == []


def test_a_removal_wider_than_its_record_is_unfounded(store: Store) -> None:
    seq = erase(store, 100, 101, None)
    with store.attack() as ledger:
        columns = "(log_id, first_seq, last_seq, by_seq, kind, fields)"
        row = (store.log.id, 100, 110, seq, "erasure", None)
        ledger.execute(f"INSERT INTO removals {columns} VALUES (?, ?, ?, ?, ?, ?)", row)
    findings = store.fsck()
    assert [(finding.check, finding.seq) for finding in findings] == [("removal_unfounded", seq)]


# -- large values -------------------------------------------------------------------------------------------------


@pytest.fixture
def large(store: Store) -> tuple[Store, int]:
    """A store with one record whose rationale is a blob in three parts."""
    item = span(7000)
    item.drafts[0].fields[0] = ("rationale", "x" * 2_500_000)
    given = store.send_items([item]).seqs[0]
    assert given is not None
    with store.attack() as ledger:
        query = "SELECT count(*) FROM blobs WHERE log_id = ? AND seq = ?"
        assert ledger.execute(query, (store.log.id, given.first)).fetchone()[0] == 3
    return store, given.first


def test_a_large_value_is_opened_part_by_part_and_matched(large: tuple[Store, int]) -> None:
    assert large[0].fsck() == []


def test_a_changed_part_of_a_large_value_is_a_mismatch(large: tuple[Store, int]) -> None:
    store, seq = large
    with store.attack_without_triggers() as ledger:
        ledger.execute("UPDATE blobs SET sealed = zeroblob(500) WHERE seq = ? AND part = 1", (seq,))
    assert [(finding.check, finding.seq, finding.attack) for finding in store.fsck()] == [("content_mismatch", seq, 2)]


def test_swapped_parts_of_a_large_value_are_a_mismatch(large: tuple[Store, int]) -> None:
    store, seq = large
    with store.attack_without_triggers() as ledger:
        for old, new in ((0, 10), (1, 0), (10, 1)):
            ledger.execute("UPDATE blobs SET part = ? WHERE seq = ? AND part = ?", (new, seq, old))
    assert [(finding.check, finding.seq) for finding in store.fsck()] == [("content_mismatch", seq)]


def test_a_missing_part_of_a_large_value_is_missing_content(large: tuple[Store, int]) -> None:
    store, seq = large
    with store.attack_without_triggers() as ledger:
        ledger.execute("DELETE FROM blobs WHERE seq = ? AND part = 2", (seq,))
    assert [(finding.check, finding.seq) for finding in store.fsck()] == [("content_missing", seq)]


def test_a_large_value_that_nothing_refers_to_is_named(large: tuple[Store, int]) -> None:
    store, seq = large
    with store.attack_without_triggers() as ledger:
        ledger.execute("UPDATE blobs SET field = 'other' WHERE seq = ?", (seq,))
    assert names(store.fsck()) == {"content_missing", "content_unasked"}


# -- the rest -----------------------------------------------------------------------------------------------------


def test_a_log_without_a_key_to_check_it_with_is_named(store: Store) -> None:
    sources = store.sources()
    keys = {origin: key for origin, key in sources.keys.items() if origin != ORIGIN}
    findings = list(check_ledger(Sources(sources.ledger_url, sources.heads, keys)))
    assert names(findings) == {"key_unknown"}
    assert {finding.log for finding in findings} == {ORIGIN}


def test_a_master_key_never_shows_in_the_representation_of_the_sources(store: Store) -> None:
    sources = store.sources()
    assert sources.master_key is not None
    assert repr(sources.master_key) not in repr(sources)
    assert "master_key=" not in repr(sources)


def test_progress_ends_at_the_number_of_all_records(store: Store) -> None:
    steps: list[tuple[int, int]] = []
    list(check_ledger(store.sources(), progress=lambda done, total: steps.append((done, total))))
    assert steps[-1][0] == steps[-1][1] == store.size() + 4
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


def test_thousands_of_findings_of_one_kind_are_listed_in_part_and_counted_in_full() -> None:
    found = Collector(ORIGIN)
    for seq in range(MAX_OF_A_KIND + 777):
        found.add("chain_broken", "broken", seq=seq, attack=1)
    found.add("head_row", "other", attack=5)
    listed = list(found.drain())
    assert len(listed) == MAX_OF_A_KIND + 2
    assert listed[-1] == Finding("chain_broken", ORIGIN, None, "777 more like these", 1)
    assert list(found.drain()) == []


def test_a_finding_as_text_names_log_record_check_and_attack() -> None:
    assert Finding("chain_broken", ORIGIN, 7, "broken", 1).text() == f"{ORIGIN} #7: chain_broken (attack 1): broken"
    assert Finding("trigger_missing", "", None, "gone").text() == "store: trigger_missing: gone"


# -- disclosures --------------------------------------------------------------------------------------------------

PART = format_disclosure("AAECAwQFBgcICQoLDA0ODw", "inputs", {"amount": "40", "items": [1, 2.5, None, {"é": "ü\n"}]})


def both_disclosures(part: bytes) -> tuple[object, object]:
    def outcome(parse: Callable[[], Disclosure]) -> object:
        try:
            return parse()
        except EvidenceError as error:
            return error.check

    encoded = encode_disclosure(part)
    return outcome(lambda: parse_part(part)), outcome(lambda: parse_disclosure(encoded))


@settings(max_examples=600, deadline=None)
@given(st.integers(0, len(PART) - 1), st.integers(0, 255), st.sampled_from(["change", "insert", "delete", "repeat"]))
def test_the_fast_parser_of_disclosures_takes_what_the_strict_one_takes(place: int, byte: int, how: str) -> None:
    one = bytes((byte,))
    part = {
        "change": PART[:place] + one + PART[place + 1 :],
        "insert": PART[:place] + one + PART[place:],
        "delete": PART[:place] + PART[place + 1 :],
        "repeat": PART[:place] + PART[place : place + byte] + PART[place:],
    }[how]
    fast, strict = both_disclosures(part)
    assert fast == strict


@pytest.mark.parametrize(
    "part",
    [
        PART,
        b'["AAECAwQFBgcICQoLDA0ODw","x",{"a":1,"a":2}]',
        b'["AAECAwQFBgcICQoLDA0ODx","x",1]',
        b'["AAECAwQFBgcICQoLDA0","x",1]',
        b'["AAECAwQFBgcICQoLDA0ODxAR","x",1]',
        b'["AAECAwQFBgcICQoLDA0ODxA","x",1]',
        b'["AAECAwQFBgcICQoLDA0ODw","",1]',
        b'["AAECAwQFBgcICQoLDA0ODw",1,1]',
        b'["AAECAwQFBgcICQoLDA0ODw","x"]',
        b'["AAECAwQFBgcICQoLDA0ODw","x",NaN]',
        b'["AAECAwQFBgcICQoLDA0ODw","x",' + b"[" * 64 + b"]" * 64 + b"]",
        b'["AAECAwQFBgcICQoLDA0ODw","x",' + b"[" * 65 + b"]" * 65 + b"]",
        b'["AAECAwQFBgcICQoLDA0ODw","x",123456789012345678901234567890]',
        b'["AAECAwQFBgcICQoLDA0ODw","x",1e400]',
    ],
)
def test_both_parsers_of_disclosures_agree_on_the_traps(part: bytes) -> None:
    fast, strict = both_disclosures(part)
    assert fast == strict


SALT_18 = "AAECAwQFBgcICQoLDA0ODxAR"


def fields_of(*parts: bytes) -> dict[bytes, str]:
    return {digest_of(encode_disclosure(part)).encode(): json.loads(part)[1] for part in parts}


def test_a_value_that_was_read_before_is_not_read_again_and_still_bound_to_its_name() -> None:
    first = format_disclosure(SALT_18, "resource", {"attributes": [1, 2]})
    again = format_disclosure(SALT_18[::-1], "resource", {"attributes": [1, 2]})
    reader = PartReader()
    assert reader.read(first, fields_of(first)) == ("resource", SALT_18.encode(), {"attributes": [1, 2]})
    assert reader.read(again, fields_of(again)) == ("resource", SALT_18[::-1].encode(), None)
    with pytest.raises(EvidenceError, match="carries another name"):
        reader.read(again, dict.fromkeys(fields_of(again), "scope"))
    with pytest.raises(EvidenceError, match="does not commit to"):
        reader.read(again, {})


def test_a_reference_to_a_large_value_is_read_each_time() -> None:
    part = format_disclosure(SALT_18, "input", {"blob": {"size": 7}})
    reader = PartReader()
    for _ in range(2):
        assert reader.read(part, fields_of(part))[2] == {"blob": {"size": 7}}


def test_what_is_remembered_of_disclosures_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disclosures, "MAX_KNOWN", 3)
    reader = PartReader()
    for number in range(20):
        part = format_disclosure(SALT_18, "input", number)
        assert reader.read(part, fields_of(part))[:2] == ("input", SALT_18.encode())
        assert len(reader._known) <= 3
