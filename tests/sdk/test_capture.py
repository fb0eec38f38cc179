"""What leaves the process: fields that are taken, redacted, withheld, and that each is said."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import counterfoil.sdk as counterfoil
from counterfoil.sdk.capture import FIELDS, parse_capture
from counterfoil.sdk.complaints import complaints
from counterfoil.sdk.pytest_plugin import CounterfoilRecords
from counterfoil.sdk.redaction import find_cards, redact


def record_one(**configured: Any) -> None:
    counterfoil.configure(agent="refunds", **configured)
    with counterfoil.decision("refund", inputs={"customer": "ann@example.com", "card": 4111111111111111}) as d:
        d.consider("approve", because="call +49 30 1234567")
        d.choose("deny", rationale="Ann (ann@example.com) paid from DE89 3704 0044 0532 0130 00.", output="no")


def test_identifiers_of_people_stay_two_and_other_free_facts_are_redacted(
    counterfoil_records: CounterfoilRecords,
) -> None:
    """The service makes pseudonyms of them; two people redacted to one mark would be one person there."""
    counterfoil.configure(redact="email")
    complaints.strict = False  # an address is no token: said, and redacted
    counterfoil.oversee(
        "approve", of="order-of-ann@example.com", person="sam@example.com", role="boss of ann@example.com"
    )
    counterfoil.hand_off("ann@example.com", to_kind="human")
    counterfoil.hand_off("queue of ann@example.com", to_kind="queue")
    overseen, human, queue = counterfoil_records.all
    assert (overseen["person"], overseen["of.id"]) == ("sam@example.com", "order-of-ann@example.com")
    assert overseen["role"] == "boss of [email]"
    assert (human["to"], queue["to"]) == ("ann@example.com", "queue of [email]")


def test_redaction_of_a_hostile_text_takes_no_time_to_speak_of() -> None:
    """Whoever talks to an agent chooses the text; a minute for each would silence the producer."""
    text = "0 " * 50_000  # 2.7 s when every run of groups was checked by itself
    started = time.process_time()
    assert redact(("iban", "card", "email", "phone"), text)[1]
    assert time.process_time() - started < 1.0


@given(st.text("0123456789 -", max_size=70))
def test_a_card_number_is_found_as_the_check_digit_has_it(text: str) -> None:
    def is_card(run: str) -> bool:
        digits = [int(ch) for ch in run if ch.isdigit()]
        total = sum(digits[-1::-2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
        return 12 <= len(digits) <= 19 and total % 10 == 0

    groups = [found.span() for found in re.finditer("[0-9]+", text)]
    runs = {(a, b) for a, _ in groups for _, b in groups if a < b and is_card(text[a:b])}
    assert set(find_cards(text)) == runs


def test_bytes_and_keys_are_redacted_and_no_value_gets_lost() -> None:
    assert redact(("email",), b"\xff ann@example.com") == (b"\xff [email]", True)
    value = {"ann@example.com": 1, "bob@example.com": 2}
    assert redact(("email",), value) == ({"[email]": 1, "[email] 2": 2}, True)


def test_everything_is_taken_unless_told_otherwise(counterfoil_records: CounterfoilRecords) -> None:
    record_one()
    (record,) = counterfoil_records.decisions
    assert record["inputs"]["card"] == 4111111111111111
    assert record.absent == {}


def test_fields_that_are_not_captured_are_said_to_be_absent(counterfoil_records: CounterfoilRecords) -> None:
    record_one(capture={"rationale"})
    (record,) = counterfoil_records.decisions
    assert record["rationale"].startswith("Ann")
    assert record.absent == dict.fromkeys(("alternatives", "inputs", "output"), "not_recorded")
    assert record["outcome"] == "deny"


def test_without_capture_only_facts_leave_the_process(counterfoil_records: CounterfoilRecords) -> None:
    record_one(capture="none")
    (record,) = counterfoil_records.decisions
    assert "ann@" not in str(record.attributes)
    assert set(record.absent) == {"rationale", "alternatives", "inputs", "output"}


def test_named_rules_reach_every_text_key_and_number(counterfoil_records: CounterfoilRecords) -> None:
    record_one(redact=("email", "phone", "card", "iban"))
    (record,) = counterfoil_records.decisions
    assert record["rationale"] == "Ann ([email]) paid from [iban]."
    assert record["inputs"] == {"customer": "[email]", "card": "[card]"}
    assert record["alternatives"] == [{"option": "approve", "rejected_because": "call [phone]"}]
    assert record.absent == dict.fromkeys(("rationale", "inputs", "alternatives"), "redacted")
    assert record["output"] == "no"


def test_a_function_of_the_host_sees_plain_values_and_may_withhold(counterfoil_records: CounterfoilRecords) -> None:
    seen = []

    def mask(field: str, value: Any) -> Any:
        seen.append(field)
        return None if field == "decision.inputs" else value

    record_one(redact=["email", mask])
    (record,) = counterfoil_records.decisions
    assert set(seen) == {"decision.rationale", "decision.output", "decision.alternatives", "decision.inputs"}
    assert record.get("inputs") is None
    assert record.absent == {"rationale": "redacted", "inputs": "redacted"}


def test_where_redaction_fails_the_field_is_withheld_and_never_sent_raw(
    counterfoil_records: CounterfoilRecords,
) -> None:
    complaints.strict = False

    def broken(field: str, value: Any) -> Any:
        raise RuntimeError(value)

    record_one(redact=broken)
    (record,) = counterfoil_records.decisions
    assert record.absent == dict.fromkeys(("rationale", "alternatives", "inputs", "output"), "redacted")
    assert "ann@" not in str(record.attributes)
    assert complaints.counts()["redaction_failed"] == 4


def test_what_a_function_returns_is_bounded_too(counterfoil_records: CounterfoilRecords) -> None:
    complaints.strict = False

    class Odd:
        def __str__(self) -> str:
            raise RuntimeError

    record_one(redact=lambda _field, _value: Odd())
    assert set(counterfoil_records.decisions[0].absent.values()) == {"redacted"}


def test_a_fact_that_is_a_free_text_is_redacted_as_content_is(counterfoil_records: CounterfoilRecords) -> None:
    complaints.strict = False
    counterfoil.configure(redact="email")
    counterfoil.outcome("mailed ann@example.com")
    assert counterfoil_records.all[0]["status"] == "mailed [email]"


def test_a_field_over_its_limit_is_left_out_whole(counterfoil_records: CounterfoilRecords) -> None:
    complaints.strict = False
    counterfoil.configure(field_bytes=2_000)
    with counterfoil.decision("refund") as d:
        d.choose("deny", rationale="é" * 1_001, output="é" * 1_000)
    (record,) = counterfoil_records.decisions
    assert record["output"] == "é" * 1_000
    assert record.absent == {"rationale": "unavailable"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("some", (), 10_000), "capture is"),
        ((["rationale", "thoughts"], (), 10_000), "unknown fields thoughts"),
        (("all", ("email", "names"), 10_000), "unknown rules names"),
        (("all", (3,), 10_000), "names of rules and functions"),
        (("all", (), 10), "field_bytes"),
    ],
)
def test_configure_refuses_what_makes_no_sense(arguments: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_capture(*arguments)


def test_every_field_of_the_record_format_can_be_captured() -> None:
    from counterfoil.mapping.tables import OWN_FIELDS

    assert {name for names in OWN_FIELDS.values() for name in names} | {"error"} == FIELDS


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("mail ann.b+c@mail.example.co.uk now", "mail [email] now"),
        ("card 4111-1111-1111-1111, 12 pieces", "card [card], 12 pieces"),
        ("2024 4111 1111 1111 1111 12 34", "2024 [card] 12 34"),
        ("order 1234567890123 is no card", "order 1234567890123 is no card"),
        ("GB82 WEST 1234 5698 7654 32 thanks", "[iban] thanks"),
        ("GB82 WEST 1234 5698 7654 33 is none", "GB82 WEST 1234 5698 7654 33 is none"),
        ("(030) 123 45 67 or 0049 30 1234567", "[phone] or [phone]"),
        ("room 12, 3 nights, 2026-11-22", "room 12, 3 nights, 2026-11-22"),
    ],
)
def test_rules_find_what_they_are_named_for(text: str, wanted: str) -> None:
    assert redact(("iban", "card", "email", "phone"), text) == (wanted, text != wanted)


@given(st.text(alphabet="0123456789 -+().@aZ", max_size=400))
def test_redaction_takes_any_text_and_finds_nothing_twice(text: str) -> None:
    once, _ = redact(("iban", "card", "email", "phone"), text)
    assert redact(("iban", "card", "email", "phone"), once)[0].count("[card]") >= once.count("[card]")
    assert isinstance(once, str)
