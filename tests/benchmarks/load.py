"""The load: GenAI spans of about 1.5 kB with 25 attributes, a third carrying a decision, in gzip batches of 512.

Batches are made and serialised before any clock starts. A few templates are filled with words; then only ids and times
are replaced, so that a million spans cost seconds to make and no two are the same.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from random import Random

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

SPANS_A_BATCH = 512
SPANS_A_TRACE = 12
TEMPLATES = 8
START_NS = 1_790_000_000_000_000_000

# fmt: off
WORDS = (
    "refund", "order", "customer", "policy", "window", "defect", "warranty", "repair", "card", "account", "balance",
    "invoice", "contract", "offer", "discount", "agent", "supervisor", "verify", "identity", "address", "delivery",
    "parcel", "return", "label", "voucher", "credit", "complaint", "escalate", "approve", "deny", "review",
    "threshold", "confidence", "evidence", "reason", "because", "within", "outside", "thirty", "days", "bought",
    "received", "damaged",
)
# fmt: on
OUTCOMES = ("approve", "deny", "escalate", "block", "release")
AGENTS = ("refunds", "triage", "fraud-check", "cancellations", "billing", "delivery")
MODELS = ("gpt-5-mini", "mistral-small-3", "claude-haiku-5")


def batches(spans: int, seed: int = 1) -> Iterator[bytes]:
    """Yield gzip-compressed `ExportTraceServiceRequest` bytes of 512 spans each, `spans` in all (rounded up)."""
    random = Random(seed)
    templates = [_template(random) for _ in range(TEMPLATES)]
    for number in range(-(-spans // SPANS_A_BATCH)):
        request = templates[number % TEMPLATES]
        now_ns = START_NS + number * SPANS_A_BATCH * 1_000_000
        trace_id = parent_id = b""
        conversation = user = ""
        for position, span in enumerate(request.resource_spans[0].scope_spans[0].spans):
            if position % SPANS_A_TRACE == 0:
                trace_id, parent_id = random.randbytes(16), b""
                conversation, user = f"conv-{random.getrandbits(40):010x}", f"user-{random.randrange(100_000)}"
            span.trace_id, span.span_id, span.parent_span_id = trace_id, random.randbytes(8), parent_id
            parent_id = parent_id or span.span_id
            span.start_time_unix_nano = now_ns + position * 1_000_000
            span.end_time_unix_nano = span.start_time_unix_nano + 700_000
            span.attributes[0].value.string_value = conversation
            span.attributes[1].value.string_value = user
        compressor = zlib.compressobj(1, wbits=31)
        yield compressor.compress(request.SerializeToString()) + compressor.flush()


def span_bytes(seed: int = 1) -> float:
    """Mean size in bytes of one span of the load as protobuf."""
    request = _template(Random(seed))
    return request.ByteSize() / SPANS_A_BATCH


def _template(random: Random) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    for key, value in {
        "service.name": "bench-agents",
        "service.version": "1.4.2",
        "deployment.environment.name": "bench",
        "host.name": "node-7",
    }.items():
        resource_spans.resource.attributes.append(_text(key, value))
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name, scope_spans.scope.version = "bench.instrumentation", "0.9.1"
    for position in range(SPANS_A_BATCH):
        _fill(scope_spans.spans.add(), position, random)
    return request


def _fill(span: Span, position: int, random: Random) -> None:
    """25 attributes; every third span carries a decision, every twelfth is the agent, the others call model or tool."""
    agent, model = random.choice(AGENTS), random.choice(MODELS)
    facts: dict[str, str | int | float] = {
        "gen_ai.conversation.id": "",
        "user.id": "",
        "gen_ai.agent.name": agent,
        "gen_ai.agent.id": f"{agent}-{random.randrange(8)}",
        "gen_ai.agent.version": "2.3.1",
        "gen_ai.provider.name": "openai",
        "counterfoil.interaction.channel": random.choice(("chat", "voice")),
        "counterfoil.interaction.region": random.choice(("eu-west-1", "us-east-1")),
    }
    if position % SPANS_A_TRACE == 0:
        span.name = f"invoke_agent {agent}"
        facts["gen_ai.operation.name"] = "invoke_agent"
    elif position % 4 == 3:
        span.name = "execute_tool orders.lookup"
        facts |= {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "orders.lookup",
            "gen_ai.tool.call.id": f"call_{random.getrandbits(32):08x}",
            "gen_ai.tool.call.arguments": json.dumps({"order": random.randrange(9999)}),
            "gen_ai.tool.call.result": json.dumps({"note": _words(random, 30)}),
        }
    else:
        span.name = f"chat {model}"
        facts |= {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": model,
            "gen_ai.response.model": model,
            "gen_ai.request.temperature": 0.2,
            "gen_ai.usage.input_tokens": random.randrange(100, 4000),
            "gen_ai.usage.output_tokens": random.randrange(10, 400),
            "gen_ai.input.messages": _message("user", _words(random, 40)),
            "gen_ai.output.messages": _message("assistant", _words(random, 25)),
        }
    if position % 3 == 1:
        facts |= {
            "counterfoil.decision.id": f"d-{random.getrandbits(40):010x}",
            "counterfoil.decision.type": random.choice(("refund", "routing", "card_block")),
            "counterfoil.decision.outcome": random.choice(OUTCOMES),
            "counterfoil.decision.rationale": _words(random, 25),
            "counterfoil.decision.risk": random.choice(("low", "medium", "high")),
            "counterfoil.decision.confidence": f"0.{random.randrange(10, 99)}",
            "counterfoil.decision.autonomy": "autonomous",
        }
    for number in range(25 - len(facts)):
        facts[f"app.detail.{number}"] = _words(random, 4)
    span.kind = Span.SPAN_KIND_INTERNAL
    for key, value in facts.items():
        span.attributes.append(_text(key, value))
    if random.random() < 0.03:
        span.status.code = 2


def _message(role: str, text: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


def _words(random: Random, count: int) -> str:
    return " ".join(random.choices(WORDS, k=count))


def _text(key: str, value: str | int | float) -> KeyValue:
    attribute = KeyValue(key=key)
    if isinstance(value, str):
        attribute.value.string_value = value
    elif isinstance(value, int):
        attribute.value.int_value = value
    else:
        attribute.value.double_value = value
    return attribute
