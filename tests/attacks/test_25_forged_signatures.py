"""Attack 25: forged signature lines attached to a checkpoint. Only verified signatures are stored."""

import pytest

from counterfoil.core.checkpoint import Checkpoint
from counterfoil.core.note import NoteSigner, Signature, format_note, parse_note
from counterfoil.log.checkpoints import latest
from counterfoil.log.heads import SignedHeadContradicted, file_name_of
from tests.attacks.store import ORIGIN, Store, names, with_attack


def witness_line(text: str) -> Signature:
    """A line of somebody whom nobody asked."""
    return NoteSigner.from_seed("witness.example", bytes(32)).sign(text)


def own_line(store: Store, text: str) -> Signature:
    """A line that carries the log's own name and key id, with a made-up signature."""
    key = store.sources().keys[ORIGIN]
    return Signature(ORIGIN, key.key_id, bytes(64))


def attach(note: bytes, *lines: Signature) -> bytes:
    text, signatures = parse_note(note)
    return format_note(text, [*signatures, *lines])


@pytest.mark.parametrize("kind", ["witness", "own"])
def test_a_line_attached_to_a_published_checkpoint_is_named(store: Store, kind: str) -> None:
    with store.ledger.read() as conn:
        newest = latest(conn, store.log.id)
    assert newest is not None
    text, _ = parse_note(newest[1])
    line = witness_line(text) if kind == "witness" else own_line(store, text)
    with store.attack_without_triggers() as ledger:
        change = "UPDATE checkpoints SET note = ? WHERE log_id = ? AND size = ?"
        ledger.execute(change, (attach(newest[1], line), store.log.id, newest[0]))
    findings = store.fsck()
    assert names(findings) == with_attack(findings, 25) == {"checkpoint_forged_signature"}


def test_a_line_attached_to_the_head_file_is_named_and_never_published(store: Store) -> None:
    path = store.directory.heads / file_name_of(ORIGIN)
    note = path.read_bytes()
    path.write_bytes(attach(note, witness_line(parse_note(note)[0])))
    assert with_attack(store.fsck(), 25) == {"checkpoint_forged_signature"}
    store.send(5, first=5000)
    store.checkpoint()
    assert b"witness.example" not in path.read_bytes()
    with store.attack() as ledger:
        notes = ledger.execute("SELECT note FROM checkpoints").fetchall()
    assert not [note for (note,) in notes if b"witness.example" in note]
    assert store.fsck() == []


def test_a_head_that_was_not_published_yet_is_published_without_what_somebody_attached(store: Store) -> None:
    """A crash between signing and publishing, and an attacker who uses it."""

    class Crash(Exception):
        pass

    def stop(step: str) -> None:
        if step == "head_swapped":
            raise Crash

    store.send(5, first=5000)
    with pytest.raises(Crash):
        store.checkpointer(at_step=stop).run_once(store.log.id)
    path = store.directory.heads / file_name_of(ORIGIN)
    note = path.read_bytes()
    path.write_bytes(attach(note, witness_line(parse_note(note)[0])))
    published = store.checkpoint()
    assert published is not None
    with store.ledger.read() as conn:
        newest = latest(conn, store.log.id)
    assert newest == (published.size, note)


def test_a_bad_line_with_the_logs_own_key_id_stops_signing_and_does_not_wedge_it(store: Store) -> None:
    path = store.directory.heads / file_name_of(ORIGIN)
    note = path.read_bytes()
    path.write_bytes(attach(note, own_line(store, parse_note(note)[0])))
    store.send(5, first=5000)
    with pytest.raises(SignedHeadContradicted, match="does not verify"):
        store.checkpoint()
    assert "checkpoint_forged_signature" in with_attack(store.fsck(), 25)
    path.write_bytes(note)
    assert store.checkpoint() is not None
    assert store.fsck() == []


def test_a_head_that_nobody_signed_is_a_forgery(store: Store) -> None:
    path = store.directory.heads / file_name_of(ORIGIN)
    text = Checkpoint(ORIGIN, 802, bytes(32)).text()
    path.write_bytes(format_note(text, [witness_line(text)]))
    findings = store.fsck()
    assert "checkpoint_signature" in with_attack(findings, 7)


def test_a_checkpoint_that_was_emptied_is_named(store: Store) -> None:
    with store.attack_without_triggers() as ledger:
        ledger.execute("UPDATE checkpoints SET note = x'' WHERE log_id = ? AND size = 136", (store.log.id,))
    assert names(store.fsck()) == {"checkpoint_malformed"}
