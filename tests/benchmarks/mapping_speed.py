"""How long decode and map take for a span: `python tests/benchmarks/mapping_speed.py`.

GenAI spans of about 1.5 kB with 25 attributes, a third of them carrying a decision, 512 to a request, in protobuf and
JSON. Prints CPU microseconds a span, the best and the median of several runs.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from counterfoil.mapping.decode import JSON, PROTOBUF, decode_traces
from counterfoil.mapping.decode_json import parse_body
from counterfoil.mapping.map import map_traces
from counterfoil.mapping.restore import restore_item

SPANS = 512
RUNS = 15
_WORDS = (
    "refund",
    "order",
    "late",
    "window",
    "policy",
    "customer",
    "asked",
    "bank",
    "card",
    "check",
    "open",
    "ticket",
    "agent",
    "reply",
    "amount",
    "days",
    "item",
)


def _prose(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(_WORDS, k=words))


def _attributes(rng: random.Random, number: int) -> dict[str, str | int | float]:
    """25 attributes of a model call, or of a decision."""
    common: dict[str, str | int | float] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.response.id": f"chatcmpl-{rng.getrandbits(96):024x}",
        "gen_ai.conversation.id": f"conv-{number // 8:x}",
        "gen_ai.agent.name": "refunds",
        "gen_ai.agent.id": "refunds-1",
        "gen_ai.agent.version": "2.3.1",
        "gen_ai.usage.input_tokens": rng.randrange(50, 4000),
        "gen_ai.usage.output_tokens": rng.randrange(5, 500),
        "user.id": f"cust-{rng.randrange(10**6)}",
        "server.address": "api.example.com",
        "gen_ai.output.type": "text",
        "gen_ai.input.messages": json.dumps(
            [{"role": "user", "parts": [{"type": "text", "content": _prose(rng, 35)}]}]
        ),
    }
    if number % 3 == 0:
        return common | {
            "counterfoil.decision.id": f"d-{rng.getrandbits(64):016x}",
            "counterfoil.decision.type": "refund",
            "counterfoil.decision.outcome": "deny",
            "counterfoil.decision.risk": "medium",
            "counterfoil.decision.autonomy": "autonomous",
            "counterfoil.decision.confidence": 0.65,
            "counterfoil.decision.policy.id": "R-12",
            "counterfoil.decision.rationale": _prose(rng, 25),
            "counterfoil.decision.rationale_source": "model_stated",
            "counterfoil.producer.n": number,
        }
    return common | {
        "gen_ai.output.messages": json.dumps(
            [{"role": "assistant", "parts": [{"type": "text", "content": _prose(rng, 20)}]}]
        ),
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.request.top_p": 0.95,
        "gen_ai.tool.definitions": json.dumps([{"type": "function", "name": "lookup_order"}]),
        "http.response.status_code": 200,
        "deployment.environment.name": "production",
        "thread.name": "worker-3",
        "code.function.name": "answer",
        "counterfoil.producer.n": number,
    }


def make_request(spans: int = SPANS, seed: int = 7) -> Any:
    """An ExportTraceServiceRequest of one service."""
    rng = random.Random(seed)
    request = ExportTraceServiceRequest()
    outer = request.resource_spans.add()
    for key, text in (("service.name", "cx-agent"), ("service.version", "1.0.0"), ("counterfoil.producer.id", "p-1")):
        outer.resource.attributes.add(key=key).value.string_value = text
    inner = outer.scope_spans.add()
    inner.scope.name, inner.scope.version = "opentelemetry.instrumentation.openai", "2.1"
    start = 1_795_330_853_745_386_663
    for number in range(spans):
        span = inner.spans.add(
            trace_id=rng.randbytes(16),
            span_id=rng.randbytes(8),
            parent_span_id=rng.randbytes(8),
            name="chat gpt-4o-mini",
            kind=3,
            flags=256,
            start_time_unix_nano=start + number * 1_000_003,
            end_time_unix_nano=start + number * 1_000_003 + 700_000_000,
        )
        span.status.SetInParent()
        for key, given in _attributes(rng, number).items():
            value = span.attributes.add(key=key).value
            if isinstance(given, str):
                value.string_value = given
            elif isinstance(given, int):
                value.int_value = given
            else:
                value.double_value = given
    return request


def as_json(body: bytes) -> bytes:
    """The same request as OTLP/JSON."""
    whole: dict[str, Any] | None = None
    for item in map_traces(decode_traces(body, PROTOBUF)).items:
        parts = []
        for draft in item.drafts:
            leaf = draft.facts | {"source": draft.source}
            if draft.interaction_id is not None:
                leaf["interaction"] = leaf.get("interaction", {}) | {"id": draft.interaction_id}
            parts.append((leaf, orjson.loads(orjson.dumps(dict(draft.fields)))))
        one = restore_item(parts)
        if whole is None:
            whole = one
        else:
            whole["resourceSpans"][0]["scopeSpans"][0]["spans"] += one["resourceSpans"][0]["scopeSpans"][0]["spans"]
    return orjson.dumps(whole)


def walk_only(decoded: Any) -> int:
    """What no Python decoder can avoid: read each attribute's key and string (and so how busy the machine is)."""
    total = 0
    for group in decoded.groups:
        for span in group.items:
            for pair in span.attributes:
                total += len(pair.key) + len(pair.value.string_value)
    return total


def measure(work: Callable[[], object]) -> tuple[float, float]:
    """CPU microseconds a span: best and median."""
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        times.append((time.process_time() - start) / SPANS * 1e6)
    return min(times), statistics.median(times)


def main() -> None:
    """Print the table."""
    request = make_request()
    body = request.SerializeToString()
    json_body = as_json(body)
    spans = request.resource_spans[0].scope_spans[0].spans
    decoded = decode_traces(body, PROTOBUF)
    lines = [
        f"{SPANS} spans, {len(body) / SPANS:.0f} bytes and {len(spans[0].attributes)} attributes each; CPU us/span"
    ]
    for label, work in (
        ("protobuf: decode", lambda: decode_traces(body, PROTOBUF)),
        ("protobuf: bare walk", lambda: walk_only(decoded)),
        ("protobuf: map", lambda: map_traces(decoded)),
        ("protobuf: decode + map", lambda: map_traces(decode_traces(body, PROTOBUF))),
        ("JSON: parse + duplicate keys", lambda: parse_body(json_body)),
        ("JSON: decode", lambda: decode_traces(json_body, JSON)),
        ("JSON: decode + map", lambda: map_traces(decode_traces(json_body, JSON))),
    ):
        best, median = measure(work)
        lines.append(f"{label:30} best {best:6.1f}   median {median:6.1f}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
