"""Step 9 for one record: every content field of its leaf is disclosed and matches, or has a state.

`disclosures` and `states` lines have one spelling (docs/formats/bundle.md, section 3), so that a pattern reads them and
nothing is left to interpretation:

    {"disclosure":"WyJ...","field":"rationale","seq":7}
    {"field":"output","seq":7,"state":"WITHHELD"}
    {"by":912,"field":"input","seq":7,"state":"ERASED"}

Lines ascend by (seq, field). Checks: ``line``, ``disclosure``, ``content_state``.
"""

import re
from binascii import b2a_base64
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any

from counterfoil.core.disclosure import BlobRef, DisclosureReader
from counterfoil.core.errors import EvidenceError
from counterfoil.core.state import ContentState

_NUMBER = rb"0|[1-9][0-9]{0,15}"
_FIELD = rb"[a-z][a-z0-9_]{0,63}"
DISCLOSURE_LINE = re.compile(
    rb'\{"disclosure":"([A-Za-z0-9_-]+)","field":"(' + _FIELD + rb')","seq":(' + _NUMBER + rb")\}\n"
)
STATE_LINE = re.compile(
    rb'\{(?:"by":(' + _NUMBER + rb'),)?"field":"(' + _FIELD + rb')","seq":(' + _NUMBER + rb'),"state":"([A-Z]+)"\}\n'
)
_TO_URL = bytes.maketrans(b"+/", b"-_")
_DIGEST_CHARS = 43  # 32 bytes in base64url, without padding
_EXPLAINED = (ContentState.ERASED, ContentState.EXPIRED)
_BEGIN = b'{"disclosure":"'

Disclosed = tuple[str, bytes]
"""A field, and its disclosure in base64url."""


class Lines:
    """Lines of a block, taken record by record. `what` is said in errors."""

    def __init__(self, block: bytes, pattern: re.Pattern[bytes], field: int, seq: int, what: str) -> None:
        self._block = block
        self._match: Callable[[bytes, int], re.Match[bytes] | None] = pattern.match
        self._field, self._seq, self._what = field, seq, what
        self._at = 0

    def _look(self) -> re.Match[bytes] | None:
        """The next line; None at the end."""
        if self._at == len(self._block):
            return None
        match = self._match(self._block, self._at)
        if match is None:
            raise EvidenceError("line", f"a line is not of the form of {self._what}")
        return match

    def take(self, seq: int) -> list[re.Match[bytes]]:
        """The lines of record `seq`; no line of an earlier record may be left, none may be there twice."""
        found: list[re.Match[bytes]] = []
        before = b""
        while (line := self._look()) is not None and (line_seq := int(line[self._seq])) <= seq:
            if line_seq < seq:
                raise EvidenceError("line", f"{self._what} of record {line_seq}: not presented, or not sorted")
            if (field := line[self._field]) <= before:
                raise EvidenceError("line", f"{self._what} of record {seq} are not sorted by field, each once")
            before = field
            found.append(line)
            self._at = line.end()
        return found

    def take_disclosed(self, seq: int, fields: Iterable[str]) -> list[Disclosed] | None:
        """What the next lines disclose, where they are those of exactly these fields of record `seq`.

        None where they are not, and then nothing is taken: `take` says what is there. That what is disclosed is
        base64url is left to whoever reads it.
        """
        block, at = self._block, self._at
        found: list[Disclosed] = []
        of_record = f'","seq":{seq}}}\n'
        for field in fields:
            line_end = block.find(b"\n", at) + 1
            rest = f'","field":"{field}{of_record}'.encode()
            start, end = at + len(_BEGIN), line_end - len(rest)
            if start >= end or not block.startswith(_BEGIN, at) or not block.startswith(rest, end):
                return None
            found.append((field, block[start:end]))
            at = line_end
        if self._next_is_of(seq, at):
            return None
        self._at = at
        return found

    def _next_is_of(self, seq: int, at: int) -> bool:
        """Whether one more line of this record begins at `at`."""
        end = self._block.find(b"\n", at)
        return self._block.endswith(b',"seq":%d}' % seq, at, max(end, at))

    def finish(self) -> None:
        """No line is left."""
        if (line := self._look()) is not None:
            raise EvidenceError("line", f"{self._what} of record {int(line[self._seq])}, which is not presented")


def disclosure_lines(block: bytes) -> Lines:
    """The lines of disclosures in a block."""
    return Lines(block, DISCLOSURE_LINE, 2, 3, "disclosures")


def state_lines(block: bytes) -> Lines:
    """The lines of states in a block."""
    return Lines(block, STATE_LINE, 2, 3, "states")


def take_disclosures(lines: Lines, seq: int, content: dict[str, str]) -> list[Disclosed]:
    """What is disclosed of record `seq`, whose leaf commits to `content`."""
    found = lines.take_disclosed(seq, content)  # canonical, so in the order of names
    if found is None:
        return [(line[2].decode(), line[1]) for line in lines.take(seq)]
    return found


def check_disclosures(
    content: dict[str, str], disclosed: list[Disclosed], reader: DisclosureReader
) -> list[tuple[str, BlobRef]]:
    """Each disclosure is of a field of the leaf and matches its digest and name; returns fields that are blobs."""
    blobs = []
    for field, encoded in disclosed:
        digest = content.get(field)
        if digest is None:
            raise EvidenceError("disclosure", f"the leaf has no content field {field}")
        # SPEC: RFC 9901 section 4.2.3 - the digest is over the ASCII of the encoded disclosure, as it stands.
        if b2a_base64(sha256(encoded).digest())[:_DIGEST_CHARS].translate(_TO_URL) != digest.encode():
            raise EvidenceError("disclosure", f"field {field} does not match its digest in the leaf")
        name, value = reader.read(encoded)
        if name != field:
            raise EvidenceError("disclosure", f"field {field} discloses another name")
        if value is not None and (blob := blob_of(value)) is not None:
            blobs.append((field, blob))
    return blobs


def blob_of(value: Any) -> BlobRef | None:
    """The reference, where an object with the one key ``blob`` is one."""
    try:
        return BlobRef.parse(value)
    except EvidenceError:
        return None  # a producer's own object that happens to look like one


def check_states(lines: list[re.Match[bytes]]) -> bool:
    """Each state is known and no failure, and names a record exactly where it must; whether any needs step 10."""
    explained = False
    for line in lines:
        field, state = line[2].decode(), line[4].decode()
        if state in (ContentState.MISSING, ContentState.MISMATCH):
            raise EvidenceError("content_state", f"field {field} is {state}: the log's own content is damaged")
        if state not in (ContentState.WITHHELD, *_EXPLAINED):
            raise EvidenceError("content_state", f"field {field} has no such state: {state[:32]}")
        if (line[1] is not None) != (state in _EXPLAINED):
            raise EvidenceError("content_state", f"field {field}: a record is named for ERASED and EXPIRED, only there")
        explained = explained or state in _EXPLAINED
    return explained


def check_complete(content: dict[str, str], disclosed: list[Disclosed], states: list[re.Match[bytes]]) -> None:
    """Every content field is disclosed or has a state, and not both."""
    fields = [field for field, _ in disclosed] + [line[2].decode() for line in states]
    if len(fields) == len(content) and content.keys() == set(fields):
        return
    if missing := content.keys() - set(fields):
        raise EvidenceError("content_state", f"field {min(missing)} is neither disclosed nor has a state")
    if unknown := set(fields) - content.keys():
        raise EvidenceError("content_state", f"the leaf has no content field {min(unknown)}")
    raise EvidenceError(
        "content_state", f"field {min(f for f in fields if fields.count(f) > 1)} is disclosed and has a state"
    )
