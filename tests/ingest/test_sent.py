"""What stays of a body once it is decoded."""

from __future__ import annotations

import hashlib

import pytest

from counterfoil.ingest.body import LargerThanAsked
from counterfoil.ingest.limits import Limits
from counterfoil.ingest.sent import Sent
from tests.ingest.test_body import CODERS, TEXT


@pytest.mark.parametrize("coding", [coding for coding in CODERS if coding != "identity"])
def test_a_body_that_is_larger_than_there_is_room_for_is_not_inflated_to_its_end(coding: str) -> None:
    sent = Sent(CODERS[coding](TEXT), coding)
    assert sent.inflated(Limits(), len(TEXT)) == TEXT
    with pytest.raises(LargerThanAsked):
        sent.inflated(Limits(), len(TEXT) - 1)


def test_a_body_that_is_released_keeps_its_digest_and_one_that_is_forgotten_only_what_was_asked_for() -> None:
    digest = hashlib.sha256(TEXT).digest()
    released, forgotten, asked = Sent(TEXT), Sent(TEXT), Sent(TEXT)
    assert asked.digest == digest
    released.release()
    forgotten.forget()
    asked.forget()
    assert (released.digest, forgotten.digest, asked.digest) == (digest, b"", digest)
    assert {one.inflated(Limits()) for one in (released, forgotten, asked)} == {b""}
    assert {one.size for one in (released, forgotten, asked)} == {len(TEXT)}
