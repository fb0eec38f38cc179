"""The service from outside: health, documents, errors, start and stop."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.service.running import PROGRAM, RunningService, launch, make_directory, start_service


def test_readiness_says_what_cannot_be_noticed_here(shared_service: RunningService) -> None:
    answer = shared_service.client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ready"
    assert "not detectable here without a witness" in answer.json()["warnings"][0]
    assert {log["log"] for log in answer.json()["logs"]} >= {"default/main", "default/access"}


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


def test_a_service_without_its_background_process_is_not_ready(tmp_path: Path) -> None:
    with start_service(make_directory(tmp_path / "audit")) as service:
        (child,) = _children(service.pid)
        os.kill(child, signal.SIGKILL)
        answer = _until(lambda: service.client.get("/readyz"), lambda got: got.status_code == 503)
        assert "the background process ended" in answer.json()["reasons"][0]


def test_a_killed_service_leaves_no_orphan(tmp_path: Path) -> None:
    service = launch(make_directory(tmp_path / "audit"))
    (child,) = _children(service.pid)
    service.kill()
    assert _until(lambda: _is_running(child), lambda running: not running) is False


def test_a_stopped_service_ends_with_status_0(tmp_path: Path) -> None:
    service = launch(make_directory(tmp_path / "audit"))
    assert service.stop() == 0
    assert "Traceback" not in service.stderr()


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
