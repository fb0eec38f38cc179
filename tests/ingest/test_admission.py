"""What is under way is bounded, and given back."""

from __future__ import annotations

import pytest

from counterfoil.ingest.admission import Admission
from counterfoil.ingest.limits import Limits
from counterfoil.ingest.status import ExportError, headers_of

LIMITS = Limits(in_flight_bytes=1000, in_flight_items=10)


def test_a_request_that_is_alone_is_always_admitted() -> None:
    admission = Admission(LIMITS)
    with admission.request("a") as ticket:
        ticket.grow(5000)
        ticket.add_items(500)
        assert admission.in_flight == (5000, 500)
    assert admission.in_flight == (0, 0)


def test_what_does_not_fit_beside_others_is_busy_and_may_be_sent_again() -> None:
    admission = Admission(LIMITS)
    with admission.request("a") as first, admission.request("b") as second:
        first.grow(600)
        second.grow(400)
        with pytest.raises(ExportError) as caught:
            second.grow(401)
        assert (caught.value.http_status, caught.value.code) == (429, "busy")
        assert headers_of(caught.value) == {"Retry-After": "1"}
        assert admission.in_flight == (1000, 0)
    assert admission.in_flight == (0, 0)


def test_items_waiting_for_the_disk_are_bounded_and_their_bodies_are_not_counted_any_more() -> None:
    admission = Admission(LIMITS)
    with admission.request("a") as first, admission.request("b") as second:
        first.grow(1000)
        first.add_items(8)
        first.body_done()
        second.grow(1000)
        with pytest.raises(ExportError, match="8 items wait"):
            second.add_items(3)
        second.add_items(2)
        assert admission.in_flight == (1000, 10)
    assert admission.in_flight == (0, 0)


def test_one_writer_leaves_room_for_others_and_its_only_request_is_taken_all_the_same() -> None:
    admission = Admission(Limits(in_flight_bytes=900))
    with admission.request("slow") as first, admission.request("slow") as second, admission.request("b") as other:
        first.grow(500)
        second.grow(100)
        with pytest.raises(ExportError, match="600 bytes of requests of this key") as caught:
            second.grow(101)
        assert (caught.value.http_status, caught.value.limit) == (429, "in_flight_bytes=900")
        other.grow(300)
    with admission.request("slow") as alone:
        alone.grow(900)
    assert admission.in_flight == (0, 0)


def test_an_error_gives_everything_back() -> None:
    admission = Admission(LIMITS)

    def fail() -> None:
        with admission.request("a") as ticket:
            ticket.grow(10)
            ticket.add_items(1)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert admission.in_flight == (0, 0)


@pytest.mark.parametrize(
    "wrong", [{"items": 10_001}, {"items": 0}, {"body_bytes": 16 * 1024 * 1024 + 1}, {"ratio": -1}]
)
def test_limits_may_be_lowered_and_not_raised(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be above 0 and at most"):
        Limits(**wrong)


def test_a_request_in_pieces_is_alone_with_its_own_items_and_gives_them_back_as_they_are_done() -> None:
    admission = Admission(Limits(in_flight_items=10))
    with admission.request("a") as large:
        large.add_items(8)
        large.add_items(8)
        with admission.request("a") as other, pytest.raises(ExportError, match="429 busy"):
            other.add_items(1)
        large.items_done(8)
        with admission.request("a") as other:
            other.add_items(2)
            with pytest.raises(ExportError, match="429 busy"):
                large.add_items(8)
    assert admission.in_flight == (0, 0)
