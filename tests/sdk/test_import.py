"""Importing has no effect; an existing OpenTelemetry set-up is kept; without one, one is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.sdk.programs import environment, run
from tests.sdk.reading import Reader
from tests.service.running import RunningService


def test_importing_starts_nothing_and_sets_nothing(tmp_path: Path) -> None:
    out = run(
        """
        import atexit, json, logging, os, signal, threading
        from opentelemetry import _logs, trace
        before = (len(threading.enumerate()), atexit._ncallbacks(), signal.getsignal(signal.SIGTERM), dict(os.environ))
        import counterfoil.sdk
        after = (len(threading.enumerate()), atexit._ncallbacks(), signal.getsignal(signal.SIGTERM), dict(os.environ))
        print(json.dumps([
            before[0] == after[0],
            before[2:] == after[2:],
            type(trace.get_tracer_provider()).__name__,
            logging.getLogger("counterfoil").handlers,
            counterfoil.sdk.status(),
        ]))
        """,
        environment(None, tmp_path),
    )
    assert json.loads(out) == [True, True, "ProxyTracerProvider", [], {}]
    assert list(tmp_path.iterdir()) == []


def test_it_imports_with_the_sdk_extra_alone(tmp_path: Path) -> None:
    """None of the server's dependencies is loaded, and none of the server's rooms."""
    out = run(
        """
        import json, sys
        import counterfoil.sdk
        print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
        print(json.dumps(sorted(name for name in sys.modules if name.startswith("counterfoil."))))
        """,
        environment(None, tmp_path),
    )
    packages, rooms = map(json.loads, out.splitlines())
    assert not {"fastapi", "pydantic", "sqlalchemy", "orjson", "click", "grpc", "uvicorn", "pytest"} & set(packages)
    assert {name.split(".")[1] for name in rooms} == {"core", "sdk"}


def test_without_a_set_up_spans_of_instrumentations_are_exported_too(
    shared_service: RunningService, reader: Reader, tmp_path: Path
) -> None:
    run(
        """
        import counterfoil.sdk as counterfoil
        from opentelemetry import trace

        counterfoil.configure(agent="refunds", version="2")
        tracer = trace.get_tracer("framework")
        with counterfoil.interaction("conv-alone"), tracer.start_as_current_span("invoke_agent refunds"):
            with counterfoil.decision("refund") as d:
                d.choose("deny")
        """,
        environment(shared_service, tmp_path),
    )
    agent_run, decision = sorted_by_kind(reader, "conv-alone")
    assert agent_run["span_id"] == decision["span_id"]
    assert agent_run["agent"] == {"name": "refunds", "version": "2"}


def sorted_by_kind(reader: Reader, interaction: str) -> list[dict[str, object]]:
    return sorted(reader.leaves(2, interaction=interaction), key=lambda leaf: str(leaf["kind"]))


def test_an_existing_set_up_is_kept_and_its_spans_join_the_interaction(
    shared_service: RunningService, reader: Reader, tmp_path: Path
) -> None:
    out = run(
        """
        import json
        import counterfoil.sdk as counterfoil
        from opentelemetry import trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        mine, kept = TracerProvider(resource=Resource({"service.name": "shop"})), InMemorySpanExporter()
        mine.add_span_processor(SimpleSpanProcessor(kept))
        trace.set_tracer_provider(mine)
        counterfoil.configure(agent="refunds")
        counterfoil.configure(agent="refunds")
        assert trace.get_tracer_provider() is mine
        with counterfoil.interaction("conv-kept", subject="cust-1"):
            with mine.get_tracer("shop").start_as_current_span("checkout") as span, counterfoil.decision("refund") as d:
                d.choose("deny")
        (done,) = kept.get_finished_spans()
        print(json.dumps([dict(done.attributes), f"{span.get_span_context().span_id:016x}"]))
        """,
        environment(shared_service, tmp_path),
    )
    attributes, span_id = json.loads(out)
    assert attributes == {"counterfoil.interaction.id": "conv-kept", "counterfoil.subject.id": "cust-1"}
    (leaf,) = reader.leaves(1, interaction="conv-kept")
    assert leaf["span_id"] == span_id
    assert leaf["agent"] == {"name": "refunds"}
    resource = reader.content(leaf["seq"])["resource"]
    assert {pair["key"]: pair["value"].get("stringValue") for pair in resource["attributes"]}["service.name"] == "shop"


def test_switched_off_it_does_nothing(tmp_path: Path) -> None:
    run(
        """
        import threading
        import counterfoil.sdk as counterfoil

        counterfoil.configure(agent="refunds")
        with counterfoil.decision("refund") as d:
            d.choose("deny")
        assert threading.active_count() == 1
        try:
            with counterfoil.decision("refund", durable=True) as d:
                d.choose("deny")
        except counterfoil.NotRecorded:
            print("fine")
        """,
        environment(None, tmp_path) | {"OTEL_SDK_DISABLED": "true"},
    )


def test_the_pytest_fixture_works_in_a_project_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["counterfoil.sdk.pytest_plugin"]\n')
    (tmp_path / "test_agent.py").write_text(
        """
import pytest
import counterfoil.sdk as counterfoil
from counterfoil.sdk.pytest_plugin import Misuse

counterfoil.configure(agent="refunds", spool=None, spans=False, shutdown_timeout_s=0.1)

def decide(days, risk="low"):
    with counterfoil.decision("refund", risk=risk) as d:
        d.choose("deny" if days > 30 else "approve")

def test_records(counterfoil_records):
    counterfoil.configure(agent="refunds", capture={"rationale"})
    decide(41)
    assert counterfoil_records.decisions[0]["outcome"] == "deny"
    assert counterfoil_records.decisions[0]["gen_ai.agent.name"] == "refunds"
    assert len(counterfoil_records) == 1
    counterfoil.shutdown()
    decide(1)
    assert [record["outcome"] for record in counterfoil_records] == ["deny", "approve"]
    counterfoil_records.clear()
    assert counterfoil_records.all == []

def test_mistakes_are_raised(counterfoil_records):
    with pytest.raises(Misuse):
        decide(41, risk="enormous")

def test_outside_of_the_fixture_they_are_not():
    decide(41, risk="enormous")
"""
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        env=environment(None, tmp_path) | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
