"""The ten commonest questions over HTTP: p95 of the first page, each asked many times with varying values."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.benchmarks.load import AGENTS, OUTCOMES, WORDS
from tests.benchmarks.process import Running

ASKED = 30
INDEX_TIMEOUT_S = 600


class Reader:
    """One connection with an auditor's key."""

    def __init__(self, running: Running) -> None:
        parts = urlsplit(running.url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
        self._headers = {"x-api-key": running.reader_key}

    def get(self, path: str, **query: object) -> Any:
        self._connection.request("GET", f"{path}?{urlencode(query)}", headers=self._headers)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise SystemExit(f"{path} answered {response.status}: {body[:300]!r}")
        return json.loads(body)


def measure_reading(running: Running, add: Callable[..., None], size: int) -> None:
    """Wait until the index has caught up, then ask."""
    reader = Reader(running)
    started = time.monotonic()
    while _indexed(reader) < size:
        if time.monotonic() - started > INDEX_TIMEOUT_S:
            raise SystemExit("the index did not catch up")
        time.sleep(0.2)
    add(f"index caught up at {size:,} records after", time.monotonic() - started, "s", target="<= 2")
    random = Random(size)
    latest = [item["leaf"] for item in reader.get("/api/v1/records", log="main", limit=200)["items"]]
    some = [leaf for leaf in latest if "interaction" in leaf]
    questions: dict[str, Callable[[], dict[str, object]]] = {
        "latest": dict,
        "latest decisions": lambda: {"kind": "decision"},
        "one agent": lambda: {"agent": random.choice(AGENTS)},
        "one interaction": lambda: {"interaction": random.choice(some)["interaction"]["id"]},
        "one trace": lambda: {"trace_id": random.choice(some)["trace_id"]},
        "decisions by outcome": lambda: {"kind": "decision", "outcome": random.choice(OUTCOMES)},
        "a risk in a region": lambda: {"risk": "high", "region": "eu-west-1"},
        "errors": lambda: {"status": "error"},
        "fallbacks": lambda: {"fallback": "any"},
        "full text": lambda: {"q": random.choice(("refund", "orders", "mistral", *WORDS[:3]))},
    }
    worst: list[float] = []
    for name, question in questions.items():
        took = []
        for _ in range(ASKED):
            query = question()
            began = time.perf_counter()
            reader.get("/api/v1/records", log="main", limit=50, **query)
            took.append((time.perf_counter() - began) * 1000)
        took.sort()
        worst.append(took[int(0.95 * len(took))])
        add(f"  first page, {name}, {size:,} records, p95", worst[-1], "ms", target="<= 30")
    began = time.perf_counter()
    reader.get(f"/api/v1/interactions/{some[0]['interaction']['id']}")
    add(f"  one trail, {size:,} records", (time.perf_counter() - began) * 1000, "ms", target="<= 50")


def _indexed(reader: Reader) -> int:
    answer = reader.get("/api/v1/records", log="main", limit=1)
    return int(next((entry["tree_size"] for entry in answer["as_of"] if entry["log"] == "main"), 0))
