"""Attack 7: rewrite everything from a record on, all hashes recomputed: only signatures stand in the way."""

import json
import sqlite3
from hashlib import sha256

import pytest

from counterfoil.core.checkpoint import Checkpoint, sign_checkpoint
from counterfoil.core.encoding import print_canonical
from counterfoil.core.merkle import leaf_hash, root_of
from counterfoil.core.note import NoteSigner, format_note, parse_note
from counterfoil.core.tiles import full_tiles_between
from counterfoil.log.heads import SignedHeadContradicted, file_name_of
from tests.attacks.store import ORIGIN, Store, names, relink, with_attack

CHANGED = 50


def rewrite(store: Store, ledger: sqlite3.Connection) -> list[bytes]:
    """Change one decision, then number and link everything behind it, rebuild the tiles and the head row."""
    leaves = [store.leaf(seq) for seq in range(store.size())]
    leaf = json.loads(leaves[CHANGED])
    leaf["agent"] = {"id": "other"}
    leaves[CHANGED] = print_canonical(leaf)
    leaves[CHANGED:] = relink(leaves[CHANGED:], CHANGED, leaf_hash(leaves[CHANGED - 1]))
    rows = [(data, store.log.id, seq) for seq, data in enumerate(leaves)]
    ledger.executemany("UPDATE records SET leaf = ? WHERE log_id = ? AND seq = ?", rows)
    hashes = [leaf_hash(data) for data in leaves]
    for tile in full_tiles_between(0, len(leaves)):
        assert tile.level == 0
        members = hashes[tile.n * 256 : (tile.n + 1) * 256]
        change = "UPDATE tiles SET hashes = ?, root = ? WHERE log_id = ? AND level = 0 AND n = ?"
        ledger.execute(change, (b"".join(members), root_of(members), store.log.id, tile.n))
    ledger.execute("UPDATE heads SET leaf_hash = ? WHERE log_id = ?", (hashes[-1], store.log.id))
    return hashes


def forge_checkpoints(store: Store, ledger: sqlite3.Connection, hashes: list[bytes], signer: NoteSigner) -> None:
    """Replace every published checkpoint, and the head file, by ones over the new roots."""
    sizes = ledger.execute("SELECT DISTINCT size FROM checkpoints WHERE log_id = ?", (store.log.id,)).fetchall()
    for (size,) in sizes:
        note = sign_checkpoint(Checkpoint(ORIGIN, size, root_of(hashes[:size])), signer)
        ledger.execute("UPDATE checkpoints SET note = ? WHERE log_id = ? AND size = ?", (note, store.log.id, size))
        (store.directory.heads / file_name_of(ORIGIN)).write_bytes(note)


def test_a_rewritten_log_leads_to_other_roots_than_were_signed(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        rewrite(store, ledger)
    findings = store.fsck(with_keystore=False)
    assert names(findings) == with_attack(findings, 7) == {"checkpoint_root", "head_store_root"}
    assert len([finding for finding in findings if finding.check == "checkpoint_root"]) == 6


def test_a_rewritten_log_is_not_signed_any_further(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        rewrite(store, ledger)
    store = store.reopen()
    store.send(3, first=5000)
    with pytest.raises(SignedHeadContradicted):
        store.checkpoint()
    store.close()


def test_checkpoints_signed_again_with_another_key_are_named(store: Store) -> None:
    stranger = NoteSigner.from_seed(ORIGIN, sha256(b"stranger").digest())
    with store.attack_without_triggers() as ledger:
        forge_checkpoints(store, ledger, rewrite(store, ledger), stranger)
    findings = store.fsck()
    assert names(findings) == with_attack(findings, 7) == {"checkpoint_signature"}
    assert len(findings) == 7, "six published, and the head"


def test_another_key_planted_in_ledger_and_genesis_does_not_help(store: Store) -> None:
    stranger = NoteSigner.from_seed(ORIGIN, sha256(b"stranger").digest())
    with store.attack_without_triggers() as ledger:
        forge_checkpoints(store, ledger, rewrite(store, ledger), stranger)
        genesis = json.loads(store.leaf(0))
        genesis["genesis"]["vkeys"] = [stranger.vkey]
        ledger.execute(
            "UPDATE records SET leaf = ? WHERE log_id = ? AND seq = 0", (print_canonical(genesis), store.log.id)
        )
        ledger.execute("UPDATE logs SET vkey = ? WHERE id = ?", (stranger.vkey, store.log.id))
    findings = store.fsck()
    assert {"checkpoint_signature", "key_changed", "genesis_key"} <= with_attack(findings, 7)


def test_an_old_signature_under_a_new_root_does_not_verify(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        hashes = rewrite(store, ledger)
        query = "SELECT size, note FROM checkpoints WHERE log_id = ? AND size = 802"
        size, note = ledger.execute(query, (store.log.id,)).fetchone()
        _, signatures = parse_note(note)
        forged = format_note(Checkpoint(ORIGIN, size, root_of(hashes)).text(), signatures)
        ledger.execute("UPDATE checkpoints SET note = ? WHERE log_id = ? AND size = 802", (forged, store.log.id))
    findings = store.fsck()
    assert [finding.attack for finding in findings if finding.check == "checkpoint_signature"] == [7]


def test_a_checkpoint_of_another_size_filed_here_is_named(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        query = "SELECT note FROM checkpoints WHERE log_id = ? AND size = 402"
        note = ledger.execute(query, (store.log.id,)).fetchone()[0]
        ledger.execute("UPDATE checkpoints SET note = ? WHERE log_id = ? AND size = 802", (note, store.log.id))
        ledger.execute("UPDATE checkpoints SET note = ? WHERE log_id = ? AND size = 269", (b"not a note", store.log.id))
    findings = store.fsck()
    assert names(findings) == with_attack(findings, 7) == {"checkpoint_size", "checkpoint_malformed"}
