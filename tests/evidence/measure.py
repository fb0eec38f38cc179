"""How fast an export is, and what memory it takes: run by hand, beside `make bench`.

    python -m tests.evidence.measure make DIR 10000      a directory with that many records of about 1.5 kB
    python -m tests.evidence.measure run DIR             exports all of it, with and without content; times and memory

Times are of this process: wall, and CPU where other work makes wall time lie.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any

from counterfoil.mapping.draft import Item
from tests.evidence.house import House, new_house, open_house, record

ATTRIBUTES = 20
BATCH = 1_024


def span(number: int) -> Item:
    """One span: twenty attributes; each fourth carries a decision with a rationale."""
    attributes = [
        {"key": f"gen_ai.attribute.{place}", "value": {"stringValue": f"value {place} of {number} lorem ipsum"}}
        for place in range(ATTRIBUTES)
    ]
    words: dict[str, Any] = {"attributes": attributes}
    if number % 4:
        return record("operation", number, words=words)
    words["rationale"] = f"Order {number} was bought 41 days ago; the policy allows 30."
    return record("decision", number, facts={"decision": {"type": "refund", "outcome": "deny"}}, words=words)


def make(path: Path, count: int) -> None:
    """Fill a new directory."""
    with new_house(path) as house:
        for start in range(0, count, BATCH):
            house.append([span(number) for number in range(start, min(start + BATCH, count))])
        house.checkpoint()


def peak_mb() -> int:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def measure(house: House, content: str) -> str:
    """One export of everything, in words."""
    wall, cpu = time.monotonic(), time.process_time()
    path = house.export(content=content)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    (job, _), *_ = house.evidence.list(house.principal(), 1, None).jobs
    rate = (job.matched or 0) / wall
    return (
        f"content {content:4}  {job.matched:>8,} records  {wall:6.2f} s  {cpu:6.2f} s CPU  {rate:>8,.0f} records/s  "
        f"{path.stat().st_size / 1e6:7.1f} MB  peak {peak_mb()} MB"
    )


def main(arguments: list[str]) -> int:
    """The command."""
    match arguments:
        case ["make", path, count]:
            make(Path(path), int(count))
        case ["run", path]:
            with open_house(Path(path)) as house:
                house.export(form="selection", seqs=[0])
                sys.stdout.write(f"warm: peak {peak_mb()} MB\n")
                for content in ("all", "none", "all", "none"):
                    sys.stdout.write(measure(house, content) + "\n")
        case _:
            sys.stderr.write(__doc__ or "")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
