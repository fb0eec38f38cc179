"""The promise: what the service signs when it acknowledges, before any checkpoint covers the records (RECORD 6).

    counterfoil/promise/v1
    example.com/log
    0-3,7-7
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
    2026-11-22T10:48:39.000123Z

as the text of a signed note whose key name is the origin: header, origin, the `seq` ranges given (first-last, rising,
never touching, at most 64), the leaf hash of the highest, the time. A promise that the log contradicts is evidence
against the log. Checks: ``promise`` (form), ``promise_signature``, and those of `note`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from counterfoil.core.encoding import decode_base64, encode_base64, format_time_us, parse_decimal, parse_time_us
from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.core.merkle import HASH_SIZE, MAX_TREE_SIZE
from counterfoil.core.note import ED25519, Signer, VerifierKey, open_note, sign

PROMISE_HEADER = "counterfoil/promise/v1"
MAX_RANGES = 64


@dataclass(frozen=True, slots=True)
class Promise:
    """These `seq` ranges (first, last) of the log `origin` are durable since `at_us`; `leaf_hash` is of the highest."""

    origin: str
    ranges: tuple[tuple[int, int], ...]
    leaf_hash: bytes
    at_us: int

    def __post_init__(self) -> None:
        if not self.origin or "\n" in self.origin or len(self.leaf_hash) != HASH_SIZE:
            raise InputError("bad_promise", "a promise has an origin of one line and a leaf hash of 32 bytes")
        if not 1 <= len(self.ranges) <= MAX_RANGES:
            raise InputError("bad_promise", f"a promise covers 1 to {MAX_RANGES} ranges, not {len(self.ranges)}")
        before = -2
        for first, last in self.ranges:
            if not before + 1 < first <= last < MAX_TREE_SIZE:
                raise InputError("bad_promise", "ranges of a promise rise and never touch")
            before = last

    def text(self) -> str:
        """The note text."""
        ranges = ",".join(f"{first}-{last}" for first, last in self.ranges)
        lines = (PROMISE_HEADER, self.origin, ranges, encode_base64(self.leaf_hash), format_time_us(self.at_us))
        return "".join(f"{line}\n" for line in lines)

    def covers(self, seq: int) -> bool:
        """Whether the promise was given for record `seq`."""
        return any(first <= seq <= last for first, last in self.ranges)


def _parse_range(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not dash:
        raise EvidenceError("promise", "a range is written first-last")
    return parse_decimal(first), parse_decimal(last)


def parse_promise(text: str) -> Promise:
    """The promise of a note text."""
    lines = text.split("\n")
    if len(lines) != 6 or lines[0] != PROMISE_HEADER or lines[5]:
        raise EvidenceError("promise", f"not five lines that begin with {PROMISE_HEADER}")
    _, origin, ranges, leaf_hash, at, _ = lines
    try:
        pairs = tuple(_parse_range(part) for part in ranges.split(",", MAX_RANGES))
        return Promise(origin, pairs, decode_base64(leaf_hash), parse_time_us(at))
    except (InputError, EvidenceError) as error:
        raise EvidenceError("promise", error.message) from None


def sign_promise(promise: Promise, signer: Signer) -> bytes:
    """The promise as a note signed by the log."""
    return sign(promise.text(), [signer])


def open_promise(note: bytes, keys: Sequence[VerifierKey]) -> Promise:
    """The promise, signed by the log that it names with one of `keys`."""
    opened = open_note(note, keys)
    promise = parse_promise(opened.text)
    if not any(key.name == promise.origin and key.algorithm == ED25519 for key in opened.keys):
        raise EvidenceError("promise_signature", f"no key of the log {promise.origin!r} signed it")
    return promise
