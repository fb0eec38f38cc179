"""Signing keys: created once, readable by their owner alone, tied to their log."""

from pathlib import Path

import pytest

from counterfoil.core.errors import Fault
from counterfoil.core.note import open_note, sign
from counterfoil.log.heads import file_name_of
from counterfoil.log.signing import create_signer, key_path, load_signer

ORIGIN = "log.example/agents"
SEED = bytes(range(32))


def fixed(count: int) -> bytes:
    return SEED[:count]


def test_a_created_key_is_the_one_that_is_loaded_and_its_notes_open(tmp_path: Path) -> None:
    created = create_signer(tmp_path, ORIGIN)
    loaded = load_signer(tmp_path, ORIGIN)
    assert loaded.vkey == created.vkey
    note = sign("hello\n", [loaded])
    assert open_note(note, [created.verifier_key]).text == "hello\n"


def test_the_file_is_the_private_note_key_that_other_tools_read(tmp_path: Path) -> None:
    signer = create_signer(tmp_path, ORIGIN, fixed)
    path = tmp_path / file_name_of(ORIGIN)
    assert path == key_path(tmp_path, ORIGIN)
    key_id = signer.verifier_key.key_id.hex()
    assert path.read_text() == f"PRIVATE+KEY+{ORIGIN}+{key_id}+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [child.name for child in tmp_path.iterdir()] == [path.name]


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    before = create_signer(tmp_path, ORIGIN)
    with pytest.raises(Fault, match="already has a key"):
        create_signer(tmp_path, ORIGIN)
    assert load_signer(tmp_path, ORIGIN).vkey == before.vkey
    assert len(list(tmp_path.iterdir())) == 1


def test_a_missing_key_is_named_and_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"log\.example/agents has no key"):
        load_signer(tmp_path, ORIGIN)
    assert not list(tmp_path.iterdir())


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    create_signer(tmp_path, ORIGIN)
    key_path(tmp_path, ORIGIN).chmod(0o640)
    with pytest.raises(Fault, match="0600"):
        load_signer(tmp_path, ORIGIN)


def test_a_key_of_another_log_in_this_logs_place_is_refused(tmp_path: Path) -> None:
    create_signer(tmp_path, "log.example/other")
    key_path(tmp_path, "log.example/other").rename(key_path(tmp_path, ORIGIN))
    with pytest.raises(Fault, match=r"not the private note key of log\.example/agents"):
        load_signer(tmp_path, ORIGIN)


def test_every_change_of_a_byte_of_the_file_is_refused_and_no_error_shows_the_seed(tmp_path: Path) -> None:
    create_signer(tmp_path, ORIGIN, fixed)
    path = key_path(tmp_path, ORIGIN)
    good = path.read_bytes()
    for position in range(len(good)):
        changed = bytearray(good)
        changed[position] ^= 0x03
        path.write_bytes(bytes(changed))
        with pytest.raises(Fault) as caught:
            load_signer(tmp_path, ORIGIN)
        assert "AQABAgME"[2:] not in str(caught.value)
    for short in (b"", good[:-1], good + b"\n", good[:-10] + b"\n"):
        path.write_bytes(short)
        with pytest.raises(Fault):
            load_signer(tmp_path, ORIGIN)
