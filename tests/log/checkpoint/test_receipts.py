"""Receipts: they check offline with nothing but the log's key, and none is handed out that does not."""

import pytest

from counterfoil.core.errors import EvidenceError
from counterfoil.core.note import parse_vkey
from counterfoil.core.promise import open_promise
from counterfoil.core.proof import check_proof, parse_proof
from counterfoil.log.receipts import MAX_RECEIPTS, Prover, find_arrivals, prove_record
from tests.attacks.store import ORIGIN, Store, span


def test_a_receipt_of_every_record_checks_offline(store: Store) -> None:
    key = parse_vkey(store.log.vkey)
    with store.ledger.read() as conn:
        prover = Prover(conn, store.log.id)
        assert prover.size == 802
        for seq in range(0, 802, 3):
            proof = prover.prove(seq)
            assert proof is not None
            parsed = parse_proof(proof)
            assert parsed.index == seq
            assert check_proof(parsed, store.leaf(seq), ORIGIN, [key]).size == 802


def test_there_is_no_receipt_before_a_checkpoint_covers_the_record(store: Store) -> None:
    answer = store.send_items([span(7001)])
    given = answer.seqs[0]
    assert given is not None
    with store.ledger.read() as conn:
        assert prove_record(conn, store.log.id, given.first) is None
    store.checkpoint()
    with store.ledger.read() as conn:
        assert prove_record(conn, store.log.id, given.first) is not None


def test_before_the_first_checkpoint_there_is_no_receipt_at_all(empty_store: Store) -> None:
    with empty_store.ledger.read() as conn:
        assert Prover(conn, empty_store.log.id).size == 0
        assert prove_record(conn, empty_store.log.id, 0) is None


def test_the_receipt_keeps_the_promise_that_came_with_the_acknowledgement(store: Store) -> None:
    answer = store.send_items([span(7001), span(7002)])
    assert answer.promise is not None
    promise = open_promise(answer.promise, [parse_vkey(store.log.vkey)])
    assert promise.origin == ORIGIN
    highest = promise.ranges[-1][1]
    store.checkpoint()
    with store.ledger.read() as conn:
        proof = prove_record(conn, store.log.id, highest)
    assert proof is not None
    check_proof(parse_proof(proof), store.leaf(highest), ORIGIN, [parse_vkey(store.log.vkey)])


def test_a_record_that_was_changed_gets_no_receipt(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        ledger.execute("UPDATE records SET leaf = x'7b7d' WHERE log_id = ? AND seq = 50", (store.log.id,))
        ledger.execute("DELETE FROM records WHERE log_id = ? AND seq = 60", (store.log.id,))
    with store.ledger.read() as conn:
        with pytest.raises(EvidenceError, match="inclusion_root"):
            prove_record(conn, store.log.id, 50)
        with pytest.raises(EvidenceError, match="leaf_missing"):
            prove_record(conn, store.log.id, 60)


def test_a_checkpoint_that_was_forged_proves_nothing(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        query = "SELECT note FROM checkpoints WHERE log_id = ? AND size = 669"
        note = bytearray(ledger.execute(query, (store.log.id,)).fetchone()[0])
        change = "UPDATE checkpoints SET note = ? WHERE log_id = ? AND size = 802"
        ledger.execute(change, (bytes(note), store.log.id))
    with store.ledger.read() as conn, pytest.raises(EvidenceError, match="filed under 802"):
        prove_record(conn, store.log.id, 5)
    note[-5] ^= 1
    with store.attack_without_triggers() as ledger:
        ledger.execute(change, (bytes(note), store.log.id))
    with store.ledger.read() as conn, pytest.raises(EvidenceError):
        prove_record(conn, store.log.id, 5)


def test_records_are_found_by_the_trace_and_span_that_they_arrived_with(store: Store) -> None:
    item = span(40)
    with store.ledger.read() as conn:
        (seq,) = find_arrivals(conn, store.log.id, item.trace_id, item.span_id)
        everything = list(find_arrivals(conn, store.log.id, item.trace_id, None))
        assert list(find_arrivals(conn, store.log.id, bytes(16), None)) == []
    assert item.span_id.hex().encode() in store.leaf(seq)
    assert len(everything) == 6
    assert seq in everything


def test_every_record_that_an_item_became_is_found(store: Store) -> None:
    item = span(42)
    assert len(item.drafts) == 2
    with store.ledger.read() as conn:
        first, second = find_arrivals(conn, store.log.id, item.trace_id, item.span_id)
    assert second == first + 1
    assert b'"kind":"decision"' in store.leaf(first)
    assert b'"kind":"fallback"' in store.leaf(second)
    assert item.span_id.hex().encode() in store.leaf(second)


def test_a_trace_of_too_many_records_is_cut_one_after_the_limit_and_always_the_same(store: Store) -> None:
    trace_id = bytes(range(16))
    items = [span(number) for number in range(9_000, 9_000 + MAX_RECEIPTS + 40)]
    for item in items:
        item.trace_id = trace_id
        for draft in item.drafts:
            draft.facts["trace_id"] = trace_id.hex()
    store.send_items(items)
    with store.ledger.read() as conn:
        found = list(find_arrivals(conn, store.log.id, trace_id, None))
    with store.reopen().ledger.read() as conn:
        again = list(find_arrivals(conn, store.log.id, trace_id, None))
    assert len(found) == MAX_RECEIPTS + 1
    assert found == sorted(found) == again
