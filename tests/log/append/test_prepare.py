"""Steps 1 and 2: leaves in their one form, content committed and sealed, people under pseudonyms."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from counterfoil.core.encoding import format_json
from counterfoil.core.errors import Fault, InputError
from counterfoil.core.record import MAX_LEAF_BYTES, format_record, parse_record
from counterfoil.core.rules import is_token
from counterfoil.core.state import ContentState
from counterfoil.log.contents import Contents, parse_leaves
from counterfoil.log.overflow import FIELD
from counterfoil.log.records import head, read_leaves
from counterfoil.mapping.draft import Draft, Item
from tests.log.append.making import TRACE, Made, event, leaves, send, span


def opened(made: Made, seq: int) -> dict[str, Any]:
    with made.logs.ledger.read() as connection:
        rows = parse_leaves(read_leaves(connection, made.log.id, seq, seq + 1))
    fields = Contents(made.logs.ledger, made.logs.keystore).open(made.log, rows)[seq]
    assert {field.state for field in fields.values()} <= {ContentState.DISCLOSED}
    return {name: field.value for name, field in fields.items()}


def test_stored_leaves_are_what_core_would_print(made: Made) -> None:
    item = span(1, parts=2, subject="cust-7", producer=("proc-a", 3))
    item.drafts[0].facts |= {
        "agent": {"id": "refunds", "name": "Refunds", "version": "2.3.1"},
        "usage": {"input_tokens": 812, "output_tokens": 0},
        "links": [{"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331"}],
        "absent": {"rationale": "redacted"},
    }
    send(made.logs, made.log, item, event(1), span(1, identity=b"again"))
    with made.logs.ledger.read() as connection:
        for _, leaf in read_leaves(connection, made.log.id, 0, head(connection, made.log.id).size):
            parsed = parse_record(leaf)
            assert format_record(parsed) == format_json(parsed) == leaf


def test_each_field_is_a_disclosure_whose_digest_the_leaf_holds(made: Made) -> None:
    fields = [
        ("rationale", "weil es so war – \U0001f9fe"),
        ("inputs", {"amount": "12.50", "n": 3}),
        ("output", [1, True]),
    ]
    send(made.logs, made.log, span(1, fields=fields))
    leaf = leaves(made.path, made.log.id)[2]
    with made.logs.ledger.read() as connection:
        rows = parse_leaves(read_leaves(connection, made.log.id, 2, 3))
    found = Contents(made.logs.ledger, made.logs.keystore).open(made.log, rows)[2]
    assert {name: field.value for name, field in found.items()} == dict(fields)
    salts = set()
    for name, field in found.items():
        assert field.disclosure is not None
        digest = urlsafe_b64encode(hashlib.sha256(field.disclosure.encode()).digest()).rstrip(b"=").decode()
        assert leaf["content"][name] == digest
        salts.add(field.disclosure[:40])
    assert len(salts) == 3


def test_the_same_words_never_have_the_same_digest(made: Made) -> None:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "x"}}]}
    same = [("resource", resource), ("rationale", "because")]
    send(made.logs, made.log, *(span(number, fields=same) for number in range(1, 30)))
    digests = [digest for leaf in leaves(made.path, made.log.id)[2:] for digest in leaf["content"].values()]
    assert len(set(digests)) == len(digests) == 58
    assert opened(made, 20) == {"resource": resource, "rationale": "because"}


def test_integers_of_any_size_are_kept_and_what_is_no_json_is_refused(made: Made) -> None:
    send(made.logs, made.log, span(1, fields=[("inputs", {"n": 2**80})]))
    assert opened(made, 2) == {"inputs": {"n": 2**80}}
    answer = send(made.logs, made.log, span(2, fields=[("inputs", {1, 2})]), span(3, fields=[("text", "\ud800")]))
    assert [answer.refused[at].code for at in (0, 1)] == ["bad_content", "bad_content"]
    assert [answer.refused[at].item for at in (0, 1)] == ["inputs", "text"]


def test_a_field_that_is_there_twice_or_one_field_too_many_is_refused(made: Made) -> None:
    twice = span(1, fields=[("text", "a"), ("text", "b")])
    many = span(2, fields=[(f"field_{n}", "x") for n in range(65)])
    most = span(3, fields=[(f"field_{n}", "x") for n in range(64)])
    answer = send(made.logs, made.log, twice, many, most)
    assert [answer.refused[at].code for at in (0, 1)] == ["bad_content", "too_many_fields"]
    assert answer.seqs[2] is not None
    assert len(opened(made, 2)) == 64


def test_an_interaction_is_its_token_or_a_pseudonym(made: Made) -> None:
    send(
        made.logs,
        made.log,
        span(1, interaction="conv-42"),
        span(2, interaction="call from +49 170 1234567"),
        span(3, interaction="call from +49 170 1234567"),
        span(4, interaction=None),
    )
    found = [leaf.get("interaction") for leaf in leaves(made.path, made.log.id)[2:]]
    assert found[0] == {"id": "conv-42"}
    assert found[1] is not None
    assert found[1] == found[2]
    assert is_token(found[1]["id"])
    assert found[1]["id"] == made.logs.keystore.find_pseudonym(made.log.id, "call from +49 170 1234567")
    assert found[3] is None


def test_facts_of_the_interaction_stay_beside_its_id(made: Made) -> None:
    item = span(1)
    item.drafts[0].facts["interaction"] = {"channel": "chat", "region": "eu-west-1"}
    send(made.logs, made.log, item)
    wanted = {"channel": "chat", "region": "eu-west-1", "id": "conv-1"}
    assert leaves(made.path, made.log.id)[2]["interaction"] == wanted


def test_people_stand_in_the_leaf_as_pseudonyms_only(made: Made) -> None:
    facts = {"mapping": {"name": "test", "version": "1"}, "oversight": {"act": "decision", "verdict": "override"}}
    person = "Erika Mustermann <erika@example.com>"
    item = event(1)
    item.drafts = [Draft("oversight", "otlp:logs", facts, [], "conv-1", "cust-7", (("oversight.person", person),))]
    handed = event(2)
    common = {"mapping": {"name": "test", "version": "1"}}
    handed.drafts = [Draft("handoff", "otlp:logs", common, [], "conv-1", None, (("handoff.to", person),))]
    send(made.logs, made.log, item, handed)
    oversight, handoff = leaves(made.path, made.log.id)[2:]
    token = made.logs.keystore.find_pseudonym(made.log.id, person)
    assert oversight["oversight"] == {"act": "decision", "verdict": "override", "person": token}
    assert oversight["subject"] == made.logs.keystore.find_pseudonym(made.log.id, "cust-7")
    assert handoff["handoff"] == {"to": token}
    raw = b"".join(path.read_bytes() for path in made.path.glob("*.db*"))
    assert b"Mustermann" not in raw
    assert b"cust-7" not in raw


def test_content_of_a_subject_is_found_by_the_subject(made: Made) -> None:
    send(made.logs, made.log, span(1, subject="cust-7"), span(2, subject="cust-7", interaction="conv-2"), span(3))
    subject = made.logs.keystore.find_pseudonym(made.log.id, "cust-7")
    assert subject is not None
    assert len(made.logs.keystore.keys_of_subject(made.log.id, subject)) == 2


def test_one_interaction_shares_a_key_and_other_traces_have_their_own(made: Made) -> None:
    send(
        made.logs,
        made.log,
        *(span(n) for n in (1, 2)),
        *(span(n, interaction=None) for n in (3, 4)),
        span(5, interaction=None, trace=bytes(15) + b"\x01"),
        event(6),
        event(7),
    )
    send(made.logs, made.log, event(8))
    with made.logs.ledger.read() as connection:
        rows = connection.exec_driver_sql("SELECT key_id FROM contents WHERE log_id = ? ORDER BY seq", (made.log.id,))
        keys = [row[0] for row in rows]
    assert keys[0] == keys[1]
    assert keys[2] == keys[3]
    assert keys[5] == keys[6]  # without interaction and trace: one key for the batch
    assert len(set(keys)) == 5


def test_a_value_over_the_inline_limit_is_kept_whole_as_a_blob(made: Made) -> None:
    text = "Zeile – " * 400_000
    send(made.logs, made.log, span(1, fields=[("input", text), ("output", "short")]))
    assert made.logs.ledger is not None
    with made.logs.ledger.read() as connection:
        rows = parse_leaves(read_leaves(connection, made.log.id, 2, 3))
        parts = connection.exec_driver_sql("SELECT count(*) FROM blobs WHERE field = 'input'").scalar_one()
    contents = Contents(made.logs.ledger, made.logs.keystore)
    found = contents.open(made.log, rows)[2]
    assert found["output"].value == "short"
    assert set(found["input"].value) == {"blob"}
    data = b"".join(contents.read_blob(made.log, 2, "input", found["input"].value))
    assert data.decode() == '"' + text + '"'
    assert parts == 4


def test_a_value_just_within_the_inline_limit_is_no_blob(made: Made) -> None:
    send(made.logs, made.log, span(1, fields=[("input", "x" * 1_048_000)]))
    assert opened(made, 2)["input"] == "x" * 1_048_000


def long_token(letter: str) -> str:
    return letter * 128


def many(letter: str, count: int) -> list[str]:
    """Field names of the greatest length."""
    return [f"{letter}{n:02}{letter * 61}" for n in range(count)]


def crowded(item: Item, kind: str) -> Item:
    """The same item with as much in its leaf as the schema allows."""
    draft = item.drafts[0]
    draft.kind = kind
    draft.fields = [(name, "x") for name in many("y", 63)]
    draft.facts |= {
        "absent": dict.fromkeys(many("z", 64), "not_recorded"),
        "links": [{"trace_id": "%032x" % (n + 1), "span_id": "%016x" % (n + 1)} for n in range(32)],
        "agent": dict.fromkeys(("id", "name", "version"), long_token("a")),
        "model": dict.fromkeys(("provider", "requested", "name"), long_token("m")),
        "tool": dict.fromkeys(("name", "call_id"), long_token("t")),
    }
    return item


def test_a_leaf_over_its_limit_moves_its_longest_optional_values_to_content(made: Made) -> None:
    item = crowded(span(1), "decision")
    facts = item.drafts[0].facts
    assert send(made.logs, made.log, item).refused == {}
    leaf = leaves(made.path, made.log.id)[2]
    assert len(format_json(leaf)) <= MAX_LEAF_BYTES
    assert opened(made, 2)[FIELD] == {"absent": facts["absent"]}
    assert leaf["links"] == facts["links"]
    assert leaf["trace_id"] == facts["trace_id"]


def test_a_leaf_that_does_not_fit_even_so_is_refused(made: Made) -> None:
    ranges = [[10_000_000_000 + 2 * n, 10_000_000_000 + 2 * n] for n in range(1_024)]
    draft = Draft("erasure", "service", {"erasure": {"ranges": ranges, "fields": "all"}}, [("reason", "asked for")])
    with pytest.raises(InputError) as caught:
        made.logs.append_drafts(made.log.id, [draft])
    assert caught.value.code == "leaf_too_large"


def test_values_within_the_object_of_a_kind_are_moved_one_by_one(made: Made) -> None:
    item = crowded(event(1, trace=TRACE), "handoff")
    facts = item.drafts[0].facts
    facts["absent"] = dict.fromkeys(many("z", 48), "not_recorded")
    facts["handoff"] = {"state": "offered", "to_kind": "human", "context": many("c", 64)}
    assert send(made.logs, made.log, item).refused == {}
    leaf = leaves(made.path, made.log.id)[2]
    assert leaf["handoff"] == {"state": "offered", "to_kind": "human"}
    assert opened(made, 2)[FIELD] == {"handoff.context": facts["handoff"]["context"]}


def test_a_leaf_with_as_many_fields_as_may_be_has_no_room_to_move_anything(made: Made) -> None:
    item = crowded(span(1), "decision")
    item.drafts[0].fields.append(("one_more", "x"))
    assert send(made.logs, made.log, item).refused[0].code == "leaf_too_large"


def test_drafts_are_not_changed_so_a_batch_can_be_sent_again(made: Made) -> None:
    import copy

    item = span(1, parts=2, subject="cust", producer=("proc", 1), interaction="no token at all")
    before = copy.deepcopy(item)
    send(made.logs, made.log, item)
    assert item == before
    assert send(made.logs, made.log, item).seqs[0].new is False


@pytest.mark.parametrize("kind", ["access", "break_glass"])
def test_a_kind_of_the_access_log_is_not_written_among_interactions(made: Made, kind: str) -> None:
    facts = {"access": {"action": "export"}, "break_glass": {"person": "p-1"}}[kind]
    with pytest.raises(Fault, match=f"{kind} does not belong into the log .*/main"):
        made.logs.append_drafts(made.log.id, [Draft(kind, "service", {kind: facts}, [])])
    assert len(leaves(made.path, made.log.id)) == 2


def test_what_a_producer_sends_is_not_written_into_an_access_log(made: Made) -> None:
    with pytest.raises(Fault, match=r"decision does not belong into the log .*/access"):
        send(made.logs, made.first.access, span(1))
    refusal = Draft("refusal", "service", {"refusal": {"signal": "traces", "code": "x", "count": 1}}, [])
    with pytest.raises(Fault, match="refusal does not belong"):
        made.logs.append_drafts(made.first.access.id, [refusal])
    assert {leaf["kind"] for leaf in leaves(made.path, made.first.access.id)} <= {"genesis", "key", "configuration"}
