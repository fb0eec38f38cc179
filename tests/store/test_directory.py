"""The embedded directory: private, never overwritten, served by one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from counterfoil.core.errors import Fault, InputError
from counterfoil.store.directory import Directory


def test_a_new_directory_is_private_and_has_every_part(tmp_path: Path) -> None:
    directory = Directory.at(tmp_path / "audit")
    directory.create()
    directory.open()
    for path in (directory.path, directory.heads, directory.keys, directory.exports):
        assert path.stat().st_mode & 0o777 == 0o700
    for path in (directory.ledger_file, directory.keystore_file, directory.index_file):
        assert path.stat().st_mode & 0o777 == 0o600
    assert directory.ledger_url == f"sqlite:///{tmp_path}/audit/ledger.db"


def test_heads_and_keystore_may_lie_apart(tmp_path: Path) -> None:
    directory = Directory.at(tmp_path / "audit", heads=tmp_path / "h", keystore=tmp_path / "k")
    directory.create()
    assert directory.heads == tmp_path / "h"
    assert directory.keystore_file == tmp_path / "k" / "keystore.db"
    assert directory.index_file.parent == tmp_path / "audit"
    assert not directory.rollback_visible  # all of it is on one volume here


def test_a_directory_is_never_made_over_another(tmp_path: Path) -> None:
    directory = Directory.at(tmp_path / "audit")
    directory.create()
    with pytest.raises(InputError) as caught:
        directory.create()
    assert caught.value.code == "already_initialised"


def test_opening_never_makes_anything(tmp_path: Path) -> None:
    directory = Directory.at(tmp_path / "audit")
    with pytest.raises(InputError) as caught:
        directory.open()
    assert caught.value.code == "not_initialised"
    assert not directory.path.exists()
    directory.create()
    directory.heads.rmdir()
    with pytest.raises(Fault, match="heads is missing"):
        directory.open()


HOLD = """
import sys
from counterfoil.store.directory import Directory
with Directory.at(sys.argv[1]).lock_serving():
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_one_process_serves_a_directory_and_the_next_is_told_which(tmp_path: Path) -> None:
    directory = Directory.at(tmp_path / "audit")
    directory.create()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(InputError, match=f"process {holder.pid}") as caught, directory.lock_serving():
        pass
    assert caught.value.code == "already_serving"
    holder.kill()
    holder.communicate(timeout=30)
    with directory.lock_serving():  # a killed process holds nothing
        pass
    with directory.lock_serving():
        pass
