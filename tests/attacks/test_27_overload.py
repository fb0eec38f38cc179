"""Attack 27: more than the service can take, over both transports, in sizes up to the limits.

The short form of `tests/benchmarks/flood.py`, with fewer and larger spans and bodies of half the size: nothing
acknowledged is lost, the rest is told to come again, and memory stays under a limit while it lasts.
"""

from __future__ import annotations

from dataclasses import replace

from tests.benchmarks.flood import KINDS, flood, lost
from tests.service.running import Made, check_clean, start_service

SECONDS = 2.0
MOST_MB = 300.0


def test_a_flood_loses_nothing_acknowledged_and_memory_stays_flat(made_directory: Made) -> None:
    key = made_directory.keys["writer"].key
    kinds = [
        replace(kind, senders=max(1, kind.senders // 3), spans=kind.spans // 32, words=kind.words * 16)
        for kind in KINDS
    ]
    with start_service(made_directory) as service:
        outcomes, memory = flood(service.url, service.grpc, key, service.pid, SECONDS, kinds)
        answers = {kind: dict(outcome.answers) for kind, outcome in outcomes.items()}
        assert service.client.get("/readyz").status_code == 200
    assert [name for told in answers.values() for name in told if name.startswith("failed")] == [], answers
    assert sum(told.get("acknowledged", 0) for told in answers.values()) > 0
    assert any(name.startswith("retry") for told in answers.values() for name in told), answers
    assert memory.peak_mb <= MOST_MB, f"{memory.before_mb:.0f} MB before, {memory.peak_mb:.0f} MB at the peak"
    assert lost(made_directory.data, outcomes) == 0
    check_clean(made_directory)
