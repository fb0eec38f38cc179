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
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from counterfoil.core.disclosure import BlobRef, parse_disclosure
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


class Lines:
    """Lines of a block, taken record by record. `what` is said in errors."""

    def __init__(self, block: bytes, pattern: re.Pattern[bytes], field: int, seq: int, what: str) -> None:
        self._block = block
        self._match: Callable[[bytes, int], re.Match[bytes] | None] = pattern.match
        self._field, self._seq, self._what = field, seq, what
        self._at = 0
        self._next: re.Match[bytes] | None = None
        self._step()

    def _step(self) -> None:
        if self._at == len(self._block):
            self._next = None
            return
        match = self._match(self._block, self._at)
        if match is None:
            raise EvidenceError("line", f"a line is not of the form of {self._what}")
        self._next, self._at = match, match.end()

    def take(self, seq: int) -> list[re.Match[bytes]]:
        """The lines of record `seq`; no line of an earlier record may be left, none may be there twice."""
        found: list[re.Match[bytes]] = []
        before = b""
        while self._next is not None and (line_seq := int(self._next[self._seq])) <= seq:
            if line_seq < seq:
                raise EvidenceError("line", f"{self._what} of record {line_seq}: not presented, or not sorted")
            if (field := self._next[self._field]) <= before:
                raise EvidenceError("line", f"{self._what} of record {seq} are not sorted by field, each once")
            before = field
            found.append(self._next)
            self._step()
        return found

    def finish(self) -> None:
        """No line is left."""
        if self._next is not None:
            raise EvidenceError("line", f"{self._what} of record {int(self._next[self._seq])}, which is not presented")


def disclosure_lines(block: bytes) -> Lines:
    """The lines of disclosures in a block."""
    return Lines(block, DISCLOSURE_LINE, 2, 3, "disclosures")


def state_lines(block: bytes) -> Lines:
    """The lines of states in a block."""
    return Lines(block, STATE_LINE, 2, 3, "states")


def check_disclosures(content: dict[str, str], lines: list[re.Match[bytes]]) -> list[tuple[str, BlobRef]]:
    """Each disclosure is of a field of the leaf and matches its digest and name; returns fields that are blobs."""
    blobs = []
    for line in lines:
        field = line[2].decode()
        digest = content.get(field)
        if digest is None:
            raise EvidenceError("disclosure", f"the leaf has no content field {field}")
        encoded = line[1]
        # SPEC: RFC 9901 section 4.2.3 - the digest is over the ASCII of the encoded disclosure, as it stands.
        if b2a_base64(sha256(encoded).digest())[:_DIGEST_CHARS].translate(_TO_URL) != digest.encode():
            raise EvidenceError("disclosure", f"field {field} does not match its digest in the leaf")
        disclosed = parse_disclosure(encoded.decode())
        if disclosed.name != field:
            raise EvidenceError("disclosure", f"field {field} discloses another name")
        if (blob := blob_of(disclosed.value)) is not None:
            blobs.append((field, blob))
    return blobs


def blob_of(value: Any) -> BlobRef | None:
    """The reference, where a value is one to a blob."""
    if not isinstance(value, dict) or value.keys() != {"blob"}:
        return None
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


def check_complete(content: dict[str, str], disclosed: list[re.Match[bytes]], states: list[re.Match[bytes]]) -> None:
    """Every content field is disclosed or has a state, and not both."""
    fields = [line[2].decode() for line in disclosed] + [line[2].decode() for line in states]
    if len(fields) == len(content) and content.keys() == set(fields):
        return
    if missing := content.keys() - set(fields):
        raise EvidenceError("content_state", f"field {min(missing)} is neither disclosed nor has a state")
    if unknown := set(fields) - content.keys():
        raise EvidenceError("content_state", f"the leaf has no content field {min(unknown)}")
    raise EvidenceError(
        "content_state", f"field {min(f for f in fields if fields.count(f) > 1)} is disclosed and has a state"
    )
