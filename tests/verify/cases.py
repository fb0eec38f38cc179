"""The cases: bundles that must verify, be rejected at a named step (`_fail`), or be incomplete (`_incomplete`).

Each is a folder in `tests/verify/cases/` with `bundle.zip` and `case.json`, sometimes a `policy.toml` or a `since` note
of its own. They are committed, so that any verifier can be run against them; ``python -m tests.verify.cases`` makes
them again, byte for byte. The number in front of a bad one's name is the step that must notice. What the step's
mutation is stands in the name and in the function here.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from counterfoil.core.disclosure import BlobRef
from counterfoil.core.encoding import decode_base64, encode_base64
from counterfoil.core.merkle import leaf_hash
from tests.verify import authority
from tests.verify.build import (
    MEMBER_TIME,
    Files,
    Plan,
    build,
    build_files,
    manifest,
    policy_text,
    print_json,
    print_lines,
    zip_files,
)
from tests.verify.log import (
    BUNDLES,
    OTHER_BUNDLES,
    OTHER_LOG,
    Record,
    Tree,
    chain,
    decision,
    disclose,
    erasure,
    make_records,
    print_leaf,
    recorded_at,
    seed,
)

FOLDER = Path(__file__).parent / "cases"
SIZE = 5
"""Leaves in most cases: genesis, call, fallback, decision, call."""


@dataclass
class Case:
    """A bundle and what must come of it; `policy` None: none is given, "": the common one."""

    bundle: bytes
    policy: str | None = ""
    since: bytes | None = None
    one_file: bool = True
    """Whether the one-file verifier must agree (it does not do every step)."""


CASES: dict[str, Callable[[], Case]] = {}


def case(make: Callable[[], Case]) -> Callable[[], Case]:
    """Registers a case under its function's name; `step_7_x` becomes `7_x`."""
    CASES[make.__name__.removeprefix("step_")] = make
    return make


def expected(name: str) -> dict[str, Any]:
    """What `case.json` says, from the name."""
    if name.endswith("_fail"):
        return {"result": "REJECTED", "step": int(name.split("_")[0])}
    return {"result": "INCOMPLETE" if name.endswith("_incomplete") else "VERIFIED"}


def _plan(**given: Any) -> Plan:
    return Plan(**{"size": SIZE, **given})


# --- good -----------------------------------------------------------------------------------------------------------


@case
def good_range() -> Case:
    return Case(build(_plan()))


@case
def good_range_filtered() -> Case:
    return Case(build(_plan(filter={"kind": ["decision", "model_call"]})))


@case
def good_range_without_a_match() -> Case:
    return Case(build(_plan(filter={"kind": ["handoff"]})))


@case
def good_time_range_with_borders() -> Case:
    return Case(build(_plan(size=6, a=2, b=4, filter={"from": recorded_at(2), "to": recorded_at(4)})))


@case
def good_empty_time_range() -> Case:
    at = recorded_at(2).replace(".000000Z", ".500000Z")
    return Case(build(_plan(a=3, b=3, filter={"from": at, "to": recorded_at(3)})))


@case
def good_selection() -> Case:
    return Case(build(_plan(chosen=[1, 3])))


@case
def good_withheld() -> Case:
    return Case(build(_plan(withheld={(3, "rationale"), (4, "output")})))


def _with_erasure(records: list[Record]) -> None:
    records[4] = erasure(4, 1, 3, ["input"])


@case
def good_erased_by_a_record_in_range() -> Case:
    return Case(build(_plan(records=_with_erasure, erased={(3, "input"): ("ERASED", 4)})))


@case
def good_erased_by_a_related_record() -> Case:
    plan = _plan(size=6, tree_size=4, states_size=6, related=[4], records=_with_erasure)
    plan.erased = {(3, "input"): ("ERASED", 4)}
    return Case(build(plan))


@case
def good_blob() -> Case:
    return Case(build(_plan(records=_with_blob)))


def _with_blob(records: list[Record]) -> None:
    data = b"a large value " * 20
    records[3].disclose("shown", BlobRef.of(seed("blob")[:16], [data]).format())
    records[3].blobs["shown"] = data


def _superseding(records: list[Record]) -> None:
    records[4] = decision(4)
    for key in ("trace_id", "span_id"):
        records[4].leaf[key] = records[3].leaf[key]
    records[4].leaf["supersedes"] = 3


@case
def good_superseded() -> Case:
    return Case(build(_plan(records=_superseding)))


@case
def good_consistent_with_a_pocket_checkpoint() -> Case:
    return Case(build(_plan(since=3)), since=Tree(chain(make_records(SIZE))).note(3))


@case
def good_timestamped() -> Case:
    return Case(build(_plan(token=authority.stored_token)), policy=policy_text(extra=authority.policy_extra()))


# --- incomplete -----------------------------------------------------------------------------------------------------


@case
def no_policy_incomplete() -> Case:
    return Case(build(_plan()), policy=None, one_file=False)


@case
def step_4_timestamp_demanded_incomplete() -> Case:
    return Case(build(_plan()), policy=policy_text(extra="[timestamp]\nrequired = true\n"), one_file=False)


@case
def step_6_proof_missing_incomplete() -> Case:
    return Case(build(_plan()), since=Tree(chain(make_records(SIZE))).note(3), one_file=False)


def _later_version(records: list[Record]) -> None:
    records[3].leaf["v"] = 2


@case
def step_7_later_record_version_incomplete() -> Case:
    return Case(build(_plan(records=_later_version)))


@case
def step_3_later_bundle_format_incomplete() -> Case:
    return Case(build(_plan(population=lambda value: value.update(format="counterfoil/bundle/2"))))


def _add(name: str, data: bytes = b"{}") -> Callable[[Files], None]:
    return lambda files: files.update({name: data})


@case
def step_12_sample_incomplete() -> Case:
    return Case(build(_plan(data=_add("data/sample.json"))))


@case
def step_13_completeness_incomplete() -> Case:
    return Case(build(_plan(data=_add("data/completeness.json"))))


@case
def step_1_unknown_evidence_incomplete() -> Case:
    return Case(build(_plan(data=_add("data/holds.json"))), one_file=False)


@case
def step_1_unknown_tag_file_incomplete() -> Case:
    return Case(build(_plan(bag=_add("NOTES.txt", b"read this first"))), one_file=False)


# --- 1: the archive -------------------------------------------------------------------------------------------------

TOP = "counterfoil-main-0-8"


def _with_entry(name: str, data: bytes = b"x", **attributes: int) -> bytes:
    """A good bundle with one more entry in its archive."""
    target = io.BytesIO(zip_files(build_files(_plan())))
    info = zipfile.ZipInfo("x", MEMBER_TIME)
    info.filename = name  # as it is: ZipInfo would replace what it does not like
    info.external_attr = 0o100644 << 16
    for key, value in attributes.items():
        setattr(info, key, value)
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr(info, data)
    return target.getvalue()


@case
def step_1_parent_path_fail() -> Case:
    return Case(_with_entry(f"{TOP}/../evil"))


@case
def step_1_absolute_path_fail() -> Case:
    return Case(_with_entry("/etc/evil"))


@case
def step_1_backslash_fail() -> Case:
    return Case(_with_entry(f"{TOP}\\evil"))


@case
def step_1_twice_fail() -> Case:
    return Case(_with_entry(f"{TOP}/README.html"))


@case
def step_1_twice_but_for_case_fail() -> Case:
    return Case(_with_entry(f"{TOP}/Readme.html"))


@case
def step_1_link_fail() -> Case:
    return Case(_with_entry(f"{TOP}/link", b"/etc/passwd", external_attr=0o120777 << 16))


@case
def step_1_link_of_another_system_fail() -> Case:
    """Made-by says macOS (19), and the mode is a link's."""
    return Case(_with_entry(f"{TOP}/link", b"/etc/passwd", create_system=19, external_attr=0o120777 << 16))


@case
def step_1_unicode_path_extra_fail() -> Case:
    """Info-ZIP's unzip takes the report's name from the extra field, and extracts it as data/hidden.bin."""
    name, other = f"{TOP}/data/report.html".encode(), f"{TOP}/data/hidden.bin".encode()
    extra = struct.pack("<HHBL", 0x7075, 5 + len(other), 1, zlib.crc32(name)) + other
    target = io.BytesIO()
    files = build_files(_plan())
    with zipfile.ZipFile(target, "w") as archive:
        for each in sorted(files):
            info = zipfile.ZipInfo(f"{TOP}/{each}", MEMBER_TIME)
            info.external_attr = 0o100644 << 16
            info.extra = extra if each == "data/report.html" else b""
            archive.writestr(info, files[each])
    return Case(target.getvalue())


@case
def step_1_second_directory_fail() -> Case:
    return Case(_with_entry("other/file"))


@case
def step_1_bomb_fail() -> Case:
    return Case(_with_entry(f"{TOP}/data/bomb", bytes(3 << 19), compress_type=zipfile.ZIP_DEFLATED))


@case
def step_1_comment_fail() -> Case:
    target = io.BytesIO(build(_plan()))
    with zipfile.ZipFile(target, "a") as archive:
        archive.comment = b"trust me"
    return Case(target.getvalue(), one_file=False)


@case
def step_1_bytes_before_fail() -> Case:
    return Case(b"#!/bin/sh\n" + build(_plan()), one_file=False)


@case
def step_1_encrypted_fail() -> Case:
    data = bytearray(build(_plan()))
    local, central = data.find(b"PK\x03\x04"), data.find(b"PK\x01\x02")
    data[local + 6] |= 1
    data[central + 8] |= 1
    return Case(bytes(data))


@case
def step_1_overlap_fail() -> Case:
    """The second entry's header points at the first one's data."""
    data = bytearray(build(_plan()))
    first = data.find(b"PK\x01\x02")
    second = data.find(b"PK\x01\x02", first + 4)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    return Case(bytes(data))


@case
def step_1_declared_size_fail() -> Case:
    """A deflated entry holds more than both of its headers declare."""
    files = build_files(_plan())
    data = bytearray(zip_files(files, compress=zipfile.ZIP_DEFLATED))
    size = len(files["README.html"]).to_bytes(4, "little")
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        header = data.find(mark)
        assert data[header + at : header + at + 4] == size
        data[header + at : header + at + 4] = (len(files["README.html"]) - 1).to_bytes(4, "little")
    return Case(bytes(data))


@case
def step_1_no_archive_fail() -> Case:
    return Case(b"this is no archive\n" * 4)


# --- 2: the manifests -----------------------------------------------------------------------------------------------


def _replace(name: str, old: bytes, new: bytes) -> Callable[[Files], None]:
    def replace(files: Files) -> None:
        assert old in files[name]
        files[name] = files[name].replace(old, new)

    return replace


@case
def step_2_leaf_changed_fail() -> Case:
    return Case(build(_plan(sealed=_replace("data/leaves/000.p/5", b'"approve"', b'"Approve"'))))


@case
def step_2_file_not_listed_fail() -> Case:
    return Case(build(_plan(sealed=_add("data/records-2.csv"))))


@case
def step_2_tag_file_not_listed_fail() -> Case:
    return Case(build(_plan(sealed=_add("NOTES.txt"))))


@case
def step_2_file_missing_fail() -> Case:
    return Case(build(_plan(sealed=lambda files: files.pop("data/report.html"))))


@case
def step_2_readme_replaced_fail() -> Case:
    return Case(build(_plan(sealed=_add("README.html", b"<p>all is well</p>"))))


@case
def step_2_oxum_fail() -> Case:
    return Case(build(_plan(bag=_replace("bag-info.txt", b"Payload-Oxum: ", b"Payload-Oxum: 1"))))


@case
def step_2_declaration_fail() -> Case:
    return Case(build(_plan(bag=_replace("bagit.txt", b"1.0", b"0.9"))))


# --- 3: the attestation ---------------------------------------------------------------------------------------------


@case
def step_3_untrusted_signer_fail() -> Case:
    return Case(build(_plan(signers=[OTHER_BUNDLES])))


def _forge_signature(envelope: dict[str, Any]) -> None:
    signature = bytearray(decode_base64(envelope["signatures"][0]["sig"]))
    signature[0] ^= 1
    envelope["signatures"][0]["sig"] = encode_base64(bytes(signature))


@case
def step_3_signature_altered_fail() -> Case:
    return Case(build(_plan(envelope=_forge_signature)))


@case
def step_3_threshold_fail() -> Case:
    policy = policy_text().replace("threshold = 1", "threshold = 2")
    policy = policy.replace("signers = [\n", f'signers = [\n    "{OTHER_BUNDLES.vkey}",\n')
    return Case(build(_plan()), policy=policy, one_file=False)


@case
def step_3_subject_missing_fail() -> Case:
    return Case(build(_plan(statement=lambda value: value["subject"].pop())))


@case
def step_3_subject_of_other_bytes_fail() -> Case:
    def change(statement: dict[str, Any]) -> None:
        statement["subject"][0]["digest"]["sha256"] = "00" * 32

    return Case(build(_plan(statement=change)))


@case
def step_3_root_in_predicate_fail() -> Case:
    return Case(build(_plan(statement=lambda value: value["predicate"].update(root=encode_base64(seed("root"))))))


def _replace_verifier(files: Files) -> None:
    """As whoever holds the disk but no key can: the manifests are made again."""
    files["verify/verify.py"] = b"print('VERIFIED')\n"
    tags = {name: data for name, data in files.items() if not name.startswith("data/")}
    files["tagmanifest-sha256.txt"] = manifest({name: tags[name] for name in tags if name != "tagmanifest-sha256.txt"})


@case
def step_3_verifier_replaced_fail() -> Case:
    return Case(build(_plan(sealed=_replace_verifier)))


# --- 4: the timestamp -----------------------------------------------------------------------------------------------


@case
def step_4_token_of_another_bundle_fail() -> Case:
    plan = _plan(token=lambda _: authority.stored_token(None), withheld={(3, "input")})
    return Case(build(plan), policy=policy_text(extra=authority.policy_extra()), one_file=False)


@case
def step_4_untrusted_authority_fail() -> Case:
    plan = _plan(token=authority.stored_token)
    return Case(build(plan), policy=policy_text(extra=authority.policy_extra("other-root.pem")), one_file=False)


@case
def step_4_token_after_reference_time_fail() -> Case:
    extra = authority.policy_extra() + 'at = "2020-01-01T00:00:00Z"\n'
    return Case(build(_plan(token=authority.stored_token)), policy=policy_text(extra=extra), one_file=False)


# --- 5: the checkpoint ----------------------------------------------------------------------------------------------


@case
def step_5_signed_with_another_log_key_fail() -> Case:
    return Case(build(_plan(log_signer=OTHER_LOG)))


@case
def step_5_no_witness_fail() -> Case:
    return Case(build(_plan(witnessed=False)), one_file=False)


@case
def step_5_witness_signature_altered_fail() -> Case:
    def change(files: Files) -> None:
        text, _, last = files["data/checkpoint"].rpartition(b" ")
        blob = bytearray(decode_base64(last.decode().strip()))
        blob[-1] ^= 1
        files["data/checkpoint"] = text + b" " + encode_base64(bytes(blob)).encode() + b"\n"

    return Case(build(_plan(data=change)), one_file=False)


@case
def step_5_another_root_fail() -> Case:
    other = Tree(chain([*make_records(4), decision(4)]))
    return Case(build(_plan(data=_add("data/checkpoint", other.note(SIZE)))))


# --- 6: consistency -------------------------------------------------------------------------------------------------


def _rewritten() -> Tree:
    """Another history: record 1 was something else."""
    records = make_records(SIZE)
    records[1] = decision(1)
    return Tree(chain(records))


@case
def step_6_split_view_fail() -> Case:
    return Case(build(_plan()), since=_rewritten().note(SIZE), one_file=False)


@case
def step_6_history_rewritten_fail() -> Case:
    return Case(build(_plan(since=3)), since=_rewritten().note(3), one_file=False)


# --- 7: the leaves --------------------------------------------------------------------------------------------------


def _change_leaf(seq: int, change: Callable[[dict[str, Any]], Any]) -> Callable[[list[Record]], None]:
    return lambda records: change(records[seq].leaf)


@case
def step_7_unknown_key_fail() -> Case:
    return Case(build(_plan(records=_change_leaf(3, lambda leaf: leaf.update(secret="x")))), one_file=False)


@case
def step_7_other_log_fail() -> Case:
    return Case(build(_plan(records=_change_leaf(3, lambda leaf: leaf.update(log="log.example/acme/other")))))


@case
def step_7_seq_out_of_place_fail() -> Case:
    return Case(build(_plan(records=_change_leaf(3, lambda leaf: leaf.update(seq=9)))))


@case
def step_7_clock_back_fail() -> Case:
    return Case(build(_plan(records=_change_leaf(3, lambda leaf: leaf.update(recorded_at=recorded_at(1))))))


@case
def step_7_not_canonical_fail() -> Case:
    def change(leaves: list[bytes]) -> None:
        leaves[3] = leaves[3].replace(b'{"agent":', b'{ "agent":')
        _chain_again(leaves, 4)

    return Case(build(_plan(leaves=change)))


@case
def step_7_supersedes_another_writers_fail() -> Case:
    def change(records: list[Record]) -> None:
        _superseding(records)
        records[4].leaf["writer"] = "k-other"

    return Case(build(_plan(records=change)), one_file=False)


@case
def step_7_selected_supersedes_another_span_fail() -> Case:
    def change(records: list[Record]) -> None:
        _superseding(records)
        records[4].leaf["span_id"] = "00000000000000ff"

    return Case(build(_plan(records=change, chosen=[3, 4])), one_file=False)


# --- 8: chain, borders, inclusion -----------------------------------------------------------------------------------


def _chain_again(leaves: list[bytes], start: int) -> None:
    """Links leaves from `start` on, as whoever rewrites a log would."""
    for seq in range(start, len(leaves)):
        leaf = json.loads(leaves[seq])
        leaf["prev"] = encode_base64(leaf_hash(leaves[seq - 1]))
        leaves[seq] = print_leaf(leaf)


@case
def step_8_link_broken_fail() -> Case:
    def change(leaves: list[bytes]) -> None:
        leaf = json.loads(leaves[3])
        leaf["prev"] = encode_base64(leaf_hash(leaves[1]))
        leaves[3] = print_leaf(leaf)
        _chain_again(leaves, 4)

    return Case(build(_plan(leaves=change)))


def _swap_leaves(make: Callable[[list[bytes]], None]) -> Callable[[Files], None]:
    """Other leaves than those under the checkpoint."""
    from counterfoil.core.tiles import format_entries, parse_entries

    def change(files: Files) -> None:
        leaves = parse_entries(files["data/leaves/000.p/5"])
        make(leaves)
        files["data/leaves/000.p/5"] = format_entries(leaves)

    return change


@case
def step_8_leaf_changed_without_new_links_fail() -> Case:
    def change(leaves: list[bytes]) -> None:
        leaves[3] = leaves[3].replace(b'"approve"', b'"deny"')

    return Case(build(_plan(data=_swap_leaves(change))))


@case
def step_8_rewritten_leaves_fail() -> Case:
    """Record 1 changed and every link made again: only the proof of the last leaf does not follow."""

    def change(leaves: list[bytes]) -> None:
        leaves[1] = leaves[1].replace(b'"ok"', b'"error"')
        _chain_again(leaves, 2)

    return Case(build(_plan(data=_swap_leaves(change))))


@case
def step_8_leaves_missing_fail() -> Case:
    return Case(build(_plan(data=lambda files: files.pop("data/leaves/000.p/5"))))


@case
def step_8_border_inside_time_range_fail() -> Case:
    plan = _plan(size=6, a=2, b=4, filter={"from": recorded_at(1), "to": recorded_at(4)})
    return Case(build(plan))


@case
def step_8_later_border_inside_time_range_fail() -> Case:
    return Case(build(_plan(size=6, a=2, b=4, filter={"from": recorded_at(2), "to": recorded_at(5)})))


def _change_line(name: str, index: int, change: Callable[[dict[str, Any]], Any]) -> Callable[[Files], None]:
    def apply(files: Files) -> None:
        lines = [json.loads(line) for line in files[name].splitlines()]
        change(lines[index])
        files[name] = print_lines(lines)

    return apply


@case
def step_8_selected_record_not_included_fail() -> Case:
    def change(line: dict[str, Any]) -> None:
        line["leaf"] = encode_base64(decode_base64(line["leaf"]).replace(b'"ok"', b'"error"'))

    return Case(build(_plan(chosen=[1, 3], data=_change_line("data/proofs.ndjson", 0, change))))


@case
def step_8_related_record_not_included_fail() -> Case:
    def change(line: dict[str, Any]) -> None:
        line["leaf"] = encode_base64(decode_base64(line["leaf"]).replace(b'"input"', b'"output"'))

    plan = _plan(size=6, tree_size=4, states_size=6, related=[4], records=_with_erasure)
    plan.erased = {(3, "input"): ("ERASED", 4)}
    plan.data = _change_line("data/related.ndjson", 0, change)
    return Case(build(plan), one_file=False)


@case
def step_8_proof_of_another_leaf_fail() -> Case:
    def change(line: dict[str, Any]) -> None:
        line["proof"] = line["proof"].replace("index 4\n", "index 3\n")

    return Case(build(_plan(data=_change_line("data/proofs.ndjson", 0, change))))


# --- 9: disclosures and states --------------------------------------------------------------------------------------


@case
def step_9_disclosure_changed_fail() -> Case:
    def change(line: dict[str, Any]) -> None:
        line["disclosure"] = disclose(3, "rationale", "Bought yesterday.")

    return Case(build(_plan(data=_change_line("data/disclosures.ndjson", 3, change))))


@case
def step_9_disclosed_under_another_name_fail() -> Case:
    def change(records: list[Record]) -> None:
        records[4].disclosures["error"] = records[4].disclosures.pop("output")
        records[4].leaf["content"] = {"error": records[4].leaf["content"]["output"]}

    return Case(build(_plan(records=change)))


@case
def step_9_neither_disclosed_nor_stated_fail() -> Case:
    def change(files: Files) -> None:
        lines = files["data/disclosures.ndjson"].splitlines(keepends=True)
        files["data/disclosures.ndjson"] = b"".join(lines[:2] + lines[3:])

    return Case(build(_plan(data=change)))


@case
def step_9_state_missing_fail() -> Case:
    change = _change_line("data/states.ndjson", 0, lambda line: line.update(state="MISSING"))
    return Case(build(_plan(withheld={(3, "input")}, data=change)))


@case
def step_9_state_mismatch_fail() -> Case:
    change = _change_line("data/states.ndjson", 0, lambda line: line.update(state="MISMATCH"))
    return Case(build(_plan(withheld={(3, "input")}, data=change)))


@case
def step_9_disclosure_of_a_record_not_presented_fail() -> Case:
    line = {"disclosure": disclose(4, "output", "Answer 4"), "field": "output", "seq": 4}

    def change(files: Files) -> None:
        files["data/disclosures.ndjson"] += print_json(line) + b"\n"

    return Case(build(_plan(filter={"kind": ["decision"]}, data=change)))


@case
def step_9_blob_changed_fail() -> Case:
    return Case(build(_plan(records=_with_blob, data=_replace("data/blobs/3/shown", b"large", b"Large"))))


@case
def step_9_blob_missing_fail() -> Case:
    return Case(build(_plan(records=_with_blob, data=lambda files: files.pop("data/blobs/3/shown"))))


# --- 10: erasures ---------------------------------------------------------------------------------------------------


@case
def step_10_erasure_does_not_cover_the_field_fail() -> Case:
    plan = _plan(records=_with_erasure, erased={(3, "rationale"): ("ERASED", 4)})
    return Case(build(plan), one_file=False)


@case
def step_10_erasure_does_not_cover_the_record_fail() -> Case:
    def change(records: list[Record]) -> None:
        records[4] = erasure(4, 1, 2, "all")

    return Case(build(_plan(records=change, erased={(3, "input"): ("ERASED", 4)})), one_file=False)


@case
def step_10_erasure_not_there_fail() -> Case:
    return Case(build(_plan(erased={(3, "input"): ("ERASED", 4)})), one_file=False)


@case
def step_10_expired_by_an_erasure_fail() -> Case:
    return Case(build(_plan(records=_with_erasure, erased={(3, "input"): ("EXPIRED", 4)})), one_file=False)


# --- 11: filter and totals ------------------------------------------------------------------------------------------


def _total(**values: Any) -> Case:
    return Case(build(_plan(population=lambda population: population.update(values))))


@case
def step_11_count_fail() -> Case:
    return _total(count=4)


@case
def step_11_last_fail() -> Case:
    return _total(last=3)


@case
def step_11_by_kind_fail() -> Case:
    return _total(by_kind={"decision": 5})


@case
def step_11_by_outcome_fail() -> Case:
    return _total(by_outcome={"approve": 9})


@case
def step_11_hash_total_fail() -> Case:
    return _total(hash_total=encode_base64(hashlib.sha256(b"").digest()))


@case
def step_11_selected_record_outside_the_filter_fail() -> Case:
    return Case(build(_plan(chosen=[1, 3], filter={"kind": ["decision"]})))


def _drop_line(name: str, index: int) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        lines = files[name].splitlines(keepends=True)
        files[name] = b"".join(lines[:index] + lines[index + 1 :])

    return change


@case
def step_11_list_shortened_fail() -> Case:
    return Case(build(_plan(data=_drop_line("data/records.ndjson", 3))), one_file=False)


@case
def step_11_table_shortened_fail() -> Case:
    return Case(build(_plan(data=_drop_line("data/records.csv", 3))), one_file=False)


def write_all(folder: Path) -> None:
    """Writes every case below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "policy.toml").write_text(policy_text())
    (folder / "keys.json").write_text(json.dumps({"log": LOG_VKEY, "bundle": BUNDLES.vkey}, indent=2) + "\n")
    for name, make in CASES.items():
        made = make()
        here = folder / name
        here.mkdir()
        (here / "bundle.zip").write_bytes(made.bundle)
        said = {
            **expected(name),
            "policy": None if made.policy is None else "../policy.toml",
            "one_file": made.one_file,
        }
        if made.policy:
            (here / "policy.toml").write_text(made.policy)
            said["policy"] = "policy.toml"
        if made.since is not None:
            (here / "since").write_bytes(made.since)
            said["since"] = "since"
        (here / "case.json").write_text(json.dumps(said, indent=2, sort_keys=True) + "\n")


LOG_VKEY = policy_text().split("log ", 1)[1].split("\n", 1)[0]


if __name__ == "__main__":
    authority.renew(build_files(_plan())["attestation.dsse.json"])
    shutil.rmtree(FOLDER, ignore_errors=True)
    write_all(FOLDER)
    print(f"{len(CASES)} cases in {FOLDER}")
