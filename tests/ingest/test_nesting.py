"""A value as deep as RECORD 9 allows is kept, and opens again: whatever holds it, in either encoding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from counterfoil.ingest.media import Encoding
from counterfoil.ingest.signal import Signal
from counterfoil.log.initialise import open_logs
from tests.fuzz.target import Input, Target, run
from tests.ingest.spans import otlp_json, traces
from tests.service.running import LOG, check_ledger_clean, make_directory

DEEPEST = 31
"""The attribute's own value is the first of the 32."""


def holders(request: Any) -> dict[str, Any]:
    group = request.resource_spans[0]
    span = group.scope_spans[0].spans[0]
    event = span.events.add(name="deep")
    link = span.links.add(trace_id=b"t" * 16, span_id=b"s" * 8)
    return {"resource": group.resource, "scope": group.scope_spans[0].scope, "span": span, "event": event, "link": link}


def nested(where: str, kind: str, depth: int) -> Any:
    request = traces(f"{where} {kind} {depth}")
    value = holders(request)[where].attributes.add(key="deep").value
    for _ in range(depth):
        value = value.array_value.values.add() if kind == "array" else value.kvlist_value.values.add(key="k").value
    value.string_value = "x"
    return request


@pytest.mark.parametrize("encoding", list(Encoding))
def test_the_deepest_lawful_value_is_kept_and_opens_again(tmp_path: Path, encoding: Encoding) -> None:
    made = make_directory(tmp_path / "audit")
    logs = open_logs(made.directory)
    target = Target(logs, next(log.id for log in logs.all() if log.name == LOG))
    answers: dict[int, set[str]] = {DEEPEST: set(), DEEPEST + 1: set()}
    for where in ("resource", "scope", "span", "event", "link"):
        for kind in ("array", "kvlist"):
            for depth, codes in answers.items():
                request = nested(where, kind, depth)
                body = request.SerializeToString() if encoding is Encoding.PROTOBUF else otlp_json(request)
                (answer,) = run(target, [Input(Signal.TRACES, encoding, "identity", body)])
                codes.add(getattr(answer, "code", "kept"))
    target.close()
    logs.close()
    assert answers == {DEEPEST: {"kept"}, DEEPEST + 1: {"nesting_too_deep"}}
    check_ledger_clean(made)
