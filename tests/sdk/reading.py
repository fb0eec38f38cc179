"""What a service recorded, by its API, waited for until the index has it."""

from __future__ import annotations

import time
from typing import Any

from tests.service.running import RunningService

WAIT_S = 30.0


class Reader:
    """A reviewer's view."""

    def __init__(self, service: RunningService) -> None:
        self._service = service
        self._headers = service.headers("reviewer")

    def _get(self, path: str, **params: Any) -> Any:
        answer = self._service.client.get(path, params=params, headers=self._headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def leaves(self, count: int, **filters: Any) -> list[dict[str, Any]]:
        """The leaves that the filters select, oldest first, once there are `count`; then there must be no more."""
        deadline = time.monotonic() + WAIT_S
        while True:
            items = self._get("/api/v1/records", log="main", limit=200, **filters)["items"]
            if len(items) >= count or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        leaves = sorted((item["leaf"] for item in items), key=lambda leaf: leaf["seq"])
        assert len(leaves) == count, [(leaf["kind"], leaf.get("producer")) for leaf in leaves]
        return leaves

    def content(self, seq: int) -> dict[str, Any]:
        """The content of a record: field to value."""
        record = self._get(f"/api/v1/records/main/{seq}")
        return {name: field["value"] for name, field in record["content"].items()}

    def trail(self, interaction: str) -> dict[str, Any]:
        """The trail of an interaction."""
        trail: dict[str, Any] = self._get(f"/api/v1/interactions/{interaction}")
        return trail

    def producer(self, producer_id: str, verdict: str) -> dict[str, Any]:
        """What the service says of a producer, once its verdict is `verdict`."""
        deadline = time.monotonic() + WAIT_S
        found: list[dict[str, Any]] = []
        while time.monotonic() < deadline:
            found = self._get("/api/v1/completeness", log="main", producer=producer_id)["items"]
            if found and found[0]["verdict"] == verdict:
                return found[0]
            time.sleep(0.1)
        raise AssertionError(f"{producer_id} is not {verdict}: {found}")
