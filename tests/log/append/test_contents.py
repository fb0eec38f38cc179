"""Reading content: every field has exactly one state, and only a record that covers it explains its absence."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from counterfoil.core.errors import EvidenceError
from counterfoil.core.state import ContentState
from counterfoil.log.contents import MAX_AT_ONCE, Content, Contents, parse_leaves
from counterfoil.log.records import head, read_leaves
from counterfoil.log.tables import contents, removals
from counterfoil.mapping.draft import Draft
from tests.log.append.making import Made, make, send, span


@pytest.fixture
def made(tmp_path: Any) -> Iterator[Made]:
    """A directory whose content is attacked: the check of every log at the end would rightly fail."""
    found = make(tmp_path / "audit")
    yield found
    found.logs.close()


def states(made: Made, first: int = 2, end: int | None = None) -> dict[int, dict[str, Content]]:
    with made.logs.ledger.read() as connection:
        stop = head(connection, made.log.id).size if end is None else end
        rows = parse_leaves(read_leaves(connection, made.log.id, first, stop))
    return Contents(made.logs.ledger, made.logs.keystore).open(made.log, rows)


def attack(made: Made, *statements: tuple[str, tuple[Any, ...]]) -> None:
    """Change the database file past our code, with the triggers dropped."""
    with sqlite3.connect(made.path / "ledger.db") as connection:
        for name in ("update", "delete"):
            connection.execute(f"DROP TRIGGER IF EXISTS contents_refuse_{name}")
            connection.execute(f"DROP TRIGGER IF EXISTS blobs_refuse_{name}")
        for sql, values in statements:
            connection.execute(sql, values)
    connection.close()


def erase(made: Made, kind: str, ranges: list[list[int]], fields: list[str] | str = "all") -> int:
    """What the privacy room will do: the record, the row that points to it, then the content goes."""
    facts: dict[str, Any] = {"ranges": ranges, "fields": fields}
    seq = made.logs.append_drafts(made.log.id, [Draft(kind, "service", {kind: facts}, [])])[0]
    with made.logs.ledger.write() as connection:
        for first, last in ranges:
            row = {"log_id": made.log.id, "first_seq": first, "last_seq": last, "by_seq": seq, "kind": kind}
            connection.execute(removals.insert().values(row))
            connection.execute(
                contents.delete().where(contents.c.log_id == made.log.id, contents.c.seq.between(first, last))
            )
    return seq


def test_what_is_there_is_disclosed_with_value_and_disclosure(made: Made) -> None:
    send(made.logs, made.log, span(1, fields=[("rationale", "because"), ("inputs", {"n": 1})]))
    found = states(made)[2]
    assert {name: (field.state, field.value) for name, field in found.items()} == {
        "rationale": (ContentState.DISCLOSED, "because"),
        "inputs": (ContentState.DISCLOSED, {"n": 1}),
    }


def test_records_without_content_have_no_fields(made: Made) -> None:
    assert states(made, 0) == {0: {}, 1: {}}


def test_content_that_is_gone_without_a_record_is_missing(made: Made) -> None:
    send(made.logs, made.log, span(1))
    attack(made, ("DELETE FROM contents WHERE seq = 2 AND log_id = ?", (made.log.id,)))
    assert states(made)[2]["attributes"] == Content(ContentState.MISSING)


def test_content_that_was_changed_swapped_or_moved_is_a_mismatch(made: Made) -> None:
    send(made.logs, made.log, span(1), span(2), span(3))
    swap = "UPDATE contents SET sealed = (SELECT sealed FROM contents WHERE log_id = ?1 AND seq = 3) WHERE seq = 2"
    flip = "UPDATE contents SET sealed = sealed || x'00' WHERE log_id = ? AND seq = 4"
    attack(made, (swap, (made.log.id,)), (flip, (made.log.id,)))
    found = states(made)
    assert [found[seq]["attributes"].state for seq in (2, 3, 4)] == [
        ContentState.MISMATCH,
        ContentState.DISCLOSED,
        ContentState.MISMATCH,
    ]


def test_a_destroyed_key_without_a_record_is_missing(made: Made) -> None:
    send(made.logs, made.log, span(1))
    with made.logs.ledger.read() as connection:
        key = connection.execute(contents.select().where(contents.c.log_id == made.log.id)).one().key_id
    made.logs.keystore.destroy_keys([key])
    assert states(made)[2]["attributes"].state is ContentState.MISSING


@pytest.mark.parametrize(("kind", "state"), [("erasure", ContentState.ERASED), ("expiry", ContentState.EXPIRED)])
def test_an_erasure_or_expiry_that_covers_it_explains_it_and_is_named(
    made: Made, kind: str, state: ContentState
) -> None:
    send(made.logs, made.log, span(1), span(2), span(3))
    by = erase(made, kind, [[2, 3]])
    found = states(made)
    assert [found[seq]["attributes"] for seq in (2, 3)] == [Content(state, by=by)] * 2
    assert found[4]["attributes"].state is ContentState.DISCLOSED


def test_an_erasure_explains_only_the_fields_it_names(made: Made) -> None:
    send(made.logs, made.log, span(1, fields=[("input", "a"), ("output", "b")]))
    by = erase(made, "erasure", [[2, 2]], ["input"])
    found = states(made)[2]
    assert found["input"] == Content(ContentState.ERASED, by=by)
    assert found["output"] == Content(ContentState.MISSING)


def test_a_removal_row_whose_record_does_not_cover_it_explains_nothing(made: Made) -> None:
    send(made.logs, made.log, span(1), span(2), span(3))
    by = erase(made, "erasure", [[3, 3]])
    row = {"log_id": made.log.id, "first_seq": 2, "last_seq": 2, "kind": "erasure"}
    with made.logs.ledger.write() as connection:
        connection.execute(removals.insert().values(**row, by_seq=by))  # covers 3, not 2
        connection.execute(removals.insert().values(**row, by_seq=0))  # the genesis
        connection.execute(removals.insert().values(**row, by_seq=99))  # nothing there
    attack(made, ("DELETE FROM contents WHERE seq = 2 AND log_id = ?", (made.log.id,)))
    assert states(made)[2]["attributes"] == Content(ContentState.MISSING)


def test_many_records_are_opened_at_once_also_with_holes(made: Made) -> None:
    count = MAX_AT_ONCE + 50
    for start in range(1, count + 1, 200):
        send(made.logs, made.log, *(span(n) for n in range(start, min(start + 200, count + 1))))
    found = states(made)
    assert len(found) == count
    assert all(fields["attributes"].state is ContentState.DISCLOSED for fields in found.values())
    with made.logs.ledger.read() as connection:
        rows = parse_leaves(read_leaves(connection, made.log.id, 2, 2 + count))[::2]
    odd = Contents(made.logs.ledger, made.logs.keystore).open(made.log, rows)
    assert list(odd) == [seq for seq, _ in rows]
    assert all(fields["attributes"].state is ContentState.DISCLOSED for fields in odd.values())


def blob_value(made: Made) -> Any:
    send(made.logs, made.log, span(1, fields=[("input", "x" * 3_000_000)]))
    return states(made)[2]["input"].value


def read_blob(made: Made, value: Any) -> bytes:
    return b"".join(Contents(made.logs.ledger, made.logs.keystore).read_blob(made.log, 2, "input", value))


def test_a_blob_streams_in_parts_and_is_checked_as_a_whole(made: Made) -> None:
    value = blob_value(made)
    assert read_blob(made, value) == b'"' + b"x" * 3_000_000 + b'"'
    wrong = {"blob": {**value["blob"], "salt": "A" * 24}}
    with pytest.raises(EvidenceError, match="not those"):
        read_blob(made, wrong)


def test_a_blob_with_a_part_gone_or_swapped_fails_by_name(made: Made) -> None:
    value = blob_value(made)
    attack(made, ("UPDATE blobs SET part = part + 10 WHERE part = 1", ()))
    with pytest.raises(EvidenceError, match="part 1 of input of record 2 is missing"):
        read_blob(made, value)
    attack(made, ("UPDATE blobs SET part = 1 WHERE part = 0", ()), ("UPDATE blobs SET part = 0 WHERE part = 11", ()))
    with pytest.raises(EvidenceError, match="does not open"):
        read_blob(made, value)


@pytest.mark.parametrize("value", [2**63, -(2**64), 10**30, {"wide": [2**64 + 1, 0.5]}, "1" * 40])
def test_integers_of_any_size_come_back_as_they_were_sent(made: Made, value: Any) -> None:
    draft = Draft("note", "service", {}, [("text", value)])
    seq = made.logs.append_drafts(made.log.id, [draft])[0]
    found = states(made, seq)[seq]["text"]
    assert (found.state, found.value) == (ContentState.DISCLOSED, value)
    assert type(found.value) is type(value)
