"""The same real stores as the attacks use, and a service with some hundred spans under a checkpoint."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.attacks.conftest import built, empty_store, store

if TYPE_CHECKING:
    from tests.service.running import RunningService

__all__ = ["built", "empty_store", "store"]

SPANS = 300


def trace_id(number: int) -> str:
    return f"{number // 3 + 1:032x}"


def span_id(number: int) -> str:
    return f"{number + 1:016x}"


def spans(first: int, end: int) -> dict[str, Any]:
    """An OTLP/JSON request."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "refunds"}}]},
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": trace_id(number),
                                "spanId": span_id(number),
                                "name": "chat",
                                "kind": 3,
                                "startTimeUnixNano": "1790000000000000000",
                                "endTimeUnixNano": "1790000001000000000",
                                "attributes": [
                                    {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                                    {"key": "gen_ai.conversation.id", "value": {"stringValue": f"conv-{number}"}},
                                ],
                            }
                            for number in range(first, end)
                        ]
                    }
                ],
            }
        ]
    }


def checkpoint_size(running: RunningService) -> int:
    path = f"/logs/{running.made.origin}/checkpoint"
    answer = running.client.get(path, headers=running.headers("auditor"))
    return int(answer.text.split("\n")[1]) if answer.status_code == 200 else 0


@pytest.fixture(scope="module")
def filled_service(service: RunningService) -> RunningService:
    """`SPANS` spans of one writer, all under a checkpoint."""
    answer = service.client.post("/v1/traces", json=spans(0, SPANS), headers=service.headers("writer"))
    assert answer.status_code == 200, answer.text
    deadline = time.monotonic() + 30
    while checkpoint_size(service) < SPANS + 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert checkpoint_size(service) == SPANS + 2
    return service
