"""OTLP over HTTP and gRPC: what agents send, checked, mapped and handed to the log; the answer leaves after the commit.

    POST /v1/traces  /v1/logs  /v1/metrics        OTLP specification 1.11, sections "OTLP/HTTP"
    TraceService, LogsService, MetricsService     the same, "OTLP/gRPC" (`rpc`)
    POST /v1/audit                                the draft audit signal (`audit`)

The rules it keeps: success means committed; what is refused for good is named, answered as partial success and recorded
in the log as `refusal`; what can be tried again is 429 or 503 with Retry-After (gRPC: RetryInfo), never 500; every 4xx
and 5xx body is a `google.rpc.Status` in the encoding of the request. All limits are in `limits`.
"""
