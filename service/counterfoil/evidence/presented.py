"""The records presented: their content as far as it may be disclosed, a state for the rest, and the flat copies.

The rule of EVIDENCE 4, step 9, kept while writing: every content field of every record presented is either disclosed
or has a state, in ascending order of (seq, field). A field whose sealed content is gone or does not match its digest
stops the whole export by name (`content_missing`, `content_mismatch`): a damaged store is never exported as sound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterfoil.core.disclosure import BlobRef
from counterfoil.core.encoding import encode_base64
from counterfoil.core.errors import EvidenceError
from counterfoil.core.state import ContentState
from counterfoil.evidence.archive import Spool
from counterfoil.evidence.bag import BagWriter
from counterfoil.evidence.canonical import to_line
from counterfoil.evidence.flat import COLUMNS, FieldState, flatten
from counterfoil.evidence.narrative import Narrative, glance
from counterfoil.evidence.population import Tally
from counterfoil.evidence.press import PLACES, Pressed
from counterfoil.evidence.scope import Scope, Withheld
from counterfoil.evidence.snapshot import Snapshot, StoredField
from counterfoil.evidence.spreadsheet import MAX_ROWS, CsvBlock, header

REDACTION_COLUMNS = ("seq", "field", "records", "reason", "ground", "by")


@dataclass(frozen=True, slots=True)
class Presented:
    """One record presented."""

    seq: int
    leaf: dict[str, Any]
    leaf_bytes: bytes
    leaf_hash: bytes


class PresentedWriter:
    """Writes everything about the records presented, in order, into spools of the bag."""

    def __init__(
        self, bag: BagWriter, snapshot: Snapshot, scope: Scope, requested_by: str, *, rows_a_file: int = MAX_ROWS
    ) -> None:
        self.tally = Tally()
        self.narrative = Narrative()
        self.states: Counter[str] = Counter()
        self.explained_by: set[int] = set()
        """Records (erasures, expiries) that a state names."""
        self._bag = bag
        self._snapshot = snapshot
        self._scope = scope
        self._requested_by = requested_by
        self._rows_a_file = rows_a_file
        self._rows = 0
        self._disclosures = bag.spool("data/disclosures.ndjson")
        self._states = bag.spool("data/states.ndjson")
        self._ndjson = bag.spool("data/records.ndjson")
        self._redactions = bag.spool("data/redactions.csv")
        self._redactions.write(header(REDACTION_COLUMNS))
        self._withheld: Counter[tuple[str, Withheld]] = Counter()
        self._csv_files = [self._new_csv()]

    def write(self, records: Sequence[Presented]) -> None:
        """Present these records; `seq` ascends over all calls."""
        for batch in self._snapshot.batches(records):
            self._write_batch(batch)

    def has_room(self, rows: int) -> bool:
        """Whether so many rows still go into the same table."""
        return self._rows + rows <= self._rows_a_file

    def write_pressed(self, pressed: Pressed) -> None:
        """Present a block that was made apart. Only where there is room for its rows."""
        self.tally.add_counted(pressed.counted)
        self._rows += pressed.counted.count
        self._disclosures.splice(pressed.disclosures)
        self._states.splice(pressed.states)
        self._ndjson.splice(pressed.ndjson)
        self._csv_files[-1].splice(pressed.csv)
        # Counters drop what is zero when they are added: a state that nothing has is not in the report.
        self.states += Counter({ContentState.DISCLOSED.value: pressed.disclosed})
        self.states += Counter({ContentState.WITHHELD.value: pressed.withheld.total()})
        self._withheld += pressed.withheld
        for seen in pressed.glances:
            self.narrative.add(seen)

    def finish(self) -> None:
        """End every file and put it into the bag."""
        block = CsvBlock()
        for (field, withheld), count in sorted(
            self._withheld.items(), key=lambda item: (item[0][0], item[0][1].reason, item[0][1].ground)
        ):
            block.row(("", field, count, withheld.reason, withheld.ground, self._requested_by))
        self._redactions.write(block.take())
        for spool in (self._disclosures, self._states, self._ndjson, self._redactions, *self._csv_files):
            self._bag.add_spool(spool)

    @property
    def withheld(self) -> list[tuple[str, Withheld, int]]:
        """What was withheld by rule: field, why, in how many records."""
        return sorted(
            ((field, withheld, count) for (field, withheld), count in self._withheld.items()), key=lambda w: w[0]
        )

    def _write_batch(self, records: Sequence[Presented]) -> None:
        contents = self._snapshot.contents([(r.seq, r.leaf) for r in records], is_needed=not self._scope.is_empty)
        disclosures: list[str] = []
        states: list[str] = []
        lines: list[bytes] = []
        block = CsvBlock()
        for record in records:
            self.tally.add(record.seq, record.leaf, record.leaf_hash)
            fields = dict(self._fields_of(record, contents.get(record.seq, {}), disclosures, states))
            row = flatten(record.leaf, encode_base64(record.leaf_hash), fields)
            lines.append(to_line(row))
            if self._rows == self._rows_a_file:
                self._csv_files[-1].write(block.take())
                self._csv_files.append(self._new_csv())
                self._rows = 0
            self._rows += 1
            block.sparse_row(row, PLACES)
            self.narrative.add(glance(record.leaf, fields, tell=self.narrative.has_room))
        self._disclosures.write("".join(disclosures).encode("ascii"))
        self._states.write("".join(states).encode("ascii"))
        self._ndjson.write(b"".join(lines))
        self._csv_files[-1].write(block.take())

    def _fields_of(
        self, record: Presented, stored: Mapping[str, StoredField], disclosures: list[str], states: list[str]
    ) -> Iterator[tuple[str, FieldState]]:
        """The state of each field, with its line added to `disclosures` or `states`."""
        seq = record.seq
        for field in sorted(record.leaf.get("content", ())):
            content = stored.get(field)
            if content is not None and content.state in (ContentState.ERASED, ContentState.EXPIRED):
                yield field, self._explained(seq, field, content, states)
                continue
            withheld = self._scope.decide(seq, field)
            if withheld is not None:
                states.append(f'{{"field":"{field}","seq":{seq},"state":"WITHHELD"}}\n')
                self._note_withheld(seq, field, withheld)
                yield field, FieldState(ContentState.WITHHELD)
                continue
            if content is None or content.state is ContentState.MISSING:
                raise EvidenceError("content_missing", f"field {field} of record {seq} is not in the store; run fsck")
            if content.state is not ContentState.DISCLOSED or content.disclosure is None:
                raise EvidenceError("content_mismatch", f"field {field} of record {seq} does not match; run fsck")
            disclosures.append(f'{{"disclosure":"{content.disclosure}","field":"{field}","seq":{seq}}}\n')
            self.states[ContentState.DISCLOSED] += 1
            size = self._write_blob(seq, field, content) if content.blob is not None else None
            yield field, FieldState(ContentState.DISCLOSED, content.value, blob_size=size)

    def _explained(self, seq: int, field: str, content: StoredField, states: list[str]) -> FieldState:
        if content.by is None:
            raise EvidenceError("content_missing", f"field {field} of record {seq} is gone and no record says why")
        states.append(f'{{"by":{content.by},"field":"{field}","seq":{seq},"state":"{content.state}"}}\n')
        self.states[content.state] += 1
        self.explained_by.add(content.by)
        return FieldState(content.state, by=content.by)

    def _note_withheld(self, seq: int, field: str, withheld: Withheld) -> None:
        self.states[ContentState.WITHHELD] += 1
        if not withheld.is_single:
            self._withheld[(field, withheld)] += 1
            return
        block = CsvBlock()
        block.row((seq, field, 1, withheld.reason, withheld.ground, self._requested_by))
        self._redactions.write(block.take())

    def _write_blob(self, seq: int, field: str, content: StoredField) -> int:
        """A large value as a file of its own, streamed; it is stored, since it may be anything."""
        reference = content.blob
        if reference is None:
            return 0
        spool = self._bag.spool(f"data/blobs/{seq}/{field}", compress=False)
        found = BlobRef.of(reference.salt, _copied(self._snapshot.blob(seq, field), spool))
        if found != reference:
            raise EvidenceError("content_mismatch", f"field {field} of record {seq} does not match; run fsck")
        self._bag.add_spool(spool)
        return reference.size

    def _new_csv(self) -> Spool:
        number = len(self._csv_files) + 1 if hasattr(self, "_csv_files") else 1
        spool = self._bag.spool("data/records.csv" if number == 1 else f"data/records-{number}.csv")
        spool.write(header(COLUMNS))
        return spool


def _copied(chunks: Iterable[bytes], spool: Spool) -> Iterator[bytes]:
    for chunk in chunks:
        spool.write(chunk)
        yield chunk
