"""What was refused is a record, and garbage cannot fill the log."""

from __future__ import annotations

from counterfoil.core.record import check_draft
from counterfoil.ingest.refusals import (
    MAX_CREDENTIALS,
    MAX_DETAILED_ITEMS,
    MAX_REFUSAL_RECORDS,
    REFUSAL_WINDOW_S,
    RefusalBook,
    Rejection,
)
from counterfoil.ingest.signal import Signal
from counterfoil.mapping.draft import Item, Refused

LOG, WRITER = 7, "k-refunds"
BAD_ID = Refused("resourceSpans[0].scopeSpans[0].spans[3]", "bad_trace_id", "trace_id is all zero")
TOO_DEEP = Refused("resourceSpans[1].scopeSpans[0].spans[0]", "nesting_too_deep", "33 levels", "nesting=32")


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def rejection(*items: Refused, body: bytes = b"1") -> Rejection:
    return Rejection(Signal.TRACES, WRITER, items, 7310, body * 32)


def detail_of(item: Item) -> dict[str, object]:
    return dict(item.drafts[0].fields)["detail"]  # type: ignore[no-any-return]  # a draft's values are any JSON


def facts_of(item: Item) -> dict[str, object]:
    return item.drafts[0].facts["refusal"]  # type: ignore[no-any-return]  # as above


def test_the_leaf_has_code_count_and_limit_and_the_detail_names_every_item() -> None:
    item = RefusalBook(Clock()).refuse_some(LOG, rejection(TOO_DEEP))
    assert facts_of(item) == {"signal": "traces", "code": "nesting_too_deep", "count": 1, "limit": 32}
    assert detail_of(item) == {
        "writer": WRITER,
        "request_bytes": 7310,
        "items": [
            {
                "item": "resourceSpans[1].scopeSpans[0].spans[0]",
                "code": "nesting_too_deep",
                "message": "33 levels",
                "limit": "nesting=32",
            }
        ],
    }


def test_items_refused_for_different_reasons_have_the_code_several() -> None:
    item = RefusalBook(Clock()).refuse_some(LOG, rejection(BAD_ID, TOO_DEEP))
    assert facts_of(item) == {"signal": "traces", "code": "several", "count": 2, "limit": 32}


def test_every_refusal_is_a_lawful_draft() -> None:
    book = RefusalBook(Clock())
    for item in (book.refuse_some(LOG, rejection(BAD_ID)), book.refuse_some(LOG, rejection(BAD_ID, TOO_DEEP))):
        check_draft("refusal", {**item.drafts[0].facts, "source": item.drafts[0].source})


def test_the_detail_is_bounded() -> None:
    items = [Refused("x" * 10_000, "bad_trace_id", "y" * 10_000)] * (MAX_DETAILED_ITEMS + 5)
    detail = detail_of(RefusalBook(Clock()).refuse_some(LOG, rejection(*items)))
    assert detail["more"] == 5
    assert len(str(detail)) < 1024 * 1024


def test_the_same_request_sent_again_is_the_same_record_and_another_one_is_not() -> None:
    book = RefusalBook(Clock())
    first, again = (book.refuse_some(LOG, rejection(BAD_ID)) for _ in range(2))
    other = book.refuse_some(LOG, rejection(BAD_ID, body=b"2"))
    assert first.identity == again.identity != other.identity


def test_refusals_of_whole_requests_stop_at_the_limit_and_the_rest_is_counted_into_the_next_record() -> None:
    clock = Clock()
    book = RefusalBook(clock)
    records = [book.refuse_all(LOG, rejection(BAD_ID, body=bytes([n]))) for n in range(MAX_REFUSAL_RECORDS + 40)]
    assert [record is not None for record in records] == [True] * MAX_REFUSAL_RECORDS + [False] * 40
    assert book.overdue(LOG, WRITER, Signal.TRACES) is None
    clock.now_s += REFUSAL_WINDOW_S
    item = book.refuse_all(LOG, rejection(TOO_DEEP))
    assert item is not None
    assert facts_of(item)["count"] == 41
    assert detail_of(item)["earlier"] == {"bad_trace_id": 40}


def test_one_credential_does_not_use_up_the_window_of_another() -> None:
    book = RefusalBook(Clock())
    for n in range(MAX_REFUSAL_RECORDS + 1):
        book.refuse_all(LOG, rejection(BAD_ID, body=bytes([n])))
    other = Rejection(Signal.TRACES, "k-fraud", (BAD_ID,), 1, bytes(32))
    assert book.refuse_all(LOG, other) is not None


def test_a_count_is_written_with_the_first_request_after_the_window() -> None:
    clock = Clock()
    book = RefusalBook(clock)
    for n in range(MAX_REFUSAL_RECORDS + 3):
        book.refuse_all(LOG, rejection(BAD_ID, body=bytes([n])))
    clock.now_s += REFUSAL_WINDOW_S
    item = book.overdue(LOG, WRITER, Signal.LOGS)
    assert item is not None
    assert facts_of(item) == {"signal": "logs", "code": "bad_trace_id", "count": 3}
    assert detail_of(item) == {"writer": WRITER, "earlier": {"bad_trace_id": 3}}
    assert book.overdue(LOG, WRITER, Signal.LOGS) is None


def test_a_count_that_the_log_could_not_take_is_kept() -> None:
    clock = Clock()
    book = RefusalBook(clock)
    for n in range(MAX_REFUSAL_RECORDS + 3):
        book.refuse_all(LOG, rejection(BAD_ID, body=bytes([n])))
    clock.now_s += REFUSAL_WINDOW_S
    item = book.overdue(LOG, WRITER, Signal.LOGS)
    assert item is not None
    book.give_back(LOG, WRITER, item)
    again = book.overdue(LOG, WRITER, Signal.LOGS)
    assert again is not None
    assert facts_of(again)["count"] == 3
    assert again.identity != item.identity


def test_closing_writes_every_count_once() -> None:
    book = RefusalBook(Clock())
    for n in range(MAX_REFUSAL_RECORDS + 3):
        book.refuse_all(LOG, rejection(BAD_ID, body=bytes([n])))
    book.count(8, rejection(TOO_DEEP))
    assert [(log_id, facts_of(item)["count"]) for log_id, item in book.close()] == [(LOG, 3), (8, 1)]
    assert book.close() == []


def test_remembered_credentials_are_bounded_and_a_count_is_not_forgotten() -> None:
    clock = Clock()
    book = RefusalBook(clock)
    book.count(LOG, rejection(BAD_ID))
    for n in range(MAX_CREDENTIALS + 10):
        book.refuse_all(LOG, Rejection(Signal.TRACES, f"k-{n}", (BAD_ID,), 1, bytes(32)))
    assert len(book._windows) == MAX_CREDENTIALS
    clock.now_s += REFUSAL_WINDOW_S
    assert book.overdue(LOG, WRITER, Signal.TRACES) is not None
