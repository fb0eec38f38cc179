"""Whether a promise or a receipt is one (RECORD 6): what `durable` waits for.

A promise is a signed note. With the log's verifier key configured its signature is checked and its origin is that
key's; without, only its form. A receipt is a C2SP tlog-proof: its checkpoint is opened with the key, and the leaf that
the promise names is proved to be in its tree.
"""

from __future__ import annotations

import binascii
import json
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from counterfoil.core.checkpoint import open_checkpoint, parse_checkpoint
from counterfoil.core.encoding import decode_base64
from counterfoil.core.errors import CounterfoilError, EvidenceError
from counterfoil.core.merkle import check_inclusion
from counterfoil.core.note import VerifierKey, parse_note
from counterfoil.core.promise import Promise, open_promise, parse_promise
from counterfoil.core.proof import parse_proof
from counterfoil.sdk.connection import Connection, Unreachable
from counterfoil.sdk.delivery import RETRYABLE, retry_after_s
from counterfoil.sdk.destination import Destination
from counterfoil.sdk.not_recorded import NotRecorded

MAX_PROMISE_CHARS = 16_384
POLL_S = 0.25


def read_promise(header: str, keys: Sequence[VerifierKey]) -> bytes:
    """The note of a `counterfoil-promise` header. NotRecorded where it is no promise."""
    if not header:
        raise NotRecorded("the service gave no promise")
    if len(header) > MAX_PROMISE_CHARS:
        raise NotRecorded("the promise is over the limit of its size")
    try:
        note = decode_base64(header)
        open_note(note, keys)
    except (CounterfoilError, binascii.Error) as error:
        raise NotRecorded(f"the promise does not check: {error}") from error
    return note


def open_note(note: bytes, keys: Sequence[VerifierKey]) -> Promise:
    """The promise of a note: verified where there are keys, else of the right form. EvidenceError."""
    return open_promise(note, keys) if keys else parse_promise(parse_note(note)[0])


def check_receipt(proof: bytes, seq: int, origin: str, promise: Promise, keys: Sequence[VerifierKey]) -> None:
    """That a tlog-proof is of record `seq`; of the promise's highest record, that its leaf is in the tree."""
    parsed = parse_proof(proof)
    if origin != promise.origin or parsed.index != seq or not promise.covers(seq):
        raise EvidenceError("proof", "the receipt is of another record than the promise")
    checkpoint = (
        open_checkpoint(parsed.checkpoint, origin, keys)[0]
        if keys
        else parse_checkpoint(parse_note(parsed.checkpoint)[0])
    )
    if checkpoint.origin != origin or checkpoint.size <= seq:
        raise EvidenceError("proof", "the receipt's checkpoint does not cover the record")
    if seq == promise.ranges[-1][1]:
        check_inclusion(promise.leaf_hash, seq, checkpoint.size, parsed.hashes, checkpoint.root)


def fetch_receipts(
    connection: Connection,
    destination: Destination,
    keys: Sequence[VerifierKey],
    note: bytes,
    trace_id: str,
    span_id: str,
    deadline: float,
) -> list[bytes]:
    """The receipts of the promised records of a span, once a checkpoint covers them. NotRecorded at the deadline."""
    promise = open_note(note, keys)
    query = urlencode({"trace_id": trace_id} | ({"span_id": span_id} if span_id else {}))
    path = f"{destination.receipts_path()}?{query}"
    reason = "no checkpoint covered the record in time"
    while (left := deadline - time.monotonic()) > 0:
        wait_s = POLL_S
        try:
            answer = connection.request("GET", path, None, {"Accept": "application/json"}, left)
        except Unreachable as error:
            reason = f"no receipt: {error}"
        else:
            if answer.status in (200, 202) and (found := _receipts(answer.body, promise, keys)):
                return found
            if answer.status not in (200, 202, *RETRYABLE):
                raise NotRecorded(f"no receipt: status {answer.status}")
            wait_s = min(retry_after_s(answer.headers) or POLL_S, 1.0)
        time.sleep(max(0.0, min(wait_s, deadline - time.monotonic())))
    raise NotRecorded(reason)


def _receipts(body: bytes, promise: Promise, keys: Sequence[VerifierKey]) -> list[bytes]:
    """The receipts of promised records, checked; none while one of them is pending."""
    try:
        answer: Any = json.loads(body)
        pending = [item for item in answer["pending"] if item["origin"] == promise.origin]
        if any(promise.covers(int(item["seq"])) for item in pending):
            return []
        found = []
        for item in answer["items"]:
            seq = int(item["seq"])
            if item["origin"] == promise.origin and promise.covers(seq):
                proof = str(item["proof"]).encode()
                check_receipt(proof, seq, promise.origin, promise, keys)
                found.append(proof)
    except (CounterfoilError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise NotRecorded(f"the receipt does not check: {error}") from error
    return found
