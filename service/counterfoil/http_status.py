"""The one table from an error code to its HTTP status, for our own API (`problems`) and for OTLP (`ingest.status`).

It stands apart from both because commands that answer nobody over HTTP know the codes too, and need no web framework.
"""

from __future__ import annotations

from typing import Final

STATUS_OF_CODE: Final = {
    "not_found": 404,
    "conflict": 409,
    "idempotency_conflict": 409,
    "too_large": 413,
    "busy": 429,
    "log_rolled_back": 503,
    "signed_head_contradicted": 503,
    "head_contradicted": 503,
    "head_store_behind": 503,
    "clock_behind": 503,
    "storage_unavailable": 503,
    "unauthenticated": 401,
    "forbidden": 403,
}
"""Codes of InputError and Fault that are not 400 and 500. Everything that may be tried again is 429 or 503."""
