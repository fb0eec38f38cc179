"""A numbering agent as a process: a plain OpenTelemetry SDK, its own OTLP/HTTP exporter, and a network that drops.

    python agent.py NAME SEED DROP_PERCENT COUNT [declare] [end]

Spans are numbered from 0 by a processor. A batch of five is exported or, by a seeded draw, dropped on the way. Standard
output says what became of each batch, the truth that a verdict is compared with: `sending 5 9` before, `sent 5 9` or
`dropped 5 9` after. With `declare` every second dropped batch is declared lost; with `end` the producer closes.
COUNT 0 goes on until it is killed.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

BATCH = 5


class Numbering(SpanProcessor):
    """Numbers every span, and exports five at once, or loses them."""

    def __init__(self, seed: int, drop_percent: int) -> None:
        self._exporter = OTLPSpanExporter()
        self._random = random.Random(seed)
        self._drop_percent = drop_percent
        self._next = 0
        self._waiting: list[ReadableSpan] = []
        self.dropped: list[tuple[int, int]] = []

    @property
    def given(self) -> int:
        return self._next

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        del parent_context
        span.set_attribute("counterfoil.producer.n", self._next)
        self._next += 1

    def on_end(self, span: ReadableSpan) -> None:
        self._waiting.append(span)
        if len(self._waiting) == BATCH:
            self.flush(lossy=True)

    def flush(self, *, lossy: bool) -> None:
        spans, self._waiting = self._waiting, []
        if not spans:
            return
        first, last = _number(spans[0]), _number(spans[-1])
        print("sending", first, last, flush=True)
        if lossy and self._random.randrange(100) < self._drop_percent:
            self.dropped.append((first, last))
            print("dropped", first, last, flush=True)
            return
        if self._exporter.export(spans) is not SpanExportResult.SUCCESS:
            raise SystemExit("the service did not take a batch")
        print("sent", first, last, flush=True)


def _number(span: ReadableSpan) -> int:
    number = (span.attributes or {})["counterfoil.producer.n"]
    assert isinstance(number, int)
    return number


def main(arguments: Sequence[str]) -> None:
    name, seed, drop_percent, count, *more = arguments
    numbering = Numbering(int(seed), int(drop_percent))
    resource = Resource({"service.name": "refunds", "counterfoil.producer.id": name})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(numbering)
    tracer = provider.get_tracer("agent")
    while numbering.given < int(count) or not int(count):
        with tracer.start_as_current_span("invoke_agent refunds"):
            time.sleep(0.002)
    with tracer.start_as_current_span("producer") as span:
        if "declare" in more:
            for first, last in numbering.dropped[::2]:
                _declare(span, {"event": "loss", "from": first, "to": last, "count": last - first + 1})
        if "end" in more:
            _declare(span, {"event": "end", "last": numbering.given - 1})
    numbering.flush(lossy=False)


def _declare(span: object, facts: dict[str, str | int]) -> None:
    assert isinstance(span, Span)
    attributes = {f"counterfoil.producer.{key}": value for key, value in facts.items()}
    span.add_event("counterfoil.producer", attributes)


if __name__ == "__main__":
    main(sys.argv[1:])
