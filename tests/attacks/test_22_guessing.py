"""Attack 22: guess content from digests."""

import base64
import json
from collections.abc import Iterator
from hashlib import md5, sha1, sha256, sha512

from counterfoil.core.disclosure import digest_of, encode_disclosure, parse_disclosure
from counterfoil.core.encoding import decode_base64url
from counterfoil.log.contents import Contents
from counterfoil.log.fsck.chain import parse_leaf
from tests.attacks.store import FIRST, Store, span

NUMBERS = range(0, 600, 37)


def every_byte_on_disk(store: Store) -> bytes:
    store.checkpoint()
    with store.attack() as ledger:
        ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    files = sorted(path for path in store.directory.path.rglob("*") if path.is_file())
    assert {"ledger.db", "keystore.db"} <= {path.name for path in files}
    return b"".join(path.read_bytes() for path in files)


def guesses(number: int) -> Iterator[tuple[str, object]]:
    """All that an insider would try: the right content of a record, without its salt."""
    for draft in span(number).drafts:
        yield from draft.fields
    yield "subject", f"customer {number // 7}"
    yield "interaction", f"conv-{number // 5}"


def spellings(name: str, value: object) -> Iterator[bytes]:
    text = value if isinstance(value, str) else json.dumps(value)
    for plain in (text, json.dumps(value), json.dumps(value, separators=(",", ":")), json.dumps([name, value])):
        for algorithm in (sha256, sha1, md5, sha512):
            digest = algorithm(plain.encode(), usedforsecurity=False).digest()
            yield from (digest, digest.hex().encode(), base64.b64encode(digest))
            yield base64.urlsafe_b64encode(digest).rstrip(b"=")


def test_no_unsalted_digest_of_content_or_of_an_identifier_is_on_the_disk(store: Store) -> None:
    disk = every_byte_on_disk(store)
    for number in NUMBERS:
        for name, value in guesses(number):
            assert not [one for one in spellings(name, value) if one in disk], (number, name)


def test_no_content_and_no_identifier_of_a_person_is_on_the_disk_in_the_clear(store: Store) -> None:
    disk = every_byte_on_disk(store)
    assert b"policy R-12" not in disk
    assert b"upstream timed out" not in disk
    assert b"customer " not in disk


def test_every_salt_has_128_bits_and_serves_one_field_alone(store: Store) -> None:
    rows = [(seq, parse_leaf(store.leaf(seq))) for seq in range(FIRST, 400)]
    opened = Contents(store.ledger, store.keystore).open(store.log, rows)
    salts = [
        decode_base64url(parse_disclosure(content.disclosure).salt)
        for fields in opened.values()
        for content in fields.values()
        if content.disclosure is not None
    ]
    assert len(salts) > 600
    assert all(len(salt) >= 16 for salt in salts)
    assert len(set(salts)) == len(salts)


def test_the_same_words_in_two_records_have_different_digests(store: Store) -> None:
    same = [parse_leaf(store.leaf(seq)) for seq in range(FIRST, 400)]
    digests = [leaf["content"]["reason"] for leaf in same if "reason" in leaf.get("content", {})]
    assert len(digests) >= 100
    assert len(set(digests)) == len(digests)


def test_fsck_names_a_salt_that_two_fields_share(store: Store) -> None:
    """A service that cut corners: built with the real sealing, one salt for all fields of a record."""
    from tests.attacks.reseal import reseal_with_one_salt

    seq = reseal_with_one_salt(store)
    findings = [finding for finding in store.fsck() if finding.check == "salt_reused"]
    assert [(finding.seq, finding.attack) for finding in findings] == [(seq, 22)]


def test_the_digest_is_over_salt_name_and_value_together(store: Store) -> None:
    rows = [(FIRST, parse_leaf(store.leaf(FIRST)))]
    fields = Contents(store.ledger, store.keystore).open(store.log, rows)[FIRST]
    for name, content in fields.items():
        assert content.disclosure is not None
        assert digest_of(content.disclosure) == rows[0][1]["content"][name]
        guessed = encode_disclosure(json.dumps(["", name, content.value], separators=(",", ":")).encode())
        assert digest_of(guessed) != rows[0][1]["content"][name]
