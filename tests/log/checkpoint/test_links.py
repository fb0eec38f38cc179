"""The chain on stored bytes: what links, and what only looks like it."""

import json

import pytest

from counterfoil.core.encoding import encode_base64
from counterfoil.core.errors import EvidenceError
from counterfoil.core.merkle import leaf_hash
from counterfoil.log.links import NO_PREVIOUS, hash_linked
from tests.attacks.store import Store, relink

ORIGIN = "log.example/agents"


def chain(count: int) -> list[bytes]:
    leaf = {"v": 1, "kind": "operation", "source": "api", "writer": "k", "recorded_at": "2026-11-18T00:00:00.000000Z"}
    return relink([json.dumps(leaf).encode()] * count, 0, NO_PREVIOUS, ORIGIN)


def test_linked_leaves_give_their_hashes() -> None:
    leaves = chain(5)
    assert hash_linked(ORIGIN, 0, NO_PREVIOUS, enumerate(leaves)) == [leaf_hash(leaf) for leaf in leaves]
    rest = hash_linked(ORIGIN, 2, leaf_hash(leaves[1]), enumerate(leaves[2:], 2))
    assert rest == [leaf_hash(leaf) for leaf in leaves[2:]]


def test_a_gap_is_named_by_the_number_that_is_missing() -> None:
    rows = list(enumerate(chain(5)))
    with pytest.raises(EvidenceError, match=r"seq_gap.*record 2 is missing: 3"):
        hash_linked(ORIGIN, 0, NO_PREVIOUS, rows[:2] + rows[3:])


@pytest.mark.parametrize("place", range(5))
def test_every_changed_byte_breaks_the_chain_at_the_next_record_or_here(place: int) -> None:
    leaves = chain(6)
    for at in range(0, len(leaves[place]), 3):
        changed = bytearray(leaves[place])
        changed[at] ^= 1
        rows = enumerate([*leaves[:place], bytes(changed), *leaves[place + 1 :]])
        with pytest.raises(EvidenceError, match=f"chain_broken.*record ({place}|{place + 1}) "):
            hash_linked(ORIGIN, 0, NO_PREVIOUS, rows)


def test_a_link_in_the_words_of_a_record_or_in_another_object_is_none() -> None:
    first, second = chain(2)
    leaf = json.loads(second)
    wanted = encode_base64(leaf_hash(first))
    for fake in (
        {**leaf, "prev": encode_base64(bytes(32)), "name": f'"prev":"{wanted}"'},
        {**leaf, "seq": 7, "name": ',"seq":1,"source":"'},
        {**leaf, "seq": 7, "oversight": {"of": {"seq": 1}}},
        {**leaf, "log": "log.example/other", "name": f'"log":"{ORIGIN}"'},
    ):
        data = json.dumps(fake, sort_keys=True, separators=(",", ":")).encode()
        with pytest.raises(EvidenceError, match="chain_broken"):
            hash_linked(ORIGIN, 0, NO_PREVIOUS, [(0, first), (1, data)])


def test_text_where_bytes_belong_does_not_link() -> None:
    (first,) = chain(1)
    with pytest.raises(EvidenceError, match="not stored as bytes"):
        hash_linked(ORIGIN, 0, NO_PREVIOUS, [(0, first.decode())])  # type: ignore[list-item]  # what SQLite may give


def test_every_record_of_a_real_store_links(store: Store) -> None:
    rows = [(seq, store.leaf(seq)) for seq in range(store.size())]
    assert len(hash_linked(store.log.origin, 0, NO_PREVIOUS, rows)) == 802
