"""Lifelike traffic through a real OpenTelemetry SDK, and the whole story told on a fresh directory (`make run`).

`site` sets up one contact centre's exporters, `conversation` is what an instrumented agent would emit, `stories` are
the cases, `run` is the walk from traffic to a caught tamperer. Nothing here reaches into the service: it starts the
same commands and calls the same addresses as anybody would.
"""
