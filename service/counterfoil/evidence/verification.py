"""The check of a finished bundle: the auditor's own verifier, for all but small bundles as a process of its own.

A check takes as long as a build and needs nothing of the service but the file and the policy. So the service starts
`counterfoil-verify`, at low priority, and agents are not kept waiting; that program has no threads, so it uses every
core cheaply. It is the same code, over the bytes that will be released.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from counterfoil.core.errors import Fault
from counterfoil.evidence.bundle import Progress
from counterfoil.verify.check import verify_bundle
from counterfoil.verify.policy import parse_policy
from counterfoil.verify.report import Report, parse_report

INLINE_RECORDS = 1_000
"""Bundles of fewer records are checked here: starting a program would take longer."""

NICENESS = 10
COMMAND = "counterfoil.verify.command"


def verify_built(part: Path, policy: str, since: bytes | None, records: int, progress: Progress) -> Report:
    """The verifier's report on the bundle at `part`. `progress` may raise, to stop."""
    if records < INLINE_RECORDS:
        return verify_bundle(
            part,
            policy=parse_policy(policy),
            since=since,
            progress=lambda _step, done, total: progress(done, total),
        )
    with tempfile.TemporaryDirectory(prefix="counterfoil-verify-") as folder:
        given = Path(folder)
        (given / "policy.toml").write_text(policy)
        arguments = [str(part), "--policy", str(given / "policy.toml"), "--json", "--progress"]
        if since is not None:
            (given / "since").write_bytes(since)
            arguments += ["--since", str(given / "since")]
        return _run(arguments, given / "report.json", progress)


def _run(arguments: list[str], printed: Path, progress: Progress) -> Report:
    with printed.open("wb") as out, _started(arguments, out.fileno()) as process:
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        last = ""
        for line in process.stderr:
            last = line.strip()
            numbers = last.split(" ")
            if len(numbers) == 3 and all(number.isdecimal() for number in numbers):
                progress(int(numbers[1]), int(numbers[2]))
        process.wait()
    try:
        return parse_report(printed.read_text())
    except ValueError:
        raise Fault(f"the verifier ended with status {process.returncode} and no report: {last[:300]}") from None


@contextmanager
def _started(arguments: list[str], out: int) -> Iterator[subprocess.Popen[str]]:
    """The verifier in a session of its own, so that it ends with all its workers where this one stops early."""
    # -P: a directory that happens to be called `counterfoil` here is not the program.
    command = [sys.executable, "-P", "-m", COMMAND, *arguments]
    process = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        with suppress(OSError):  # it may have ended already
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        yield process
    finally:
        if process.poll() is None:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stderr is not None:
            process.stderr.close()
