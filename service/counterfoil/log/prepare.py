"""Steps 1 and 2 of writing (ARCHITECTURE 3), in the thread of whoever sends: everything that needs no lock.

A draft becomes a leaf that lacks only what the head decides (`prev`, `recorded_at`, `seq`, and `supersedes` if there is
any), and a sealed content row. The order, and what a crash leaves:

1. check the facts, choose keys and pseudonyms.                        Nothing is on disk.
2. new keys, pseudonyms and links to the keystore, committed.          A crash leaves keys that nothing uses.
   Draw salts, compute digests, seal.                                  Still in memory only.

The leaf is printed once, by orjson with sorted keys: on the domain of RECORD 1 these are the bytes of RFC 8785
(`core.encoding.format_json`; a test compares them). The four values that come later are printed as `"="`, which no
token, time or hash can be, and the bytes are cut there.
"""

from __future__ import annotations

import os
import re
from base64 import urlsafe_b64encode
from binascii import b2a_base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from hashlib import sha256
from typing import Any

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from counterfoil.core.disclosure import BlobRef, format_disclosure
from counterfoil.core.encoding import MAX_JSON_INTEGER, decode_base64url
from counterfoil.core.errors import Fault, InputError
from counterfoil.core.record import MAX_LEAF_BYTES, check_draft
from counterfoil.core.rules import TIME_NS, Test, is_token
from counterfoil.core.schema import FORMAT_VERSION, MAX_FIELDS, leaf_rules
from counterfoil.log import overflow
from counterfoil.log.arrivals import Arrival, identify
from counterfoil.log.batch import Batch, LogInfo
from counterfoil.log.clock import Clock, month_of
from counterfoil.log.keystore import ArrivalKey, DataKey, Keystore, Selector
from counterfoil.log.seal import NONCE_BYTES, content_aad, part_count, seal, seal_parts
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


@dataclass(slots=True)
class PreparedItem:
    """All records of one item; no arrival for what the service writes itself."""

    records: list[PreparedRecord]
    arrival: Arrival | None


@dataclass(slots=True)
class Prepared:
    """A batch that needs only the head."""

    items: list[PreparedItem | None]
    """In the order of the batch; None where the item was refused."""
    refused: dict[int, InputError]
    writer: str | None
    record_count: int
    size: int
    """Bytes that it holds, about: what the queue is bounded by."""


def prepare(
    log: LogInfo,
    batch: Batch,
    keystore: Keystore,
    clock: Clock,
    *,
    recognise: bool = True,
    random_bytes: Callable[[int], bytes] = os.urandom,
    reached: Callable[[str], None] = lambda _: None,
) -> Prepared:
    """Check, choose keys, seal. `recognise=False` for the service's own records, of which each is a new one."""
    now_us = clock.now_us()
    month = month_of(now_us)
    refused: dict[int, InputError] = {}
    plans: list[list[_Plan] | None] = []
    batch_group = Selector("batch", random_bytes(16), month)
    for index, item in enumerate(batch.items):
        try:
            _check_producer(item)
            if batch.writer is None and any(draft.source != "service" for draft in item.drafts):
                raise InputError("bad_record", "only the service's own records have no writer", item="writer")
            plans.append([_plan(draft, item, batch_group, month) for draft in item.drafts])
        except InputError as error:
            refused[index] = error
            plans.append(None)
    every = [plan for group in plans if group is not None for plan in group]
    reached("planned")
    # Step 2. Committed before anything is sealed with it; a crash here leaves keys that nothing uses.
    resolved = keystore.resolve(
        log.id,
        {plan.selector for plan in every if plan.draft.fields},
        {identifier for plan in every for identifier in plan.identifiers},
        {(plan.draft.subject_id, plan.selector) for plan in every if plan.draft.subject_id and plan.draft.fields},
    )
    arrival_key = keystore.arrival_keys(month, now_us)[0] if recognise else None
    reached("keys_committed")
    worker = _Sealer(log, batch.writer, resolved.keys, resolved.tokens, random_bytes, len(every), every)
    items: list[PreparedItem | None] = []
    for index, (item, group) in enumerate(zip(batch.items, plans, strict=True)):
        if group is None:
            items.append(None)
            continue
        try:
            items.append(_prepare_item(worker, item, group, arrival_key, batch.writer or ""))
        except InputError as error:
            refused[index] = error
            items.append(None)
    reached("sealed")
    return Prepared(items, refused, batch.writer, len(every), worker.size)


@dataclass(slots=True)
class _Plan:
    """One draft with the key and the pseudonyms that it needs."""

    draft: Draft
    selector: Selector
    identifiers: list[str]
    interaction_is_token: bool


def _plan(draft: Draft, item: Item, batch_group: Selector, month: int) -> _Plan:
    """Step 1: is the draft lawful, and what does it need from the keystore?"""
    _check(draft)
    identifiers: list[str] = [identifier for _, identifier in draft.persons]
    if draft.subject_id:
        identifiers.append(draft.subject_id)
    interaction = draft.interaction_id
    token = is_token(interaction)
    if interaction:
        selector = Selector("interaction", interaction.encode("utf-8", "surrogatepass"), month)
        if not token:
            identifiers.append(interaction)
    elif item.trace_id:
        selector = Selector("trace", item.trace_id, month)
    elif draft.source == "service":
        selector = Selector("service", b"", month)
    else:
        selector = batch_group
    return _Plan(draft, selector, identifiers, token)


@cache
def _draft_tests(kind: str, source: str) -> tuple[dict[str, Test], frozenset[str]]:
    """The tests of core's table for the keys that a draft may have, and those that it must have."""
    rules, required = leaf_rules(kind)
    later = {"v", "log", "seq", "prev", "recorded_at", "writer", "content", "supersedes", "kind", "source"}
    if not rules["source"].test(source):
        raise InputError("bad_record", f"{kind} does not come from {source}", item="source")
    tests = {key: rule.test for key, rule in rules.items() if key not in later}
    return {**tests, "started_at": _is_time, "ended_at": _is_time}, required - later


def _check(draft: Draft) -> None:
    """The facts are lawful in a leaf: what is appended can never be put right. InputError names the key."""
    facts = draft.facts
    if "supersedes" in facts or ("subject" in facts and draft.subject_id):
        raise InputError("bad_record", "the log itself sets supersedes and subject", item="supersedes")
    try:
        tests, required = _draft_tests(draft.kind, draft.source)
    except KeyError:
        tests, required = {}, frozenset({"kind"})
    lawful = required <= facts.keys()
    for key, value in facts.items():
        if key in _REPEATED and _is_known(key, value):
            continue
        test = tests.get(key)
        if test is None or not test(value):
            lawful = False
            break
    otlp = draft.source[:4] == "otlp"
    if not lawful or (otlp and "mapping" not in facts) or (not otlp and _needs_a_closer_look(facts)):
        check_draft(draft.kind, {**facts, "source": draft.source})
        if not lawful:
            raise InputError("bad_record", f"a {draft.kind} draft is not lawful", item=draft.kind)
    if len(draft.fields) > MAX_FIELDS:
        raise InputError("too_many_fields", f"{len(draft.fields)} content fields are over the limit of {MAX_FIELDS}")


def _check_producer(item: Item) -> None:
    if item.producer is not None:
        name, number = item.producer
        if not is_token(name) or not 0 <= number <= MAX_JSON_INTEGER:
            raise InputError("bad_producer", "a producer is a token and a number from 0 to 2^53-1", item="producer")
    if not item.drafts:
        raise InputError("bad_record", "an item without records")


_REPEATED = frozenset(("mapping", "agent", "model"))
"""Flat objects of tokens that are the same in most records of a batch: one look-up instead of a test for each token."""

_KNOWN_LIMIT = 4096
_known_lawful: set[tuple[str, tuple[Any, ...]]] = set()


def _is_known(key: str, value: Any) -> bool:
    """Whether exactly this object passed the test of `key` before."""
    if type(value) is not dict:
        return False
    seen = (key, tuple(value.items()))
    try:
        if seen in _known_lawful:
            return True
    except TypeError:
        return False  # not flat, so not lawful either: the test will say so
    if leaf_rules("operation")[0][key].test(value):
        if len(_known_lawful) >= _KNOWN_LIMIT:
            _known_lawful.clear()
        _known_lawful.add(seen)
        return True
    return False


_TIME_NS = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T)(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{9}Z")


def _is_time(value: Any) -> bool:
    """Core's test of a producer's time, with the day looked up: most records of a batch are of one day."""
    match = _TIME_NS.fullmatch(value) if type(value) is str else None
    return match is not None and _is_day(match[1])


@lru_cache(maxsize=1024)
def _is_day(day: str) -> bool:
    return TIME_NS.test(f"{day}00:00:00.000000000Z") and TIME_NS.test(f"{day}23:59:59.999999999Z")


def _needs_a_closer_look(facts: dict[str, Any]) -> bool:
    """Whether a record of our own has keys that core also checks against each other."""
    return "mapping" in facts or "key" in facts or "producer" in facts


def _prepare_item(
    worker: _Sealer, item: Item, plans: Sequence[_Plan], key: ArrivalKey | None, writer: str
) -> PreparedItem:
    numbered = item.producer is not None or len(plans) > 1
    records = [
        worker.prepare(plan, _producer(plan.draft, item, part) if numbered else None, item)
        for part, plan in enumerate(plans)
    ]
    return PreparedItem(records, None if key is None else identify(item, writer, key))


def _producer(draft: Draft, item: Item, part: int) -> dict[str, Any]:
    """The leaf's `producer`: what the draft says (kind `producer`), the number of the item, the part."""
    found = {**draft.facts.get("producer", {}), "part": part}
    if item.producer is not None:
        found["id"], found["n"] = item.producer
    return found


class _Sealer:
    """Turns plans into prepared records, with the salts and nonces of the whole batch drawn at once."""

    def __init__(
        self,
        log: LogInfo,
        writer: str | None,
        keys: dict[Selector, DataKey],
        tokens: dict[str, str],
        random_bytes: Callable[[int], bytes],
        record_count: int,
        plans: Sequence[_Plan],
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
        self._salts = urlsafe_b64encode(random_bytes(SALT_BYTES * salt_count)).decode("ascii")
        self._salt_at = 0
        self._shared: dict[int, bytes] = {}
        self._nonces = _slices(random_bytes(NONCE_BYTES * record_count), NONCE_BYTES)
        self._ciphers: dict[bytes, AESGCM] = {}
        self.size = 0

    def prepare(self, plan: _Plan, producer: dict[str, Any] | None, item: Item) -> PreparedRecord:
        """Leaf and sealed content of one draft."""
        draft = plan.draft
        leaf = self._leaf(plan, producer)
        names: list[str] = []
        disclosures: list[bytes] = []
        blobs: list[tuple[str, BlobRef, bytes]] = []
        for name, value in draft.fields:
            names.append(name)
            disclosures.append(self._disclose(name, value, blobs))
        content = _commit(names, disclosures)
        pieces = _print(leaf, content)
        size = sum(map(len, pieces)) + _NUMBERS_BYTES
        if size > MAX_LEAF_BYTES:
            leaf, moved = overflow.move_longest(leaf, size, len(content))
            names.append(overflow.FIELD)
            disclosures.append(self._disclose(overflow.FIELD, moved, blobs))
            content = _commit(names, disclosures)
            pieces = _print(leaf, content)
        a, b, c, d, e = pieces
        before = d[: -len(_SUPERSEDES_KEY)]
        facts = draft.facts
        same_span = facts.get("trace_id") == item.trace_id.hex() and facts.get("span_id") == item.span_id.hex()
        record = PreparedRecord(a, b, c, before + e, len(before), same_span)
        if disclosures:
            key = self._keys.get(plan.selector)
            if key is None:  # only `leaf_overflow`: the draft itself brought no content
                raise InputError("leaf_too_large", "a record without content has facts over the limit")
            cipher = self._ciphers.get(key.key_id)
            if cipher is None:
                cipher = self._ciphers[key.key_id] = AESGCM(key.key)
            record.key_id = key.key_id
            record.sealed = seal(cipher, next(self._nonces), content_aad(self._origin, content), disclosures)
            for name, reference, data in blobs:
                nonces = _slices(self._random(NONCE_BYTES * part_count(len(data))), NONCE_BYTES)
                parts = seal_parts(cipher, nonces, self._origin, reference.sha256, data)
                record.blobs += [(name, part, sealed) for part, sealed in enumerate(parts)]
                self.size += sum(map(len, parts))
        self.size += len(a) + len(c) + len(record.after_seq) + len(record.sealed) + 512
        return record

    def _leaf(self, plan: _Plan, producer: dict[str, Any] | None) -> dict[str, Any]:
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

    def _disclose(self, name: str, value: Any, blobs: list[tuple[str, BlobRef, bytes]]) -> bytes:
        """The JSON bytes of one field's disclosure; a value over the inline limit becomes a reference to a blob."""
        salt = self._salts[self._salt_at : self._salt_at + SALT_CHARS]
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


def _commit(names: list[str], disclosures: list[bytes]) -> dict[str, str]:
    """The leaf's `content`: digest by name (RFC 9901: SHA-256 over the base64url of the disclosure).

    All digests are encoded at once: 32 bytes and a zero byte are 44 characters, of which the first 43 are the digest's.
    """
    if not names:
        return {}
    hashes = [
        sha256(b2a_base64(one, newline=False).rstrip(b"=").replace(b"+", b"-").replace(b"/", b"_")).digest()
        for one in disclosures
    ]
    text = b2a_base64(b"\x00".join(hashes) + b"\x00", newline=False).translate(_URLSAFE).decode("ascii")
    content = {name: text[at : at + 43] for name, at in zip(names, range(0, len(text), 44), strict=True)}
    if len(content) != len(names):
        raise InputError("bad_content", "a content field is there twice", item=names[-1])
    return content


def _print(leaf: dict[str, Any], content: dict[str, str]) -> list[bytes]:
    """The leaf's bytes in five pieces, cut where the head's values go."""
    leaf["prev"] = leaf["recorded_at"] = leaf["seq"] = leaf["supersedes"] = _LATER
    if content:
        leaf["content"] = content
    pieces = orjson.dumps(leaf, option=orjson.OPT_SORT_KEYS).split(_MARK)
    if len(pieces) != 5:
        raise InputError("bad_record", "a fact holds a value that no token may be")
    return pieces


def _format(salt: str, name: str, value: Any) -> bytes:
    try:
        return orjson.dumps([salt, name, value])
    except (TypeError, orjson.JSONEncodeError):
        # Integers of more than 64 bits; anything else that is no JSON is refused with the field's name.
        return format_disclosure(salt, name, value)


def _slices(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))
