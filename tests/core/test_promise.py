"""The promise: text, signature, what contradicts its form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.core import note
from counterfoil.core.encoding import MAX_TIME_US
from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.core.note import NoteSigner
from counterfoil.core.promise import MAX_RANGES, Promise, open_promise, parse_promise, sign_promise

LOG = NoteSigner.from_seed("example.com/log", bytes(range(32)))
PROMISE = Promise("example.com/log", ((0, 3), (7, 7)), bytes(range(32)), 1_795_344_519_000_123)
TEXT = (
    "counterfoil/promise/v1\n"
    "example.com/log\n"
    "0-3,7-7\n"
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
    "2026-11-22T10:48:39.000123Z\n"
)


def test_the_promise_prints_as_documented() -> None:
    assert PROMISE.text() == TEXT
    assert parse_promise(TEXT) == PROMISE


def test_the_promise_covers_its_ranges_and_nothing_else() -> None:
    assert [seq for seq in range(10) if PROMISE.covers(seq)] == [0, 1, 2, 3, 7]


@st.composite
def promises(draw: st.DrawFn) -> Promise:
    steps = draw(st.lists(st.tuples(st.integers(2, 50), st.integers(0, 50)), min_size=1, max_size=MAX_RANGES))
    ranges, at = [], draw(st.integers(0, 2**40)) - 2
    for gap, length in steps:
        first = at + gap
        at = first + length
        ranges.append((first, at))
    origin = draw(st.text(st.characters(min_codepoint=33, exclude_categories=["Cs"]), min_size=1))
    return Promise(origin, tuple(ranges), draw(st.binary(min_size=32, max_size=32)), draw(st.integers(0, MAX_TIME_US)))


@given(promises())
def test_promises_round_trip(promise: Promise) -> None:
    assert parse_promise(promise.text()) == promise


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("promise/v1", "promise/v2"),
        ("example.com/log", ""),
        ("0-3,7-7", ""),
        ("0-3,7-7", "0-3, 7-7"),
        ("0-3,7-7", "7-7,0-3"),
        ("0-3,7-7", "0-3,4-7"),
        ("0-3,7-7", "0-3,3-7"),
        ("0-3,7-7", "3-0"),
        ("0-3,7-7", "0"),
        ("0-3,7-7", "0-"),
        ("0-3,7-7", "00-3"),
        ("0-3,7-7", "0-9223372036854775807"),
        ("0-3,7-7", ",".join(f"{2 * i}-{2 * i}" for i in range(65))),
        ("AAEC", "AAE"),
        ("AAECAwQF", "AAEC"),
        ("000123Z", "00012Z"),
        ("Z\n", "Z"),
        ("Z\n", "Z\nmore\n"),
    ],
)
def test_any_other_form_of_a_promise_is_rejected(old: str, new: str) -> None:
    assert old in TEXT
    with pytest.raises(EvidenceError) as caught:
        parse_promise(TEXT.replace(old, new, 1))
    assert caught.value.check == "promise"


def test_a_promise_that_cannot_be_written_is_not_made() -> None:
    cases: list[tuple[str, tuple[tuple[int, int], ...], bytes]] = [
        ("", ((0, 0),), bytes(32)),
        ("a\nb", ((0, 0),), bytes(32)),
        ("a", ((0, 0),), bytes(31)),
        ("a", (), bytes(32)),
        ("a", ((-1, 0),), bytes(32)),
    ]
    for origin, ranges, leaf_hash in cases:
        with pytest.raises(InputError, match="promise"):
            Promise(origin, ranges, leaf_hash, 0)


def test_a_signed_promise_opens_with_the_key_of_its_log_only() -> None:
    data = sign_promise(PROMISE, LOG)
    assert open_promise(data, [LOG.verifier_key]) == PROMISE
    other = NoteSigner.from_seed("example.com/other", bytes(32))
    with pytest.raises(EvidenceError, match="promise_signature"):
        open_promise(sign_promise(PROMISE, other), [other.verifier_key])
    with pytest.raises(EvidenceError, match="note_unsigned"):
        open_promise(data, [other.verifier_key])
    with pytest.raises(EvidenceError, match="promise: not five lines"):
        open_promise(note.sign("another text\n", [LOG]), [LOG.verifier_key])


def test_every_changed_byte_of_a_promise_is_noticed() -> None:
    data = sign_promise(PROMISE, LOG)
    for at in range(len(data)):
        with pytest.raises(EvidenceError):
            open_promise(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :], [LOG.verifier_key])
