"""Steps 7 to 11 as a stream: cursors, units, workers, supersessions, views; the same report whatever the cut."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from counterfoil.core.encoding import decode_base64, encode_base64
from counterfoil.core.errors import EvidenceError
from counterfoil.core.merkle import leaf_hash
from counterfoil.core.tiles import format_entries, parse_entries
from counterfoil.verify import check, leaves, states, supersedes, totals
from counterfoil.verify.check import verify_bundle
from counterfoil.verify.cursor import Cursor, seq_of_line
from counterfoil.verify.policy import parse_policy
from counterfoil.verify.report import Report, Verdict
from tests.verify.build import Files, Plan, build, policy_text, print_json, print_lines
from tests.verify.cases import FOLDER
from tests.verify.large import write_large
from tests.verify.log import (
    Record,
    Tree,
    chain,
    decision,
    disclose,
    erasure,
    make_records,
    recorded_at,
)
from tests.verify.running import verify_plan, why
from tests.verify.test_cases import NAMES, verify_case

# --- cursor ---------------------------------------------------------------------------------------------------------


def _lines(seqs: list[int]) -> list[bytes]:
    return [b'{"field":"f","seq":%d,"state":"WITHHELD"}\n' % seq for seq in seqs]


@pytest.mark.parametrize("block", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("ends", [[3, 9], [0, 1, 2, 9], [9], [5, 5, 9]])
def test_a_cursor_gives_each_line_once_and_to_its_range(block: int, ends: list[int]) -> None:
    lines = _lines([0, 0, 1, 3, 3, 3, 4, 8])
    cursor = Cursor(iter([b"".join(lines[at : at + block]) for at in range(0, len(lines), block)]))
    taken = []
    first = 0
    for end in ends:
        found, reached = cursor.take(first, end, 1 << 20, 1 << 20)
        assert reached == end
        assert all(first <= seq_of_line(line, 0, len(line)) < end for line in found.splitlines())
        taken.append(found)
        first = end
    assert b"".join(taken) == b"".join(lines)
    cursor.check_end("states")


def test_a_cursor_stops_at_a_record_once_it_has_enough() -> None:
    lines = _lines([0, 1, 1, 1, 2, 3])
    cursor = Cursor(iter(lines))
    found, end = cursor.take(0, 9, 2 * len(lines[0]), 1 << 20)
    assert (found.count(b"\n"), end) == (4, 2)  # the record that goes over the limit is still taken whole
    assert cursor.take(2, 9, 1, 1 << 20)[1] == 3
    with pytest.raises(EvidenceError, match="states of record 3, which is not presented"):
        cursor.check_end("states")


def test_a_cursor_never_stands_still_on_hostile_order() -> None:
    cursor = Cursor(iter(_lines([0, 0, 0])))
    assert cursor.take(5, 9, 1, 1 << 20)[1] == 6


@pytest.mark.parametrize("seqs", [[6] * 10_000, [0] * 10_000, [6, 5] * 5_000])
def test_a_cursor_does_not_collect_lines_without_end(seqs: list[int]) -> None:
    lines = _lines(seqs)
    given = 0

    def blocks() -> Iterator[bytes]:
        nonlocal given
        for line in lines:
            given += 1
            yield line

    with pytest.raises(EvidenceError, match="over 1000 bytes before record 7: too much, or not sorted"):
        Cursor(blocks()).take(6, 7, 100, 1_000)
    assert given < 30


@pytest.mark.parametrize("name", ["disclosures", "states"])
def test_lines_of_one_record_are_bounded(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = (DISCLOSED if name == "disclosures" else STATED) * 2_000
    plan = Plan(chosen=[1], data=lambda files: files.update({f"data/{name}.ndjson": line}))
    assert "not sorted by field, each once" in why(verify_plan(tmp_path, plan))[1]
    monkeypatch.setattr(leaves, "UNIT_BYTES", 4_000)
    monkeypatch.setattr(leaves, "BLOCK_BYTES", 1_000)
    monkeypatch.setattr(leaves, "MAX_RECORD_BYTES", 4_000)
    monkeypatch.setattr(leaves, "MAX_RECORD_STATES_BYTES", 4_000)
    monkeypatch.setattr("counterfoil.verify.reader.BLOCK_BYTES", 1_000)
    monkeypatch.setattr("counterfoil.verify.archive.CHUNK_BYTES", 500)
    number, reason = why(verify_plan(tmp_path, plan))
    assert (number, "bytes before record 2: too much, or not sorted" in reason) == (9, True), reason


DISCLOSED = b'{"disclosure":"AAAA","field":"output","seq":1}\n'
STATED = b'{"field":"output","seq":1,"state":"WITHHELD"}\n'


@pytest.mark.parametrize("line", [b"{}\n", b'{"seq":}\n', b'{"seq":-1}\n', b'{"seq":12345678901234567}\n', b"\n"])
def test_a_line_without_seq_is_refused(line: bytes) -> None:
    with pytest.raises(EvidenceError, match="no seq"):
        seq_of_line(line, 0, len(line))


# --- units and workers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3])
def test_every_case_gets_the_same_report_in_units_of_any_size(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {name: verify_case(FOLDER / name) for name in NAMES}
    monkeypatch.setattr(leaves, "UNIT_LEAVES", size)
    assert {name: verify_case(FOLDER / name) for name in NAMES} == whole


def test_every_case_gets_the_same_report_when_content_fills_the_units(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {name: verify_case(FOLDER / name) for name in NAMES}
    monkeypatch.setattr(leaves, "UNIT_BYTES", 1)
    assert {name: verify_case(FOLDER / name) for name in NAMES} == whole


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "large.zip"
    write_large(path, 1_000)
    return path


def _verify(path: Path, workers: int) -> Report:
    return verify_bundle(path, policy=parse_policy(policy_text()), workers=workers)


def test_workers_give_the_same_report(large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "PARALLEL_LEAVES", 1)
    monkeypatch.setattr(leaves, "UNIT_LEAVES", 200)
    assert _verify(large, 2) == _verify(large, 1)
    assert _verify(large, 2).result is Verdict.VERIFIED
    (tmp_path / "bundle.zip").write_bytes(b"")
    for plan in (
        Plan(size=600, records=lambda records: records[450].leaf.update(secret=1)),
        Plan(size=600, data=lambda files: files.update({"data/leaves/001": b"\xff"})),
    ):
        alone = verify_plan(tmp_path, plan, workers=1)
        assert alone.result is Verdict.REJECTED
        assert verify_plan(tmp_path, plan, workers=2) == alone


def test_memory_does_not_grow_with_the_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaves, "UNIT_LEAVES", 64)
    monkeypatch.setattr("counterfoil.verify.reader.BLOCK_BYTES", 64 * 1024)
    monkeypatch.setattr("counterfoil.verify.archive.CHUNK_BYTES", 32 * 1024)
    peaks = []
    for size in (300, 300, 1_800):
        write_large(tmp_path / "large.zip", size)
        tracemalloc.start()
        assert _verify(tmp_path / "large.zip", 1).result is Verdict.VERIFIED
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.5 * peaks[1]


# --- what lies across units and files -------------------------------------------------------------------------------


def test_a_range_over_several_entry_bundles_is_chained_throughout(tmp_path: Path) -> None:
    report = verify_plan(tmp_path, Plan(size=600, a=300, b=520))
    assert (report.result, report.step(7).message) == (Verdict.VERIFIED, "344 leaves")


def _change_entries(name: str, change: Callable[[list[bytes]], Any]) -> Callable[[Files], Any]:
    def apply(files: Files) -> None:
        found = parse_entries(files[name])
        change(found)
        files[name] = format_entries(found)

    return apply


def _relink(found: list[bytes]) -> None:
    """A leaf of the second file changed, and all links after it made again within the file."""
    found[0] = (
        found[0].replace(b'"seq":256', b'"seq":256').replace(b"low_confidence", b"error").replace(b'"ok"', b'"error"')
    )
    for at in range(1, len(found)):
        leaf = json.loads(found[at])
        leaf["prev"] = encode_base64(leaf_hash(found[at - 1]))
        found[at] = json.dumps(leaf, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_a_link_across_units_and_files_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(found: list[bytes]) -> None:
        leaf = json.loads(found[0])
        leaf["prev"] = encode_base64(bytes(31) + b"\1")
        found[0] = json.dumps(leaf, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        _relink(found)

    plan = Plan(size=300, data=_change_entries("data/leaves/001.p/44", change))
    whole = verify_plan(tmp_path, plan)
    assert why(whole) == (8, "record 256 does not hold the hash of record 255")
    monkeypatch.setattr(leaves, "UNIT_LEAVES", 256)
    assert verify_plan(tmp_path, plan) == whole


def test_leaves_rewritten_from_a_file_on_do_not_reach_the_checkpoint(tmp_path: Path) -> None:
    number, reason = why(verify_plan(tmp_path, Plan(size=300, data=_change_entries("data/leaves/001.p/44", _relink))))
    assert number == 8
    assert "leads to another root" in reason


@pytest.mark.parametrize(
    ("data", "number", "message"),
    [
        (lambda f: f.update({"data/leaves/000.p/8": f["data/leaves/000.p/8"][:-1]}), 7, "cut off"),
        (_change_entries("data/leaves/000.p/8", lambda found: found.pop()), 7, "7 leaves, which its name does not say"),
        (lambda f: f.update({"data/leaves/001": f["data/leaves/000.p/8"]}), 8, "leaves outside"),
        (lambda f: f.update({"data/proofs.ndjson": b""}), 8, "a range has one proof"),
        (lambda f: f.update({"data/proofs.ndjson": f["data/proofs.ndjson"] * 2}), 8, "a range has one proof"),
        (lambda f: f.pop("data/proofs.ndjson"), 8, "missing"),
        (lambda f: f.pop("data/related.ndjson"), 8, "missing"),
        (lambda f: f.pop("data/states.ndjson"), 9, "missing"),
        (lambda f: f.pop("data/disclosures.ndjson"), 9, "missing"),
        (
            lambda f: f.update(
                {"data/proofs.ndjson": f["data/proofs.ndjson"].replace(b"v1\\n", b"v1\\nextra AAAA\\n")}
            ),
            8,
            "not of record 7",
        ),
        (
            lambda f: f.update(
                {"data/proofs.ndjson": f["data/proofs.ndjson"].replace(b"\xe2\x80\x94 w1", b"\xe2\x80\x94 w2")}
            ),
            8,
            "not under the bundle's checkpoint",
        ),
        (lambda f: f.update({"data/states.ndjson": b'{"seq":1}\n'}), 9, "not of the form of states"),
        (lambda f: f.update({"data/states.ndjson": b'{"seq":"x"}\n'}), 9, "no seq"),
        (lambda f: f.update({"data/disclosures.ndjson": b'{"seq":1}\n'}), 9, "not of the form of disclosures"),
        (lambda f: f.update({"data/blobs/1/x": b""}), 9, "1 blobs are there, 0 are disclosed"),
    ],
)
def test_leaves_and_proofs_are_exactly_what_they_must_be(
    data: Callable[[Files], Any], number: int, message: str, tmp_path: Path
) -> None:
    found, reason = why(verify_plan(tmp_path, Plan(data=data)))
    assert found == number, reason
    assert message in reason


def test_a_bundle_without_leaves_has_no_proof(tmp_path: Path) -> None:
    plan = Plan(a=3, b=3)
    assert verify_plan(tmp_path, plan).result is Verdict.VERIFIED
    plan.data = lambda files: files.update({"data/proofs.ndjson": b'{"seq":1}\n'})
    assert why(verify_plan(tmp_path, plan)) == (8, "no leaf is present, so none is to be proved")


def _change_line(index: int, change: Callable[[dict[str, Any]], Any]) -> Callable[[Files], Any]:
    def apply(files: Files) -> None:
        lines = [json.loads(line) for line in files["data/proofs.ndjson"].splitlines()]
        change(lines[index])
        files["data/proofs.ndjson"] = print_lines(lines)

    return apply


def _swap(files: Files) -> None:
    files["data/proofs.ndjson"] = b"".join(reversed(files["data/proofs.ndjson"].splitlines(keepends=True)))


@pytest.mark.parametrize(
    ("data", "number", "message"),
    [
        (_change_line(1, lambda line: line.update(seq=4)), 8, "is of index 3"),
        (_change_line(1, lambda v: v.update(proof=v["proof"].replace("@v1\n", "@v1\nextra AAAA\n"))), 8, "extra line"),
        (_change_line(1, lambda v: v.update(proof=v["proof"][:-2] + "\n")), 8, "not under the bundle's checkpoint"),
        (_change_line(1, lambda v: v.update(proof="x")), 8, "not c2sp.org/tlog-proof@v1"),
        (_change_line(1, lambda v: v.update(extra="x")), 8, "other keys"),
        (_change_line(1, lambda v: v.update(leaf="%")), 8, "base64"),
        (lambda f: f.pop("data/proofs.ndjson"), 8, "missing"),
        (lambda f: f.update({"data/leaves/000": b"x"}), 8, "leaves outside"),
    ],
)
def test_selected_records_have_each_their_own_proof_in_order(
    data: Callable[[Files], Any], number: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(chosen=[1, 3, 6], data=data)
    report = verify_plan(tmp_path, plan)
    found, reason = why(report)
    assert found == number, reason
    assert message in reason
    monkeypatch.setattr(leaves, "UNIT_LEAVES", 1)
    assert why(verify_plan(tmp_path, plan))[0] == number


@pytest.mark.parametrize("size", [1, 100])
def test_selected_records_come_in_the_order_of_the_log(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaves, "UNIT_LEAVES", size)
    number, reason = why(
        verify_plan(tmp_path, Plan(chosen=[2, 5], data=_swap))
    )  # fallbacks: no content to stumble over
    assert (number, "record 2 does not come after record 5" in reason) == (7, True)


def test_related_records_are_limited_in_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaves, "MAX_RELATED", 1)
    assert verify_plan(tmp_path, Plan(related=[0])).result is Verdict.VERIFIED
    assert why(verify_plan(tmp_path, Plan(related=[0, 1])))[1] == "more than 1 related records"


# --- supersessions --------------------------------------------------------------------------------------------------


def _supersede(*pairs: tuple[int, int], writer: str | None = None) -> Callable[[list[Record]], None]:
    def change(records: list[Record]) -> None:
        for seq, target in pairs:
            records[seq] = decision(seq)
            for key in ("trace_id", "span_id"):
                if key in records[target].leaf:
                    records[seq].leaf[key] = records[target].leaf[key]
            records[seq].leaf["supersedes"] = target
            if writer:
                records[seq].leaf["writer"] = writer

    return change


def test_supersessions_across_files_are_resolved_however_many_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Plan(size=520, records=_supersede((400, 3), (401, 300), (402, 3), (510, 258)))
    bad = Plan(size=520, records=_supersede((400, 3), (401, 300), writer="k-other"))
    for at_once in (1, 2, 65_536):
        monkeypatch.setattr(supersedes, "CLAIMS_AT_ONCE", at_once)
        assert verify_plan(tmp_path, good).result is Verdict.VERIFIED
        number, reason = why(verify_plan(tmp_path, bad))
        assert number == 7
        assert reason.startswith("record 400 supersedes record 3, which has another writer")


def test_what_a_record_supersedes_need_not_be_present(tmp_path: Path) -> None:
    records = _supersede((400, 3), (401, 3), writer="k-other")
    assert verify_plan(tmp_path, Plan(size=520, a=400, records=records)).result is Verdict.VERIFIED
    assert verify_plan(tmp_path, Plan(size=520, chosen=[400, 401], records=records)).result is Verdict.VERIFIED


def test_a_record_may_not_supersede_a_later_one(tmp_path: Path) -> None:
    records = _supersede((4, 3))
    number, reason = why(
        verify_plan(tmp_path, Plan(records=lambda found: (records(found), found[4].leaf.update(supersedes=6))))
    )
    assert (number, "supersedes must be lower than seq" in reason) == (7, True)


# --- content --------------------------------------------------------------------------------------------------------


def _content(name: str, lines: list[dict[str, Any]]) -> Callable[[Files], Any]:
    return lambda files: files.update({f"data/{name}.ndjson": print_lines(lines)})


OUTPUT = {"disclosure": disclose(1, "output", "Answer 1"), "field": "output", "seq": 1}
STATE = {"field": "output", "seq": 1, "state": "WITHHELD"}
SALTLESS = "WyJBQSIsIm91dHB1dCIsIngiXQ"


def _disclose_badly(encoded: str) -> Callable[[list[Record]], None]:
    from counterfoil.core.disclosure import digest_of

    def change(records: list[Record]) -> None:
        records[1].disclosures["output"] = encoded
        records[1].leaf["content"] = {"output": digest_of(encoded)}

    return change


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (Plan(size=2, data=_content("disclosures", [OUTPUT, OUTPUT])), "not sorted by field"),
        (Plan(size=2, data=_content("disclosures", [{**OUTPUT, "field": "input"}])), "no content field input"),
        (Plan(size=2, data=_content("disclosures", [{**OUTPUT, "seq": 0}])), "no content field output"),
        (Plan(size=2, data=_content("states", [STATE])), "is disclosed and has a state"),
        (Plan(size=2, data=_content("states", [{**STATE, "field": "input"}])), "no content field input"),
        (Plan(size=2, data=_content("states", [{**STATE, "state": "LOST"}])), "no such state: LOST"),
        (Plan(size=2, data=_content("states", [{**STATE, "by": 5}])), "a record is named for ERASED"),
        (Plan(size=2, data=_content("states", [{**STATE, "state": "ERASED"}])), "a record is named for ERASED"),
        (Plan(size=2, data=_content("states", [{**STATE, "seq": 5}])), "which is not presented"),
        (Plan(size=2, chosen=[1], data=_content("states", [{**STATE, "seq": 0}])), "not presented, or not sorted"),
        (Plan(size=2, records=_disclose_badly(SALTLESS)), "salt"),
        (Plan(size=2, records=_disclose_badly("AAAA")), "not JSON"),
    ],
)
def test_content_is_disclosed_or_has_a_state_once(plan: Plan, message: str, tmp_path: Path) -> None:
    number, reason = why(verify_plan(tmp_path, plan))
    assert number == 9, reason
    assert message in reason


def test_a_producers_own_object_may_look_like_a_blob(tmp_path: Path) -> None:
    def change(records: list[Record]) -> None:
        records[1].disclose("input", {"blob": "mine"})
        records[1].disclose("error", {"blob": {"salt": "x", "sha256": "y", "size": 1}})

    assert verify_plan(tmp_path, Plan(size=3, records=change)).result is Verdict.VERIFIED


def test_a_withheld_and_an_erased_field_stand_side_by_side(tmp_path: Path) -> None:
    def change(records: list[Record]) -> None:
        records[7] = erasure(7, 1, 6, "all")
        records[6] = decision(6)

    plan = Plan(records=change, erased={(3, "input"): ("ERASED", 7), (6, "rationale"): ("ERASED", 7)})
    plan.withheld = {(3, "rationale")}
    report = verify_plan(tmp_path, plan)
    assert (report.result, report.step(10).message) == (Verdict.VERIFIED, "2 fields")


def test_an_erasure_before_the_record_explains_nothing(tmp_path: Path) -> None:
    def change(records: list[Record]) -> None:
        records[2] = erasure(2, 1, 6, "all")

    number, reason = why(verify_plan(tmp_path, Plan(records=change, erased={(3, "input"): ("ERASED", 2)})))
    assert (number, "does not cover" in reason) == (10, True)


def test_an_erasure_that_names_no_fields_is_no_record(tmp_path: Path) -> None:
    def change(records: list[Record]) -> None:
        records[7] = erasure(7, 1, 6, "all")
        del records[7].leaf["erasure"]["fields"]

    number, reason = why(verify_plan(tmp_path, Plan(records=change, erased={(3, "input"): ("ERASED", 7)})))
    assert (number, reason.startswith("record 7: ")) == (7, True)


def _erase_often(records: list[Record]) -> None:
    for seq in (4, 5, 6, 7):
        records[seq] = erasure(seq, 1, 3, ["input"])


def test_of_all_erasures_only_those_that_states_name_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(records=_erase_often, erased={(3, "input"): ("ERASED", 5)})
    monkeypatch.setattr(leaves, "MAX_EXPLANATIONS", 3)  # one record, with one range and one field
    assert verify_plan(tmp_path, plan).result is Verdict.VERIFIED
    monkeypatch.setattr(leaves, "MAX_EXPLANATIONS", 2)
    assert why(verify_plan(tmp_path, plan)) == (
        10,
        "more than 2 ranges and fields of erasures and expiries that states name",
    )
    plan.erased = {}
    assert verify_plan(tmp_path, plan).result is Verdict.VERIFIED


def test_states_that_name_ever_more_records_are_not_collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(records=_erase_often, erased={(3, "input"): ("ERASED", 5), (3, "rationale"): ("ERASED", 2)})
    monkeypatch.setattr(states, "MAX_EXPLANATIONS", 1)
    assert why(verify_plan(tmp_path, plan)) == (10, "record 3, field rationale: record 2 is no erasure here")


# --- views ----------------------------------------------------------------------------------------------------------

ROW = print_json({"leaf_hash": encode_base64(bytes(32)), "seq": 1}) + b"\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda f: f.update({"data/records.ndjson": ROW}), "does not present exactly"),
        (lambda f: f.update({"data/records.ndjson": b"{}\n"}), "seq must be an integer"),
        (lambda f: f.update({"data/records.csv": b"\xef\xbb\xbfa,b\r\n"}), "first columns"),
        (lambda f: f.update({"data/records.csv": b""}), "first columns"),
        (lambda f: f.update({"data/records.csv": b"\xef\xbb\xbfseq,leaf_hash\r\n1\r\n"}), "fewer than two columns"),
        (lambda f: f.update({"data/records.csv": b"\xef\xbb\xbfseq,leaf_hash\r\n\xff\n"}), "not CSV"),
        (lambda f: f.update({"data/records.csv": b'\xef\xbb\xbfseq,leaf_hash\r\n"a"b,c\r\n'}), "not CSV"),
        (lambda f: f.update({"data/records.csv": b"\xef\xbb\xbfseq,leaf_hash\r\n=1,AAAA\r\n"}), "decimal"),
        (lambda f: f.update({"data/records-3.csv": f["data/records.csv"]}), "without gaps"),
        (lambda f: f.update({"data/records-2.csv": f["data/records.csv"]}), "does not present exactly"),
    ],
)
def test_views_present_exactly_the_records(data: Callable[[Files], Any], message: str, tmp_path: Path) -> None:
    number, reason = why(verify_plan(tmp_path, Plan(data=data)))
    assert number == 11, reason
    assert message in reason


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"1," + b"a" * 50_000, "row is over the limit of 10000 bytes"),
        (b'1,"' + b"a\n" * 50_000 + b'"', "row is over the limit of 10000 bytes"),
        (b"1," + b'"\n",' * 50_000, "row is over the limit of 10000 bytes"),
        (b"1," + b"," * 2_000, "fewer than two columns, or over 1000"),
    ],
)
def test_a_row_of_a_table_is_bounded(row: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "MAX_ROW_BYTES", 10_000)
    monkeypatch.setattr(totals, "MAX_COLUMNS", 1_000)
    table = b"\xef\xbb\xbfseq,leaf_hash\r\n" + row + b"\r\n"
    plan = Plan(data=lambda files: files.update({"data/records.csv": table}))
    number, reason = why(verify_plan(tmp_path, plan))
    assert (number, message in reason) == (11, True), reason


def test_a_table_of_one_endless_line_does_not_fill_the_memory(tmp_path: Path) -> None:
    table = b"\xef\xbb\xbfseq,leaf_hash\r\n1," + b"a" * (64 << 20)
    plan = Plan(data=lambda files: files.update({"data/records.csv": table}))
    (tmp_path / "bundle.zip").write_bytes(build(plan))
    tracemalloc.start()
    report = verify_bundle(tmp_path / "bundle.zip", policy=parse_policy(policy_text()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert why(report) == (11, "a line is over the limit of 4194304 bytes")
    assert peak < 32 << 20


def _split_table(files: Files) -> None:
    header, *rows = files["data/records.csv"].splitlines(keepends=True)
    files["data/records.csv"] = header + b"".join(rows[:3])
    files["data/records-2.csv"] = header + b"".join(rows[3:])


def test_a_table_may_go_on_in_another_file(tmp_path: Path) -> None:
    assert verify_plan(tmp_path, Plan(data=_split_table)).result is Verdict.VERIFIED


def test_views_may_be_left_out(tmp_path: Path) -> None:
    plan = Plan(data=lambda files: [files.pop(name) for name in ("data/records.csv", "data/records.ndjson")])
    assert verify_plan(tmp_path, plan).result is Verdict.VERIFIED


def test_a_long_table_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfoil.verify.archive.CHUNK_BYTES", 5)
    assert verify_plan(tmp_path, Plan(size=60)).result is Verdict.VERIFIED


# --- later versions -------------------------------------------------------------------------------------------------


def test_a_record_of_a_later_version_does_not_hide_a_refutation_before_it(tmp_path: Path) -> None:
    def change(records: list[Record]) -> None:
        records[5].leaf["v"] = 2
        records[3].leaf["secret"] = "x"

    assert why(verify_plan(tmp_path, Plan(records=change)))[0] == 7


def test_the_same_leaves_give_the_same_tree_as_core() -> None:
    tree = Tree(chain(make_records(5)))
    assert decode_base64(encode_base64(tree.root(5))) == tree.root(5)
    assert recorded_at(0) < recorded_at(1)
