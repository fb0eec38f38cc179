"""Nothing sent is lost: every item of every framework comes back out of the log as it went in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from counterfoil.core.errors import InputError
from counterfoil.mapping.decode import decode_logs, decode_traces
from counterfoil.mapping.map import map_traces
from counterfoil.trails.record import restore_otlp
from tests.trails.site import AGENT_SPANS, Site, event

PROTOBUF = "application/x-protobuf"
TRACES = sorted(path.name.removesuffix(".bin") for path in AGENT_SPANS.glob("*.bin") if ".logs" not in path.name)


def items_of(request: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Every item of a request with its resource and scope, in order."""
    for resource in getattr(request, "resource_spans", None) or request.resource_logs:
        for scope in getattr(resource, "scope_spans", None) or resource.scope_logs:
            for item in getattr(scope, "spans", None) or scope.log_records:
                yield item, resource.resource, scope.scope


def test_every_item_of_every_framework_comes_back_as_the_same_message(site: Site) -> None:
    for name in TRACES:
        sent: dict[bytes, bytes] = {}
        answers = site.send_file(name)
        files: list[tuple[Path, Any, Any]] = [(AGENT_SPANS / f"{name}.bin", ExportTraceServiceRequest, decode_traces)]
        events = AGENT_SPANS / f"{name}.logs.bin"
        if events.exists():
            files.append((events, ExportLogsServiceRequest, decode_logs))
        for (file, message, decode), answer in zip(files, answers, strict=True):
            items = list(items_of(message.FromString(file.read_bytes())))
            assert len(items) == len(answer.seqs)
            for (item, resource, scope), given in zip(items, answer.seqs, strict=True):
                assert given is not None
                for seq in range(given.first, given.last + 1):  # from any part of it
                    request = restore_otlp(site.stores, site.log, seq)
                    (group,) = decode(orjson.dumps(request), "application/json").groups
                    assert group.items[0] == item
                    assert (group.resource, group.scope) == (resource, scope)
                sent[item.SerializeToString()] = b""
        assert sent


def test_a_value_over_the_inline_limit_comes_back_whole(site: Site) -> None:
    request = ExportTraceServiceRequest()
    span = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(
            trace_id=b"\x01" * 16,
            span_id=b"\x02" * 8,
            name="execute_tool big",
            start_time_unix_nano=1,
            end_time_unix_nano=2,
        )
    )
    attribute = span.attributes.add(key="gen_ai.tool.call.result")
    attribute.value.string_value = "long " * 400_000
    body = request.SerializeToString()
    answer = site.send(map_traces(decode_traces(body, PROTOBUF)).items)
    given = answer.seqs[0]
    assert given is not None
    restored = restore_otlp(site.stores, site.log, given.first)
    (group,) = decode_traces(orjson.dumps(restored), "application/json").groups
    assert group.items[0] == span
    shown = site.trails.record(site.principal(), "main", given.first)
    assert any("blob" in content.value for content in shown.content.values() if isinstance(content.value, dict))


def test_an_item_with_content_that_is_gone_is_not_given_out_as_half(site: Site) -> None:
    answer = site.send_file("pydantic_ai_v5_tool_exception")[0]
    given = answer.seqs[0]
    assert given is not None
    with site.attack("ledger") as ledger:
        for (name,) in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            ledger.execute(f"DROP TRIGGER {name}")
        ledger.execute("DELETE FROM contents WHERE log_id = ? AND seq = ?", (site.log.id, given.first))
    with pytest.raises(InputError) as caught:
        restore_otlp(site.stores, site.log, given.first)
    assert caught.value.code == "not_restorable"
    record = site.trails.record(site.principal(), "main", given.first)
    assert {str(content.state) for content in record.content.values()} == {"MISSING"}
    # The trail goes on, and says which words are missing.
    (item,) = site.trails.interactions(site.principal(), []).items
    step = next(step for step in site.trails.trail(site.principal(), item.id).steps if step.seq == given.first)
    assert set(step.states.values()) == {"MISSING"}


def test_a_record_of_our_own_never_came_as_otlp(site: Site) -> None:
    site.send([event(1, "notice")])
    with pytest.raises(InputError) as caught:
        restore_otlp(site.stores, site.log, 0)
    assert caught.value.code == "not_restorable"
