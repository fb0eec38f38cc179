"""A little traffic as any OTLP/HTTP exporter sends it, waited for until it is signed."""

from __future__ import annotations

import os
import time

import httpx

from counterfoil.log.heads import HeadStore
from tests.service.running import RunningService

WAIT_S = 30.0


def send_conversation(service: RunningService, key: str, conversation: str) -> None:
    """One agent run with a decision in it; back once both are under a checkpoint."""
    now = time.time_ns()
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": conversation}
    span = {
        "traceId": os.urandom(16).hex(),
        "spanId": os.urandom(8).hex(),
        "name": "invoke_agent refunds",
        "startTimeUnixNano": str(now - 1_000_000_000),
        "endTimeUnixNano": str(now),
        "attributes": [{"key": name, "value": {"stringValue": value}} for name, value in attributes.items()],
    }
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    answer = httpx.post(f"{service.url}/v1/traces", json=body, headers={"x-api-key": key}, timeout=30)
    assert answer.status_code == 200, answer.text
    _wait_until_signed(service)


def _wait_until_signed(service: RunningService) -> None:
    """Until every signed head has moved up to its log, as a service without traffic has it after a second."""
    heads = HeadStore(service.data / "heads")
    deadline = time.monotonic() + WAIT_S
    before = dict(heads.all())
    while time.monotonic() < deadline:
        time.sleep(1.5)  # longer than the interval of checkpoints
        now = dict(heads.all())
        if now == before:
            return
        before = now
    raise AssertionError("the log is not signed")
