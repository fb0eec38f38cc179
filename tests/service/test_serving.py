"""The service from outside: health, documents, errors, start and stop."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from counterfoil import background
from counterfoil.background import Repeated
from counterfoil.composition import open_services
from counterfoil.core.errors import Fault
from counterfoil.health import readiness
from counterfoil.log.heads import HeadStore
from counterfoil.log.records import head
from counterfoil.serving import Child
from counterfoil.settings import Settings
from counterfoil.store.directory import Directory
from counterfoil.trails.check_index import check_index
from tests.service.running import PROGRAM, RunningService, check_clean, launch, make_directory, start_service


def test_readiness_says_what_cannot_be_noticed_here(shared_service: RunningService) -> None:
    answer = shared_service.client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ready"
    assert answer.json()["reasons"] == []
    (warning,) = answer.json()["warnings"]
    assert warning["code"] == "rollback_not_detectable"
    assert "not detectable here without a witness" in warning["text"]


def test_readiness_names_no_tenant_log_or_size_to_those_who_may_not_know(shared_service: RunningService) -> None:
    for headers in ({}, {"x-api-key": "cf_nobody_nothing"}, shared_service.headers("writer")):
        answer = shared_service.client.get("/readyz", headers=headers)
        assert answer.status_code == 200
        assert set(answer.json()) == {"status", "reasons", "warnings"}
        assert "main" not in answer.text
        assert "records" not in answer.text


@pytest.mark.parametrize("role", ["reviewer", "auditor", "administrator"])
def test_readiness_lists_the_logs_of_the_keys_own_tenant(shared_service: RunningService, role: str) -> None:
    def logs(*, other: bool) -> set[str]:
        answer = shared_service.client.get("/readyz", headers=shared_service.headers(role, other=other))
        return {log["log"] for log in answer.json()["logs"]}

    assert logs(other=False) >= {"default/main", "default/access"}
    assert logs(other=True) >= {"other/side", "other/access"}
    assert {name.partition("/")[0] for name in logs(other=False)} == {"default"}
    assert {name.partition("/")[0] for name in logs(other=True)} == {"other"}


def test_readiness_names_the_log_that_was_rolled_back_to_its_tenant_alone(tmp_path: Path) -> None:
    with start_service(make_directory(tmp_path / "audit")) as service:
        head = HeadStore(service.made.directory.heads)
        signed = _until(lambda: head.read(service.made.origin), lambda note: note is not None)
        body, _, rest = signed.partition(b"\n")
        ahead = b"\n".join([body, b"999999", rest.partition(b"\n")[2]])
        head.compare_and_swap(service.made.origin, head.read(service.made.origin), ahead)
        anonymous = service.client.get("/readyz")
        assert anonymous.status_code == 503
        (reason,) = anonymous.json()["reasons"]
        assert reason["code"] == "log_rolled_back"
        assert service.made.origin not in anonymous.text
        other = service.client.get("/readyz", headers=service.headers("auditor", other=True))
        assert other.json()["reasons"] == [reason]
        (named,) = service.client.get("/readyz", headers=service.headers("auditor")).json()["reasons"]
        assert named["log"] == "main"
        assert service.made.origin in named["detail"]


def test_health_needs_no_key(shared_service: RunningService) -> None:
    assert shared_service.client.get("/healthz").json() == {"status": "ok"}


def test_the_documents_page_loads_nothing_from_elsewhere(shared_service: RunningService) -> None:
    page = shared_service.client.get("/docs")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "POST /v1/traces" in page.text
    assert "http://" not in page.text.replace(shared_service.url, "")
    assert "https://" not in page.text
    assert "<script" not in page.text
    assert shared_service.client.get("/docs/style.css").headers["content-type"].startswith("text/css")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "not_found"), ("DELETE", "/healthz", 405, "method_not_allowed")],
)
def test_errors_of_the_framework_are_problems_too(
    shared_service: RunningService, method: str, path: str, status: int, code: str
) -> None:
    answer = shared_service.client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["status"]) == (code, status)


def test_a_second_service_on_one_directory_is_refused(shared_service: RunningService) -> None:
    done = subprocess.run(
        [PROGRAM, "serve", "--data", shared_service.data, "--port", "0"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"is served by process {shared_service.pid}" in done.stderr


def test_a_port_in_use_is_named(shared_service: RunningService, tmp_path: Path) -> None:
    made = make_directory(tmp_path / "audit")
    port = shared_service.url.rpartition(":")[2]
    done = subprocess.run(
        [PROGRAM, "serve", "--data", made.data, "--port", port], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


def test_a_service_whose_background_process_dies_ends_in_order_with_status_3(tmp_path: Path) -> None:
    service = launch(made := make_directory(tmp_path / "audit"))
    (child,) = _children(service.pid)
    os.kill(child, signal.SIGKILL)
    assert service.process.wait(20) == 3
    assert "ERROR counterfoil the background process ended" in service.stderr()
    assert "Traceback" not in service.stderr()
    with start_service(made) as again:  # what a supervisor does then
        assert again.client.get("/readyz").json()["status"] == "ready"
    check_clean(made)


def test_a_request_under_way_is_answered_when_the_background_process_dies(tmp_path: Path) -> None:
    service = launch(make_directory(tmp_path / "audit"))
    (child,) = _children(service.pid)
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(
            f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nx-api-key: {service.made.keys['writer'].key}\r\n"
            "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n".encode()
        )
        os.kill(child, signal.SIGKILL)
        _until(service.stderr, lambda said: "the background process ended" in said)
        connection.sendall(b"{}")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
    assert service.process.wait(20) == 3


def test_readiness_says_that_the_background_process_ended(tmp_path: Path) -> None:
    made = make_directory(tmp_path / "audit")
    services = open_services(made.directory)
    try:
        state = readiness(services, background_alive=False)
    finally:
        services.close()
    assert not state.ready
    assert [reason["code"] for reason in state.shown_to(None)["reasons"]] == ["background_ended"]


def test_whether_the_child_lives_may_be_asked_by_many_threads() -> None:
    for _ in range(20):
        reading, writing = os.pipe()
        child = Child(_process_that_waits_for(reading, writing), writing)
        assert child.is_alive()
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(_until, child.is_alive, lambda alive: not alive) for _ in range(8)]
            child.begin()
            assert [answer.result() for answer in asked] == [False] * 8
        child.end()


def test_a_child_that_somebody_else_waited_for_has_ended() -> None:
    reading, writing = os.pipe()
    pid = _process_that_waits_for(reading, writing)
    child = Child(pid, writing)
    child.begin()
    os.waitpid(pid, 0)
    assert not child.is_alive()
    child.end()


def test_a_child_that_ended_before_it_began_is_said_as_a_fault() -> None:
    reading, writing = os.pipe()
    child = Child(_process_that_waits_for(reading, writing, at_once=True), writing)
    os.close(reading)
    assert _until(child.is_alive, lambda alive: not alive) is False
    with pytest.raises(Fault, match="ended before it began"):
        child.begin()
    child.end()


def test_ctrl_c_ends_the_service_in_order(tmp_path: Path) -> None:
    service = launch(made := make_directory(tmp_path / "audit"))
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(20) in (0, 130)
    assert "Traceback" not in service.stderr()
    check_clean(made)


def test_a_round_that_fails_is_said_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    stopping, rounds = threading.Event(), []

    def work() -> int:
        rounds.append(len(rounds))
        if len(rounds) == 5:
            stopping.set()
        if len(rounds) == 4:
            raise ZeroDivisionError
        raise Fault("the log x was rolled back")

    with caplog.at_level(logging.ERROR, "counterfoil.background"):
        worker = Repeated("checkpoints", work, 0.001, stopping)
        worker.start()
        worker.join()
    assert len(rounds) == 6, "one round comes after the stop"
    said = [record.getMessage() for record in caplog.records]
    assert said == ["checkpoints: the log x was rolled back", "checkpoints failed"]


def test_the_background_process_ends_when_its_parent_could_not_start(tmp_path: Path) -> None:
    made = make_directory(tmp_path / "audit")
    reading, writing = os.pipe()
    os.close(writing)
    assert background.main(made.directory, Settings(), reading) == 0
    os.close(reading)


def test_a_background_process_that_cannot_open_its_stores_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"begin")
    assert background.main(Directory.at(tmp_path / "nothing"), Settings(), reading) == 1
    os.close(writing)
    assert "the background process failed" in caplog.text
    assert "is no Counterfoil directory" in caplog.text


def test_a_killed_service_leaves_no_orphan(tmp_path: Path) -> None:
    service = launch(make_directory(tmp_path / "audit"))
    (child,) = _children(service.pid)
    service.kill()
    assert _until(lambda: _is_running(child), lambda running: not running) is False


def test_a_stopped_service_ends_with_status_0(tmp_path: Path) -> None:
    service = launch(make_directory(tmp_path / "audit"))
    assert service.stop() == 0
    assert "Traceback" not in service.stderr()


def _process_that_waits_for(reading: int, writing: int, *, at_once: bool = False) -> int:
    """A process that ends when a byte comes on `reading`, or at once."""
    program = "" if at_once else f"import os; os.read({reading}, 1)"
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-S", "-c", program],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, reading, reading),
            (os.POSIX_SPAWN_CLOSE, writing),
        ],
    )


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_running(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def _until(look, wanted):  # type: ignore[no-untyped-def] # any value: what `look` returns is what comes back
    deadline = time.monotonic() + 20
    while not wanted(got := look()):
        assert time.monotonic() < deadline, got
        time.sleep(0.05)
    return got


def test_what_was_acknowledged_last_is_signed_and_indexed_before_the_service_ends(tmp_path: Path) -> None:
    made = make_directory(tmp_path / "audit")
    service = launch(made)
    body = '{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"%s","spanId":"%s","name":"last"}]}]}]}'
    headers = {**service.headers("writer"), "Content-Type": "application/json"}
    answer = service.client.post("/v1/traces", content=body % ("ab" * 16, "cd" * 8), headers=headers)
    assert answer.status_code == 200
    assert service.stop() == 0
    services = open_services(made.directory)
    try:
        log = services.log_named("default", "main")
        with services.ledger.read() as connection:
            assert services.heads.size_of(log.origin) == head(connection, log.id).size
        assert list(check_index(services.stores)) == []
    finally:
        services.close()
