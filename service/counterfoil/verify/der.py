"""A strict reader of DER (ITU-T X.690), as much as RFC 3161 and CMS need.

The rule: definite lengths in their shortest form, tag numbers below 31, no byte left over where a value must end.
Everything else, BER's freedoms among them, is refused: one value has one encoding. Check: ``der``.
"""

import re
from datetime import UTC, datetime

from counterfoil.core.errors import EvidenceError

BOOLEAN = 0x01
INTEGER = 0x02
OCTET_STRING = 0x04
OID = 0x06
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31

_TIME = re.compile(rb"([0-9]{14})(?:\.([0-9]{0,8}[1-9]))?Z")


def _refuse(message: str) -> EvidenceError:
    return EvidenceError("der", message)


def context(number: int) -> int:
    """The tag of a constructed context-specific value [number]."""
    return 0xA0 | number


class Der:
    """The values inside one constructed value, read from first to last."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _header(self) -> tuple[int, int, int]:
        """Tag, where the content begins, where it ends."""
        data, at = self._data, self._at
        if at + 2 > len(data):
            raise _refuse("ends too early")
        tag, length, at = data[at], data[at + 1], at + 2
        if tag & 0x1F == 0x1F:
            raise _refuse("a tag number above 30")
        if length >= 0x80:
            size = length & 0x7F
            wide = data[at : at + size]
            length = int.from_bytes(wide, "big")
            if not 1 <= size <= 4 or len(wide) != size or wide[0] == 0 or length < 0x80:
                raise _refuse("a length that is indefinite, too large or not in its shortest form")
            at += size
        if at + length > len(data):
            raise _refuse("ends too early")
        return tag, at, at + length

    @property
    def tag(self) -> int | None:
        """The tag of the next value; None at the end."""
        return self._data[self._at] if self._at < len(self._data) else None

    def take(self, tag: int) -> bytes:
        """The content of the next value, which must have this tag."""
        found, start, end = self._header()
        if found != tag:
            raise _refuse(f"tag 0x{found:02x} where 0x{tag:02x} must be")
        self._at = end
        return self._data[start:end]

    def take_whole(self, tag: int) -> bytes:
        """The next value with its tag and length."""
        start = self._at
        self.take(tag)
        return self._data[start : self._at]

    def enter(self, tag: int) -> "Der":
        """A reader of what is inside the next value."""
        return Der(self.take(tag))

    def skip_optional(self, tag: int) -> bool:
        """Passes over the next value if it has this tag."""
        if self.tag != tag:
            return False
        self.take(tag)
        return True

    def integer(self) -> int:
        """An INTEGER in its shortest form."""
        data = self.take(INTEGER)
        if not data or (len(data) > 1 and (data[0], data[1] & 0x80) in ((0x00, 0x00), (0xFF, 0x80))):
            raise _refuse("an integer not in its shortest form")
        return int.from_bytes(data, "big", signed=True)

    def oid(self) -> str:
        """An OBJECT IDENTIFIER in dotted form."""
        data = self.take(OID)
        if not data or data[-1] & 0x80:
            raise _refuse("an object identifier that ends too early")
        arcs: list[int] = []
        value = 0
        for index, byte in enumerate(data):
            if byte == 0x80 and (index == 0 or not data[index - 1] & 0x80):
                raise _refuse("an object identifier not in its shortest form")
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                arcs.append(value)
                value = 0
        first = min(arcs[0] // 40, 2)
        return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))

    def time_us(self) -> int:
        """A GeneralizedTime in UTC, as microseconds since the epoch (further digits are cut off)."""
        match = _TIME.fullmatch(self.take(GENERALIZED_TIME))
        if match is None:
            raise _refuse("a time that is not YYYYMMDDHHMMSS[.f]Z")
        try:
            at = datetime.strptime(match[1].decode(), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            raise _refuse("a time that the calendar does not have") from None
        since = at - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * 1_000_000 + int((match[2] or b"").ljust(6, b"0")[:6])

    def end(self) -> None:
        """Nothing is left."""
        if self.tag is not None:
            raise _refuse("bytes after the last value")


def read_all(data: bytes, tag: int) -> Der:
    """A reader of what is inside the one value that `data` is."""
    outer = Der(data)
    inner = outer.enter(tag)
    outer.end()
    return inner
