"""The checkpointer: what it signs, when, and what it refuses."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from counterfoil.core.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from counterfoil.core.errors import Fault
from counterfoil.core.merkle import check_consistency, leaf_hash, prove_consistency, root_of
from counterfoil.core.note import NoteSigner
from counterfoil.identity.principal import Principal
from counterfoil.identity.roles import Role
from counterfoil.log.access import record_access
from counterfoil.log.checkpoints import BLOCK_LEAVES, HEARTBEAT_US, latest
from counterfoil.log.heads import HeadStore, SignedHeadContradicted, file_name_of
from counterfoil.log.tree import read_hashes
from tests.attacks.store import ORIGIN, Store, span


def rows(store: Store) -> list[tuple[int, int, bytes]]:
    with store.attack() as ledger:
        query = "SELECT size, issued_us, note FROM checkpoints WHERE log_id = ? ORDER BY size, issued_us"
        return [tuple(row) for row in ledger.execute(query, (store.log.id,))]


def leaf_hashes(store: Store) -> list[bytes]:
    with store.attack() as ledger:
        query = "SELECT leaf FROM records WHERE log_id = ? ORDER BY seq"
        return [leaf_hash(row[0]) for row in ledger.execute(query, (store.log.id,))]


def test_a_log_with_its_first_records_alone_is_signed(empty_store: Store) -> None:
    signed = empty_store.checkpoint()
    assert signed is not None
    assert signed.size == 2
    assert signed.root == root_of(leaf_hashes(empty_store))
    assert empty_store.fsck() == []


@pytest.mark.parametrize("count", [1, 254, 255, 256, 510, 512])
def test_the_signed_root_is_the_root_over_all_leaves_around_the_borders_of_tiles(
    empty_store: Store, count: int
) -> None:
    # Every span but each third is one record: choose numbers that are no multiples of three.
    numbers = [number for number in range(2000) if number % 3][:count]
    empty_store.send_items([span(number) for number in numbers])
    signed = empty_store.checkpoint()
    assert signed is not None
    assert signed.size == count + 2
    assert signed.root == root_of(leaf_hashes(empty_store))
    assert empty_store.fsck() == []


def test_all_published_checkpoints_verify_and_are_consistent_with_each_other(store: Store) -> None:
    key = store.sources().keys[ORIGIN]
    opened = [open_checkpoint(note, ORIGIN, [key])[0] for _, _, note in rows(store)]
    assert [one.size for one in opened] == [136, 269, 402, 536, 669, 802]
    with store.ledger.read() as conn:
        read = read_hashes(conn, store.log.id, 802)
        for old, new in pairwise(opened):
            proof = prove_consistency(old.size, new.size, read)
            check_consistency(old.size, old.root, new.size, new.root, proof)


def test_head_store_and_publication_hold_the_same_note(store: Store) -> None:
    with store.ledger.read() as conn:
        assert latest(conn, store.log.id) == (802, store.heads.read(ORIGIN))


def test_a_log_that_does_not_grow_is_published_again_after_ten_minutes_with_the_same_note(store: Store) -> None:
    before = rows(store)
    assert store.checkpoint() is None
    store.clock.time_us = before[-1][1] + HEARTBEAT_US - 60_000_000
    assert store.checkpoint() is None
    store.clock.time_us = before[-1][1] + HEARTBEAT_US
    again = store.checkpoint()
    assert again is not None
    after = rows(store)
    assert len(after) == len(before) + 1
    assert after[-1][0] == before[-1][0]
    assert after[-1][2] == before[-1][2]
    assert after[-1][1] >= before[-1][1] + HEARTBEAT_US
    assert store.fsck() == []


def test_a_long_backlog_is_signed_block_by_block(empty_store: Store) -> None:
    empty_store.send(1500, batch=500)
    signed = empty_store.checkpointer(block_leaves=512).run_once(empty_store.log.id)
    assert signed is not None
    assert [size for size, _, _ in rows(empty_store)] == [512, 1024, 1536, 2002]
    assert signed.size == empty_store.size() == 2002
    assert empty_store.fsck() == []


def test_a_block_that_is_no_multiple_of_a_tile_is_refused(empty_store: Store) -> None:
    assert BLOCK_LEAVES % 256 == 0
    with pytest.raises(Fault, match="256"):
        empty_store.checkpointer(block_leaves=300)


def test_a_second_checkpointer_that_comes_between_makes_the_first_one_start_over(store: Store) -> None:
    store.send(10, first=5000)
    other = store.checkpointer()
    interfered = []

    def interfere(step: str) -> None:
        if step == "signed" and not interfered:
            interfered.append(step)
            store.send(10, first=6000)
            assert other.run_once(store.log.id) is not None

    signed = store.checkpointer(at_step=interfere).run_once(store.log.id)
    assert signed is None, "the other one had signed everything"
    assert [size for size, _, _ in rows(store)][-1] == store.size()
    assert store.fsck() == []


def test_two_checkpointers_and_a_writer_at_the_same_time_agree(store: Store) -> None:
    done = threading.Event()

    def keep_signing() -> int:
        checkpointer = store.checkpointer()
        signed = 0
        while not done.is_set():
            signed += checkpointer.run_once(store.log.id) is not None
        return signed

    with ThreadPoolExecutor(2) as pool:
        signing = [pool.submit(keep_signing) for _ in range(2)]
        store.send(400, first=5000, batch=10)
        done.set()
        assert sum(one.result(60) for one in signing) > 1
    store.checkpoint()
    assert store.heads.size_of(ORIGIN) == store.size()
    assert store.fsck() == []


def test_one_log_in_trouble_does_not_stop_the_others(store: Store) -> None:
    store.send(5, first=5000)
    access = next(log for log in store.logs.all() if log.purpose == "access")
    with store.attack_without_triggers() as ledger:
        change = "UPDATE records SET leaf = leaf || x'20' WHERE log_id = ? AND seq = 1"
        ledger.execute(change, (access.id,))
    record_access(store.logs, Principal(1, "acme", "kreview", Role.REVIEWER, None, "r"), "search", count=1)
    troubles = store.checkpointer().run_all()
    assert list(troubles) == [access.origin]
    assert isinstance(troubles[access.origin], SignedHeadContradicted)
    assert store.heads.size_of(ORIGIN) == store.size()


def test_an_unknown_log_is_a_fault(store: Store) -> None:
    with pytest.raises(Fault, match="77"):
        store.checkpointer().run_once(77)


def test_the_head_of_another_key_is_refused(store: Store) -> None:
    stranger = NoteSigner.from_seed(ORIGIN, bytes(32))
    forged = sign_checkpoint(Checkpoint(ORIGIN, 10, bytes(32)), stranger)
    (store.directory.heads / file_name_of(ORIGIN)).write_bytes(forged)
    with pytest.raises(SignedHeadContradicted, match="does not verify"):
        store.checkpoint()
    assert HeadStore(store.directory.heads).read(ORIGIN) == forged


def test_tiles_beyond_the_head_that_hold_other_hashes_are_refused(store: Store) -> None:
    store.send(400, first=5000)
    with store.attack() as ledger:
        ledger.execute("INSERT INTO tiles VALUES (?, 0, 3, zeroblob(8192), zeroblob(32))", (store.log.id,))
    with pytest.raises(SignedHeadContradicted, match="tile/0/003"):
        store.checkpoint()
