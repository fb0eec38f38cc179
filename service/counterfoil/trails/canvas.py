"""Lines of a story on a terminal: time, three lanes (customer, agent, human), text; wrapped, and safe to print.

    10:48:41.020   ● │ │  "I'd like my money back for the headphones."
    10:48:43.110   │ ●─▶  triage hands over to tier-2

Words in a trail were written by strangers. Everything that is printed passes through `clean`: no control characters, so
no terminal sequences, and no characters that turn the direction of text around.
"""

from __future__ import annotations

import textwrap
import unicodedata
from typing import Literal

Lane = Literal["customer", "agent", "human", "none", "handover", "takeover"]

WIDTH = 110
MAX_TEXT_CHARS = 1_200
"""Characters of one piece of text that are printed; the API has all of them."""

_LANES: dict[Lane, str] = {
    "customer": "● │ │",
    "agent": "│ ● │",
    "human": "│ │ ●",
    "handover": "│ ●─▶",
    "takeover": "│ ◀─●",
    "none": "│ │ │",
}
_TIME_CHARS = 12
_MARGIN = _TIME_CHARS + 2 + 5 + 2


def clean(text: object, limit: int = MAX_TEXT_CHARS) -> str:
    """Text that can be printed: one line, no control or direction characters, at most `limit` characters."""
    kept = "".join(
        " " if character in "\n\r\t" else character
        for character in str(text)[: limit * 2]
        if character in "\n\r\t" or unicodedata.category(character)[0] != "C"
    )
    one_line = " ".join(kept.split())
    return one_line if len(one_line) <= limit else one_line[: limit - 1] + "…"


class Canvas:
    """Collects lines."""

    def __init__(self, width: int = WIDTH) -> None:
        self.width = width
        self.lines: list[str] = []

    def heading(self, text: str, indent: int = 0) -> None:
        """A line across lanes."""
        room = self.width - indent
        for line in textwrap.wrap(text, room, break_long_words=True) or [""]:
            self.lines.append(" " * indent + line)

    def labelled(self, label: str, text: str, *, indent: int = 2, label_chars: int = 14) -> None:
        """A label and text beside it, outside the lanes."""
        room = self.width - indent - label_chars
        for number, line in enumerate(textwrap.wrap(text, room) or [""]):
            head = label.ljust(label_chars) if number == 0 else " " * label_chars
            self.lines.append((" " * indent + head + line).rstrip())

    def event(self, at: str, lane: Lane, text: str) -> None:
        """What happens at a time: the first line with its mark in a lane, the rest below it."""
        room = self.width - _MARGIN
        first, *rest = textwrap.wrap(text, room, subsequent_indent="  ") or [""]
        self.lines.append(f"{at:<{_TIME_CHARS}}  {_LANES[lane]}  {first}")
        for line in rest:
            self._below(line)

    def note(self, text: str, *, indent: int = 2) -> None:
        """More about the last event."""
        for line in textwrap.wrap(text, self.width - _MARGIN - indent) or [""]:
            self._below(" " * indent + line)

    def quote(self, text: object, *, indent: int = 2) -> None:
        """Words, in quotation marks."""
        self.note(f"“{clean(text)}”", indent=indent)

    def field(self, label: str, text: str, *, bar: str = "│", label_chars: int = 11) -> None:
        """A line of a card."""
        room = self.width - _MARGIN - label_chars - 2
        for number, line in enumerate(textwrap.wrap(text, room) or [""]):
            head = label if number == 0 else ""
            self._below(f"{bar} {head:<{label_chars}}{line}")

    def top(self, at: str, lane: Lane, title: str, right: str) -> None:
        """The upper edge of a card, with its title."""
        room = self.width - _MARGIN
        title = title[: room - len(right) - 8]
        line = "─" * max(2, room - len(title) - len(right) - 6)
        self.lines.append(f"{at:<{_TIME_CHARS}}  {_LANES[lane]}  ┌─ {title} {line} {right}")

    def bottom(self) -> None:
        """The lower edge of a card."""
        self._below("└" + "─" * (self.width - _MARGIN - 1))

    def rule(self) -> None:
        """A line across."""
        self.lines.append("─" * self.width)

    def space(self) -> None:
        """An empty line with the lanes going on."""
        self._below("")

    def text(self) -> str:
        """Everything, ending with a line break."""
        return "\n".join(line.rstrip() for line in self.lines) + "\n"

    def _below(self, text: str) -> None:
        self.lines.append(f"{'':<{_TIME_CHARS}}  {_LANES['none']}  {text}")
