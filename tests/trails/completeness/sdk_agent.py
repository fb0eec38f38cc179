"""An agent that uses our SDK, as a process: `python sdk_agent.py COUNT [hold]` decides COUNT times, then ends or waits.

It says `decided` once everything that it has to say is delivered.
"""

from __future__ import annotations

import sys
import time

import counterfoil.sdk as counterfoil

WAIT_S = 120


def main(count: int, *, hold: bool) -> None:
    counterfoil.configure(agent="refunds", version="2.3.1")
    for number in range(count):
        with counterfoil.interaction(f"conv-{number}"), counterfoil.decision("refund", risk="medium") as decision:
            decision.choose("deny", rationale="Bought 41 days ago; policy R-12 allows 30.")
    assert counterfoil.flush(WAIT_S)
    print("decided", flush=True)
    if hold:
        time.sleep(WAIT_S)


if __name__ == "__main__":
    main(int(sys.argv[1]), hold="hold" in sys.argv)
