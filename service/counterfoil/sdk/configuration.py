"""`configure`, `flush`, `shutdown`, `status`: the SDK's beginning and end in a process.

Endpoint, key, time limit, compression and certificates come from OpenTelemetry's OTEL_EXPORTER_OTLP_* variables,
service name and resource from OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES; OTEL_SDK_DISABLED=true switches all of it
off. Only `configure` raises (ValueError, for an argument of its own that makes no sense), and only at start.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from counterfoil.core.errors import CounterfoilError
from counterfoil.core.note import VerifierKey, parse_vkey
from counterfoil.sdk.capture import Redactor, parse_capture
from counterfoil.sdk.complaints import complaints
from counterfoil.sdk.destination import Destination, read_destination
from counterfoil.sdk.memory import MemorySink
from counterfoil.sdk.pipeline import Pipeline
from counterfoil.sdk.record import Fact
from counterfoil.sdk.settings import Settings
from counterfoil.sdk.spans import join_spans, provider_resource
from counterfoil.sdk.spool import default_root
from counterfoil.sdk.state import current_sink, replace_sink

_turn = threading.RLock()
_exit: Final[list[bool]] = []


def configure(
    *,
    agent: str | None = None,
    version: str | None = None,
    capture: Literal["all", "none"] | Collection[str] = "all",
    redact: str | Redactor | Collection[str | Redactor] = (),
    vkeys: str | Sequence[str] = (),
    coverage: str | None = None,
    spool: str | os.PathLike[str] | bool | None = True,
    spool_bytes: int = 67_108_864,
    spool_age_s: float = 7 * 86_400,
    queue_items: int = 8_192,
    queue_bytes: int = 33_554_432,
    field_bytes: int = 1_048_576,
    spans: bool = True,
    shutdown_timeout_s: float = 5.0,
) -> None:
    """Begin to record. Called again, it begins anew: the producer before is closed.

    agent, version   who decides; without, OTEL_SERVICE_NAME
    capture          which content fields leave the process: "all", "none", or their names
    redact           rules ("email", "phone", "card", "iban") and functions (field, value) -> value or None
    vkeys            verifier keys of the log: promises and receipts are then checked against them
    coverage         what this producer records, in words; part of its declaration
    spool            folder for what the service cannot take now; True: ~/.local/state/counterfoil/spool; None: none
    spool_bytes, spool_age_s, queue_items, queue_bytes, field_bytes     bounds, in bytes, seconds, records
    spans            also install OpenTelemetry's tracer provider where the program has none
    """
    chosen = parse_capture(capture, redact, field_bytes)
    keys = _parse_keys((vkeys,) if isinstance(vkeys, str) else tuple(vkeys))
    for name, value in {"spool_bytes": spool_bytes, "queue_items": queue_items, "queue_bytes": queue_bytes}.items():
        if value < 1:
            raise ValueError(f"{name} is a number from 1")
    if not (spool_age_s > 0 and shutdown_timeout_s >= 0):
        raise ValueError("spool_age_s is above 0 and shutdown_timeout_s is not below")
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        complaints.note("disabled", "OTEL_SDK_DISABLED is true: nothing is recorded")
        shutdown()
        return
    resource = _resource(agent, version)
    destination = read_destination()
    settings = Settings(
        destination,
        resource,
        _agent(agent, version),
        chosen,
        keys,
        coverage,
        _spool_root(spool, destination),
        spool_bytes,
        spool_age_s,
        queue_items,
        queue_bytes,
        shutdown_timeout_s,
    )
    under_test = current_sink()
    if isinstance(under_test, MemorySink):
        under_test.adopt(settings)
        return
    join_spans(resource, install=spans)
    pipeline = Pipeline(settings)
    with _turn:
        before = replace_sink(pipeline)
        if not _exit:
            _exit.append(True)
            atexit.register(_at_exit)
    if before is not None:
        before.stop(shutdown_timeout_s)
    pipeline.start()


def flush(timeout_s: float = 5.0) -> bool:
    """Wait until nothing recorded so far is under way any more. True: the service has acknowledged all of it.

    False where time ran out, and at once where records of this producer are lost (`status()` says how many).
    """
    sink = current_sink()
    return sink is None or sink.flush(timeout_s)


def shutdown(timeout_s: float | None = None) -> bool:
    """End: send what is left until time is up (default: as configured), spool the rest. True: all acknowledged.

    Runs by itself when the interpreter ends; a signal that ends the process at once (SIGTERM without a handler) is like
    a crash: what was spooled is sent by the next process.
    """
    with _turn:
        sink = current_sink()
        if not isinstance(sink, MemorySink):
            replace_sink(None)
    if sink is None:
        return True
    if timeout_s is None:
        timeout_s = sink.settings.shutdown_timeout_s if isinstance(sink, Pipeline) else 5.0
    return sink.stop(timeout_s)


def status() -> dict[str, int]:
    """How many records were produced, delivered, are waiting or lost in this process, and what was complained of."""
    sink = current_sink()
    return {**complaints.counts(), **({} if sink is None else sink.status())}


def _at_exit() -> None:
    shutdown()


def _parse_keys(vkeys: Sequence[str]) -> tuple[VerifierKey, ...]:
    try:
        return tuple(map(parse_vkey, vkeys))
    except CounterfoilError as error:
        raise ValueError(f"vkeys has one that is no verifier key: {error}") from error


def _resource(agent: str | None, version: str | None) -> dict[str, Any]:
    """The program's resource; the agent is its service where nobody named one."""
    resource = dict(provider_resource())
    if agent is not None and str(resource.get("service.name", "unknown_service")).startswith("unknown_service"):
        resource["service.name"] = agent
        if version is not None:
            resource.setdefault("service.version", version)
    return resource


def _agent(agent: str | None, version: str | None) -> dict[str, Fact]:
    named = {"gen_ai.agent.name": agent, "gen_ai.agent.version": version}
    return {name: value for name, value in named.items() if value is not None}


def _spool_root(spool: str | os.PathLike[str] | bool | None, destination: Destination) -> Path | None:
    if spool is None or spool is False:
        return None
    if spool is not True:
        return Path(spool) / destination.fingerprint()
    try:
        return default_root() / destination.fingerprint()
    except RuntimeError:
        complaints.note("no_spool", "there is no home directory: nothing is spooled")
        return None
