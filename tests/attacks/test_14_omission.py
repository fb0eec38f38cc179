"""Attack 14: an agent leaves things out. Killed, dropped, held back: the verdict names exactly what is missing.

What cannot be seen is tested too: that nothing is claimed about it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from counterfoil.core.merkle import leaf_hash
from counterfoil.log.configuration import Configuration
from counterfoil.trails.check_index import check_index
from counterfoil.trails.completeness.service import Completeness
from counterfoil.trails.reindex import reindex
from tests.service.running import Made, RunningService, check_clean, make_directory, start_service
from tests.trails.completeness.sending import Counted, SetClock, counted_site, declare, numbered
from tests.trails.site import make_site

AGENT = Path(__file__).parents[1] / "trails" / "completeness" / "agent.py"
SDK_AGENT = AGENT.with_name("sdk_agent.py")
WAIT_S = 30.0
SEED = 20_261_122


@dataclass
class Agent:
    """A process that numbers, and what it says became of each batch."""

    name: str
    process: subprocess.Popen[str]
    sent: set[int] = field(default_factory=set)
    dropped: set[int] = field(default_factory=set)
    sending: set[int] = field(default_factory=set)
    batches: int = 0

    def read(self, batches: int | None = None) -> None:
        """Read what it says, until it has dealt with this many batches, or until it ends."""
        assert self.process.stdout is not None
        while batches is None or self.batches < batches:
            line = self.process.stdout.readline()
            if not line:
                return
            what, first, last = line.split()
            numbers = set(range(int(first), int(last) + 1))
            getattr(self, what).update(numbers)
            if what != "sending":
                self.sending -= numbers
                self.batches += 1

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.read()
        assert self.process.wait(WAIT_S) == -signal.SIGKILL


def start_agent(service: RunningService, name: str, *arguments: str) -> Agent:
    return Agent(name, start_script(service, AGENT, name, *arguments))


def start_script(service: RunningService, script: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "XDG_STATE_HOME": str(service.made.data.parent / "agents"),  # of its own, not of whoever runs the tests
        "OTEL_EXPORTER_OTLP_ENDPOINT": service.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={service.made.keys['writer'].key}",
    }
    command = [sys.executable, str(script), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def completeness(service: RunningService, **parameters: str) -> dict[str, Any]:
    answer = service.client.get("/api/v1/completeness", params=parameters, headers=service.headers("auditor"))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def producer(service: RunningService, name: str, verdict: str) -> dict[str, Any]:
    """The producer, once the verdict holds and the index has caught up."""
    deadline = time.monotonic() + WAIT_S
    found: dict[str, Any] = {}
    while time.monotonic() < deadline:
        items = completeness(service, producer=name)["items"]
        if items and verdict in (found := items[0])["verdicts"]:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{name} is not {verdict}: {found}")


def spread(ranges: dict[str, Any]) -> set[int]:
    numbers = {number for first, last in ranges["ranges"] for number in range(first, last + 1)}
    assert ranges["count"] == len(ranges["ranges"])
    assert ranges["numbers"] == len(numbers)
    return numbers


def delivered(service: RunningService, name: str) -> set[int]:
    """The numbers in the leaves themselves, by another way than the accounts."""
    numbers: set[int] = set()
    cursor: dict[str, str] = {}
    while True:
        parameters = {"producer": name, "limit": "500", **cursor}
        page = service.client.get("/api/v1/records", params=parameters, headers=service.headers("auditor")).json()
        numbers |= {item["leaf"]["producer"]["n"] for item in page["items"]}
        if page["next"] is None:
            return numbers
        cursor = {"cursor": page["next"]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A directory; at the end every byte of it is checked."""
    directory = make_directory(tmp_path_factory.mktemp("omission") / "audit")
    yield directory
    check_clean(directory)


@pytest.fixture(scope="module")
def listening(made: Made) -> Iterator[RunningService]:
    """A service that wants to hear from every producer each second."""
    with start_service(made) as service:
        answer = service.client.post(
            "/api/v1/logs/main/configuration", json={"heartbeat_s": 1}, headers=service.headers("administrator")
        )
        assert answer.status_code == 201, answer.text
        time.sleep(2)  # until nobody can have been told the cadence before it
        yield service


def test_a_killed_producer_and_its_lost_batches_are_named_to_the_number(listening: RunningService) -> None:
    killed = start_agent(listening, "killed", str(SEED), "30", "0")
    killed.read(batches=14)
    killed.kill()
    restarted = start_agent(listening, "restarted", str(SEED + 1), "35", "60", "declare", "end")
    restarted.read()
    assert restarted.process.wait(WAIT_S) == 0
    assert killed.dropped, "the seed must drop something"
    assert len(restarted.dropped) >= 10, "the seed must drop two batches"

    found = producer(listening, "killed", "silent")
    if set(range(max(killed.sent))) - killed.sent:
        found = producer(listening, "killed", "gaps")
    here = delivered(listening, "killed")
    # The batch under way when it was killed may or may not be here; the records say which.
    assert killed.sent <= here <= killed.sent | killed.sending
    assert spread(found["gaps"]) == set(range(max(here))) - here
    assert spread(found["gaps"]) == {number for number in killed.dropped if number < max(here)}
    assert (found["closed"], found["produced"], found["unknown_after"]) == (False, None, max(here))

    found = producer(listening, "restarted", "gaps")
    every = set(range(61))  # 60 spans, and the one that carries the declarations
    declared = spread(found["lost"])
    assert declared
    assert declared < restarted.dropped
    assert spread(found["gaps"]) == restarted.dropped - declared
    assert (found["produced"], found["delivered"]) == (61, len(every - restarted.dropped))
    assert delivered(listening, "restarted") == every - restarted.dropped


def test_a_producer_that_lost_nothing_and_says_so_is_complete(listening: RunningService) -> None:
    agent = start_agent(listening, "honest", "1", "0", "40", "end")
    agent.read()
    assert agent.process.wait(WAIT_S) == 0
    found = producer(listening, "honest", "complete")
    assert (found["produced"], found["delivered"], found["gaps"]["count"]) == (41, 41, 0)
    summary = completeness(listening, producer="honest")["summary"]
    assert summary["complete"] is True
    assert summary["statement"].startswith("1 of 1 producer demonstrated")


def test_the_silence_of_a_killed_one_is_alarmed_once_and_does_not_stop_the_service(listening: RunningService) -> None:
    agent = start_agent(listening, "fallen", "2", "0", "0")
    agent.read(batches=3)
    agent.kill()
    found = producer(listening, "fallen", "silent")
    deadline = time.monotonic() + WAIT_S
    while found["alarm"] is None and time.monotonic() < deadline:
        time.sleep(0.2)
        found = producer(listening, "fallen", "silent")
    assert found["alarm"]["seq"] > found["last"]["seq"]
    time.sleep(2.5)  # two more rounds of the watcher
    assert producer(listening, "fallen", "silent")["alarm"] == found["alarm"]
    assert listening.stderr().count("producer_silent log=main") == listening.stderr().count("producer_silent")
    assert listening.stderr().count("producer=fallen last_seq=") == 1
    state = listening.client.get("/readyz", headers=listening.headers("administrator"))
    assert (state.status_code, state.json()["status"]) == (200, "ready")
    told = [warning for warning in state.json()["warnings"] if warning["code"] == "producer_silent"]
    assert told[0]["log"] == "main"
    stranger = listening.client.get("/readyz").json()
    assert all("log" not in warning for warning in stranger["warnings"])
    note = listening.client.get(
        f"/api/v1/records/main/{found['alarm']['seq']}", headers=listening.headers("auditor")
    ).json()["leaf"]
    assert note["note"] == {"meaning": "producer_silent", "of": {"seq": found["last"]["seq"]}}


def test_an_agent_with_our_sdk_is_complete_when_it_ends_and_silent_when_it_is_killed(listening: RunningService) -> None:
    before = {item["producer"] for item in completeness(listening)["items"]}

    def newest(verdict: str) -> dict[str, Any]:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            found = [item for item in completeness(listening)["items"] if item["producer"] not in before]
            if found and verdict in found[0]["verdicts"]:
                before.add(found[0]["producer"])
                one: dict[str, Any] = found[0]
                return one
            time.sleep(0.1)
        raise AssertionError(f"no producer is {verdict}")

    ending = start_script(listening, SDK_AGENT, "10")
    assert ending.wait(WAIT_S) == 0
    found = newest("complete")
    assert found["produced"] == found["delivered"] >= 10 + 2  # the decisions, start and end
    assert found["coverage"] is not None
    assert found["started_at"] is not None

    killed = start_script(listening, SDK_AGENT, "10", "hold")
    assert killed.stdout is not None
    assert killed.stdout.readline() == "decided\n"
    time.sleep(2.5)  # two beats of the cadence that the service told it
    killed.kill()
    killed.wait(WAIT_S)
    found = newest("silent")
    assert found["heartbeats"] >= 1
    assert (found["heartbeat_s"], found["closed"], found["gaps"]["count"]) == (1, False, 0)
    assert found["unknown_after"] == found["delivered"] - 1


def test_the_command_line_names_the_same_gaps(listening: RunningService) -> None:
    program = Path(sys.executable).parent / "counterfoil"
    agent = start_agent(listening, "dropped", str(SEED + 3), "40", "40", "end")
    agent.read()
    assert agent.process.wait(WAIT_S) == 0
    found = producer(listening, "dropped", "gaps")
    command = [program, "completeness", "--data", listening.data, "--producer", "dropped"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    first, last = found["gaps"]["ranges"][0]
    assert f"GAPS         dropped  main, writer {found['writer']}" in shown
    assert f"missing: {first}-{last}" in shown
    assert "With numbers that are missing and were not declared lost: 1." in shown


def test_a_producer_without_numbers_gets_no_verdict_that_it_did_not_earn(listening: RunningService) -> None:
    span = {
        "traceId": os.urandom(16).hex(),
        "spanId": os.urandom(8).hex(),
        "name": "chat",
        "startTimeUnixNano": "1795000000000000000",
        "endTimeUnixNano": "1795000001000000000",
    }
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    assert listening.client.post("/v1/traces", json=body, headers=listening.headers("writer")).status_code == 200
    deadline = time.monotonic() + WAIT_S
    items: list[dict[str, Any]] = []
    while not items and time.monotonic() < deadline:
        time.sleep(0.1)
        items = completeness(listening, verdict="unaccounted")["items"]
    assert [(item["producer"], item["verdicts"]) for item in items] == [(None, ["unaccounted"])]


@pytest.mark.parametrize("role", ["writer", "administrator"])
def test_only_who_may_read_facts_may_ask(listening: RunningService, role: str) -> None:
    path = "/api/v1/completeness"
    assert listening.client.get(path).status_code == 401
    assert listening.client.get(path, headers=listening.headers(role)).status_code == 403
    other = listening.client.get(path, headers=listening.headers("auditor", other=True)).json()
    assert (other["items"], other["summary"]["producers"]) == ([], 0)
    wrong = listening.client.get(f"{path}?verdict=fine", headers=listening.headers("reviewer"))
    assert (wrong.status_code, wrong.json()["item"]) == (400, "verdict")


# -- whoever owns the disk hides the omission -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def holed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    """A closed producer with a gap."""
    with counted_site(tmp_path_factory.mktemp("holed") / "audit") as counted:
        counted.configuration.set_heartbeat(counted.site.log, 30, by="k-admin")
        counted.send(numbered(0), numbered(1), numbered(5), declare("end", last=5))
        counted.configuration.set_heartbeat(counted.site.log, 40, by="k-admin")
        counted.site.projector.run_once()
        yield counted


@pytest.mark.parametrize(
    ("deed", "undo", "check"),
    [
        (
            "UPDATE producers SET missing = 0",
            "UPDATE producers SET missing = 3",
            "index_producer_differs",
        ),
        (
            'UPDATE producer_ranges SET "last" = 5 WHERE "first" = 0',
            'UPDATE producer_ranges SET "last" = 1 WHERE "first" = 0',
            "index_producer_range_differs",
        ),
        (
            "INSERT INTO producer_ranges SELECT log_id, number, 2, 2, 4 FROM producers",
            "DELETE FROM producer_ranges WHERE sort = 2",
            "index_producer_range_extra",
        ),
        (
            "UPDATE cadences SET heartbeat_s = 86400",
            "UPDATE cadences SET heartbeat_s = CASE seq WHEN 2 THEN 30 ELSE 40 END",
            "index_cadence_differs",
        ),
    ],
)
def test_a_gap_hidden_in_the_index_is_named(holed: Counted, deed: str, undo: str, check: str) -> None:
    with holed.site.attack() as index:
        index.execute(deed)
    findings = list(check_index(holed.site.stores))
    with holed.site.attack() as index:
        index.execute(undo)
    assert {finding.check for finding in findings} == {check}
    assert {finding.attack for finding in findings} == {3}
    assert list(check_index(holed.site.stores)) == []


def test_a_producer_taken_out_of_the_index_is_named(holed: Counted) -> None:
    with holed.site.attack() as index:
        rows = index.execute("SELECT * FROM producers").fetchall()
        index.execute("DELETE FROM producers")
    findings = list(check_index(holed.site.stores))
    with holed.site.attack() as index:
        index.executemany(f"INSERT INTO producers VALUES ({', '.join('?' * len(rows[0]))})", rows)
    assert [finding.check for finding in findings] == ["index_producer_missing"]
    assert "k-test p" in findings[0].message


@pytest.mark.parametrize("deed", ["UPDATE configurations SET seq = 2", "DELETE FROM configurations"])
def test_an_older_cadence_put_back_in_force_is_named(holed: Counted, deed: str) -> None:
    with holed.site.attack("ledger") as ledger:
        rows = ledger.execute("SELECT * FROM configurations").fetchall()
        ledger.execute(deed)
    findings = list(check_index(holed.site.stores))
    with holed.site.attack("ledger") as ledger:
        ledger.execute("DELETE FROM configurations")
        ledger.executemany("INSERT INTO configurations VALUES (?, ?, ?)", rows)
    assert [(finding.check, finding.seq) for finding in findings] == [("configuration_pointer", rows[0][2])]


def test_a_tail_that_was_cut_shows_in_the_numbers_of_whoever_sent_it(tmp_path: Path) -> None:
    """Attack 5, the producer's part: head row and index are cut to match, and the producer's own count still tells."""
    site = make_site(tmp_path / "audit", fulltext_fields=())
    counted = Counted(site, SetClock(), Configuration(site.logs), Completeness(site.logs, site.stores))
    counted.clock.time_us = site.clock.time_us
    counted.send(numbered(0), numbered(1), declare("end", last=3))
    seqs = counted.send(numbered(2), numbered(3))
    assert counted.one().verdict == "complete"
    with site.attack("ledger") as ledger:
        triggers = ledger.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            ledger.execute(f"DROP TRIGGER {name}")
        log_id, last = site.log.id, seqs[0] - 1
        leaf = bytes(
            ledger.execute("SELECT leaf FROM records WHERE log_id = ? AND seq = ?", (log_id, last)).fetchone()[0]
        )
        ledger.execute("DELETE FROM records WHERE log_id = ? AND seq > ?", (log_id, last))
        ledger.execute("DELETE FROM arrivals WHERE log_id = ? AND seq > ?", (log_id, last))
        row = (last + 1, leaf_hash(leaf), log_id)
        ledger.execute("UPDATE heads SET size = ?, leaf_hash = ? WHERE log_id = ?", row)
        for _, sql in triggers:
            ledger.execute(sql)
    reindex(site.stores, site.directory.index_file)
    assert list(check_index(site.stores)) == [], "index and ledger agree about the shorter story"
    one = counted.one()
    assert (one.verdict, one.produced, one.gaps.ranges) == ("gaps", 4, [(2, 3)])
    site.close()
