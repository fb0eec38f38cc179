"""The head store: whole files, moved by compare-and-swap, durable or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from counterfoil.core.checkpoint import Checkpoint, sign_checkpoint
from counterfoil.core.errors import EvidenceError, Fault
from counterfoil.core.note import NoteSigner
from counterfoil.log.errors import LogRolledBack
from counterfoil.log.heads import (
    MAX_HEAD_BYTES,
    HeadConflict,
    HeadStore,
    check_not_rolled_back,
    file_name_of,
)

ORIGIN = "log.example/agents"
SIGNER = NoteSigner.from_seed(ORIGIN, bytes(range(32)))


def note_of(size: int, origin: str = ORIGIN) -> bytes:
    return sign_checkpoint(Checkpoint(origin, size, size.to_bytes(32, "big")), SIGNER)


def test_a_log_that_was_never_signed_has_no_head_and_size_zero(tmp_path: Path) -> None:
    heads = HeadStore(tmp_path)
    assert heads.read(ORIGIN) is None
    assert heads.size_of(ORIGIN) == 0


def test_a_head_moves_only_from_the_one_that_was_read(tmp_path: Path) -> None:
    heads = HeadStore(tmp_path)
    first, second = note_of(1), note_of(2)
    heads.compare_and_swap(ORIGIN, None, first)
    with pytest.raises(HeadConflict):
        heads.compare_and_swap(ORIGIN, None, second)
    with pytest.raises(HeadConflict):
        heads.compare_and_swap(ORIGIN, second, second)
    assert heads.read(ORIGIN) == first
    heads.compare_and_swap(ORIGIN, first, second)
    assert heads.read(ORIGIN) == second


def test_the_size_follows_the_file_also_when_another_process_wrote_it(tmp_path: Path) -> None:
    heads, other = HeadStore(tmp_path), HeadStore(tmp_path)
    heads.compare_and_swap(ORIGIN, None, note_of(5))
    assert (heads.size_of(ORIGIN), other.size_of(ORIGIN)) == (5, 5)
    other.compare_and_swap(ORIGIN, note_of(5), note_of(7))
    assert heads.size_of(ORIGIN) == 7


def test_heads_of_several_logs_lie_side_by_side(tmp_path: Path) -> None:
    heads = HeadStore(tmp_path)
    heads.compare_and_swap(ORIGIN, None, note_of(1))
    heads.compare_and_swap("log.example/access", None, note_of(9, "log.example/access"))
    assert heads.size_of(ORIGIN) == 1
    assert heads.size_of("log.example/access") == 9
    assert {name for name, _ in heads.all()} == {file_name_of(ORIGIN), file_name_of("log.example/access")}


def test_a_head_of_another_log_in_this_logs_place_is_named(tmp_path: Path) -> None:
    heads = HeadStore(tmp_path)
    (tmp_path / file_name_of(ORIGIN)).write_bytes(note_of(3, "log.example/other"))
    with pytest.raises(EvidenceError, match=r"head_origin.*log\.example/other"):
        heads.size_of(ORIGIN)


def test_heads_beyond_the_limit_are_neither_written_nor_read(tmp_path: Path) -> None:
    heads = HeadStore(tmp_path)
    with pytest.raises(Fault, match=str(MAX_HEAD_BYTES)):
        heads.compare_and_swap(ORIGIN, None, b"x" * (MAX_HEAD_BYTES + 1))
    (tmp_path / file_name_of(ORIGIN)).write_bytes(b"x" * (MAX_HEAD_BYTES + 1))
    with pytest.raises(EvidenceError, match=str(MAX_HEAD_BYTES)):
        heads.read(ORIGIN)


def test_what_a_dead_writer_left_behind_does_not_matter(tmp_path: Path) -> None:
    heads = HeadStore(tmp_path)
    heads.compare_and_swap(ORIGIN, None, note_of(1))
    (tmp_path / (file_name_of(ORIGIN) + ".new")).write_bytes(b"half a no")
    assert heads.size_of(ORIGIN) == 1
    heads.compare_and_swap(ORIGIN, note_of(1), note_of(2))
    assert heads.size_of(ORIGIN) == 2


def test_a_head_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    HeadStore(tmp_path).compare_and_swap(ORIGIN, None, note_of(1))
    assert (tmp_path / file_name_of(ORIGIN)).stat().st_mode & 0o777 == 0o600


RACING_SWAPS = """
import sys
from counterfoil.core.checkpoint import Checkpoint, sign_checkpoint
from counterfoil.core.note import NoteSigner
from counterfoil.log.heads import HeadConflict, HeadStore

origin = "log.example/agents"
signer = NoteSigner.from_seed(origin, bytes(range(32)))
note_of = lambda size: sign_checkpoint(Checkpoint(origin, size, size.to_bytes(32, "big")), signer)
heads, won = HeadStore(sys.argv[1]), 0
while (size := heads.size_of(origin)) < 200:
    try:
        heads.compare_and_swap(origin, note_of(size), note_of(size + 1))
        won += 1
    except HeadConflict:
        continue
print(won)
"""


def test_each_step_is_won_by_exactly_one_of_two_processes(tmp_path: Path) -> None:
    HeadStore(tmp_path).compare_and_swap(ORIGIN, None, note_of(1))
    command = [sys.executable, "-c", RACING_SWAPS, str(tmp_path)]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    total = sum(int(racer.communicate(timeout=60)[0]) for racer in racers)
    assert HeadStore(tmp_path).size_of(ORIGIN) == 200
    assert total == 199


FAILING_SWAP = """
import errno, os, sys
from counterfoil.log.heads import HeadStore

directory, call, number, old, new = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]
real, seen = getattr(os, call), 0

def failing(*args, **kwargs):
    global seen
    seen += 1
    if seen == number:
        raise OSError(errno.EIO, "injected")
    return real(*args, **kwargs)

setattr(os, call, failing)
HeadStore(directory).compare_and_swap("log.example/agents", bytes.fromhex(old), bytes.fromhex(new))
"""


def swap_with_a_failing_call(directory: Path, call: str, number: int) -> subprocess.CompletedProcess[str]:
    """Swap 1 -> 2 in a process of its own whose system call `call` fails the `number`th time."""
    arguments = [str(directory), call, str(number), note_of(1).hex(), note_of(2).hex()]
    return subprocess.run(
        [sys.executable, "-c", FAILING_SWAP, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_flush_that_fails_before_the_rename_leaves_the_old_head_and_no_file(tmp_path: Path) -> None:
    heads = HeadStore(tmp_path)
    heads.compare_and_swap(ORIGIN, None, note_of(1))
    result = swap_with_a_failing_call(tmp_path, "fsync", 1)
    assert "injected" in result.stderr
    assert heads.size_of(ORIGIN) == 1
    assert not (tmp_path / (file_name_of(ORIGIN) + ".new")).exists()


def test_a_flush_that_fails_after_the_rename_is_a_fault_and_the_next_reader_sees_what_is_there(tmp_path: Path) -> None:
    heads = HeadStore(tmp_path)
    heads.compare_and_swap(ORIGIN, None, note_of(1))
    result = swap_with_a_failing_call(tmp_path, "fsync", 2)
    assert "Fault" in result.stderr
    assert "may not be on disk" in result.stderr
    assert heads.size_of(ORIGIN) == 2
    with pytest.raises(HeadConflict):
        heads.compare_and_swap(ORIGIN, note_of(1), note_of(2))


def test_the_error_for_a_rolled_back_ledger_has_a_code_and_says_what_to_do() -> None:
    check_not_rolled_back(ORIGIN, 7, 7)
    with pytest.raises(LogRolledBack, match="restore declare") as caught:
        check_not_rolled_back(ORIGIN, 8, 7)
    assert caught.value.code == "log_rolled_back"
    assert os.linesep not in str(caught.value)


def test_making_a_head_durable_changes_nothing_that_can_be_read(tmp_path: Path) -> None:
    heads = HeadStore(tmp_path)
    heads.compare_and_swap(ORIGIN, None, note_of(1))
    heads.ensure_durable(ORIGIN)
    assert heads.read(ORIGIN) == note_of(1)
    heads.compare_and_swap(ORIGIN, note_of(1), note_of(2))
    assert {path.suffix for path in tmp_path.iterdir()} == {"", ".lock"}


def test_a_head_that_is_gone_cannot_be_made_durable(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="is gone"):
        HeadStore(tmp_path).ensure_durable(ORIGIN)
