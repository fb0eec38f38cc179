"""OTLP's rules for answers, against servers with a script: what is sent again, what is given up, what is said."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

import counterfoil.sdk as counterfoil
from counterfoil.core.note import NoteSigner
from counterfoil.core.promise import Promise, sign_promise
from counterfoil.sdk import encode
from counterfoil.sdk.capture import Capture
from counterfoil.sdk.complaints import complaints
from counterfoil.sdk.connection import Connection
from counterfoil.sdk.delivery import Taken, deliver, retry_after_s
from counterfoil.sdk.destination import read_destination
from counterfoil.sdk.record import Numbered, Record
from tests.sdk.servers import Reply, Script, Scripted, attribute, partial, scripted

Point = Callable[[str, str], None]
SIGNER = NoteSigner.from_seed("log.example.test", bytes(32))
PROMISE = base64.b64encode(
    sign_promise(Promise("log.example.test", ((0, 9),), bytes(32), 1_700_000_000_000_000), SIGNER)
).decode()


@pytest.fixture
def start(point_at: Point, tmp_path: Path) -> Callable[..., None]:
    def configure(server: Scripted, **arguments: Any) -> None:
        point_at(server.url, "cf_key")
        counterfoil.configure(**{"spool": None, "spans": False, "shutdown_timeout_s": 0.2, **arguments})

    return configure


def decide(count: int, outcome: str = "deny") -> None:
    for _ in range(count):
        with counterfoil.decision("refund") as d:
            d.choose(outcome)


def losses(server: Scripted) -> list[tuple[int, int, str]]:
    """(from, to, reason) of what was declared lost."""
    found = []
    for request in server.requests:
        for record in request:
            if record.event_name == "counterfoil.producer" and (
                attribute(record, "counterfoil.producer.event").string_value == "loss"
            ):
                ends = (attribute(record, f"counterfoil.producer.{key}").int_value for key in ("from", "to"))
                found.append((*ends, attribute(record, "counterfoil.producer.reason").string_value))
    return found  # type: ignore[return-value]  # two integers and a text


def deliver_to(server: Scripted, start: Callable[..., None], count: int) -> Taken:
    """One request with the events 0 to `count`, taken."""
    start(server)
    request = encode.Request({})
    for n in range(count):
        request.add(Numbered(n, Record("decision", 1, 0, 0, 0, {}, {}, {}, {}, {}, 0)), Capture())
    destination = read_destination()
    outcome = deliver(Connection(destination), destination, request.serialise(), count)
    assert isinstance(outcome, Taken)
    return outcome


def in_turn(*replies: Reply) -> Script:
    """These replies, the last one for ever."""
    left = list(replies)

    def script(records: list[LogRecord], headers: Mapping[str, str]) -> Reply:
        return left.pop(0) if len(left) > 1 else left[0]

    return script


def test_a_request_is_otlp_with_the_key_of_the_environment(
    start: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Mapping[str, str]] = []

    def script(records: list[LogRecord], headers: Mapping[str, str]) -> Reply:
        seen.append(headers)
        return Reply()

    with scripted(script) as server:
        start(server)
        decide(2)
        assert counterfoil.flush()
        assert server.numbers() == [0, 1, 2]
    assert seen[0]["x-api-key"] == "cf_key"
    assert seen[0]["Content-Type"] == "application/x-protobuf"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_be_tried_again_is_sent_again_as_it_was(status: int, start: Callable[..., None]) -> None:
    with scripted(in_turn(Reply(status), Reply())) as server:
        start(server)
        decide(1)
        assert counterfoil.flush(10)
        first, second = server.requests[:2]
        assert [record.SerializeToString() for record in first] == [r.SerializeToString() for r in second[: len(first)]]
        assert losses(server) == []


def test_retry_after_is_waited_for_also_by_a_durable_decision(start: Callable[..., None]) -> None:
    at: list[float] = []

    def script(records: list[LogRecord], headers: Mapping[str, str]) -> Reply:
        at.append(time.monotonic())
        return Reply(503, {"Retry-After": "1"}) if len(at) == 1 else Reply(200, {"counterfoil-promise": PROMISE})

    with scripted(script) as server:
        start(server)
        with counterfoil.decision("refund", durable=True) as d:
            d.choose("deny")
        assert d.promise is not None
    assert at[1] - at[0] >= 1.0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 301])
def test_what_may_not_be_tried_again_is_given_up_and_declared(status: int, start: Callable[..., None]) -> None:
    with scripted(in_turn(Reply(status), Reply())) as server:
        start(server)
        decide(1)
        assert not counterfoil.flush(10)  # nothing is under way, and not all of it arrived
        decide(1)
        assert not counterfoil.flush(10)
        refused = server.requests[0]
        assert losses(server) == [(0, len(refused) - 1, "refused")]
        assert counterfoil.status()["lost"] == len(refused)
        assert not counterfoil.shutdown(10)


def test_events_that_a_partial_success_names_are_declared_lost(start: Callable[..., None]) -> None:
    def script(records: list[LogRecord], headers: Mapping[str, str]) -> Reply:
        numbers = [attribute(record, "counterfoil.producer.n").int_value for record in records]
        if 2 not in numbers:
            return Reply()
        name = f"resourceLogs[0].scopeLogs[0].logRecords[{numbers.index(2)}]"
        return partial(1, f"1 of {len(records)} refused: {name}: too_large: no")

    with scripted(script) as server:
        start(server)
        decide(3)
        assert not counterfoil.flush(10)
        decide(1)
        assert not counterfoil.flush(10)
        assert losses(server) == [(2, 2, "refused")]
    assert complaints.counts()["refused"] == 1


def test_events_that_nobody_names_are_found_by_sending_halves(start: Callable[..., None]) -> None:
    def script(records: list[LogRecord], headers: Mapping[str, str]) -> Reply:
        bad = sum(
            record.event_name == "counterfoil.decision"
            and attribute(record, "counterfoil.decision.outcome").string_value == "bad"
            for record in records
        )
        return partial(bad, "some were refused") if bad else Reply(200, {"counterfoil-promise": PROMISE})

    with scripted(script) as server:
        start(server)
        decide(4)
        decide(1, "bad")
        decide(3)
        assert not counterfoil.flush(10)
        decide(1)
        assert not counterfoil.flush(10)
        assert losses(server) == [(5, 5, "refused")]


def test_a_request_that_is_too_large_is_sent_in_halves(start: Callable[..., None]) -> None:
    def script(records: list[LogRecord], headers: Mapping[str, str]) -> Reply:
        return Reply(413) if len(records) > 2 else Reply()

    with scripted(script) as server:
        start(server)
        decide(7)
        assert counterfoil.flush(10)
        assert losses(server) == []
        assert sorted(n for r in server.requests if len(r) <= 2 for n in [
            attribute(record, "counterfoil.producer.n").int_value for record in r
        ]) == list(range(8))  # fmt: skip


def test_a_durable_record_that_is_refused_is_not_recorded_and_its_neighbours_are(start: Callable[..., None]) -> None:
    def script(records: list[LogRecord], headers: Mapping[str, str]) -> Reply:
        bad = [
            index
            for index, record in enumerate(records)
            if record.event_name == "counterfoil.decision"
            and attribute(record, "counterfoil.decision.outcome").string_value == "bad"
        ]
        if not bad:
            return Reply(200, {"counterfoil-promise": PROMISE})
        answer = partial(len(bad), "; ".join(f"resourceLogs[0].scopeLogs[0].logRecords[{i}]: no" for i in bad))
        return Reply(200, {**answer.headers, "counterfoil-promise": PROMISE}, answer.body)

    with scripted(script) as server:
        start(server, vkeys=SIGNER.vkey)
        with pytest.raises(counterfoil.NotRecorded, match="refused"), counterfoil.decision("refund", durable=True) as d:
            d.choose("bad")
        with counterfoil.decision("refund", durable=True) as d:
            d.choose("good")
        assert d.promise is not None


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("", "gave no promise"),
        ("!!!", "does not check"),
        (base64.b64encode(b"counterfoil/promise/v1\n").decode(), "does not check"),
        ("A" * 20_000, "over the limit"),
    ],
)
def test_an_answer_without_a_promise_is_not_enough(header: str, said: str, start: Callable[..., None]) -> None:
    with scripted(in_turn(Reply(200, {"counterfoil-promise": header} if header else {}))) as server:
        start(server)
        with pytest.raises(counterfoil.NotRecorded, match=said), counterfoil.decision("refund", durable=True) as d:
            d.choose("deny")


def test_each_half_of_a_request_has_a_promise_of_its_own(start: Callable[..., None]) -> None:
    def script(records: list[LogRecord], headers: Mapping[str, str]) -> Reply:
        if len(records) > 1:
            return Reply(413)
        n = attribute(records[0], "counterfoil.producer.n").int_value
        return Reply(200, {"counterfoil-promise": f"promise-{n}"} if n != 1 else {})

    with scripted(script) as server:
        outcome = deliver_to(server, start, 3)
    assert [outcome.promise_of(position) for position in range(4)] == ["promise-0", "", "promise-2", ""]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b'{"pending": [], "items": [{"origin": "log.example.test", "seq": Infinity, "proof": ""}]}',
        b'{"pending": [], "items": [{"origin": "log.example.test", "seq": 9, "proof": "none"}]}',
        b'{"pending": 5, "items": []}',
        b"\xff",
    ],
)
def test_an_answer_that_is_no_receipt_is_not_recorded_and_nothing_else_is_raised(
    body: bytes, start: Callable[..., None]
) -> None:
    with scripted(in_turn(Reply(200, {"counterfoil-promise": PROMISE})), Reply(200, {}, body)) as server:
        start(server, vkeys=SIGNER.vkey)
        refused = counterfoil.decision("refund", durable="receipt")
        with pytest.raises(counterfoil.NotRecorded, match="receipt does not check"), refused as d:
            d.choose("approve")
        assert (d.promise, d.receipts) == (base64.b64decode(PROMISE), [])


def test_a_promise_that_another_key_signed_is_none(start: Callable[..., None]) -> None:
    with scripted(in_turn(Reply(200, {"counterfoil-promise": PROMISE}))) as server:
        start(server, vkeys=NoteSigner.from_seed("log.example.test", b"\1" * 32).vkey)
        with (
            pytest.raises(counterfoil.NotRecorded, match="does not check"),
            counterfoil.decision("refund", durable=True) as d,
        ):
            d.choose("deny")


def test_the_producer_beats_at_the_service_s_cadence(start: Callable[..., None]) -> None:
    with scripted(in_turn(Reply(200, {"counterfoil-heartbeat": "1"}))) as server:
        start(server)
        decide(1)
        assert counterfoil.flush()
        deadline = time.monotonic() + 10
        beats = 0
        while beats < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
            beats = sum(
                record.event_name == "counterfoil.producer"
                and attribute(record, "counterfoil.producer.event").string_value == "heartbeat"
                for request in server.requests
                for record in request
            )
        assert beats >= 2
        assert server.numbers() == sorted(set(server.numbers()))


@pytest.mark.parametrize(
    ("text", "seconds"), [("1", 1), ("86400", 86_400), ("0", None), ("86401", None), ("000000001" + "9" * 90, None)]
)
def test_a_cadence_is_a_number_of_seconds_up_to_a_day(
    text: str, seconds: int | None, start: Callable[..., None]
) -> None:
    with scripted(in_turn(Reply(200, {"counterfoil-heartbeat": text}))) as server:
        assert deliver_to(server, start, 1).heartbeat_s == seconds


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_requests_are_compressed_as_the_environment_says(
    compression: str, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
    configure()
    decide(2)
    assert counterfoil.flush()
    assert counterfoil.status()["delivered"] == 3


@pytest.mark.parametrize(
    ("value", "seconds"), [("3", 3.0), ("0", 0.0), ("-1", 0.0), ("999999", 3600.0), ("soon", None), ("nan", None)]
)
def test_retry_after_is_read_as_seconds_within_bounds(value: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": value}) == seconds


def test_retry_after_may_be_a_date() -> None:
    wait = retry_after_s({"retry-after": "Wed, 01 Jan 2200 00:00:00 GMT"})
    assert wait == 3600.0
    assert retry_after_s({"retry-after": "Wed, 01 Jan 2020 00:00:00 GMT"}) == 0.0
    assert retry_after_s({}) is None
