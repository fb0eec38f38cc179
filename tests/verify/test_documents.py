"""Steps 2, 3, 5 and 6: documents that are malformed, or say what other documents do not."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from counterfoil.core.encoding import encode_base64
from counterfoil.core.errors import EvidenceError, UnsupportedError
from counterfoil.core.note import ED25519, Cosigner, VerifierKey, format_note, make_key
from counterfoil.verify.check import verify_bundle
from counterfoil.verify.documents import parse_line, parse_object
from counterfoil.verify.population import parse_population
from counterfoil.verify.report import Verdict
from tests.verify.build import Files, Plan, _Build, build, policy_text, print_json, sign_envelope
from tests.verify.log import (
    BUNDLES,
    LOG,
    OTHER_BUNDLES,
    OTHER_LOG,
    WITNESS,
    Tree,
    chain,
    make_records,
    recorded_at,
    seed,
)
from tests.verify.running import verify_plan, why

Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff", "not JSON"),
        (b"{", "not JSON"),
        (b"[" * 5_000, "not JSON"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "nested deeper than 32"),
        (b"[]", "not a JSON object"),
        (b'{"a":1,"a":1}', "stands there twice"),
        (b'{"a":1.5}', "not an integer"),
        (b'{"a":NaN}', "not an integer"),
        (b'{"a":' + b"9" * 5_000 + b"}", "not JSON"),
    ],
)
def test_a_document_that_could_be_read_in_two_ways_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(EvidenceError, match=message):
        parse_object(data)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"a": 1}', "not canonical"),
        (b'{"a":"\\u0041"}', "not canonical"),
        (b'{"a":"\\ud800"}', "lone surrogate"),
        (b'{"b":1}', "other keys than a"),
    ],
)
def test_a_line_has_one_spelling(line: bytes, message: str) -> None:
    with pytest.raises(EvidenceError, match=message):
        parse_line(line, frozenset("a"))


def _population(change: Change) -> bytes:
    value = json.loads(_Build(Plan(size=5)).data()["data/population.json"])
    change(value)
    return print_json(value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("log"), "log is missing"),
        (lambda v: v.update(extra=1), "'extra' is not known"),
        (lambda v: v.update(form="all"), "range or selection"),
        (lambda v: v.update(origin=""), "origin must be text"),
        (lambda v: v.update(tree_size=-1), "tree_size must be an integer"),
        (lambda v: v.update(tree_size=True), "tree_size must be an integer"),
        (lambda v: v.update(a=2**53), "a must be an integer"),
        (lambda v: v.update(root="AAAA"), "32 bytes"),
        (lambda v: v.update(border=[]), "border must be an object"),
        (lambda v: v.update(border={"before": False}), "border.after is missing"),
        (lambda v: v.update(border={"after": 0, "before": False}), "true or false"),
        (lambda v: v.update(border={"after": False, "before": True}), "border.before must hold"),
        (lambda v: v.update(border={"after": True, "before": False}), "border.after must hold"),
        (lambda v: v.update(a=3, b=2), "no range"),
        (lambda v: v.update(b=6), "no range"),
        (lambda v: v.update(form="selection", b=4), "taken from the whole log"),
        (lambda v: v.pop("first"), "first and last are there exactly"),
        (lambda v: v.pop("last"), "first and last are there exactly"),
        (lambda v: v.update(count=0), "first and last are there exactly"),
        (lambda v: v.update(by_kind={"decision": -1}), "decision must be an integer"),
        (lambda v: v.update(filter={"parsed": {"kind": "decision"}, "text": ""}), "must be an array of text"),
        (lambda v: v.update(filter={"parsed": {"kind": [1]}, "text": ""}), "must be an array of text"),
        (lambda v: v.update(filter={"parsed": {"q": ["x"]}, "text": "q=x"}), "asks the index"),
        (lambda v: v.update(filter={"parsed": {"kind": ["note", "decision"]}, "text": ""}), "canonical"),
        (lambda v: v.update(filter={"parsed": {"kind": ["note"]}, "text": "kind=notes"}), "canonical"),
        (lambda v: v["states_as_of"].update(size=4), "or a later one"),
        (lambda v: v["states_as_of"].update(root=encode_base64(seed("x"))), "or a later one"),
        (lambda v: v["states_as_of"].update(size=6), "or a later one"),
    ],
)
def test_a_population_that_contradicts_itself_is_refused(change: Change, message: str) -> None:
    with pytest.raises(EvidenceError, match=message):
        parse_population(_population(change))


def test_a_population_of_another_format_is_unsupported() -> None:
    with pytest.raises(UnsupportedError, match="bundle/9"):
        parse_population(_population(lambda value: value.update(format="counterfoil/bundle/9")))


def _set(name: str, data: bytes) -> Callable[[Files], Any]:
    return lambda files: files.update({name: data})


def _change(name: str, old: bytes, new: bytes) -> Callable[[Files], Any]:
    def change(files: Files) -> None:
        assert old in files[name], files[name]
        files[name] = files[name].replace(old, new, 1)

    return change


def _swap_lines(files: Files) -> None:
    lines = files["manifest-sha256.txt"].splitlines(keepends=True)
    files["manifest-sha256.txt"] = b"".join([lines[1], lines[0], *lines[2:]])


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (Plan(bag=_swap_lines), "not in its place"),
        (Plan(bag=_change("manifest-sha256.txt", b"  data", b" data")), "a line is not a SHA-256"),
        (Plan(bag=_change("manifest-sha256.txt", b"  data", "  dät".encode())), "not ASCII"),
        (Plan(bag=lambda f: f.update({"manifest-sha256.txt": f["manifest-sha256.txt"][:-1]})), "does not end"),
        (Plan(sealed=lambda files: files.pop("manifest-sha256.txt")), "missing"),
        (Plan(sealed=lambda files: files.pop("tagmanifest-sha256.txt")), "missing"),
        (Plan(bag=_change("bag-info.txt", b"Payload-Oxum", b"Payload-Oxen")), "Payload-Oxum must stand there once"),
        (Plan(bag=_set("bag-info.txt", b"Payload-Oxum: 1.1\nPayload-Oxum: 1.1\n")), "stand there once"),
    ],
)
def test_manifests_have_one_form(plan: Plan, message: str, tmp_path: Path) -> None:
    number, reason = why(verify_plan(tmp_path, plan))
    assert number == 2
    assert message in reason


def _body(change: Change) -> Change:
    """Another payload, properly signed."""

    def apply(envelope: dict[str, Any]) -> None:
        statement = json.loads(base64.b64decode(envelope["payload"]))
        change(statement)
        envelope.update(sign_envelope(print_json(statement), [BUNDLES]))

    return apply


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (Plan(envelope=lambda v: v.update(payload="%%")), "not base64"),
        (Plan(envelope=lambda v: v.update(signatures=[])), "array of 1 to 64"),
        (Plan(envelope=lambda v: v.update(signatures=v["signatures"] * 65)), "array of 1 to 64"),
        (Plan(envelope=lambda v: v.update(signatures=["x"])), "must be an object"),
        (Plan(envelope=lambda v: v["signatures"][0].update(extra="x")), "'extra' is not known"),
        (Plan(envelope=lambda v: v["signatures"][0].update(keyid="?", sig="AAAA")), "0 of the trusted bundle signers"),
        (Plan(envelope=lambda v: v["signatures"][0].update(keyid=7, sig="AAAA")), "0 of the trusted bundle signers"),
        (Plan(envelope=lambda v: v["signatures"][0].pop("sig")), "sig is missing"),
        (Plan(envelope=_body(lambda v: v.update(subject={}))), "subject must be an array"),
        (Plan(envelope=_body(lambda v: v.update(subject=["x"]))), "a subject must be an object"),
        (Plan(envelope=_body(lambda v: v["subject"].append(v["subject"][0]))), "there twice"),
        (Plan(envelope=_body(lambda v: v["subject"][0]["digest"].pop("sha256"))), "no sha256"),
        (Plan(envelope=_body(lambda v: v.update(extra=1))), "'extra' is not known"),
        (
            Plan(envelope=_body(lambda v: v["subject"].append({"name": "x", "digest": {"sha256": "00" * 32}}))),
            "no file of the bundle",
        ),
        (Plan(envelope=_body(lambda v: v["predicate"].update(tree_size="8"))), "predicate.tree_size"),
        (Plan(envelope=_body(lambda v: v["predicate"].update(tree_size=8.0))), "not an integer"),
        (Plan(envelope=_body(lambda v: v["predicate"].update(request={"sha256": "00" * 32}))), "predicate.request"),
        (Plan(envelope=_body(lambda v: v["predicate"].update(population="00" * 32))), "predicate.population"),
        (Plan(envelope=_body(lambda v: v["predicate"].update(form="selection"))), "predicate.form"),
        (Plan(data=_set("data/run.json", b"[]")), "not a JSON object"),
    ],
)
def test_an_attestation_has_one_form_and_says_what_the_files_say(plan: Plan, message: str, tmp_path: Path) -> None:
    number, reason = why(verify_plan(tmp_path, plan))
    assert number == 3
    assert message in reason


@pytest.mark.parametrize(
    "plan",
    [
        Plan(envelope=lambda v: v.update(sign_envelope(b"{}", [BUNDLES], "text/plain"))),
        Plan(envelope=_body(lambda v: v.update(predicateType="urn:counterfoil:bundle:2"))),
        Plan(envelope=_body(lambda v: v.update(_type="https://in-toto.io/Statement/v2"))),
    ],
)
def test_an_attestation_of_another_version_is_incomplete(plan: Plan, tmp_path: Path) -> None:
    report = verify_plan(tmp_path, plan)
    assert report.result is Verdict.INCOMPLETE
    assert report.step(3).check == "unsupported"


def test_url_safe_base64_is_taken_in_an_envelope(tmp_path: Path) -> None:
    def change(envelope: dict[str, Any]) -> None:
        envelope["signatures"][0]["sig"] = envelope["signatures"][0]["sig"].translate({43: "-", 47: "_"})

    assert verify_plan(tmp_path, Plan(envelope=change)).result is Verdict.VERIFIED


def test_two_signers_make_a_threshold_of_two_and_one_twice_does_not(tmp_path: Path) -> None:
    policy = policy_text().replace("threshold = 1", "threshold = 2")
    policy = policy.replace("signers = [", f'signers = ["{OTHER_BUNDLES.vkey}", ')
    assert verify_plan(tmp_path, Plan(signers=[BUNDLES, OTHER_BUNDLES]), policy=policy).result is Verdict.VERIFIED
    assert why(verify_plan(tmp_path, Plan(signers=[BUNDLES, BUNDLES]), policy=policy))[0] == 3


def test_a_signature_of_somebody_unknown_is_ignored(tmp_path: Path) -> None:
    report = verify_plan(tmp_path, Plan(signers=[OTHER_BUNDLES, BUNDLES]))
    assert (report.result, report.signed_by) == (Verdict.VERIFIED, (BUNDLES.name,))


# --- 5 and 6 --------------------------------------------------------------------------------------------------------


def test_a_log_that_the_policy_does_not_name_is_refused(tmp_path: Path) -> None:
    other = type(LOG).from_seed("log.example/other", seed("other"))
    policy = policy_text().replace(LOG.vkey, other.vkey)
    number, reason = why(verify_plan(tmp_path, Plan(), policy=policy))
    assert number == 5
    assert "no key of the log 'log.example/acme/main' is trusted" in reason


def test_keys_of_other_logs_and_old_keys_of_this_one_do_not_get_in_the_way(tmp_path: Path) -> None:
    other = type(LOG).from_seed("log.example/other", seed("other"))
    policy = policy_text().replace(f"log {LOG.vkey}", f"log {other.vkey}\nlog {OTHER_LOG.vkey}\nlog {LOG.vkey}")
    assert verify_plan(tmp_path, Plan(), policy=policy).result is Verdict.VERIFIED


def test_an_unwitnessed_log_is_said_to_be_unwitnessed(tmp_path: Path) -> None:
    report = verify_plan(tmp_path, Plan(witnessed=False), policy=policy_text(quorum="none"))
    assert (report.result, report.step(5).message, report.witnesses) == (Verdict.VERIFIED, "unwitnessed", ())
    assert any("unwitnessed" in caveat for caveat in report.caveats)


def test_unknown_cosignatures_are_ignored(tmp_path: Path) -> None:
    stranger = Cosigner.from_seed("stranger.example", seed("stranger"))

    def change(files: Files) -> None:
        text = files["data/checkpoint"].decode().rpartition("\n\n")[0] + "\n"
        note = files["data/checkpoint"] + stranger.sign(text, 1).line().encode()
        files["data/proofs.ndjson"] = files["data/proofs.ndjson"].replace(
            print_json(files["data/checkpoint"].decode())[1:-1], print_json(note.decode())[1:-1]
        )
        files["data/checkpoint"] = note

    assert verify_plan(tmp_path, Plan(data=change)).result is Verdict.VERIFIED


def test_a_witness_may_say_a_time_that_no_calendar_has(tmp_path: Path) -> None:
    def change(files: Files) -> None:
        text = files["data/checkpoint"].decode().rpartition("\n\n")[0] + "\n"
        note = format_note(text, [LOG.sign(text), WITNESS.sign(text, 2**62)])
        files["data/proofs.ndjson"] = files["data/proofs.ndjson"].replace(
            print_json(files["data/checkpoint"].decode())[1:-1], print_json(note.decode())[1:-1]
        )
        files["data/checkpoint"] = note

    report = verify_plan(tmp_path, Plan(data=change))
    assert (report.result, report.witnesses) == (Verdict.VERIFIED, (f"w1.example at {2**62} s",))


TWO = {"size": 8, "tree_size": 5, "states_size": 7}


def test_a_second_checkpoint_where_none_belongs_is_refused(tmp_path: Path) -> None:
    plan = Plan(data=_set("data/states_checkpoint", b"x"))
    assert why(verify_plan(tmp_path, plan)) == (5, "there is a second checkpoint, but states_as_of is the first")


@pytest.mark.parametrize(
    ("data", "number", "message"),
    [
        (lambda files: files.pop("data/states_checkpoint"), 5, "missing"),
        (lambda files: files.update({"data/states_checkpoint": files["data/checkpoint"]}), 5, "states_as_of"),
        (lambda files: files.pop("data/states_consistency.json"), 6, "missing"),
        (_change("data/states_consistency.json", b'"proof":["', b'"proof":["AAAA'), 6, ""),
        (_set("data/states_consistency.json", print_json({"old_root": "", "old_size": 1, "proof": []})), 6, "text"),
        (
            _set("data/states_consistency.json", print_json({"old_root": "A" * 43 + "=", "old_size": 1, "proof": [1]})),
            6,
            "array of base64",
        ),
    ],
)
def test_the_checkpoint_of_the_states_must_have_grown_from_the_populations(
    data: Callable[[Files], Any], number: int, message: str, tmp_path: Path
) -> None:
    assert verify_plan(tmp_path, Plan(**TWO)).result is Verdict.VERIFIED  # type: ignore[arg-type]  # sizes
    found, reason = why(verify_plan(tmp_path, Plan(**TWO, data=data)))  # type: ignore[arg-type]  # sizes
    assert found == number
    assert message in reason


def test_growth_proved_from_another_size_is_incomplete(tmp_path: Path) -> None:
    consistency = print_json(Tree(chain(make_records(8))).consistency(4, 7))
    report = verify_plan(tmp_path, Plan(**TWO, data=_set("data/states_consistency.json", consistency)))  # type: ignore[arg-type]  # sizes
    assert (report.result, report.step(6).outcome) == (Verdict.INCOMPLETE, "incomplete")


def _pocket(size: int) -> bytes:
    return Tree(chain(make_records(8))).note(size, witnessed=False)


def test_a_pocket_checkpoint_of_the_same_tree_passes_and_needs_no_witness(tmp_path: Path) -> None:
    report = verify_plan(tmp_path, Plan(), since=_pocket(8))
    assert (report.result, report.step(6).outcome) == (Verdict.VERIFIED, "passed")


def test_a_pocket_checkpoint_of_the_empty_tree_shows_nothing_and_passes(tmp_path: Path) -> None:
    empty = Tree([]).note(0)
    assert verify_plan(tmp_path, Plan(), since=empty).result is Verdict.VERIFIED


def test_a_pocket_checkpoint_later_than_the_bundle_is_incomplete(tmp_path: Path) -> None:
    report = verify_plan(tmp_path, Plan(tree_size=5), since=_pocket(8))
    assert report.result is Verdict.INCOMPLETE
    assert "older than the earlier checkpoint" in report.reasons[0]


def test_a_pocket_checkpoint_that_nobody_trusted_signed_is_refused(tmp_path: Path) -> None:
    note = Tree(chain(make_records(8))).note(8, OTHER_LOG)
    report = verify_plan(tmp_path, Plan(), since=note)
    assert report.failed is not None
    assert (report.failed.number, report.failed.file) == (6, "(--since)")


def test_a_wrong_consistency_proof_is_refused_even_where_nobody_asked(tmp_path: Path) -> None:
    assert verify_plan(tmp_path, Plan(since=3)).step(6).outcome == "not checked"
    plan = Plan(since=3, data=_change("data/consistency.json", b'"old_size":3', b'"old_size":2'))
    assert why(verify_plan(tmp_path, plan))[0] == 6


# --- without a policy -----------------------------------------------------------------------------------------------


def _alone(folder: Path, plan: Plan) -> Any:
    (folder / "bundle.zip").write_bytes(build(plan))
    return verify_bundle(folder / "bundle.zip", policy=None)


def test_without_a_policy_a_bundle_is_self_consistent_only(tmp_path: Path) -> None:
    report = _alone(tmp_path, Plan(log_signer=OTHER_LOG, signers=[OTHER_BUNDLES]))
    assert (report.result, report.reasons) == (Verdict.INCOMPLETE, ("self-consistent only",))
    assert all(report.step(number).outcome == "passed" for number in (1, 2, 3, 5, 7, 8, 9, 10, 11))


def test_without_a_policy_a_bundle_that_contradicts_itself_is_rejected(tmp_path: Path) -> None:
    def change(statement: dict[str, Any]) -> None:
        statement["predicate"]["tree_size"] = 3

    assert _alone(tmp_path, Plan(statement=change)).result is Verdict.REJECTED


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"log": {}, "bundles": []}, "array of objects"),
        ({"log": [1], "bundles": []}, "array of objects"),
        ({"log": [{"vkey": LOG.vkey}], "bundles": [{"vkey": 7}]}, "names no Ed25519 key"),
        ({"log": [{"vkey": "x"}], "bundles": []}, "not of the form"),
    ],
)
def test_without_a_policy_the_bundles_keys_must_be_there(keys: Any, message: str, tmp_path: Path) -> None:
    report = _alone(tmp_path, Plan(data=_set("data/keys/keys.json", print_json(keys))))
    assert why(report)[0] == 3
    assert message in why(report)[1]


def test_two_keys_of_one_name_and_id_are_refused_in_the_report(tmp_path: Path) -> None:
    found: dict[bytes, VerifierKey] = {}
    number = 0
    while True:  # a birthday within 32 bits: about 80,000 keys
        key = make_key(LOG.name, ED25519, seed(f"collision {number}"))
        if key.key_id in found:
            break
        found[key.key_id] = key
        number += 1
    vkeys = [f"{each.name}+{each.key_id.hex()}+{_public(each)}" for each in (key, found[key.key_id])]
    keys = {"bundles": [{"vkey": BUNDLES.vkey}], "log": [{"vkey": vkey} for vkey in vkeys]}
    report = _alone(tmp_path, Plan(data=_set("data/keys/keys.json", print_json(keys))))
    assert why(report) == (3, "names two keys of one name and id under 'log'")


def _public(key: VerifierKey) -> str:
    return encode_base64(bytes((key.algorithm,)) + key.public)


# --- demands --------------------------------------------------------------------------------------------------------


def test_a_demanded_step_that_was_not_made_is_incomplete_and_names_itself(tmp_path: Path) -> None:
    report = verify_plan(tmp_path, Plan(), policy="demand = [6, 13]\n" + policy_text())
    assert report.result is Verdict.INCOMPLETE
    assert [reason[:7] for reason in report.reasons] == ["step 6:", "step 13"]


def test_a_demanded_step_that_passed_is_enough(tmp_path: Path) -> None:
    report = verify_plan(tmp_path, Plan(), policy="demand = [5, 6]\n" + policy_text(), since=_pocket(8))
    assert report.result is Verdict.VERIFIED


def test_a_time_range_report_says_what_lies_outside(tmp_path: Path) -> None:
    plan = Plan(size=9, a=3, b=6, filter={"from": recorded_at(3), "to": recorded_at(6)})
    assert any("before 3 or from 6 on" in caveat for caveat in verify_plan(tmp_path, plan).caveats)
