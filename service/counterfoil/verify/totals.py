"""Step 11, second half: totals as in the population, and the flat views present exactly the records selected.

The views (`records.ndjson`, `records*.csv`) are for people and tools; the leaves are the evidence. So that nobody works
on a shortened list, each view's `seq` and `leaf_hash` columns are compared with the leaves; other columns are not.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from counterfoil.core.encoding import decode_base64, parse_decimal
from counterfoil.core.errors import EvidenceError
from counterfoil.verify.attestation import POPULATION
from counterfoil.verify.blame import Failure, Stopped, blame, reject
from counterfoil.verify.documents import parse_object, take_hash, take_integer
from counterfoil.verify.leaves import Seen
from counterfoil.verify.limits import MAX_COLUMNS, MAX_LINE_BYTES, MAX_ROW_BYTES
from counterfoil.verify.population import Population
from counterfoil.verify.reader import Bundle

NDJSON = "data/records.ndjson"
CSV = re.compile(r"data/records(?:-([2-9]|[1-9][0-9]{1,4}))?\.csv")

_Row = tuple[int, bytes]


def _ndjson_rows(bundle: Bundle) -> Iterator[_Row]:
    for line in bundle.lines(NDJSON):
        row = parse_object(line)
        yield take_integer(row, "seq"), take_hash(row, "leaf_hash")


class _Lines:
    """The lines of a table for the csv module, which takes as many as a row has: a row without end is refused."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self.row_bytes = 0
        """Bytes handed out since the last row was complete; whoever takes the row sets it to 0."""

    def __iter__(self) -> Iterator[str]:
        mark = "\ufeff"
        for block in self._blocks:
            for line in block[:-1].split(b"\n"):
                self.row_bytes += len(line) + 1
                if self.row_bytes > MAX_ROW_BYTES:
                    raise EvidenceError("line_size", f"a row is over the limit of {MAX_ROW_BYTES} bytes")
                yield f"{line.decode().removeprefix(mark)}\n"
                mark = ""


def _csv_rows(bundle: Bundle, names: list[str]) -> Iterator[_Row]:
    csv.field_size_limit(MAX_LINE_BYTES)
    for name in names:
        with blame(11, name):
            try:
                lines = _Lines(bundle.blocks(name))
                rows = csv.reader(lines, strict=True)
                if next(rows, [])[:2] != ["seq", "leaf_hash"]:
                    raise EvidenceError("view", "the first columns are not seq and leaf_hash")
                lines.row_bytes = 0
                for row in rows:
                    lines.row_bytes = 0
                    if not 2 <= len(row) <= MAX_COLUMNS:
                        raise EvidenceError("view", f"a row has fewer than two columns, or over {MAX_COLUMNS}")
                    # A hash that begins with a plus has an apostrophe before it, or a spreadsheet would run it.
                    yield parse_decimal(row[0]), decode_base64(row[1].removeprefix("'"))
            except (csv.Error, UnicodeDecodeError):
                raise EvidenceError("view", "not CSV in UTF-8") from None


@dataclass(frozen=True, slots=True)
class View:
    """What the rows of one view came to: SHA-256 over their hashes and over their numbers; or why it is none."""

    hashes: bytes = b""
    seqs: bytes = b""
    failure: Failure | None = None


def is_view(name: str) -> bool:
    """Whether this file is a view, or one of a view's."""
    return name == NDJSON or CSV.fullmatch(name) is not None


def view_files(bundle: Bundle) -> list[list[str]]:
    """The files of each view, in the order of their rows."""
    tables = sorted((int(match[1] or 1), match[0]) for match in map(CSV.fullmatch, bundle.files) if match)
    return [names for names in ([NDJSON] if NDJSON in bundle.files else [], [name for _, name in tables]) if names]


def read_view(path: Path, names: list[str], digests: dict[str, str]) -> View:
    """The view in these files of the bundle at `path`, whose digests are compared on the way.

    Opens the bundle anew, so that a worker process can do it: that it is the same one is what the digests say.
    """
    try:
        with Bundle.open(path) as bundle:
            bundle.expect(digests)
            with blame(11, names[0]):
                rows = _ndjson_rows(bundle) if names == [NDJSON] else _csv_rows(bundle, names)
                if len(names) > 1 and not names[-1].endswith(f"-{len(names)}.csv"):
                    raise EvidenceError("view", "the tables are not numbered without gaps")
                hashes, seqs = sha256(), sha256()
                for seq, hashed in rows:
                    hashes.update(hashed)
                    seqs.update(b"%d\n" % seq)
    except Stopped as stopped:
        return View(failure=stopped.failure)
    return View(hashes.digest(), seqs.digest())


def check_totals(population: Population, seen: Seen) -> None:
    """Step 11: what was found is what the population says."""
    found, claimed = seen.totals(), population.totals
    for name in ("count", "first", "last", "by_kind", "by_outcome", "hash_total"):
        if getattr(found, name) != getattr(claimed, name):
            said, shown = (
                value.hex() if isinstance(value, bytes) else value
                for value in (getattr(claimed, name), getattr(found, name))
            )
            raise reject(11, POPULATION, "totals", f"{name} is said to be {said}, but the leaves give {shown}")


def check_view(names: list[str], view: View, seen: Seen) -> None:
    """Step 11: a view shows exactly the records that were found."""
    if view.failure is not None:
        raise Stopped(view.failure)
    if (view.hashes, view.seqs) != (seen.hash_total.digest(), seen.presented.digest()):
        raise reject(11, names[0], "view", "does not present exactly the records that the filter selects, in order")
