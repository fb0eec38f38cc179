"""Other processes: killed at a step, and appending to the same log side by side."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from counterfoil.log.batch import Given
from tests.log.append.making import Made, check_every_log, send, span
from tests.log.append.test_steps import STEPS

ROOT = Path(__file__).parents[3]

DIE = """
import os, sys
from tests.log.append.making import FixedClock, open_with, Made, send, span
from counterfoil.log.initialise import open_logs
from counterfoil.log.heads import HeadStore
from counterfoil.log.logs import Logs
from counterfoil.store.directory import Directory
path, step = sys.argv[1:]
opened = open_logs(Directory.at(path), FixedClock())
log = opened.by_origin("audit.example.com/default/main")
def reached(now):
    if now == step:
        os._exit(9)
place = Directory.at(path)
logs = Logs(opened.ledger, opened.keystore, HeadStore(place.heads), place.keys, FixedClock(), reached)
send(logs, log, span(1), span(2, interaction="mine", subject="cust-9"))
"""

APPEND = """
import sys
from tests.log.append.making import FixedClock, send, span
from counterfoil.log.initialise import open_logs
from counterfoil.store.directory import Directory
path, who = sys.argv[1], int(sys.argv[2])
logs = open_logs(Directory.at(path), FixedClock())
log = logs.by_origin("audit.example.com/default/main")
print("ready", flush=True)
sys.stdin.readline()
for turn in range(40):
    shared = span(1_000 + turn)
    own = [span(10_000 * (who + 1) + turn * 5 + n, interaction=f"conv-{who}") for n in range(5)]
    answer = send(logs, log, *own, shared)
    print(" ".join(f"{given.first}:{int(given.new)}" for given in answer.seqs))
logs.close()
"""


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    )


@pytest.mark.parametrize("step", STEPS)
def test_a_process_killed_at_a_step_leaves_all_or_nothing(made: Made, step: str) -> None:
    made.logs.close()
    process = start(DIE, str(made.path), step)
    process.communicate(timeout=60)
    assert process.returncode == 9
    persisted = step == "committed"
    assert check_every_log(made.path)[made.log.id] == (4 if persisted else 2)
    made.reopen()
    answer = send(made.logs, made.log, span(1), span(2, interaction="mine", subject="cust-9"))
    assert answer.seqs == [Given(2, 2, not persisted), Given(3, 3, not persisted)]


def test_two_processes_append_to_one_log_without_a_fork_and_recognise_each_others_retries(made: Made) -> None:
    made.logs.close()
    processes = [start(APPEND, str(made.path), str(who)) for who in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    outputs = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        outputs.append([word.split(":") for line in output.splitlines() for word in line.split()])
    assert check_every_log(made.path)[made.log.id] == 2 + 2 * 40 * 5 + 40
    new = [int(seq) for one in outputs for seq, is_new in one if is_new == "1"]
    assert sorted(new) == list(range(2, 442))  # every number was given once, by one of the two
    shared = [{seq for at, (seq, _) in enumerate(one) if at % 6 == 5} for one in outputs]
    assert shared[0] == shared[1]
    made.reopen()
