"""CSV that opens safely in a spreadsheet: RFC 4180 with CRLF, UTF-8 with byte order mark, no cell that is a formula.

Spreadsheets run a cell that begins with `= + - @` (or their full-width forms), a tab or a line break, also after
spaces. Such a cell gets a leading apostrophe, which they take as "this is text"; the exact value stands in
records.ndjson. Control characters that no spreadsheet shows are replaced, so that nothing hides in a cell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAX_ROWS = 1_048_575
"""Rows of a sheet (1,048,576), less the header."""

_FORMULA = re.compile(r"[\s\u0000-\u0020\u00a0\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_QUOTE = '"'
_SPECIAL = re.compile(r'[",\r\n]').search
_is_plain = re.compile(r"[A-Za-z0-9][ !#-+\--~]*").fullmatch
"""What needs neither quotes nor care: begins with a letter or digit and goes on in ASCII without quote or comma."""
_PLAIN_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


def safe_cell(value: Any) -> str | int:
    """A value as a cell."""
    if value is None:
        return ""
    if value is True or value is False:
        return "true" if value else "false"
    if type(value) is int:
        return value
    text = str(value)
    if not text.isprintable():
        text = _UNSEEN.sub("\ufffd", text)
    # Nearly every cell begins with a letter or a digit, and is done here.
    if text[:1].isalnum() or not _FORMULA.match(text) or _PLAIN_NUMBER.fullmatch(text):
        return text
    return f"'{text}"


class CsvBlock:
    """Rows formatted together: give them to `row`, take the bytes with `take`.

    A row has a hundred columns and a dozen values, so rows are joined here: the csv module takes 30 us for the blanks.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []

    def row(self, cells: Sequence[Any]) -> None:
        """One row of any values."""
        self._lines.append(",".join([_quoted(safe_cell(cell)) for cell in cells]))

    def sparse_row(self, values: Mapping[str, Any], places: Mapping[str, int]) -> None:
        """One row of the columns in `places` (name to position), of which `values` has a few."""
        cells = [""] * len(places)
        for name, value in values.items():
            is_plain = type(value) is str and _is_plain(value)
            cells[places[name]] = value if is_plain else _quoted(safe_cell(value))
        self._lines.append(",".join(cells))

    def take(self) -> bytes:
        """The rows since the last `take`, encoded."""
        if not self._lines:
            return b""
        text = "\r\n".join([*self._lines, ""])
        self._lines.clear()
        # A lone surrogate (possible in JSON, not in UTF-8) becomes a question mark.
        return text.encode("utf-8", "replace")


def _quoted(cell: str | int) -> str:
    """A cell as RFC 4180 2.5 to 2.7 has it."""
    text = str(cell)
    return f'"{text.replace(_QUOTE, _QUOTE * 2)}"' if _SPECIAL(text) else text


def header(columns: Sequence[str]) -> bytes:
    """What a CSV file begins with."""
    block = CsvBlock()
    block.row(columns)
    return BYTE_ORDER_MARK + block.take()
