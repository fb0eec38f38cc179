"""Named rules that take personal data out of texts, as far as patterns can: best effort, and said to be.

    redact(("email", "card"), "mail me at ann@example.com")  ->  "mail me at [email]", True

A card number passes the Luhn check, an IBAN its checksum (ISO 13616), so order numbers survive. Names, addresses and
whatever has no fixed form are not found: leave such fields out (`capture`), or give a function of your own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_DIGITS = re.compile(r"(?<!\d)\d(?:[ -]?\d){11,63}(?!\d)")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]){11,34}")
_PHONE = re.compile(r"(?<![\w+])(?:\+|00|\(0|0)\d(?:[ ()./-]{0,2}\d){6,13}(?!\w)")
_GROUP = re.compile(r"[A-Za-z0-9]+")


def find_cards(text: str) -> Iterator[tuple[int, int]]:
    """Where groups of digits make a card number. SPEC: ISO/IEC 7812-1 annex B, the Luhn check digit.

    In sums over the first so many digits, so that each candidate costs a subtraction: a text of nothing but digits has
    as many candidates as characters, and must not keep us busy for minutes.
    """
    groups = [group.span() for group in _GROUP.finditer(text)]
    sums = [[0], [0]]  # the digits at even, at odd places as they are, the others doubled
    ends = [0]
    for first, last in groups:
        for digit in map(int, text[first:last]):
            place = (len(sums[0]) - 1) & 1
            sums[place].append(sums[place][-1] + digit)
            sums[place ^ 1].append(sums[place ^ 1][-1] + sum(divmod(2 * digit, 10)))
        ends.append(len(sums[0]) - 1)
    for i, (start, _) in enumerate(groups):
        for j in range(i, len(groups)):
            count = ends[j + 1] - ends[i]
            if count > 19:
                break
            total = sums[(ends[j + 1] - 1) & 1]
            if count >= 12 and (total[ends[j + 1]] - total[ends[i]]) % 10 == 0:
                yield start, groups[j][1]


def find_ibans(text: str) -> Iterator[tuple[int, int]]:
    """Where groups make an IBAN. SPEC: ISO 13616-1 section 6, mod 97."""
    groups = [group.span() for group in _GROUP.finditer(text)]
    for i, (first, _) in enumerate(groups):
        for _, last in groups[i:]:
            compact = text[first:last].replace(" ", "").upper()
            turned = compact[4:] + compact[:4]
            if 15 <= len(compact) <= 34 and int("".join(str(int(ch, 36)) for ch in turned)) % 97 == 1:
                yield first, last


def _longest(find: Callable[[str], Iterable[tuple[int, int]]], mark: str) -> Callable[[re.Match[str]], str]:
    """Replace the longest number that is found: what stands beside one may look like part of it."""

    def replace(match: re.Match[str]) -> str:
        text = match[0]
        first, last = max(find(text), key=lambda run: run[1] - run[0], default=(0, 0))
        return text[:first] + mark + text[last:] if last else text

    return replace


RULES: Final[Mapping[str, tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]]] = MappingProxyType(
    {
        "iban": (_IBAN, _longest(find_ibans, "[iban]")),
        "card": (_DIGITS, _longest(find_cards, "[card]")),
        "email": (_EMAIL, "[email]"),
        "phone": (_PHONE, "[phone]"),
    }
)
"""Pattern and replacement by name, in the order in which they are applied."""


def redact_text(names: Sequence[str], text: str) -> str:
    """The text with what the rules find replaced by `[rule]`."""
    for name, (pattern, replacement) in RULES.items():
        if name in names:
            text = pattern.sub(replacement, text)
    return text


def redact(names: Sequence[str], value: Any) -> tuple[Any, bool]:
    """A plain value with every text, key, integer and run of bytes in it redacted, and whether anything was found."""
    if isinstance(value, str):
        text = redact_text(names, value)
        return text, text != value
    if isinstance(value, int) and not isinstance(value, bool):
        text = redact_text(names, str(value))
        return (text, True) if text != str(value) else (value, False)
    if isinstance(value, bytes):
        text = redact_text(names, value.decode("latin-1"))
        return text.encode("latin-1"), text.encode("latin-1") != value
    if isinstance(value, list):
        found = [redact(names, inner) for inner in value]
        return [inner for inner, _ in found], any(hit for _, hit in found)
    if isinstance(value, dict):
        pairs = [(redact(names, key), redact(names, inner)) for key, inner in value.items()]
        out: dict[str, Any] = {}
        for (key, _), (inner, _) in pairs:
            out[key if key not in out else f"{key} {len(out) + 1}"] = inner  # two addresses, one mark: both stay
        return out, any(a or b for (_, a), (_, b) in pairs)
    return value, False
