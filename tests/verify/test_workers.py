"""Worker processes: how they are started, that their number changes nothing, that none outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from counterfoil.verify import check
from counterfoil.verify.check import verify_bundle
from counterfoil.verify.policy import parse_policy
from counterfoil.verify.workers import Workers, start_method
from tests.verify.build import policy_text
from tests.verify.large import write_large

PARENT = """
import os, sys, time
from counterfoil.verify.workers import Workers
with Workers(2, niceness=3) as workers:
    niceness = [workers.begin(os.nice, 0)() for _ in range(8)]
    print(sys.argv[1], set(niceness), os.getpid(), *{workers.begin(os.getpid)() for _ in range(20)}, flush=True)
    time.sleep(60)
"""


def test_workers_are_forked_only_where_nobody_else_runs() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert start_method() == "spawn"
        with Workers(2) as workers:
            assert workers.begin(int, "7")() == 7
    finally:
        stop.set()
        thread.join()


def test_a_lone_process_does_its_work_when_asked_for_the_result() -> None:
    done: list[int] = []
    with Workers(1) as workers:
        result = workers.begin(done.append, 1)
        assert done == []
        result()
    assert done == [1]


def test_no_worker_outlives_a_parent_that_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, "said"], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    words = parent.stdout.readline().split()
    assert words[:2] == ["said", f"{{{os.nice(0) + 3}}}"]  # their priority is lowered
    workers = [int(word) for word in words[3:]]
    assert workers
    assert parent.pid not in workers
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, workers))


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        os.kill(pid, 0)
        return " Z " not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:4]
    except (OSError, ProcessLookupError):
        return False


def test_a_bundle_is_verified_alike_by_workers_spawned_beside_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "PARALLEL_LEAVES", 1)
    write_large(tmp_path / "large.zip", 300)
    policy = parse_policy(policy_text())
    alone = verify_bundle(tmp_path / "large.zip", policy=policy)
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert verify_bundle(tmp_path / "large.zip", policy=policy, workers=2) == alone
    finally:
        stop.set()
        thread.join()
