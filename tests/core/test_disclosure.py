"""RFC 9901 disclosures and blob references."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.core import disclosure
from counterfoil.core.disclosure import BlobRef, Disclosure
from counterfoil.core.encoding import encode_base64url
from counterfoil.core.errors import EvidenceError, InputError

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "vectors" / "sdjwt_disclosures.json").read_text())["vectors"]
SALT = encode_base64url(bytes(range(16)))


def encoded(json_text: str) -> str:
    return disclosure.encode_disclosure(json_text.encode())


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["sha256_b64url"][:8])
def test_a_published_disclosure_has_its_encoding_and_digest(case: dict[str, str]) -> None:
    assert disclosure.encode_disclosure(case["json"].encode()) == case["disclosure"]
    assert disclosure.digest_of(case["disclosure"]) == case["sha256_b64url"]
    parts = json.loads(case["json"])
    if len(parts) == 3:
        assert disclosure.parse_disclosure(case["disclosure"]) == Disclosure(*parts)
    else:  # RFC 9901 section 4.2.2, an array element: a leaf has none
        with pytest.raises(EvidenceError, match="array of salt, name and value"):
            disclosure.parse_disclosure(case["disclosure"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.binary(min_size=16, max_size=64), st.text(min_size=1), JSON)
def test_disclosures_round_trip_whatever_the_value(salt: bytes, name: str, value: Any) -> None:
    text = encode_base64url(salt)
    data = disclosure.format_disclosure(text, name, value)
    found = disclosure.parse_disclosure(disclosure.encode_disclosure(data))
    assert found == Disclosure(text, name, value)
    assert len(disclosure.digest_of(disclosure.encode_disclosure(data))) == 43


def test_salts_are_16_random_bytes_and_fresh() -> None:
    salts = {disclosure.new_salt() for _ in range(100)}
    assert len(salts) == 100
    assert all(len(salt) == 22 for salt in salts)
    assert disclosure.new_salt(bytes) == "A" * 22


@pytest.mark.parametrize(
    ("salt", "value"),
    [("short", 1), ("A" * 21, 1), ("A" * 86 + "==", 1), (SALT, float("nan")), (SALT, b"x"), (SALT, "\ud800")],
)
def test_what_is_no_json_or_has_a_weak_salt_is_not_disclosed(salt: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        disclosure.format_disclosure(salt, "rationale", value)
    assert (caught.value.code, caught.value.item) == ("bad_content", "rationale")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "1",
        f'["{SALT}","name"]',
        f'["{SALT}","name",1,2]',
        f'["{SALT}","",1]',
        f'["{SALT}",1,1]',
        f'[1,"name",{"1"}]',
        '["AAAAAAAAAAAAAAAAAAAA","name",1]',
        f'["{"A" * 87}","name",1]',
        '["AAAAAAAAAAAAAAAAAAAAAB","name",1]',
        f'["{SALT}","name",NaN]',
        f'["{SALT}","name",-Infinity]',
        f'["{SALT}","name",{{"a":1,"a":1}}]',
        f'["{SALT}","name",[{{"a":1,"a":2}}]]',
        f'["{SALT}","name",1] x',
        f'["{SALT}","name",' + "[" * 161 + "]" * 161 + "]",
        f'["{SALT}","name",' + '{"a":' * 65 + "1" + "}" * 161 + "]",
        f'["{SALT}","name",' + "[" * 100_000 + "]" * 100_000 + "]",
        f'["{SALT}","name",' + "1" * 5_000 + "]",
    ],
    ids=range(21),
)
def test_a_disclosure_of_any_other_form_is_rejected(text: str) -> None:
    with pytest.raises(EvidenceError) as caught:
        disclosure.parse_disclosure(encoded(text))
    assert caught.value.check == "disclosure"


@pytest.mark.parametrize("text", ["!", "YQ==", "_-9", encode_base64url(b'["\xff"]')])
def test_a_disclosure_that_is_not_base64url_of_utf_8_is_rejected(text: str) -> None:
    with pytest.raises(EvidenceError, match="disclosure"):
        disclosure.parse_disclosure(text)


def test_a_disclosure_may_be_160_deep_and_no_deeper() -> None:
    text = f'["{SALT}","name",' + "[" * 160 + "]" * 160 + "]"
    assert disclosure.parse_disclosure(encoded(text)).name == "name"


def test_a_disclosure_may_have_any_number_of_brackets_beside_each_other() -> None:
    value = [[1], {"a": "[[[{{{"}] * 200
    text = disclosure.encode_disclosure(disclosure.format_disclosure(SALT, "name", value))
    assert disclosure.parse_disclosure(text).value == value


def test_a_disclosure_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(EvidenceError, match="over the limit of 67108864"):
        disclosure.parse_disclosure("A" * (64 * 1024 * 1024 + 1))


def test_a_changed_byte_of_a_disclosure_changes_its_digest() -> None:
    data = disclosure.format_disclosure(SALT, "rationale", "bought 41 days ago")
    digests = {disclosure.digest_of(disclosure.encode_disclosure(data))}
    for at in range(len(data)):
        changed = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
        digests.add(disclosure.digest_of(disclosure.encode_disclosure(changed)))
    assert len(digests) == len(data) + 1


@given(st.binary(min_size=16, max_size=64), st.lists(st.binary()))
def test_blob_references_round_trip_and_check(salt: bytes, chunks: list[bytes]) -> None:
    ref = BlobRef.of(salt, chunks)
    assert BlobRef.parse(ref.format()) == ref
    assert ref.size == sum(map(len, chunks))
    disclosure.check_blob(ref, [b"".join(chunks)])
    with pytest.raises(EvidenceError, match="bytes, not"):
        disclosure.check_blob(ref, [*chunks, b"x"])


def test_a_changed_byte_of_a_blob_or_its_salt_is_noticed() -> None:
    ref = BlobRef.of(bytes(16), [b"large", b" value"])
    with pytest.raises(EvidenceError, match="do not match"):
        disclosure.check_blob(ref, [b"large valuf"])
    with pytest.raises(EvidenceError, match="do not match"):
        disclosure.check_blob(BlobRef(ref.sha256, bytes(15) + b"x", ref.size), [b"large value"])


GOOD = BlobRef.of(bytes(16), [b"x"]).format()["blob"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"blob": 1},
        {"blob": GOOD, "more": 1},
        {"blob": {**GOOD, "more": 1}},
        {"blob": {"salt": GOOD["salt"], "size": 1}},
        {"blob": {**GOOD, "sha256": 1}},
        {"blob": {**GOOD, "sha256": "AAAA"}},
        {"blob": {**GOOD, "sha256": "AAA"}},
        {"blob": {**GOOD, "salt": 1}},
        {"blob": {**GOOD, "salt": "AAAA"}},
        {"blob": {**GOOD, "size": -1}},
        {"blob": {**GOOD, "size": 2**53}},
        {"blob": {**GOOD, "size": True}},
        {"blob": {**GOOD, "size": "1"}},
    ],
    ids=range(16),
)
def test_what_is_no_blob_reference_is_rejected(value: Any) -> None:
    with pytest.raises(EvidenceError) as caught:
        BlobRef.parse(value)
    assert caught.value.check == "blob"


@given(st.binary(min_size=0, max_size=40))
def test_a_salt_is_accepted_exactly_from_16_bytes_on_whatever_its_length(data: bytes) -> None:
    salt = encode_base64url(data)
    if len(data) < disclosure.SALT_BYTES:
        with pytest.raises(InputError):
            disclosure.format_disclosure(salt, "name", 1)
    else:
        assert (
            disclosure.parse_disclosure(
                disclosure.encode_disclosure(disclosure.format_disclosure(salt, "name", 1))
            ).salt
            == salt
        )


@pytest.mark.parametrize("size", [16, 18, 19])
def test_every_other_spelling_of_a_salt_is_refused(size: int) -> None:
    salt = encode_base64url(bytes(range(size)))
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    accepted = 0
    for character in last:
        try:
            disclosure.format_disclosure(salt[:-1] + character, "name", 1)
            accepted += 1
        except InputError:
            continue
    assert accepted == {16: 4, 18: 64, 19: 4}[size]


# --- many at a time -------------------------------------------------------------------------------------------------

LONG_SALT = encode_base64url(bytes(range(18)))
ODD = [
    '["{salt}","n",{{"a":1,"a":2}}]',
    '["{salt}","n",[{{"b":1,"a":{{"c":1,"c":1}}}}]]',
    '["{salt}","n",{{"blob":1}}]',
    '["{salt}","n",{{"blob":1,"more":2}}]',
    '["{salt}","n",{{"more":2,"blob":1}}]',
    '["{salt}","n",{{}}]',
    '["{salt}","n",[{{}}]]',
    '["{salt}","n",null]',
    '["{salt}","n",1,2]',
    '["{salt}","n"]',
    '["{salt}","",1]',
    '["{salt}",7,1]',
    '[7,"n",1]',
    '{{"a":1}}',
    ' ["{salt}","n",1] ',
    '["{salt}","n",1]x',
    '["{salt}","n",NaN]',
    '["{salt}","n","\\ud800"]',
    '["{salt}","n",' + "9" * 5_000 + "]",
    '["{salt}","n",' + "[" * 160 + "]" * 160 + "]",
    '["{salt}","n",' + "[" * 161 + "]" * 161 + "]",
    '["{salt}","n",' + "[" * 60_000,
    '["{salt}","n",' + '"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["]',
    '["{salt}","n","' + "long " * 300 + '"]',
    '["short","n",1]',
    '["{salt}==","n",1]',
    '["\\u0041' + "A" * 23 + '","n",1]',
]


def strictly(text: str) -> tuple[str, Any] | str:
    """What the strict reader says: name and blob-like value, or the reason."""
    try:
        found = disclosure.parse_disclosure(text)
    except EvidenceError as error:
        return error.message
    is_blob = isinstance(found.value, dict) and found.value.keys() == {"blob"}
    return found.name, found.value if is_blob else None


def read_by(reader: disclosure.DisclosureReader, text: str) -> tuple[str, Any] | str:
    try:
        return reader.read(text.encode())
    except EvidenceError as error:
        return error.message


@pytest.mark.parametrize("salt", [SALT, LONG_SALT, encode_base64url(bytes(17))])
@pytest.mark.parametrize("form", ODD, ids=lambda form: form[:40])
def test_a_reader_takes_and_refuses_what_the_strict_one_does(form: str, salt: str) -> None:
    text = encoded(form.format(salt=salt))
    reader = disclosure.DisclosureReader()
    assert [read_by(reader, text) for _ in range(3)] == [strictly(text)] * 3


@given(st.binary(min_size=16, max_size=20), st.text(min_size=1), JSON)
def test_a_reader_gives_the_name_whatever_the_value(salt: bytes, name: str, value: Any) -> None:
    text = encoded(disclosure.format_disclosure(encode_base64url(salt), name, value).decode())
    reader = disclosure.DisclosureReader()
    assert [read_by(reader, text) for _ in range(2)] == [strictly(text)] * 2


@given(st.integers(0, 99), st.integers(0, 127), st.sampled_from([0, 1, -1]))
def test_a_reader_and_the_strict_one_agree_on_every_mutation(place: int, byte: int, grown: int) -> None:
    good = encoded(f'["{LONG_SALT}","resource",{{"a":[1,{{"b":"c"}}]}}]')
    place %= len(good)
    changed = good[:place] + chr(byte) + good[place + 1 + grown :]
    reader = disclosure.DisclosureReader()
    assert read_by(reader, good) == ("resource", None)  # now known: what follows the salt is not read again
    assert read_by(reader, changed) == strictly(changed)


def test_a_reader_knows_what_it_read_only_behind_a_sound_salt() -> None:
    reader = disclosure.DisclosureReader()
    assert reader.read(encoded(f'["{LONG_SALT}","resource",1]').encode()) == ("resource", None)
    with pytest.raises(EvidenceError):
        reader.read(encoded(f'["{LONG_SALT[:-1]}!","resource",1]').encode())


def test_a_reader_remembers_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disclosure, "MAX_KNOWN", 3)
    reader = disclosure.DisclosureReader()
    for number in range(20):
        assert reader.read(encoded(f'["{LONG_SALT}","n",{number}]').encode()) == ("n", None)
        assert len(reader._known) <= 3
