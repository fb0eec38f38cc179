"""Golden trails: what a recording says to a person who reads its spans, and what the product makes of it.

Every recording goes through OTLP/HTTP into a log of its own in one real service; its trails are read through the API
with a key for that log, and compared line by line with what a person wrote down (golden/README.md).
"""

from __future__ import annotations

import json
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.trails.site import AGENT_SPANS
from tests.trails.told import lines_of

if TYPE_CHECKING:
    from tests.service.running import Key, RunningService

GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(path.name.removesuffix(".otlp.json") for path in AGENT_SPANS.glob("*.otlp.json"))
NAMES = [name for name in NAMES if not name.endswith(".logs")]


def short(name: str) -> str:
    """A name for the log of a recording."""
    return name.replace("_", "-")[:40]


class Goldens:
    """A running service with one log for each recording, which has been sent and indexed."""

    def __init__(self, service: RunningService, readers: dict[str, Key]) -> None:
        self.service = service
        self._readers = readers

    def get(self, name: str, path: str, **parameters: str) -> Any:
        """What the API answers to a reader of this recording's log alone."""
        headers = {"Authorization": f"Bearer {self._readers[name].key}"}
        response = self.service.client.get(path, params=parameters, headers=headers)
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture(scope="module")
def goldens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Goldens]:
    """Every recording sent over HTTP, protobuf and JSON by turns; at the end the directory must be clean."""
    from counterfoil.identity.roles import Role
    from counterfoil.log.accounts import Accounts
    from counterfoil.log.initialise import open_logs
    from tests.service.running import TENANT, Key, check_clean, make_directory, start_service

    made = make_directory(tmp_path_factory.mktemp("golden") / "audit")
    logs = open_logs(made.directory)
    try:
        accounts = Accounts(logs)
        writers, readers = {}, {}
        for name in NAMES:
            accounts.create_log(TENANT, short(name))
            for role, keys in ((Role.WRITER, writers), (Role.REVIEWER, readers)):
                keys[name] = Key(*accounts.create_credential(TENANT, role, log_name=short(name), name="golden"))
    finally:
        logs.close()
    with start_service(made) as service:
        held = Goldens(service, readers)
        for number, name in enumerate(NAMES):
            send(service, name, writers[name], as_json=bool(number % 2))
        for name in NAMES:
            wait_until_indexed(held, name)
        yield held
    check_clean(made)


def send(service: RunningService, name: str, writer: Key, *, as_json: bool) -> None:
    """Send a recording as an exporter does."""
    for signal, stem in (("traces", name), ("logs", f"{name}.logs")):
        path = AGENT_SPANS / (f"{stem}.otlp.json" if as_json else f"{stem}.bin")
        if not path.exists():
            continue
        kind = "application/json" if as_json else "application/x-protobuf"
        headers = {"Authorization": f"Bearer {writer.key}", "Content-Type": kind}
        response = service.client.post(f"/v1/{signal}", content=path.read_bytes(), headers=headers)
        assert (response.status_code, response.content) == (200, b"{}" if as_json else b"")


def items_of(name: str) -> int:
    """How many spans and log records a recording has."""
    count = 0
    for stem, (top, scopes, items) in {
        name: ("resourceSpans", "scopeSpans", "spans"),
        f"{name}.logs": ("resourceLogs", "scopeLogs", "logRecords"),
    }.items():
        path = AGENT_SPANS / f"{stem}.otlp.json"
        if path.exists():
            request = json.loads(path.read_bytes())
            count += sum(len(scope[items]) for resource in request[top] for scope in resource[scopes])
    return count


def wait_until_indexed(goldens: Goldens, name: str) -> None:
    """Wait until the index has read what was acknowledged."""
    wanted = 1 + items_of(name)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        (as_of,) = goldens.get(name, "/api/v1/records", limit="1")["as_of"]
        if as_of["tree_size"] >= wanted:
            return
        time.sleep(0.05)
    raise AssertionError(f"{name}: {wanted} records were not indexed within a minute")


def golden_of(name: str) -> dict[str, Any]:
    """What a person wrote down."""
    return tomllib.loads((GOLDEN / f"{name}.toml").read_text())


def test_every_recording_has_a_golden_that_says_what_was_checked() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.toml")) == NAMES
    assert all(golden_of(name)["checked"] for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_becomes_the_trails_that_a_person_reads_from_its_spans(goldens: Goldens, name: str) -> None:
    expected = golden_of(name)["trail"]
    listed = goldens.get(name, "/api/v1/interactions", order="oldest")["items"]
    derived = [item["id"] for item in listed if item["derived"]]
    assert len(derived) == sum(not trail["id"] for trail in expected)
    unnamed = iter(derived)
    for trail in expected:
        told = goldens.get(name, f"/api/v1/interactions/{trail['id'] or next(unnamed)}", limit="1000")
        assert lines_of(told) == trail


@pytest.mark.parametrize("name", NAMES)
def test_search_finds_what_was_concluded_by_kind_and_by_rule(goldens: Goldens, name: str) -> None:
    for item in goldens.get(name, "/api/v1/records", derived="true", limit="500")["items"]:
        assert item["derived"]
        for rule in item["derived"]:
            found = goldens.get(name, "/api/v1/records", rule=rule, limit="500")["items"]
            assert item["seq"] in [other["seq"] for other in found]
    trail = golden_of(name)["trail"][0]
    for topic, parameters in {
        "fallbacks": {"fallback": "any"},
        "handoffs": {"handoff": "any"},
        "oversight": {"oversight": "any"},
    }.items():
        found = goldens.get(name, "/api/v1/records", derived="true", **parameters)["items"]
        told = [line for line in trail.get(topic, ()) if "[derived" in line]
        assert bool(found) == bool(told) or len(golden_of(name)["trail"]) > 1


def test_a_trace_of_a_joined_run_leads_to_the_whole_run(goldens: Goldens) -> None:
    name = "autogen_native_tool_fail_handoff"
    records = goldens.get(name, "/api/v1/records", kind="operation", limit="500")["items"]
    traces = {item["leaf"]["trace_id"] for item in records}
    assert len(traces) == 47
    for trace_id in sorted(traces)[::9]:
        assert goldens.get(name, f"/api/v1/interactions/{trace_id}", limit="5")["total"] == 156
