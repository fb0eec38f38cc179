"""CPU of each stage of an append, in one thread: where the time for a span goes.

    .venv/bin/python tests/benchmarks/stages.py [--batches 60]
    COUNTERFOIL_PURE=1 .venv/bin/python tests/benchmarks/stages.py          # without the compiled part

CPU time of the thread, least and first quartile of all batches, so a busy machine shows little in it.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from counterfoil.ingest.body import inflate
from counterfoil.ingest.limits import Limits
from counterfoil.log.append import append_group
from counterfoil.log.batch import Batch
from counterfoil.log.initialise import init_directory, open_logs
from counterfoil.log.prepare import prepare
from counterfoil.mapping.compiled import native
from counterfoil.mapping.decode import PROTOBUF, decode_traces
from counterfoil.mapping.map import map_traces
from tests.benchmarks import load

WRITER = "abcdefghijklmnop"
WARM = 3
Result = TypeVar("Result")


class Stages:
    """CPU seconds of each stage, batch by batch."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = {}

    def time(self, name: str, work: Callable[[], Result]) -> Result:
        """Do `work` and note what it took."""
        before = time.thread_time()
        result = work()
        self.taken.setdefault(name, []).append(time.thread_time() - before)
        return result

    def print(self) -> None:
        """A line for each stage and one for all, in microseconds a span."""
        least_sum = quartile_sum = 0.0
        for name, taken in self.taken.items():
            ordered = sorted(seconds / load.SPANS_A_BATCH * 1e6 for seconds in taken[WARM:])
            least, quartile = ordered[0], ordered[len(ordered) // 4]
            least_sum, quartile_sum = least_sum + least, quartile_sum + quartile
            print(f"{name:<10} {least:>8.1f} {quartile:>8.1f} us")
        print(f"{'all':<10} {least_sum:>8.1f} {quartile_sum:>8.1f} us")


def run(folder: Path, batches: int) -> Stages:
    """Append so many batches of the load, stage by stage."""
    init = init_directory(folder / "audit", "bench.test")
    logs = open_logs(init.directory)
    appender = logs.appender(init.log.id)
    limits, stages = Limits(), Stages()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # as `serve` does
    for sent in load.batches(load.SPANS_A_BATCH * batches):
        body = stages.time("inflate", lambda sent=sent: inflate(sent, "gzip", limits))
        decoded = stages.time("decode", lambda body=body: decode_traces(body, PROTOBUF))
        mapped = stages.time("map", lambda decoded=decoded: map_traces(decoded))
        batch = Batch(WRITER, mapped.items)
        ready = stages.time("prepare", lambda batch=batch: prepare(appender.log, batch, logs.keystore, logs.clock))
        stages.time("append", lambda ready=ready: append_group(appender, [ready]))
    logs.close()
    return stages


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batches", type=int, default=60)
    batches = max(2 * WARM, parser.parse_args().batches)
    print(f"{'with' if native else 'without'} the compiled part; least, and first quartile, of {batches} batches")
    with tempfile.TemporaryDirectory(prefix="counterfoil-stages-") as folder:
        run(Path(folder), batches).print()


if __name__ == "__main__":
    main()
