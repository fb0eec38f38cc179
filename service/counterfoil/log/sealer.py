"""Leaf and sealed content of one draft: steps 1 and 2 of writing, without the keystore.

The leaf is printed once, by orjson with sorted keys: on the domain of RECORD 1 these are the bytes of RFC 8785
(`core.encoding.format_json`; a test compares them). The four values that come later are printed as `"="`, which no
token, time or hash can be, and the bytes are cut there.

Each content field becomes an RFC 9901 disclosure with a salt of its own; the leaf holds the digests, the disclosures
are sealed together. A value over the inline limit becomes a reference, its bytes sealed in parts (never truncated).
Where it is built, the compiled part makes disclosures and digests of ordinary records (`mapping/native/commit.c`).
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from binascii import b2a_base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from counterfoil.core.disclosure import BlobRef, format_disclosure
from counterfoil.core.encoding import decode_base64url
from counterfoil.core.errors import Fault, InputError
from counterfoil.core.record import MAX_LEAF_BYTES
from counterfoil.core.schema import FORMAT_VERSION
from counterfoil.log import overflow
from counterfoil.log.batch import LogInfo
from counterfoil.log.keystore import DataKey, Selector
from counterfoil.log.seal import NONCE_BYTES, body_of, part_count, printed_aad, seal_body, seal_parts
from counterfoil.mapping.compiled import native
from counterfoil.mapping.draft import Draft, Item

SALT_BYTES = 18
"""More than the 16 that RFC 9901 asks for: 18 bytes are 24 characters of base64url without padding, so the salts of a
whole batch are drawn and encoded at once and cut."""
SALT_CHARS = 24

INLINE_BYTES = 1_048_576
"""A value whose JSON is longer is kept as a blob."""

_LATER = "="
_MARK = b'"="'
_NUMBERS_BYTES = 44 + 2 + 27 + 2 + 16 + 16
"""The widest `prev`, `recorded_at`, `seq` and `supersedes`."""
_SUPERSEDES_KEY = b',"supersedes":'
_URLSAFE = bytes.maketrans(b"+/", b"-_")


@dataclass(slots=True)
class PreparedRecord:
    """One leaf in pieces, and its sealed content."""

    before_prev: bytes
    before_recorded_at: bytes
    before_seq: bytes
    after_seq: bytes
    cut: int
    """Where `supersedes` goes within `after_seq`."""
    may_supersede: bool
    """Whether it has the trace and span of its item, so that `supersedes` would be lawful."""
    key_id: bytes = b""
    sealed: bytes = b""
    blobs: list[tuple[str, int, bytes]] = field(default_factory=list)
    """(field, part, sealed) of values over the inline limit."""


Blob = tuple[str, BlobRef, bytes]
"""A value over the inline limit: its field, what stands there in its place, and its bytes."""

Committed = tuple[bytes, bytes, list[bytes]]
"""What is sealed (`seal.body_of`), the leaf's `content` as printed, and the leaf in five pieces."""


@dataclass(slots=True)
class Plan:
    """One draft with the key and the pseudonyms that it needs."""

    draft: Draft
    selector: Selector
    identifiers: list[str]
    interaction_is_token: bool


def _is_of_span(draft: Draft, item: Item) -> bool:
    """Whether the leaf names the span that its item is filed under."""
    facts = draft.facts
    return (
        item.signal == "traces"
        and facts.get("trace_id") == item.trace_id.hex()
        and facts.get("span_id") == item.span_id.hex()
    )


class Sealer:
    """Turns plans into prepared records, with the salts and nonces of the whole batch drawn at once."""

    def __init__(
        self,
        log: LogInfo,
        writer: str | None,
        keys: dict[Selector, DataKey],
        tokens: dict[str, str],
        random_bytes: Callable[[int], bytes],
        record_count: int,
        plans: Sequence[Plan],
    ) -> None:
        self._origin = log.origin
        self._service: dict[str, Any] = {"v": FORMAT_VERSION, "log": log.origin}
        # A record of our own may travel with those of a writer (a refusal beside what was kept); it names none.
        self._envelope = self._service if writer is None else {**self._service, "writer": writer}
        self._tokens = tokens
        self._keys = keys
        self._random = random_bytes
        # One more field for each record than it has: `leaf_overflow`.
        salt_count = sum(len(plan.draft.fields) for plan in plans) + record_count
        self._salts = urlsafe_b64encode(random_bytes(SALT_BYTES * salt_count))
        self._salt_at = 0
        self._shared: dict[int, bytes] = {}
        self._nonces = _slices(random_bytes(NONCE_BYTES * record_count), NONCE_BYTES)
        self._ciphers: dict[bytes, AESGCM] = {}
        self.size = 0

    def prepare(self, plan: Plan, producer: dict[str, Any] | None, item: Item) -> PreparedRecord:
        """Leaf and sealed content of one draft."""
        draft = plan.draft
        leaf = self._leaf(plan, producer)
        blobs: list[Blob] = []
        body, content, pieces = self._committed(leaf, draft.fields) or self._committed_with_rest(leaf, draft, blobs)
        a, b, c, d, e = pieces
        before = d[: -len(_SUPERSEDES_KEY)]
        record = PreparedRecord(a, b, c, before + e, len(before), _is_of_span(draft, item))
        if body:
            self._seal(record, plan, body, content)
            for name, reference, data in blobs:
                nonces = _slices(self._random(NONCE_BYTES * part_count(len(data))), NONCE_BYTES)
                parts = seal_parts(self._ciphers[record.key_id], nonces, self._origin, reference.sha256, data)
                record.blobs += [(name, part, sealed) for part, sealed in enumerate(parts)]
                self.size += sum(map(len, parts))
        self.size += len(a) + len(c) + len(record.after_seq) + len(record.sealed) + 512
        return record

    def _committed(self, leaf: dict[str, Any], fields: list[tuple[str, Any]]) -> Committed | None:
        """What is sealed and printed, by the compiled part; None where there is none, or something is out of the
        ordinary: a blob, a leaf over its limit, a value that is no JSON."""
        if _committer is None or not fields:
            return None
        made = _committer.commit(fields, self._salts, self._salt_at)
        if made is None:
            return None
        body, content = made
        pieces = _print(leaf, content)
        if sum(map(len, pieces)) + _NUMBERS_BYTES > MAX_LEAF_BYTES:
            del leaf["content"]
            return None
        self._salt_at += SALT_CHARS * len(fields)
        return body, content, pieces

    def _committed_with_rest(self, leaf: dict[str, Any], draft: Draft, blobs: list[Blob]) -> Committed:
        """The same for every draft, with what becomes a blob."""
        names: list[str] = []
        disclosures: list[bytes] = []
        for name, value in draft.fields:
            names.append(name)
            disclosures.append(self._disclose(name, value, blobs))
        content = _commit(names, disclosures)
        pieces = _print(leaf, content)
        size = sum(map(len, pieces)) + _NUMBERS_BYTES
        if size > MAX_LEAF_BYTES:
            leaf, moved = overflow.move_longest(leaf, size, len(names))
            names.append(overflow.FIELD)
            disclosures.append(self._disclose(overflow.FIELD, moved, blobs))
            content = _commit(names, disclosures)
            pieces = _print(leaf, content)
        return body_of(disclosures), content, pieces

    def _seal(self, record: PreparedRecord, plan: Plan, body: bytes, content: bytes) -> None:
        key = self._keys.get(plan.selector)
        if key is None:  # only `leaf_overflow`: the draft itself brought no content
            raise InputError("leaf_too_large", "a record without content has facts over the limit")
        cipher = self._ciphers.get(key.key_id)
        if cipher is None:
            cipher = self._ciphers[key.key_id] = AESGCM(key.key)
        record.key_id = key.key_id
        record.sealed = seal_body(cipher, next(self._nonces), printed_aad(self._origin, content), body)

    def _leaf(self, plan: Plan, producer: dict[str, Any] | None) -> dict[str, Any]:
        draft, tokens = plan.draft, self._tokens
        envelope = self._service if draft.source == "service" else self._envelope
        leaf = {**draft.facts, **envelope, "kind": draft.kind, "source": draft.source}
        if producer is not None:
            leaf["producer"] = producer
        if draft.interaction_id:
            name = draft.interaction_id if plan.interaction_is_token else tokens[draft.interaction_id]
            leaf["interaction"] = {**leaf.get("interaction", {}), "id": name}
        if draft.subject_id:
            leaf["subject"] = tokens[draft.subject_id]
        for path, identifier in draft.persons:
            key, _, name = path.partition(".")
            if not name:
                raise Fault(f"{path} is no place for a person in a leaf")
            leaf[key] = {**leaf.get(key, {}), name: tokens[identifier]}
        return leaf

    def _disclose(self, name: str, value: Any, blobs: list[Blob]) -> bytes:
        """The JSON bytes of one field's disclosure; a value over the inline limit becomes a reference to a blob."""
        salt = self._salts[self._salt_at : self._salt_at + SALT_CHARS].decode("ascii")
        self._salt_at += SALT_CHARS
        if name in _SHARED:
            # Every item of a resource shares one object: print it once.
            printed = self._shared.get(id(value))
            if printed is None:
                printed = self._shared[id(value)] = _format(salt, name, value)[SALT_CHARS + 3 :]
            disclosure = b'["%b"%b' % (salt.encode("ascii"), printed)
        else:
            disclosure = _format(salt, name, value)
        if len(disclosure) > INLINE_BYTES:
            data = disclosure[len(_format(salt, name, 0)) - 2 : -1]
            reference = BlobRef.of(decode_base64url(salt), [data])
            blobs.append((name, reference, data))
            disclosure = _format(salt, name, reference.format())
        return disclosure


_SHARED = frozenset(("resource", "scope"))


_committer = None if native is None else native.Committer(sha256, orjson.dumps, INLINE_BYTES)


def _commit(names: list[str], disclosures: list[bytes]) -> bytes:
    """The leaf's `content`, printed: digest by name (RFC 9901: SHA-256 over the base64url of the disclosure); b"{}"
    where there is none.

    All digests are encoded at once: 32 bytes and a zero byte are 44 characters, of which the first 43 are the digest's.
    """
    hashes = [
        sha256(b2a_base64(one, newline=False).rstrip(b"=").replace(b"+", b"-").replace(b"/", b"_")).digest()
        for one in disclosures
    ]
    text = b2a_base64(b"\x00".join(hashes) + b"\x00", newline=False).translate(_URLSAFE).decode("ascii")
    content = {name: text[at : at + 43] for name, at in zip(names, range(0, 44 * len(names), 44), strict=True)}
    if len(content) != len(names):
        raise InputError("bad_content", "a content field is there twice", item=names[-1])
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def _print(leaf: dict[str, Any], content: bytes) -> list[bytes]:
    """The leaf's bytes in five pieces, cut where the head's values go."""
    leaf["prev"] = leaf["recorded_at"] = leaf["seq"] = leaf["supersedes"] = _LATER
    if content != _NO_CONTENT:
        leaf["content"] = orjson.Fragment(content)
    pieces = orjson.dumps(leaf, option=orjson.OPT_SORT_KEYS).split(_MARK)
    if len(pieces) != 5:
        raise InputError("bad_record", "a fact holds a value that no token may be")
    return pieces


_NO_CONTENT = b"{}"


def _format(salt: str, name: str, value: Any) -> bytes:
    try:
        return orjson.dumps([salt, name, value])
    except (TypeError, orjson.JSONEncodeError):
        # Integers of more than 64 bits; anything else that is no JSON is refused with the field's name.
        return format_disclosure(salt, name, value)


def _slices(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))
