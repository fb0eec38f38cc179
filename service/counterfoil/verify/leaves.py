"""Steps 7, 8, 9 and 11, streamed once over the leaves of a bundle, in worker processes where it is large.

The bundle is read here, in order, and cut into units (`unit`); workers check units; the results are put together here,
in order. So the first failure in the order of the log is the one reported, whatever the number of workers, and memory
holds a few units at a time. Across the border of two units: the link and the order of time are checked here.
"""

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from counterfoil.core.disclosure import check_blob
from counterfoil.core.encoding import encode_base64
from counterfoil.core.errors import EvidenceError
from counterfoil.core.merkle import check_inclusion
from counterfoil.core.proof import parse_proof
from counterfoil.core.tiles import TILE_WIDTH, bundle_of, parse_entries
from counterfoil.verify.blame import Stopped, blame, reject
from counterfoil.verify.checkpoints import Opened
from counterfoil.verify.cursor import Cursor, seq_of_line
from counterfoil.verify.documents import parse_line, take_integer, take_text
from counterfoil.verify.limits import (
    BLOCK_BYTES,
    MAX_DOCUMENT_BYTES,
    MAX_EXPLANATIONS,
    MAX_RECORD_BYTES,
    MAX_RECORD_STATES_BYTES,
    MAX_RELATED,
    UNIT_BYTES,
    UNIT_LEAVES,
)
from counterfoil.verify.population import RANGE, Population, Totals
from counterfoil.verify.reader import Bundle
from counterfoil.verify.supersedes import Claims
from counterfoil.verify.unit import (
    DISCLOSURES,
    LEAVES,
    PROOFS,
    RELATED,
    STATES,
    Frame,
    Removal,
    Result,
    Unit,
    leaves_file,
)
from counterfoil.verify.workers import Workers

BLOBS = "data/blobs/"

Progress = Callable[[int, int], None]
_Item = tuple[int, bytes]


@dataclass(slots=True)
class Seen:
    """What a pass has shown so far: totals, the removals that states name, and where it stands."""

    leaves: int = 0
    last: tuple[int, bytes, str] | None = None
    count: int = 0
    first_match: int | None = None
    last_match: int | None = None
    by_kind: Counter[str] = field(default_factory=Counter)
    by_outcome: Counter[str] = field(default_factory=Counter)
    hash_total: Any = field(default_factory=sha256)
    presented: Any = field(default_factory=sha256)
    removals: dict[int, Removal] = field(default_factory=dict)
    removals_size: int = 0
    """Ranges and fields in `removals`, one more for each."""
    blobs: int = 0
    explained: bool = False

    def totals(self) -> Totals:
        """The totals as found."""
        return Totals(
            self.count,
            self.first_match,
            self.last_match,
            dict(self.by_kind),
            dict(self.by_outcome),
            self.hash_total.digest(),
        )


def _frame(population: Population, opened: Opened, file: str) -> Frame:
    presents = file != RELATED
    return Frame(
        file=file,
        origin=population.origin,
        tree_size=opened.checkpoint.size,
        root=opened.checkpoint.root,
        checkpoint=opened.note,
        a=population.a,
        b=population.b,
        before=population.before,
        after=population.after,
        filter_json=json.dumps(population.filter.parsed()) if presents else None,
    )


def leaf_numbers(population: Population) -> range:
    """The seq of every leaf that a range bundle holds: what is needed, widened to whole entry bundles."""
    first, end = population.first_needed, population.end_needed
    if first == end:
        return range(0)
    return range(first // TILE_WIDTH * TILE_WIDTH, min(-(-end // TILE_WIDTH) * TILE_WIDTH, population.tree_size))


def count_leaves(population: Population) -> int:
    """How many leaves there are to check."""
    return len(leaf_numbers(population)) if population.form == RANGE else population.totals.count


def _check_leaf_files(bundle: Bundle, population: Population) -> None:
    """Exactly the entry bundles that must be there are."""
    numbers = leaf_numbers(population) if population.form == RANGE else range(0)
    wanted = {leaves_file(seq, population.tree_size) for seq in numbers[::TILE_WIDTH]}
    there = {name for name in bundle.files if name.startswith(LEAVES + "/")}
    if missing := wanted - there:
        raise reject(8, min(missing), "range", "leaves of the range are missing")
    if extra := there - wanted:
        raise reject(8, min(extra), "range", "leaves outside what this bundle holds")


def _range_items(bundle: Bundle, population: Population) -> Iterator[_Item]:
    numbers = leaf_numbers(population)
    for seq in numbers[::TILE_WIDTH]:
        name = leaves_file(seq, population.tree_size)
        with blame(7, name):
            leaves = parse_entries(bundle.read(name, MAX_DOCUMENT_BYTES))
            if len(leaves) != bundle_of(seq, population.tree_size).width:
                raise EvidenceError("entries", f"{len(leaves)} leaves, which its name does not say")
        yield from enumerate(leaves, seq)


def _line_items(bundle: Bundle, name: str) -> Iterator[_Item]:
    with blame(8, name):
        for line in bundle.lines(name):
            yield seq_of_line(line, 0, len(line)), line


def _cut_units(items: Iterator[_Item], disclosures: Cursor, states: Cursor) -> Iterator[Unit]:
    """Units of at most UNIT_LEAVES leaves and about UNIT_BYTES, each with all its lines on content."""
    waiting: deque[_Item] = deque()
    more = True
    while True:
        size = sum(len(data) for _, data in waiting)
        while more and len(waiting) < UNIT_LEAVES and size < UNIT_BYTES:
            item = next(items, None)
            if item is None:
                more = False
                break
            waiting.append(item)
            size += len(item[1])
        if not waiting:
            break
        first = waiting[0][0]
        with blame(9, DISCLOSURES):
            found, end = disclosures.take(first, waiting[-1][0] + 1, UNIT_BYTES, UNIT_BYTES + MAX_RECORD_BYTES)
        with blame(9, STATES):
            most = BLOCK_BYTES + len(waiting) * MAX_RECORD_STATES_BYTES
            stated, _ = states.take(first, end, most + 1, most)  # never an earlier end: all or a refusal
        taken = [waiting.popleft()[1]]
        while waiting and waiting[0][0] < end:
            taken.append(waiting.popleft()[1])
        yield Unit(first, taken, found, stated)
    for file, cursor in ((DISCLOSURES, disclosures), (STATES, states)):
        with blame(9, file):
            cursor.check_end(file.removeprefix("data/").removesuffix(".ndjson"))


def _check_join(frame: Frame, seen: Seen, result: Result) -> None:
    """The first leaf of a unit follows the last one before it."""
    if seen.last is None or result.first is None:
        return
    last_seq, last_hash, last_at = seen.last
    seq, prev, recorded_at = result.first
    if seq <= last_seq or recorded_at < last_at:
        message = f"record {seq} does not come after record {last_seq}, or was recorded before it"
        raise reject(7, frame.file_of(seq), "order", message)
    if not frame.file and prev != encode_base64(last_hash):
        raise reject(8, frame.file_of(seq), "prev", f"record {seq} does not hold the hash of record {last_seq}")


def _check_blobs(bundle: Bundle, result: Result) -> None:
    for seq, name, ref in result.blobs:
        file = f"{BLOBS}{seq}/{name}"
        with blame(9, file):
            check_blob(ref, bundle.chunks(file))


def _keep_removals(frame: Frame, seen: Seen, result: Result, named: frozenset[int]) -> None:
    """Those that states name: a log has as many erasures and expiries as it likes."""
    for removal in result.removals:
        if removal["seq"] not in named:
            continue
        said = removal[removal["kind"]]
        seen.removals[removal["seq"]] = removal
        seen.removals_size += 1 + len(said["ranges"]) + len(said.get("fields", ()))
        if seen.removals_size > MAX_EXPLANATIONS:
            message = f"more than {MAX_EXPLANATIONS} ranges and fields of erasures and expiries that states name"
            raise reject(10, frame.file_of(removal["seq"]), "covering", message)


def _add(seen: Seen, result: Result) -> None:
    seen.last = result.last or seen.last
    seen.leaves += result.leaves
    seen.count += result.count
    seen.first_match = result.first_match if seen.first_match is None else seen.first_match
    seen.last_match = seen.last_match if result.last_match is None else result.last_match
    seen.by_kind += result.by_kind
    seen.by_outcome += result.by_outcome
    seen.hash_total.update(result.hashes)
    seen.presented.update(result.seqs)
    seen.blobs += len(result.blobs)
    seen.explained = seen.explained or result.explained


def _run(
    bundle: Bundle,
    frame: Frame,
    units: Iterator[Unit],
    named: frozenset[int],
    workers: Workers,
    progress: Progress | None = None,
    total: int = 0,
) -> Seen:
    seen = Seen()
    claims = Claims(bundle, frame)
    for result in workers.run_units(frame, units):
        _check_join(frame, seen, result)
        if result.failure is not None:
            raise Stopped(result.failure)
        _check_blobs(bundle, result)
        claims.add(result.supersedes)
        _keep_removals(frame, seen, result, named)
        _add(seen, result)
        if progress is not None:
            progress(seen.leaves, total)
        if frame.file == RELATED and seen.leaves > MAX_RELATED:
            raise reject(8, RELATED, "related", f"more than {MAX_RELATED} related records")
    claims.resolve()
    return seen


def _check_last(bundle: Bundle, opened: Opened, seen: Seen) -> None:
    """Range: the one proof is of the last leaf present, which ties the whole chain to the checkpoint."""
    with blame(8, PROOFS):
        lines = list(bundle.lines(PROOFS)) if bundle.files.get(PROOFS, 0) <= MAX_DOCUMENT_BYTES else []
        if seen.last is None:
            if bundle.files.get(PROOFS, 1):
                raise EvidenceError("proof", "no leaf is present, so none is to be proved")
            return
        if len(lines) != 1:
            raise EvidenceError("proof", "a range has one proof, of the last leaf present")
        value = parse_line(lines[0], frozenset(("proof", "seq")))
        proof = parse_proof(take_text(value, "proof").encode())
        if (take_integer(value, "seq"), proof.index) != (seen.last[0], seen.last[0]) or proof.extra is not None:
            raise EvidenceError("proof", f"not of record {seen.last[0]}, the last one present")
        if proof.checkpoint != opened.note:
            raise EvidenceError("proof", "not under the bundle's checkpoint")
        check_inclusion(seen.last[1], proof.index, opened.checkpoint.size, proof.hashes, opened.checkpoint.root)


def check_leaves(
    bundle: Bundle,
    population: Population,
    opened: Opened,
    named: frozenset[int],
    workers: Workers,
    progress: Progress,
) -> Seen:
    """Steps 7, 8, 9 and 11 over the records of the bundle; totals are compared by `totals.check_totals`.

    `named`: the records that states name, kept for step 10.
    """
    _check_leaf_files(bundle, population)
    if population.form == RANGE:
        frame = _frame(population, opened, "")
        items = _range_items(bundle, population)
    else:
        frame = _frame(population, opened, PROOFS)
        items = _line_items(bundle, PROOFS)
    total = count_leaves(population)
    units = _cut_units(items, Cursor(_blocks(bundle, DISCLOSURES)), Cursor(_blocks(bundle, STATES)))
    seen = _run(bundle, frame, units, named, workers, progress, total)
    if population.form == RANGE:
        _check_last(bundle, opened, seen)
    blobs = [name for name in bundle.files if name.startswith(BLOBS)]
    if len(blobs) != seen.blobs:
        raise reject(9, min(blobs), "blob", f"{len(blobs)} blobs are there, {seen.blobs} are disclosed")
    return seen


def _blocks(bundle: Bundle, name: str) -> Iterator[bytes]:
    with blame(9, name):
        yield from bundle.blocks(name)


def check_related(bundle: Bundle, population: Population, states: Opened, named: frozenset[int]) -> Seen:
    """Steps 7 and 8 over the related records; those in `named` are kept for step 10."""
    frame = _frame(population, states, RELATED)
    units = _cut_units(_line_items(bundle, RELATED), Cursor(iter(())), Cursor(iter(())))
    return _run(bundle, frame, units, named, Workers(1))
