"""Taking the lines of an ascending NDJSON file as far as a record, in blocks, without looking into each line.

A block whose last line is before the end is taken whole; the one in which the end lies is cut by binary search. If the
file is not ascending, lines come to the wrong unit, where they are refused: nothing is passed over.
"""

from collections.abc import Iterator

from counterfoil.core.errors import EvidenceError

_MARK = b'"seq":'


def seq_of_line(block: bytes, start: int, end: int) -> int:
    """The `seq` of the line block[start:end]."""
    at = block.rfind(_MARK, start, end) + len(_MARK)
    digits = block[at : min(end, at + 17)].rstrip(b"\n")
    digits = digits.partition(b"}")[0].partition(b",")[0]
    if at < start + len(_MARK) or not digits.isdigit() or len(digits) > 16:
        raise EvidenceError("line", "a line has no seq")
    return int(digits)


class Cursor:
    """A position in a file of lines, given as blocks of whole lines."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._block = b""

    def _fill(self) -> bool:
        while not self._block:
            block = next(self._blocks, None)
            if block is None:
                return False
            self._block = block
        return True

    def _cut(self, end: int) -> int:
        """Where in the block the lines of records below `end` stop."""
        block, low, high = self._block, 0, len(self._block)
        while low < high:
            start = block.rfind(b"\n", low, (low + high) // 2) + 1 or low
            stop = block.find(b"\n", start) + 1
            if seq_of_line(block, start, stop) < end:
                low = stop
            else:
                high = start
        return low

    def take(self, first: int, end: int, limit: int, most: int) -> tuple[bytes, int]:
        """The lines of records below `end`, and that end; after `limit` bytes an earlier end above `first`.

        EvidenceError after `most` bytes: lines of one record without end, or whose seq does not rise.
        """
        parts: list[bytes] = []
        size = 0
        while self._fill():
            block = self._block
            start = block.rfind(b"\n", 0, len(block) - 1) + 1
            last = seq_of_line(block, start, len(block))
            if last >= end:
                at = self._cut(end)
                parts.append(block[:at])
                self._block = block[at:]
                break
            parts.append(block)
            size += len(block)
            if size > most:
                raise EvidenceError("line_size", f"over {most} bytes before record {end}: too much, or not sorted")
            self._block = b""
            if size >= limit:
                end = min(end, max(first, last) + 1)
        return b"".join(parts), end

    def check_end(self, what: str) -> None:
        """Nothing is left."""
        if self._fill():
            seq = seq_of_line(self._block, 0, self._block.find(b"\n") + 1)
            raise EvidenceError("line", f"{what} of record {seq}, which is not presented")
