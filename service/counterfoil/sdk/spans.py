"""Spans of frameworks joined to the interaction they belong to.

`configure` adds the processor to the tracer provider that is there. Without one it installs OpenTelemetry's own, with
OpenTelemetry's own exporter, from the same OTEL_* variables, so that what instrumentations report arrives too. An
existing provider is never replaced, and no exporter is added to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

from counterfoil.sdk import context
from counterfoil.sdk.complaints import complaints, describe


class InteractionSpanProcessor(SpanProcessor):
    """Stamps the interaction and the person concerned on every span that starts inside of one.

    provider.add_span_processor(counterfoil.InteractionSpanProcessor())     # a provider made after `configure`
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Stamp a new span."""
        del parent_context  # what counts is where the code runs that starts the span
        scope = context.scope.get()
        if scope is not None and span.is_recording():
            span.set_attributes(scope.attributes)

    def on_end(self, span: ReadableSpan) -> None:
        """Nothing: spans are exported by whoever else is in the provider."""


def provider_resource() -> Mapping[str, Any]:
    """Attributes of the resource that the program's own provider has, else of OTEL_* variables."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        return dict(provider.resource.attributes)
    return dict(Resource.create().attributes)


def join_spans(resource: Mapping[str, Any], *, install: bool) -> None:
    """Add the processor to the tracer provider; `install` one where the program has none."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        _add_once(provider)
    elif install and isinstance(provider, trace.ProxyTracerProvider):
        try:
            made = _make_provider(resource)
        except Exception as error:  # noqa: BLE001 - an exporter that cannot be made must not keep decisions from us
            complaints.note("no_spans", f"spans are not exported: {describe(error)}")
            return
        _add_once(made)
        trace.set_tracer_provider(made)


def _make_provider(resource: Mapping[str, Any]) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource(dict(resource)))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


_joined: set[int] = set()


def _add_once(provider: TracerProvider) -> None:
    if id(provider) not in _joined:
        _joined.add(id(provider))
        provider.add_span_processor(InteractionSpanProcessor())
