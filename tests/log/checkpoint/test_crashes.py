"""Every step of writing a checkpoint, as not persisted and as persisted but failed; then recovery, then fsck.

The process that dies is a real one, killed without any chance to clean up (`os._exit`) at a named step: before a step's
write is committed, and right after. Failures of the disk itself are made by failing system calls inside that process.
"""

import errno
import os
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from counterfoil.core.errors import Fault
from counterfoil.log.checkpoints import STEPS, Checkpointer, latest
from counterfoil.log.signing import load_signer
from counterfoil.mapping.draft import Draft
from counterfoil.store.database import Database
from counterfoil.store.errors import UnknownOutcome
from tests.attacks.store import ACCESS_ORIGIN, ORIGIN, Store, open_store

REPOSITORY = Path(__file__).resolve().parents[3]

DYING = """
import os, sys
from pathlib import Path
from tests.attacks.store import TickingClock, open_store

clock = TickingClock()
clock.time_us = int(sys.argv[3])
store = open_store(Path(sys.argv[1]), clock)

def at(step):
    if step == sys.argv[2]:
        os._exit(9)

checkpointer = store.checkpointer(at_step=at)
checkpointer.run_once(store.log.id)
"""

FAILING_DISK = """
import errno, os, sys
from pathlib import Path
from tests.attacks.store import TickingClock, open_store

clock = TickingClock()
clock.time_us = int(sys.argv[4])
store = open_store(Path(sys.argv[1]), clock)
checkpointer = store.checkpointer()
real, seen = getattr(os, sys.argv[2]), 0

def failing(*args, **kwargs):
    global seen
    seen += 1
    if seen == int(sys.argv[3]):
        raise OSError(errno.EIO, "injected")
    return real(*args, **kwargs)

setattr(os, sys.argv[2], failing)
checkpointer.run_once(store.log.id)
"""


def run(script: str, store: Store, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, str(store.directory.path), *arguments, str(store.clock.time_us)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)


def grown(store: Store) -> Store:
    """The store with 400 more records, two of whose tiles are not written yet; closed."""
    store.send(300, first=5000)
    store.close()
    return store


def published(store: Store) -> int:
    with store.ledger.read() as conn:
        newest = latest(conn, store.log.id)
    return newest[0] if newest else 0


LEFT_BEHIND = {
    # step: (signed size, published size, whether the new tiles are stored)
    "head_read": (802, 802, False),
    "tiles_written": (802, 802, False),
    "tiles_committed": (802, 802, True),
    "signed": (802, 802, True),
    "head_swapped": (1202, 802, True),
    "published": (1202, 802, True),
    "published_committed": (1202, 1202, True),
}


def test_every_named_step_has_its_crash() -> None:
    assert set(LEFT_BEHIND) == set(STEPS)


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_a_step_leaves_what_is_written_there_and_the_next_run_goes_on(store: Store, step: str) -> None:
    store = grown(store)
    assert run(DYING, store, step).returncode == 9
    store = open_store(store.directory.path, store.clock)
    signed, newest, has_tiles = LEFT_BEHIND[step]
    assert store.heads.size_of(ORIGIN) == signed
    assert published(store) == newest
    with store.attack() as ledger:
        query = "SELECT count(*) FROM tiles WHERE log_id = ? AND level = 0 AND n >= 3"
        assert ledger.execute(query, (store.log.id,)).fetchone()[0] == (1 if has_tiles else 0)
    assert store.fsck() == [], "a crash is no damage"

    recovered = store.checkpoint()
    assert (recovered is None) == (newest == 1202)
    assert store.heads.size_of(ORIGIN) == published(store) == store.size() == 1202
    store.send(50, first=9000)
    store.checkpoint()
    assert store.fsck() == []
    store.close()


@pytest.mark.parametrize(
    ("call", "number", "signed"),
    [("open", 1, 802), ("open", 2, 802), ("fsync", 1, 802), ("fsync", 2, 1202)],
    ids=["lock", "new head file", "flush of the new head", "flush of the directory"],
)
def test_a_disk_that_fails_under_the_head_store_stops_the_run_and_the_next_one_recovers(
    store: Store, call: str, number: int, signed: int
) -> None:
    store = grown(store)
    failed = run(FAILING_DISK, store, call, str(number))
    assert failed.returncode == 1
    assert "injected" in failed.stderr
    store = open_store(store.directory.path, store.clock)
    assert store.heads.size_of(ORIGIN) == signed
    assert published(store) == 802
    assert store.fsck() == []
    store.checkpoint()
    assert store.heads.size_of(ORIGIN) == published(store) == 1202
    assert store.fsck() == []
    store.close()


def test_crashes_in_a_row_at_every_step_while_the_log_grows_never_sign_two_histories(store: Store) -> None:
    heads = [store.heads.read(ORIGIN)]
    for round_number, step in enumerate(STEPS):
        store.send(60, first=10_000 + 100 * round_number)
        store.close()
        run(DYING, store, step)
        store = open_store(store.directory.path, store.clock)
        heads.append(store.heads.read(ORIGIN))
    store.checkpoint()
    assert store.fsck() == []
    with store.attack() as ledger:
        notes = {row[0] for row in ledger.execute("SELECT note FROM checkpoints WHERE log_id = ?", (store.log.id,))}
    assert all(head in notes for head in heads), "whatever was signed was published in the end"
    store.close()


class FailingDatabase(Database):
    """A ledger whose nth commit fails: before it reached the disk, or after, when nobody can tell."""

    def __init__(self, url: str, number: int, *, persisted: bool) -> None:
        super().__init__(url)
        self._left = number
        self._persisted = persisted

    def commit(self, connection: Connection) -> None:
        self._left -= 1
        if self._left == 0 and not self._persisted:
            raise OperationalError("COMMIT", {}, OSError("disk I/O error"))
        super().commit(connection)
        if self._left == 0:
            raise OperationalError("COMMIT", {}, OSError("disk I/O error"))


@pytest.mark.parametrize("persisted", [False, True], ids=["not persisted", "persisted but failed"])
@pytest.mark.parametrize(("number", "what"), [(1, "tiles"), (2, "publication")])
def test_a_commit_that_fails_stops_the_run_and_the_next_one_finds_out_what_is_there(
    store: Store, number: int, what: str, persisted: bool
) -> None:
    store.send(300, first=5000)
    ledger = FailingDatabase(store.directory.ledger_url, number, persisted=persisted)
    checkpointer = Checkpointer(ledger, store.heads, partial(load_signer, store.directory.keys), store.clock)
    with pytest.raises(UnknownOutcome):
        checkpointer.run_once(store.log.id)
    assert store.heads.size_of(ORIGIN) == (802 if what == "tiles" else 1202)
    assert published(store) == (1202 if what == "publication" and persisted else 802)
    assert store.fsck() == []
    # The same checkpointer goes on: it believes nothing of what it remembered.
    checkpointer.run_once(store.log.id)
    assert store.heads.size_of(ORIGIN) == published(store) == 1202
    assert store.fsck() == []
    ledger.dispose()


@pytest.mark.parametrize("broken", ["directory", "file"])
def test_a_signed_head_is_published_only_once_a_flush_of_it_has_succeeded(
    store: Store, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    store.send(300, first=5000)
    flush, failing, flushed = os.fsync, {"directory"}, []

    def fsync(descriptor: int) -> None:
        what = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        if what in failing:
            raise OSError(errno.EIO, "injected")
        flush(descriptor)
        flushed.append(what)

    monkeypatch.setattr(os, "fsync", fsync)
    checkpointer = store.checkpointer()
    troubles = checkpointer.run_all()
    assert "may not be on disk" in str(troubles[ORIGIN])
    assert (store.heads.size_of(ORIGIN), published(store)) == (1202, 802)
    failing = {broken}
    for again in (checkpointer, checkpointer, store.checkpointer()):
        assert isinstance(again.run_all()[ORIGIN], Fault)
        assert (store.heads.size_of(ORIGIN), published(store)) == (1202, 802)
    failing = set()
    flushed.clear()
    assert checkpointer.run_all() == {}
    assert published(store) == 1202
    assert flushed == ["file", "directory"]
    assert store.fsck() == []


def test_a_head_directory_that_cannot_be_written_stops_its_log_and_no_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.send(10, first=5000)
    access = store.logs.by_origin(ACCESS_ORIGIN)
    assert access is not None
    store.logs.append_drafts(access.id, [Draft("access", "service", {"access": {"action": "export"}}, [])])
    flush, left = os.fsync, [1]

    def fsync(descriptor: int) -> None:
        if left:
            left.pop()
            raise OSError(errno.EIO, "injected")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    troubles = store.checkpointer().run_all()
    assert len(troubles) == 1
    assert "injected" in str(next(iter(troubles.values())))
    assert store.checkpointer().run_all() == {}
    assert store.fsck() == []
