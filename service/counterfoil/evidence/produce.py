"""From a request to a released bundle: which checkpoint, which records, under which policy.

A request is *localised* first: identifiers of people, which only the keystore can relate to a log, become the
pseudonyms that stand in that log's leaves, so that the filter in the bundle can be applied again by anybody and names
nobody.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection

from counterfoil.core.encoding import format_time_us
from counterfoil.core.errors import InputError
from counterfoil.core.filter import Filter
from counterfoil.core.rules import is_token
from counterfoil.evidence.blocks import parse_leaf
from counterfoil.evidence.bundle import BuildSettings, Built, Progress, build_bundle, no_progress
from counterfoil.evidence.policy import bundle_signer, service_policy
from counterfoil.evidence.release import Released, build_and_verify
from counterfoil.evidence.request import MAX_SEQS, SELECTION, ExportRequest
from counterfoil.evidence.run import RunFacts
from counterfoil.evidence.since import open_since
from counterfoil.evidence.snapshot import Snapshot
from counterfoil.evidence.software import running_software
from counterfoil.evidence.trace import Asker
from counterfoil.evidence.verification import NICENESS
from counterfoil.log.batch import LogInfo
from counterfoil.log.checkpoints import latest
from counterfoil.log.logs import Logs
from counterfoil.log.records import head
from counterfoil.trails.query import MAX_LIMIT, Page, Query, parse_query
from counterfoil.trails.search import search
from counterfoil.trails.stores import ReadableLog, Stores
from counterfoil.verify.workers import Workers

CHECKPOINT_WAIT_S = 10.0
"""How long an export waits for the first checkpoint after its request; then it takes the newest there is."""
_POLL_S = 0.02

FORK_RECORDS = 2_000
SPAWN_RECORDS = 20_000
"""Exports from shorter logs are built in this process: starting workers would take longer."""


class Producer:
    """Builds bundles of one service, verified, at a path."""

    def __init__(self, logs: Logs, *, rollback_visible: bool, stores: Stores | None) -> None:
        """`stores` holds the index, which only a selection found by a search needs."""
        self._logs = logs
        self._rollback_visible = rollback_visible
        self._stores = stores

    def localise(self, log: LogInfo, request: ExportRequest) -> ExportRequest:
        """The request with pseudonyms of this log for the identifiers in its filter; InputError where it cannot be."""
        if request.search and self._stores is None:
            raise InputError("no_index", "this service has no index to search; name seqs", item="filter")
        if request.search:
            _query_of(request)
        if request.since is not None:
            open_since(request.since, log.origin, log.vkey)
        terms = []
        for name, values in request.filter.terms:
            if name in ("subject", "interaction"):
                values = tuple(sorted({self._name_in_leaves(log, name, value) for value in values}))
            terms.append((name, values))
        return replace(request, filter=Filter(tuple(terms)))

    def produce(
        self,
        target: Path,
        log: LogInfo,
        request: ExportRequest,
        asker: Asker,
        *,
        export_id: str,
        requested_us: int,
        progress: Progress,
        verifying: Callable[[], None] = lambda: None,
        wait_s: float,
        workers: Workers | None = None,
    ) -> Released:
        """The verified bundle at `target`, at the first checkpoint that covers what is there now.

        `workers` build it (None: as many processes as there are cores, at low priority, where it pays).

        After `wait_s` the newest checkpoint there is serves. Raises what `build_bundle` and `build_and_verify` raise.
        """
        self.await_checkpoint(log, wait_s, progress)
        seqs: list[int] | None = None
        if request.search:
            request, seqs = self._find(log, request)
        settings = BuildSettings(bundle_signer(self._logs), running_software(), target.parent)
        policy = service_policy(self._logs, log.tenant_id)
        run = RunFacts(
            export_id=export_id,
            requested_by=asker.title,
            role=asker.role,
            requested_at=format_time_us(requested_us),
            built_at=format_time_us(self._logs.clock.now_us()),
            rollback_visible=self._rollback_visible,
        )

        def build(out: BinaryIO) -> Built:
            with self._logs.ledger.read() as connection, _workers(workers, connection, log) as pool:
                snapshot = Snapshot(connection, self._logs, log)
                chosen = _chosen(snapshot, request, seqs)
                return build_bundle(out, snapshot, request, run, settings, seqs=chosen, progress=progress, workers=pool)

        return build_and_verify(target, build, policy, since=request.since, progress=progress, verifying=verifying)

    def _name_in_leaves(self, log: LogInfo, name: str, value: str) -> str:
        """What stands in leaves for an identifier as people know it."""
        if name == "interaction" and is_token(value):
            return value
        return self._logs.keystore.find_pseudonym(log.id, value) or value

    def await_checkpoint(self, log: LogInfo, wait_s: float, progress: Progress = no_progress) -> None:
        """Wait until a published checkpoint covers every record that is there now; `progress` may raise, to stop."""
        with self._logs.ledger.read() as connection:
            wanted = head(connection, log.id).size
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            with self._logs.ledger.read() as connection:
                newest = latest(connection, log.id)
            if newest is not None and newest[0] >= wanted:
                return
            progress(0, 0)
            time.sleep(_POLL_S)

    def _find(self, log: LogInfo, request: ExportRequest) -> tuple[ExportRequest, list[int]]:
        """The records of a selection by search, oldest first, and the request with the filter that leaves can show."""
        if self._stores is None:
            raise InputError("no_index", "this service has no index to search; name seqs", item="filter")
        query = _query_of(request)
        found = _limited(self._walk(log, query))
        if query.derived:
            # What the index concluded is not in the leaves, so no reader could apply it again; run.json says it.
            terms = tuple(term for term in request.filter.terms if term[0] != "fallback")
            request = replace(request, filter=Filter(terms))
        return request, sorted(found)

    def _walk(self, log: LogInfo, query: Query) -> Iterator[int]:
        assert self._stores is not None  # noqa: S101 - `_find` has checked
        readable = [ReadableLog(log.id, log.name, log.origin)]
        while True:
            results = search(self._stores, readable, query)
            yield from (item.seq for item in results.items)
            if results.next is None:
                return
            query = replace(query, page=replace(query.page, cursor=parse_query([("cursor", results.next)]).page.cursor))


def start_workers(log_size: int) -> Workers:
    """Processes for an export from a log of this size, of a program that has one thread so far: forks, so cheap."""
    return Workers((os.cpu_count() or 1) if log_size >= FORK_RECORDS else 1)


@contextmanager
def _workers(given: Workers | None, connection: Connection, log: LogInfo) -> Iterator[Workers]:
    """What was given, and stays open; or processes of our own, spawned by a service with threads."""
    if given is not None:
        yield given
        return
    count = (os.cpu_count() or 1) if head(connection, log.id).size >= SPAWN_RECORDS else 1
    with Workers(count, niceness=NICENESS) as workers:
        yield workers


def _query_of(request: ExportRequest) -> Query:
    """The search as the index takes it, oldest first; InputError names the filter that it cannot read."""
    pairs = [(name, value) for name, values in request.filter.terms for value in values]
    pairs += [(name, value) for name, values in request.search.items() for value in values]
    return replace(parse_query(pairs), page=Page(limit=MAX_LIMIT, order="oldest"))


def scan(snapshot: Snapshot, leaf_filter: Filter) -> Iterator[int]:
    """The numbers of the records that a leaf filter selects, ascending."""
    for seq, leaf in snapshot.leaves(0, snapshot.checkpoint.size):
        if leaf_filter.matches(parse_leaf(seq, leaf)):
            yield seq


def _chosen(snapshot: Snapshot, request: ExportRequest, found: list[int] | None) -> list[int] | None:
    """The records of a selection that names none: those `found` by a search, else those that the filter selects."""
    if found is not None:
        return [seq for seq in found if seq < snapshot.checkpoint.size]
    if request.form == SELECTION and request.seqs is None:
        # What the leaves can answer is asked of the leaves: the index is trusted for nothing.
        return _limited(scan(snapshot, request.filter))
    return None


def _limited(seqs: Iterator[int]) -> list[int]:
    found = []
    for seq in seqs:
        found.append(seq)
        if len(found) > MAX_SEQS:
            raise InputError("too_large", f"the selection has more than {MAX_SEQS} records; take a range")
    return found
