"""The room in a real service: what an agent sends over OTLP is found, told and proven through the API."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tests.trails.site import AGENT_SPANS

if TYPE_CHECKING:
    from tests.service.running import RunningService


def wait_for(service: RunningService, path: str, **parameters: str) -> dict[str, Any]:
    """The answer, once it has items."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        body: dict[str, Any] = service.client.get(path, params=parameters, headers=service.headers("reviewer")).json()
        if body["items"]:
            return body
        time.sleep(0.01)
    raise AssertionError(f"nothing was found under {path} within 30 s")


def test_what_an_agent_sends_is_soon_found_and_told(service: RunningService) -> None:
    body = (AGENT_SPANS / "pydantic_ai_v5_tool_handoff_retry.bin").read_bytes()
    headers = {**service.headers("writer"), "Content-Type": "application/x-protobuf"}
    sent = service.client.post("/v1/traces", content=body, headers=headers)
    assert sent.status_code == 200
    acknowledged = time.monotonic()
    found = wait_for(service, "/api/v1/records", kind="tool_call", limit="1")
    # Generous, because test machines are busy; the target is a quarter of a second.
    assert time.monotonic() - acknowledged < 5
    assert found["as_of"][0]["tree_size"] > found["items"][0]["seq"]
    listed = wait_for(service, "/api/v1/interactions", agent="triage_agent")
    assert [item["id"] for item in listed["items"]] == ["conv-77"]
    trail = service.client.get("/api/v1/interactions/conv-77", headers=service.headers("auditor")).json()
    assert {step["kind"] for step in trail["steps"]} >= {"agent_run", "model_call", "tool_call", "fallback"}
    theirs = service.client.get("/api/v1/interactions/conv-77", headers=service.headers("reviewer", other=True))
    assert theirs.status_code == 404


def test_a_second_delivery_adds_nothing_to_the_trail(service: RunningService) -> None:
    body = (AGENT_SPANS / "pydantic_ai_v5_model_fallback.bin").read_bytes()
    headers = {**service.headers("writer"), "Content-Type": "application/x-protobuf"}
    for _ in range(2):
        assert service.client.post("/v1/traces", content=body, headers=headers).status_code == 200
    found = wait_for(service, "/api/v1/interactions", agent="fallback_agent")
    assert [item["records"] for item in found["items"]] == [3]
