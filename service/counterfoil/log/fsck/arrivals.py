"""Arrivals: each points to the record that it says it became (RECORD 8, attack 13).

An arrival is a row (trace, span, mac) -> `seq`, `parts`. Its record must exist, carry this trace and span, and be the
first part of its item, with the other parts behind it. The number of rows is compared with the number of records that
came from producers: a row that was taken away would let a retry make a second record.

The leaf is not parsed for it. In canonical JSON the leaf's own `span_id` has a comma before it and its own `trace_id` a
comma behind it; where the same names stand in `of` or `links` they begin and end their object.
"""

from collections.abc import Iterator
from itertools import islice

from sqlalchemy import Connection, Row, select

from counterfoil.log.fsck.collector import Collector
from counterfoil.log.fsck.job import ArrivalsJob, Counts, Result
from counterfoil.log.records import read_leaf
from counterfoil.log.tables import arrivals, records
from counterfoil.store.bulk import select_each
from counterfoil.store.columns import as_bytes
from counterfoil.store.database import Database

_AUDIT = b',"source":"otlp:audit"'
_FROM_PRODUCER = b',"source":"otlp:'
"""Only such records must have an arrival; what a person or the service writes may have none."""

BLOCK = 2048
"""Arrivals looked at together, in the order of their records."""


def check_arrivals(job: ArrivalsJob, ledger: Database) -> Result:
    """Check one part of a log's arrivals in one snapshot."""
    found, counts = Collector(job.log.origin), Counts()
    with ledger.read() as conn:
        rows = _rows(conn, job)
        while block := list(islice(rows, BLOCK)):
            # In order of `seq`, so that leaves on one page are read together.
            block.sort(key=lambda row: int(row.seq))
            wanted = [(job.log.id, row.seq) for row in block]
            leaves = select_each(conn, records, ("log_id", "seq"), ("leaf",), wanted)
            for row, leaf in zip(block, leaves, strict=True):
                data = None if leaf is None else as_bytes(leaf[0])
                # Beyond the first snapshot lies what arrived while this check was running: it is there by now.
                last = row.seq + row.parts - 1
                complete = last < job.log.size or read_leaf(conn, job.log.id, last) is not None
                fault = _fault(row, data) if complete else _not_there(row)
                if fault is not None:
                    found.add("arrival_misdirected", fault, seq=row.seq, attack=13)
                elif data is not None and row.seq < job.log.size and _FROM_PRODUCER in data:
                    counts.arrivals += 1
    return Result(list(found.drain()), counts)


def _not_there(row: Row[bytes, bytes, int, int]) -> str:
    return f"an arrival points to records {row.seq} to {row.seq + row.parts - 1}, which are not all there"


def _fault(row: Row[bytes, bytes, int, int], leaf: bytes | None) -> str | None:
    if leaf is None:
        return _not_there(row)
    if not _carries(leaf, b',"span_id":"%b"', b',"span_id":"', row.span_id):
        return "an arrival points to a record of another span"
    if not _carries(leaf, b'"trace_id":"%b",', b'"trace_id":"', row.trace_id):
        return "an arrival points to a record of another trace"
    return None


def _carries(leaf: bytes, form: bytes, name: bytes, value: bytes) -> bool:
    if value:
        return form % value.hex().encode() in leaf
    # A log event outside any trace: the leaf has no such key of its own. (In `of` or `links` it would be another's.) An
    # audit record is filed by its id alone, whatever trace it belongs to.
    return name not in leaf or b'"of":' in leaf or b'"links":' in leaf or _AUDIT in leaf


def split_traces(parts: int) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield bounds that cut all trace ids (and the empty one) into up to 256 parts of about the same size."""
    bounds = [b"", *(bytes([256 * part // parts]) for part in range(1, parts))]
    for part, low in enumerate(bounds):
        yield low, bounds[part + 1] if part + 1 < len(bounds) else None


def _rows(conn: Connection, job: ArrivalsJob) -> Iterator[Row[bytes, bytes, int, int]]:
    query = select(arrivals.c.trace_id, arrivals.c.span_id, arrivals.c.seq, arrivals.c.parts).where(
        arrivals.c.log_id == job.log.id, arrivals.c.trace_id >= job.low
    )
    if job.high is not None:
        query = query.where(arrivals.c.trace_id < job.high)
    yield from conn.execute(query, execution_options={"yield_per": BLOCK})
