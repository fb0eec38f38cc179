"""The bundle writer: one pass over a snapshot, out comes a ZIP that a stranger can check (docs/formats/bundle.md).

Constant memory whatever the size: leaves go into the archive block by block, everything that grows beside them into
spools. Deterministic for one population checkpoint: leaves, proofs, related, population, disclosures, states and the
flat records are the same bytes on every build; run facts (run.json, custody, attestation, pages) are not.

What is written is checked by nobody here. The job that builds a bundle runs the offline verifier over the finished file
before it is released (release.py).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, BinaryIO

from counterfoil.core.encoding import encode_base64
from counterfoil.core.errors import InputError
from counterfoil.core.merkle import check_consistency, leaf_hash
from counterfoil.core.note import NoteSigner
from counterfoil.core.tiles import TILE_WIDTH, EntryBundle, format_entries
from counterfoil.evidence.attestation import ATTESTED_BY, format_statement, sign_statement
from counterfoil.evidence.bag import BagWriter, Digests, too_many_files
from counterfoil.evidence.blocks import parse_leaf, read_entry_bundles, read_sealed_of, strictly_if_it_fails
from counterfoil.evidence.canonical import to_json, to_line
from counterfoil.evidence.extent import find_extent
from counterfoil.evidence.pages import PageFacts, render_readme, render_report
from counterfoil.evidence.population import Extent, Software, format_population
from counterfoil.evidence.presented import Presented, PresentedWriter
from counterfoil.evidence.press import Block, Pressed, Task, press
from counterfoil.evidence.related import GENESIS, last_leaf_line, proof_line, related_lines
from counterfoil.evidence.request import RANGE, ExportRequest
from counterfoil.evidence.run import RunFacts
from counterfoil.evidence.since import open_since
from counterfoil.evidence.snapshot import Snapshot
from counterfoil.evidence.spreadsheet import MAX_ROWS
from counterfoil.verify.limits import MAX_ENTRIES
from counterfoil.verify.workers import Workers

VERIFIER = "verify/verify.py"
"""The one-file verifier: the package's own module, for reading; the copy that counts comes from elsewhere."""

OTHER_FILES = 20
"""Files of a bag besides leaves, blobs and further tables, about: the bag counts exactly."""

AHEAD = 2
"""Blocks in flight for each worker."""

BLOCK = 1_024
"""Records of a selection that are handled together."""

Progress = Callable[[int, int], None]
"""Called with (records done, records in all)."""


def no_progress(done: int, total: int) -> None:
    """Nobody watches."""
    del done, total


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """What a build needs besides the request: the signer of bundles, the program, where spools may live."""

    signer: NoteSigner
    software: Software
    temporary: Path
    rows_a_file: int = MAX_ROWS


@dataclass(frozen=True, slots=True)
class Built:
    """What was built: the name of the bag and the control totals."""

    name: str
    population: dict[str, Any]
    population_sha256: str
    states: dict[str, int]


def build_bundle(
    out: BinaryIO,
    snapshot: Snapshot,
    request: ExportRequest,
    run: RunFacts,
    settings: BuildSettings,
    *,
    seqs: Iterable[int] | None = None,
    progress: Progress = no_progress,
    workers: Workers | None = None,
) -> Built:
    """Write the bundle of `request` to `out`; `seqs` are the records of a selection, ascending.

    `workers` press the blocks of a range (None: this process does).

    Raises InputError for a request that this log cannot answer, EvidenceError where the store does not hold what its
    leaves promise. Nothing of what was written then may be handed out.
    """
    extent = _extent_of(snapshot, request)
    name = f"counterfoil-{_file_name(snapshot.log.name)}-{extent.a}-{extent.b}"
    bag = BagWriter(out, name, settings.temporary)
    with closing(bag):
        build = _Build(bag, snapshot, request, run, settings, extent, workers or Workers(1))
        if request.form == RANGE:
            build.write_range(progress)
        else:
            build.write_selection(request.seqs if seqs is None else seqs, progress)
        return build.finish(name)


def _extent_of(snapshot: Snapshot, request: ExportRequest) -> Extent:
    size = snapshot.checkpoint.size
    if request.form != RANGE:
        return Extent(0, size)
    return find_extent(request.filter, size, lambda seq: str(parse_leaf(seq, snapshot.leaf(seq))["recorded_at"]))


class _Build:
    """One bundle in the making."""

    def __init__(
        self,
        bag: BagWriter,
        snapshot: Snapshot,
        request: ExportRequest,
        run: RunFacts,
        settings: BuildSettings,
        extent: Extent,
        workers: Workers,
    ) -> None:
        self._bag = bag
        self._snapshot = snapshot
        self._request = request
        self._run = run
        self._settings = settings
        self._extent = extent
        self._size = snapshot.checkpoint.size
        self._proofs = bag.spool("data/proofs.ndjson")
        self._presented = PresentedWriter(
            bag, snapshot, request.scope, run.requested_by, rows_a_file=settings.rows_a_file
        )
        self._is_present: Callable[[int], bool] = frozenset[int]().__contains__
        self._workers = workers
        self._task = Task(snapshot.log.origin, extent.a, extent.b, request.filter, request.scope)
        self._done = self._total = 0

    def write_range(self, progress: Progress) -> None:
        """Every leaf of the range, widened to whole entry bundles, and the content of those that match."""
        extent = self._extent
        first, end = extent.a - extent.before, extent.b + extent.after
        if first == end:
            return
        low = first // TILE_WIDTH * TILE_WIDTH
        high = min(-(-end // TILE_WIDTH) * TILE_WIDTH, self._size)
        self._check_room(low, high)
        self._is_present = range(low, high).__contains__
        self._total = high - low
        leaf = b""
        under_way: deque[tuple[Block, Callable[[], Pressed | None]]] = deque()
        for at, leaves in read_entry_bundles(self._snapshot, low, high):
            leaf = leaves[-1]
            sealed = read_sealed_of(self._snapshot, self._request, self._extent, at, leaves)
            block = Block(at, leaves, sealed, tell=self._presented.narrative.has_room)
            under_way.append((block, self._workers.begin(press, self._task, block)))
            if len(under_way) > AHEAD * self._workers.count:
                self._take(*under_way.popleft(), progress)
        while under_way:
            self._take(*under_way.popleft(), progress)
        self._proofs.write(last_leaf_line(self._snapshot, high - 1, leaf))

    def _take(self, block: Block, pressed: Callable[[], Pressed | None], progress: Progress) -> None:
        """Put one block into the bundle: as it was pressed, or record by record."""
        extent, leaves = self._extent, block.leaves
        made = pressed()
        name = f"data/leaves/{EntryBundle(block.first // TILE_WIDTH, len(leaves)).path().removeprefix('tile/entries/')}"
        if made is not None and self._presented.has_room(made.counted.count):
            self._bag.add_packed(name, made.entries)
            self._presented.write_pressed(made)
        else:
            self._bag.add(name, format_entries(leaves))
            found = []
            with strictly_if_it_fails(leaves):
                for seq, leaf in enumerate(leaves, block.first):
                    if extent.a <= seq < extent.b and self._request.filter.matches(record := parse_leaf(seq, leaf)):
                        found.append(Presented(seq, record, leaf, leaf_hash(leaf)))
                self._presented.write(found)
        self._done += len(leaves)
        progress(self._done, self._total)

    def _check_room(self, low: int, high: int) -> None:
        """Before much is read: whether the files come to more than verifiers take. What a filter leaves of the blobs
        is not known yet; where there is one, the bag itself counts."""
        count = -(-(high - low) // TILE_WIDTH) + OTHER_FILES
        if self._request.scope.is_whole and all(name in ("from", "to") for name, _ in self._request.filter.terms):
            count += self._snapshot.count_blobs(self._extent.a, self._extent.b)
        if count > MAX_ENTRIES:
            raise too_many_files(count)

    def write_selection(self, seqs: Iterable[int] | None, progress: Progress) -> None:
        """Chosen records, each with its own proof. No leaf that was not chosen is given."""
        chosen = sorted(set(seqs or ()))
        members = frozenset(chosen)
        self._is_present = members.__contains__
        for start in range(0, len(chosen), BLOCK):
            found = []
            block = chosen[start : start + BLOCK]
            if block[-1] >= self._size:
                raise InputError("not_covered", f"no checkpoint covers record {block[-1]} yet", item="seqs")
            leaves = self._snapshot.leaves_at(block)
            with strictly_if_it_fails(leaves):
                for seq, leaf in zip(block, leaves, strict=True):
                    record = parse_leaf(seq, leaf)
                    if leaf is None or not self._request.filter.matches(record):
                        raise InputError("not_selected", f"the filter does not select record {seq}", item="seqs")
                    self._proofs.write(proof_line(self._snapshot, seq, leaf))
                    found.append(Presented(seq, record, leaf, leaf_hash(leaf)))
                self._presented.write(found)
            progress(start + len(found), len(chosen))

    def finish(self, name: str) -> Built:
        """Everything that is known only once the records are: related proofs, population, pages, attestation."""
        bag, snapshot, presented = self._bag, self._snapshot, self._presented
        presented.finish()
        bag.add_spool(self._proofs)
        related = bag.spool("data/related.ndjson")
        for line in related_lines(
            snapshot, (seq for seq in {GENESIS, *presented.explained_by} if not self._is_present(seq))
        ):
            related.write(line)
        bag.add_spool(related)
        population = format_population(
            form=self._request.form,
            log=snapshot.log.name,
            checkpoint=snapshot.checkpoint,
            extent=self._extent,
            leaf_filter=self._request.filter,
            tally=presented.tally,
            software=self._settings.software,
        )
        population_sha256 = bag.add("data/population.json", to_json(population))
        run_sha256 = bag.add("data/run.json", to_json(self._run_facts()))
        bag.add("data/checkpoint", snapshot.note)
        if self._request.since is not None:
            bag.add("data/consistency.json", to_json(self._consistency(self._request.since)))
        bag.add("data/custody.ndjson", b"".join(map(to_line, self._custody())))
        bag.add("data/keys/keys.json", to_json(self._keys()))
        facts = PageFacts(
            name=name,
            log=snapshot.log,
            checkpoint=snapshot.checkpoint,
            note=snapshot.note.decode(),
            population=population,
            run=self._run,
            request=self._request,
            signer=self._settings.signer.vkey,
            states=dict(presented.states),
        )
        bag.add("data/report.html", render_report(facts, presented.narrative, presented.withheld))
        bag.add("README.html", render_readme(facts))
        bag.add(VERIFIER, files("counterfoil.verify").joinpath("onefile.py").read_bytes())
        bag.finish(
            [
                ("Source-Organization", snapshot.log.tenant),
                ("External-Identifier", self._run.export_id),
                ("External-Description", f"Records of the log {snapshot.log.origin}, with proofs"),
                ("Bagging-Date", self._run.built_at[:10]),
                ("Bag-Software-Agent", f"{self._settings.software.name} {self._settings.software.version}"),
            ],
            lambda digests: self._attest(digests, population_sha256, run_sha256),
        )
        return Built(name, population, population_sha256, dict(presented.states))

    def _run_facts(self) -> dict[str, Any]:
        run, request = self._run, self._request
        facts: dict[str, Any] = {
            "export_id": run.export_id,
            "requested_by": run.requested_by,
            "role": run.role,
            "requested_at": run.requested_at,
            "built_at": run.built_at,
            "purpose": request.purpose,
            "tenant": self._snapshot.log.tenant,
            "attested_by": ATTESTED_BY,
            "scope": request.scope.parsed(),
            "rollback_detectable_without_witness": run.rollback_visible,
        }
        if request.form != RANGE:
            facts["found_by"] = _found_by(request)
        return facts

    def _consistency(self, since: bytes) -> dict[str, Any]:
        """The proof from the requester's own checkpoint; a checkpoint that this log does not extend is an alarm."""
        old = open_since(since, self._snapshot.log.origin, self._snapshot.log.vkey)
        if old.size > self._size:
            raise InputError("bad_since", f"since has size {old.size}, the log's checkpoint {self._size}", item="since")
        proof = self._snapshot.prove_consistency(old.size)
        check_consistency(old.size, old.root, self._size, self._snapshot.checkpoint.root, proof)
        return {"old_size": old.size, "old_root": encode_base64(old.root), "proof": [encode_base64(h) for h in proof]}

    def _custody(self) -> list[dict[str, Any]]:
        run, checkpoint = self._run, self._snapshot.checkpoint
        return [
            {"action": "requested", "at": run.requested_at, "by": run.requested_by, "role": run.role},
            {
                "action": "read",
                "by": ATTESTED_BY,
                "origin": checkpoint.origin,
                "root": encode_base64(checkpoint.root),
                "tree_size": checkpoint.size,
            },
            {"action": "built", "at": run.built_at, "by": ATTESTED_BY, "export_id": run.export_id},
        ]

    def _keys(self) -> dict[str, Any]:
        since = self._snapshot.log.created_at
        return {
            "bundles": [{"from": since, "vkey": self._settings.signer.vkey}],
            "log": [{"from": since, "vkey": self._snapshot.log.vkey}],
        }

    def _attest(self, digests: Digests, population_sha256: str, run_sha256: str) -> bytes:
        checkpoint = self._snapshot.checkpoint
        predicate = {
            "attested_by": ATTESTED_BY,
            "form": self._request.form,
            "origin": checkpoint.origin,
            "tree_size": checkpoint.size,
            "root": encode_base64(checkpoint.root),
            "population": population_sha256,
            "request": {"sha256": run_sha256},
        }
        return sign_statement(format_statement(digests, predicate), self._settings.signer)


def _found_by(request: ExportRequest) -> dict[str, Any]:
    """How the records of a selection were found. It is said, not proven: a selection claims no completeness."""
    if request.seqs is not None:
        return {"seqs": len(request.seqs)}
    return {"filter": request.filter.text(), "search": {name: list(v) for name, v in request.search.items()}}


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)
