"""Where records go, from OpenTelemetry's own variables (OTLP exporter specification, "Configuration Options").

`OTEL_EXPORTER_OTLP_LOGS_<X>` goes before `OTEL_EXPORTER_OTLP_<X>`; a base ENDPOINT gets `/v1/logs`, a LOGS_ENDPOINT is
taken as it is. Sent is always http/protobuf: a Counterfoil service and a Collector take it on the port of OTLP/HTTP
(4318). A variable that makes no sense is complained of and its default is used; values are never logged, because
HEADERS holds the key.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from counterfoil.sdk.complaints import complaints

DEFAULT_ENDPOINT: Final = "http://localhost:4318"
DEFAULT_TIMEOUT_S: Final = 10.0
LOGS_PATH: Final = "/v1/logs"
COMPRESSIONS: Final = ("none", "gzip", "deflate")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class Destination:
    """One OTLP/HTTP endpoint for log events."""

    url: SplitResult
    headers: Mapping[str, str]
    timeout_s: float
    compression: str
    certificate: str | None
    client_certificate: str | None
    client_key: str | None

    def fingerprint(self) -> str:
        """64 bits of a hash of URL and headers: whose records a spool holds. Another key is another writer."""
        parts = [self.url.geturl(), *(f"{name}:{value}" for name, value in sorted(self.headers.items()))]
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def receipts_path(self) -> str:
        """Path of the service's receipts, beside its OTLP endpoint."""
        return f"{self.url.path.removesuffix(LOGS_PATH)}/api/v1/receipts"

    def tls(self) -> ssl.SSLContext | None:
        """The TLS context of an https endpoint. OSError or ssl.SSLError where a certificate cannot be read."""
        if self.url.scheme != "https":
            return None
        context = ssl.create_default_context(cafile=self.certificate)
        if self.client_certificate:
            context.load_cert_chain(self.client_certificate, self.client_key)
        return context


def _value(name: str, environ: Mapping[str, str]) -> str:
    """The value for logs, else the one for all signals; empty is unset."""
    return (
        environ.get(f"OTEL_EXPORTER_OTLP_LOGS_{name}", "").strip()
        or environ.get(f"OTEL_EXPORTER_OTLP_{name}", "").strip()
    )


def _split(text: str) -> SplitResult | None:
    try:
        url = urlsplit(text)
        usable = url.scheme in {"http", "https"} and url.hostname and (url.port is None or url.port > 0)
    except ValueError:
        return None
    return url if usable and text.isascii() and not any(ch <= " " for ch in text) else None


def _endpoint(environ: Mapping[str, str]) -> SplitResult:
    own = environ.get("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "").strip()
    base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip() or DEFAULT_ENDPOINT
    url = _split(own or f"{base.rstrip('/')}{LOGS_PATH}")
    if url is None:
        complaints.note("bad_endpoint", f"the OTLP endpoint is no http or https URL; {DEFAULT_ENDPOINT} is used")
        url = urlsplit(DEFAULT_ENDPOINT + LOGS_PATH)
    return url._replace(path=url.path or "/")


def _timeout_s(environ: Mapping[str, str]) -> float:
    """Seconds, as Python's exporters read it (the specification says milliseconds; they never did)."""
    text = _value("TIMEOUT", environ)
    try:
        seconds = float(text or DEFAULT_TIMEOUT_S)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 3_600:
        complaints.note("bad_timeout", f"OTEL_EXPORTER_OTLP_TIMEOUT is no number of seconds; {DEFAULT_TIMEOUT_S:g}")
        return DEFAULT_TIMEOUT_S
    return seconds


def _headers(environ: Mapping[str, str]) -> dict[str, str]:
    """`name=value,...`, percent-encoded (W3C Baggage). Read here, since OpenTelemetry's parser logs what it refuses."""
    headers = {}
    for pair in filter(None, map(str.strip, _value("HEADERS", environ).split(","))):
        name, equals, value = (unquote(part).strip() for part in pair.partition("="))
        if not equals or not _HEADER_NAME.fullmatch(name) or not value.isascii() or not value.isprintable():
            complaints.note("bad_header", "one of OTEL_EXPORTER_OTLP_HEADERS is no name=value in ASCII and is left out")
        else:
            headers[name.lower()] = value
    return headers


def read_destination(environ: Mapping[str, str] = os.environ) -> Destination:
    """The destination that the environment names."""
    compression = _value("COMPRESSION", environ).lower() or "none"
    if compression not in COMPRESSIONS:
        complaints.note("bad_compression", f"OTEL_EXPORTER_OTLP_COMPRESSION is none of {', '.join(COMPRESSIONS)}")
        compression = "none"
    if _value("PROTOCOL", environ) == "grpc":
        complaints.note("http_only", "OTEL_EXPORTER_OTLP_PROTOCOL is grpc; this SDK sends http/protobuf")
    return Destination(
        _endpoint(environ),
        _headers(environ),
        _timeout_s(environ),
        compression,
        _value("CERTIFICATE", environ) or None,
        _value("CLIENT_CERTIFICATE", environ) or None,
        _value("CLIENT_KEY", environ) or None,
    )
