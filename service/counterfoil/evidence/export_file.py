"""`counterfoil export`: one bundle from a directory into a file, beside a running service or without one.

It reads one snapshot, appends its records by the normal append path, verifies the bundle before the file gets its
name, and never overwrites a file that is there.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from counterfoil.core.encoding import encode_base64
from counterfoil.core.errors import InputError
from counterfoil.evidence.bundle import Progress, no_progress
from counterfoil.evidence.produce import Producer, start_workers
from counterfoil.evidence.request import RANGE, parse_request
from counterfoil.evidence.trace import Asker, record_release, record_request
from counterfoil.log.batch import LogInfo
from counterfoil.log.logs import Logs
from counterfoil.log.records import head
from counterfoil.trails.stores import Stores

OPERATOR = Asker(None, "command line", "operator")
CHECKPOINT_WAIT_S = 3.0
"""A running service publishes within a second; without one, the newest checkpoint is as new as it gets."""


def export_to_file(
    logs: Logs,
    log: LogInfo,
    out: Path,
    *,
    purpose: str,
    form: str = RANGE,
    filters: Mapping[str, str | Sequence[str]] | None = None,
    seqs: Sequence[int] | None = None,
    content: Any = "all",
    redactions: Sequence[Mapping[str, Any]] = (),
    since: bytes | None = None,
    progress: Progress = no_progress,
    rollback_visible: bool = False,
    stores: Stores | None = None,
) -> dict[str, Any]:
    """Write the bundle to `out`; facts about it for printing.

    Raises InputError for a request that cannot be answered or a file that is there already, EvidenceError where the
    store is damaged, NotVerified where the finished bundle does not verify. Nothing is left at `out` then.
    """
    if out.exists():
        raise InputError("file_exists", f"{out} is there already; choose another name", item="out")
    if not out.parent.is_dir():
        raise InputError("no_directory", f"{out.parent} is not a directory", item="out")
    given: dict[str, Any] = {"log": log.name, "form": form, "filter": dict(filters or {}), "purpose": purpose}
    given |= {"content": content, "redactions": list(redactions)}
    if seqs is not None:
        given["seqs"] = list(seqs)
    if since is not None:
        given["since"] = encode_base64(since)
    producer = Producer(logs, rollback_visible=rollback_visible, stores=stores)
    request = producer.localise(log, parse_request(given))
    with logs.ledger.read() as connection:
        size = head(connection, log.id).size
    # Before anything is appended: appending starts threads, and then processes could no longer be forked.
    with start_workers(size) as workers:
        producer.await_checkpoint(log, CHECKPOINT_WAIT_S)
        export_id = f"exp_{secrets.token_hex(16)}"
        requested_us = logs.clock.now_us()
        record_request(logs, log, OPERATOR, export_id, request)
        released = producer.produce(
            out,
            log,
            request,
            OPERATOR,
            export_id=export_id,
            requested_us=requested_us,
            progress=progress,
            wait_s=0.0,
            workers=workers,
        )
    record_release(logs, log, export_id, request, released)
    return {
        "bundle": str(released.path),
        "records": released.count,
        "size": released.size,
        "sha256": released.sha256.hex(),
        "origin": log.origin,
        "tree_size": released.tree_size,
        "root": encode_base64(released.root),
        "export": export_id,
        "verified": "VERIFIED",
    }
