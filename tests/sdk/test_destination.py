"""Where records go: OpenTelemetry's variables, TLS with a private authority, a proxy, and what makes no sense."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import counterfoil.sdk as counterfoil
from counterfoil.sdk.complaints import complaints
from counterfoil.sdk.destination import read_destination
from tests.sdk.servers import unused_url

E = "OTEL_EXPORTER_OTLP_"


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://localhost:4318/v1/logs"),
        ({f"{E}ENDPOINT": "http://h:1/base/"}, "http://h:1/base/v1/logs"),
        ({f"{E}ENDPOINT": "http://h:1", f"{E}LOGS_ENDPOINT": "https://l/x"}, "https://l/x"),
        ({f"{E}LOGS_ENDPOINT": "http://l"}, "http://l/"),
        ({f"{E}ENDPOINT": "  "}, "http://localhost:4318/v1/logs"),
    ],
)
def test_the_endpoint_is_the_one_for_logs_else_the_base_with_its_path(environ: dict[str, str], url: str) -> None:
    assert read_destination(environ).url.geturl() == url


@pytest.mark.parametrize("endpoint", ["ftp://h", "http://", "h:4318", "http://h:x", "http://h/a b", "http://ä/"])
def test_an_endpoint_that_makes_no_sense_is_complained_of_and_the_default_is_used(endpoint: str) -> None:
    assert read_destination({f"{E}ENDPOINT": endpoint}).url.geturl() == "http://localhost:4318/v1/logs"
    assert complaints.counts() == {"bad_endpoint": 1}


def test_other_values_that_make_no_sense_have_their_defaults_too(caplog: pytest.LogCaptureFixture) -> None:
    environ = {
        f"{E}TIMEOUT": "soon",
        f"{E}COMPRESSION": "brotli",
        f"{E}PROTOCOL": "grpc",
        f"{E}HEADERS": "x-api-key=cf_secret%0Aevil,a=b,cf_secret_alone,x key=cf_secret,=cf_secret,,c=%C3%A4",
    }
    destination = read_destination(environ)
    assert (destination.timeout_s, destination.compression) == (10.0, "none")
    assert dict(destination.headers) == {"a": "b"}
    assert set(complaints.counts()) == {"bad_timeout", "bad_compression", "http_only", "bad_header"}
    assert complaints.counts()["bad_header"] == 5
    assert "cf_secret" not in caplog.text


def test_what_is_for_logs_goes_before_what_is_for_all() -> None:
    environ = {f"{E}HEADERS": "x-api-key=a", f"{E}LOGS_HEADERS": "x-api-key=b", f"{E}TIMEOUT": "3"}
    destination = read_destination(environ)
    assert (destination.headers["x-api-key"], destination.timeout_s) == ("b", 3.0)


def test_another_key_has_another_spool() -> None:
    first, second = (read_destination({f"{E}HEADERS": f"x-api-key={key}"}).fingerprint() for key in "ab")
    assert first != second
    assert len(first) == 16


class Collecting(BaseHTTPRequestHandler):
    """Takes everything, and keeps the request lines."""

    lines: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.lines.append(f"{self.requestline} {self.headers.get('Proxy-Authorization', '')}".strip())
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Say nothing."""


def serve(lines: list[str], context: ssl.SSLContext | None = None) -> HTTPServer:
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (Collecting,), {"lines": lines}))
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def decide() -> None:
    with counterfoil.decision("refund") as d:
        d.choose("deny")


def test_https_is_checked_against_the_authority_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point_at: Callable[[str, str], None]
) -> None:
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ),
            *(
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
                "-keyout",
                "key.pem",
                "-out",
                "crt.pem",
            ),
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt.pem", tmp_path / "key.pem")
    lines: list[str] = []
    server = serve(lines, context)
    try:
        point_at(f"https://127.0.0.1:{server.server_port}", "cf_x")
        counterfoil.configure(spool=None, spans=False, shutdown_timeout_s=0.1)
        decide()
        assert not counterfoil.flush(0.5)
        assert lines == []
        monkeypatch.setenv(f"{E}CERTIFICATE", str(tmp_path / "crt.pem"))
        counterfoil.configure(spool=None, spans=False, shutdown_timeout_s=0.1)
        decide()
        assert counterfoil.flush(10)
        assert lines
    finally:
        server.shutdown()
        server.server_close()


def test_a_proxy_of_the_environment_is_used(
    monkeypatch: pytest.MonkeyPatch, point_at: Callable[[str, str], None]
) -> None:
    lines: list[str] = []
    server = serve(lines)
    try:
        monkeypatch.setenv("http_proxy", f"http://ann:p%40ss@127.0.0.1:{server.server_port}")
        monkeypatch.setenv("no_proxy", "")
        point_at("http://service.example.test:4318", "cf_x")
        counterfoil.configure(spool=None, spans=False, shutdown_timeout_s=0.1)
        decide()
        assert counterfoil.flush(10)
        assert lines[0] == "POST http://service.example.test:4318/v1/logs HTTP/1.1 Basic YW5uOnBAc3M="
    finally:
        server.shutdown()
        server.server_close()


def test_a_connection_that_the_server_closed_meanwhile_is_opened_again(
    point_at: Callable[[str, str], None],
) -> None:
    lines: list[str] = []
    server = serve(lines)
    try:
        point_at(f"http://127.0.0.1:{server.server_port}", "cf_x")
        counterfoil.configure(spool=None, spans=False, shutdown_timeout_s=0.1)
        for _ in range(3):
            decide()
            assert counterfoil.flush(10)
        assert len(lines) >= 3
    finally:
        server.shutdown()
        server.server_close()


def test_nobody_there_is_no_error_of_the_host(point_at: Callable[[str, str], None]) -> None:
    point_at(unused_url(), "cf_x")
    counterfoil.configure(spool=None, spans=False, shutdown_timeout_s=0.1)
    decide()
    assert not counterfoil.shutdown()
    assert complaints.counts()["lost_at_shutdown"] == 3
