"""`make fuzz`: random and structured damage of real requests for FUZZ_SECONDS (default 600); every crash is kept.

    FUZZ_SECONDS=1200 FUZZ_SEED=7 .venv/bin/python tests/fuzz/fuzz.py

Prints how many inputs were sent and what they were answered. A crash ends nothing: the input goes to
tests/data/crashes/NAME.bin with NAME.json beside it, where `test_fuzz` sends it again in every test run. At the end
the whole log is checked.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from counterfoil.ingest.call import Answer
from counterfoil.ingest.media import Encoding
from counterfoil.ingest.signal import Signal
from counterfoil.log.initialise import open_logs
from tests.fuzz.mutate import mutate
from tests.fuzz.structured import mutate_json, mutate_wire
from tests.fuzz.target import CODINGS, Input, Seed, Target, encode, seeds
from tests.service.running import LOG, check_ledger_clean, make_directory

STRUCTURED = 0.7
"""The share of inputs that keep the form of JSON or protobuf."""
CRASHES = Path(__file__).parent.parent / "data" / "crashes"


def inputs_of(chosen: list[Seed], chance: Random) -> Input:
    """One damaged request."""
    seed = chance.choice(chosen)
    if chance.random() < STRUCTURED:
        structured = mutate_json if seed.encoding is Encoding.JSON else mutate_wire
        body = structured(seed.body, chance)
    else:
        body = mutate(seed.body, [other.body for other in chance.sample(chosen, 3)], chance)
    coding = chance.choice(CODINGS)
    over_grpc = seed.encoding is Encoding.PROTOBUF and chance.random() < 0.2
    if over_grpc:
        coding = chance.choice(("identity", "gzip", "deflate"))
    return Input(seed.signal, seed.encoding, coding, encode(body, coding, chance), over_grpc)


def keep(one: Input, error: BaseException, folder: Path = CRASHES) -> Path:
    """Write a crash as a vector; its name is made from its bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(one.body + one.coding.encode()).hexdigest()[:16]
    described = {
        "signal": one.signal.value,
        "encoding": one.encoding.value,
        "coding": one.coding,
        "over_grpc": one.over_grpc,
        "found": f"{type(error).__name__}: {error}"[:300],
    }
    (folder / f"{name}.bin").write_bytes(one.body)
    (folder / f"{name}.json").write_text(json.dumps(described, indent=2) + "\n")
    return folder / name


def read_crash(path: Path) -> Input:
    """The input of a vector; `path` is its .json."""
    described = json.loads(path.read_text())
    return Input(
        Signal(described["signal"]),
        Encoding(described["encoding"]),
        described["coding"],
        path.with_suffix(".bin").read_bytes(),
        described["over_grpc"],
    )


async def fuzz(target: Target, seconds: float, chance: Random, folder: Path = CRASHES) -> tuple[Counter[str], int]:
    """Send damaged requests for `seconds`; how they were answered, and how many crashed."""
    chosen = seeds()
    told: Counter[str] = Counter()
    crashes = 0
    ending = time.monotonic() + seconds
    while time.monotonic() < ending:
        one = inputs_of(chosen, chance)
        try:
            answer = await target.send(one)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding and is kept
            crashes += 1
            traceback.print_exc()
            print(f"crash: {keep(one, error, folder)}", file=sys.stderr)
            continue
        if isinstance(answer, Answer):
            told["200 partly" if answer.body not in (b"", b"{}") else "200"] += 1
        else:
            told[f"{answer.http_status} {answer.code}"] += 1
    return told, crashes


def main() -> int:
    seconds = float(os.environ.get("FUZZ_SECONDS", "600"))
    seed = int(os.environ.get("FUZZ_SEED", str(time.time_ns())))
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        made = make_directory(Path(folder) / "audit")
        logs = open_logs(made.directory)
        log_id = next(log.id for log in logs.all() if log.name == LOG)
        target = Target(logs, log_id)
        began = time.process_time()
        told, crashes = asyncio.run(fuzz(target, seconds, Random(seed)))
        spent = time.process_time() - began
        target.close()
        logs.close()
        print(f"{sum(told.values()) + crashes:,} inputs in {spent:.0f} s of CPU, {crashes} crashes")
        for answer, count in told.most_common():
            print(f"{count:>9,}  {answer}", flush=True)
        check_ledger_clean(made)
        print("the log is clean")
    return 1 if crashes else 0


if __name__ == "__main__":
    sys.exit(main())
