"""No caller, known or not, makes the service hold more than a bounded body of our own API."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from counterfoil.body_limit import MAX_API_BODY_BYTES
from counterfoil.core.note import MAX_NOTE_BYTES
from counterfoil.evidence.request import MAX_SEQS
from tests.service.running import RunningService

PATHS = ("/api/v1/exports", "/api/v1/keys", "/api/v1/logs", "/nowhere")
PART = b" " * 65_536


def _parts(size: int) -> Iterator[bytes]:
    for _ in range(size // len(PART)):
        yield PART


def _is_too_large(answer: httpx.Response) -> None:
    assert answer.status_code == 413, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "too_large"
    assert str(MAX_API_BODY_BYTES) in answer.json()["detail"]


@pytest.mark.parametrize("path", PATHS)
def test_a_length_over_the_limit_is_refused_before_a_byte_of_it_is_read(
    shared_service: RunningService, path: str
) -> None:
    address = urlsplit(shared_service.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {MAX_API_BODY_BYTES + 1}\r\n\r\n".encode()
        )
        with connection.makefile("rb") as answer:  # to its end: the connection is closed, the body never asked for
            said = answer.read()
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"too_large"' in said


def test_a_chunked_body_without_a_key_is_cut_off_at_the_limit(shared_service: RunningService) -> None:
    address = urlsplit(shared_service.url)
    before = _resident_bytes(shared_service.pid)
    sent = 0
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(
            b"POST /api/v1/exports HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        try:
            while sent < 64 * MAX_API_BODY_BYTES:
                connection.sendall(b"%x\r\n%b\r\n" % (len(PART), PART))
                sent += len(PART)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the service closed the connection: what is wanted
    assert sent < 32 * MAX_API_BODY_BYTES
    assert _resident_bytes(shared_service.pid) - before < 16 * MAX_API_BODY_BYTES


def test_a_chunked_body_just_over_the_limit_is_answered_as_a_problem(shared_service: RunningService) -> None:
    for path in PATHS[:3]:
        content = _parts(MAX_API_BODY_BYTES + len(PART))
        answer = shared_service.client.post(path, content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 413
        _is_too_large(answer)


def test_the_largest_export_request_that_is_allowed_fits(shared_service: RunningService) -> None:
    wanted = {
        "log": "main",
        "form": "selection",
        "seqs": [2**53 - MAX_SEQS + number for number in range(MAX_SEQS)],
        "since": "A" * MAX_NOTE_BYTES,
        "purpose": "p" * 2_000,
    }
    body = json.dumps(wanted)
    assert 2 * MAX_NOTE_BYTES < len(body) < MAX_API_BODY_BYTES
    answer = shared_service.client.post("/api/v1/exports", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_otlp_paths_keep_the_limits_of_their_own(shared_service: RunningService) -> None:
    body = b'{"resourceSpans":[]' + b" " * MAX_API_BODY_BYTES + b"}"
    answer = shared_service.client.post(
        "/v1/traces", content=body, headers={**shared_service.headers(), "Content-Type": "application/json"}
    )
    assert answer.status_code == 200, answer.text


def _resident_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
