"""Records of the draft audit signal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from counterfoil.mapping.decode import PROTOBUF
from counterfoil.mapping.draft import Draft
from counterfoil.mapping.map import map_audit, map_logs
from counterfoil.mapping.signals import LOGS
from tests.mapping.making import fill
from tests.mapping.requests import LOG_REQUESTS
from tests.mapping.storage import assert_given_back, content_of, decode, stored

RECORD: dict[str, Any] = {
    "audit.record.id": "01J9ZK3V7Q8W",
    "audit.actor.id": "sam@example.com",
    "audit.actor.type": "user",
    "audit.action": "APPROVE",
    "audit.outcome": "success",
    "audit.target.id": "d-17",
    "audit.target.type": "decision",
}


def map_record(event_name: str = "refund.approval", **changes: str | None) -> Draft:
    """The draft of one audit record, checked to be given back."""
    attributes = {**RECORD, **{f"audit.{key.replace('_', '.')}": value for key, value in changes.items()}}
    request = LOGS.request()
    record = request.resource_logs.add().scope_logs.add().log_records.add(event_name=event_name)
    fill(record.attributes, {key: value for key, value in attributes.items() if value is not None})
    decoded = decode(LOGS, request.SerializeToString(), PROTOBUF)
    mapped = map_audit(decoded)
    assert_given_back(decoded, mapped)
    (item,) = mapped.items
    assert item.signal == "audit"
    (draft,) = item.drafts
    return draft


def test_a_persons_approval_is_oversight() -> None:
    draft = map_record()
    assert (draft.kind, draft.source) == ("oversight", "otlp:audit")
    assert draft.facts["oversight"] == {"verdict": "approve"}
    assert draft.persons == (("oversight.person", "sam@example.com"),)
    assert (draft.facts["status"], draft.facts["name"]) == ("ok", "refund.approval")


def test_the_target_is_content_since_it_may_be_a_person() -> None:
    draft = map_record(target_type="user", target_id="jane")
    assert "jane" not in str(draft.facts)
    assert {"key": "audit.target.id", "value": {"stringValue": "jane"}} in content_of(draft)["attributes"]


def test_an_approval_says_in_our_own_words_what_it_is_of() -> None:
    attributes = {**RECORD, "counterfoil.oversight.of.id": "d-17"}
    request = LOGS.request()
    fill(request.resource_logs.add().scope_logs.add().log_records.add().attributes, attributes)
    (item,) = map_audit(decode(LOGS, request.SerializeToString(), PROTOBUF)).items
    assert item.drafts[0].facts["oversight"] == {"verdict": "approve", "of": {"id": "d-17"}}


def test_a_persons_refusal_is_too() -> None:
    assert map_record(action="REJECT").facts["oversight"]["verdict"] == "reject"


@pytest.mark.parametrize("actor", ["service", "system"])
def test_an_approval_by_a_program_is_no_oversight(actor: str) -> None:
    draft = map_record(actor_type=actor)
    assert draft.kind == "operation"
    assert not draft.persons


@pytest.mark.parametrize("action", ["LOGIN", "READ", "DELETE", "EXPORT", "approve"])
def test_any_other_action_is_an_operation_and_who_acted_is_content(action: str) -> None:
    draft = map_record(action=action)
    assert draft.kind == "operation"
    assert "sam" not in str(draft.facts)
    assert {"key": "audit.actor.id", "value": {"stringValue": "sam@example.com"}} in content_of(draft)["attributes"]


@pytest.mark.parametrize(
    ("outcome", "status"), [("success", "ok"), ("failure", "error"), ("unknown", None), (None, None)]
)
def test_how_it_ended_is_the_status(outcome: str | None, status: str | None) -> None:
    assert map_record(outcome=outcome).facts.get("status") == status


def test_the_action_names_a_record_whose_event_has_no_name() -> None:
    assert map_record(event_name="", action="EXPORT").facts["name"] == "EXPORT"


def test_the_same_record_in_the_logs_signal_is_an_ordinary_log_event() -> None:
    request = LOGS.request()
    fill(request.resource_logs.add().scope_logs.add().log_records.add().attributes, RECORD)
    (item,) = map_logs(decode(LOGS, request.SerializeToString(), PROTOBUF)).items
    assert (item.drafts[0].kind, item.drafts[0].source, item.signal) == ("operation", "otlp:logs", "logs")
    assert "status" not in item.drafts[0].facts


@settings(max_examples=40, deadline=None)
@given(LOG_REQUESTS)
def test_any_audit_request_is_given_back_and_lawful(request: Any) -> None:
    decoded = decode(LOGS, request.SerializeToString(), PROTOBUF)
    mapped = map_audit(decoded)
    assert_given_back(decoded, mapped)
    for item in mapped.items:
        assert stored(item.drafts[0])[0]["source"] == "otlp:audit"
