"""The draft audit signal on a real server, sentence by sentence (apeirora/opentelemetry-specification, OTEP 0267)."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import Any

import httpx
import pytest
from google.rpc.error_details_pb2 import BadRequest  # type: ignore[import-untyped]  # it has no py.typed
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # as above
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from counterfoil.ingest.audit_hash import canonical_json, number_text
from tests.ingest.disk import Disk
from tests.ingest.spans import START_NS, audit, digest, otlp_json
from tests.service.running import RunningService

PROTOBUF, JSON = "application/x-protobuf", "application/json"
REQUIRED = ("audit.record.id", "audit.actor.id", "audit.actor.type", "audit.action", "audit.outcome")


def record_of(request: ExportLogsServiceRequest, number: int = 0) -> Any:
    return request.resource_logs[0].scope_logs[0].log_records[number]


def post(service: RunningService, request: Any, **headers: str) -> httpx.Response:
    """Send a request as OTLP/JSON."""
    named = {"Content-Type": JSON, **service.headers(), **headers}
    return service.client.post("/v1/audit", content=otlp_json(request), headers=named)


def test_every_record_has_a_receipt_that_echoes_its_id(service: RunningService, disk: Disk) -> None:
    before = disk.size()
    request = audit("receipt-1", "receipt-2")
    record_of(request).trace_id = digest("audit trace", 16)
    response = post(service, request)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["status"] == "delivered_all_sinks"
    receipts = answer["record_status_map"]
    assert list(receipts) == ["receipt-1", "receipt-2"]
    leaves = disk.leaves(before)
    assert [leaf["source"] for leaf in leaves] == ["otlp:audit"] * 2
    assert leaves[0]["trace_id"] == digest("audit trace", 16).hex()
    for leaf, receipt in zip(leaves, receipts.values(), strict=True):
        assert (receipt["log"], receipt["seq"]) == ("main", leaf["seq"])
        assert receipt["verify_status"] == "deferred"
        assert int(receipt["sink_timestamp"]) > START_NS
    assert "counterfoil-promise" in response.headers


def test_the_integrity_hash_is_the_sha256_of_the_record_in_rfc_8785_form(service: RunningService) -> None:
    request = audit("hashed")
    receipt = post(service, request).json()["record_status_map"]["hashed"]
    record = json.loads(otlp_json(request))["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    # This record has no number but 0.25 and no key that sorts otherwise, so the stock printer gives the form too.
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert receipt["integrity_hash"] == hashlib.sha256(text.encode()).hexdigest()


def test_the_same_record_again_is_the_same_success_and_no_second_record(service: RunningService, disk: Disk) -> None:
    first = post(service, audit("again", "again-2")).json()
    before = disk.size()
    again = post(service, audit("again"))
    assert again.status_code == 200
    assert again.json()["record_status_map"]["again"] == first["record_status_map"]["again"]
    body = audit("again-2", "again").SerializeToString()
    headers = {"Content-Type": PROTOBUF, "Accept": "application/json", **service.headers()}
    over_protobuf = service.client.post("/v1/audit", content=body, headers=headers).json()
    assert over_protobuf["record_status_map"] == {
        name: first["record_status_map"][name] for name in ("again-2", "again")
    }
    assert disk.size() == before


@pytest.mark.parametrize("change", [{"audit_action": "LOGOUT"}, {"counterfoil_note": "more"}])
def test_the_same_id_with_other_content_is_409_for_the_whole_batch_and_nothing_is_appended(
    change: dict[str, str], service: RunningService, disk: Disk
) -> None:
    name = f"taken {change}"
    key = {"Authorization": f"Bearer {disk.new_key().key}"}  # of its own: records of refusals are bounded for each
    assert post(service, audit(name), **key).status_code == 200
    before = disk.size()
    request = audit(f"untouched {change}", f"also untouched {change}", **change)
    request.resource_logs[0].scope_logs[0].log_records.append(record_of(audit(name, **change)))
    response = post(service, request, **key)
    assert response.status_code == 409
    assert response.json()["code"] == 6, "ALREADY_EXISTS: clients retry ABORTED"
    assert "resourceLogs[0].scopeLogs[0].logRecords[2]: conflict" in response.json()["message"]
    assert "retry-after" not in response.headers
    assert [leaf["kind"] for leaf in disk.leaves(before)] == ["refusal"]
    assert disk.leaves(before)[0]["refusal"] == {"code": "conflict", "count": 1, "signal": "audit"}
    assert post(service, audit(f"untouched {change}"), **key).status_code == 200


def test_two_contents_of_one_id_in_one_batch_are_a_conflict_and_equal_ones_count_once(
    service: RunningService, disk: Disk
) -> None:
    key = {"Authorization": f"Bearer {disk.new_key().key}"}
    request = audit("within", "within")
    assert list(post(service, request, **key).json()["record_status_map"]) == ["within"]
    record_of(request, 1).body.string_value = "otherwise"
    before = disk.size()
    assert post(service, request, **key).status_code == 409
    assert [leaf["kind"] for leaf in disk.leaves(before)] == ["refusal"]


def test_of_two_at_once_with_one_id_and_other_content_one_is_taken(service: RunningService, disk: Disk) -> None:
    key = {"Authorization": f"Bearer {disk.new_key().key}"}
    before = disk.size()
    requests = [audit("race", audit_action=f"ACTION{number}") for number in range(6)]
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda request=request: statuses.append(post(service, request, **key).status_code))
        for request in requests
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 409, 409, 409, 409, 409]
    assert [leaf["source"] for leaf in disk.leaves(before)].count("otlp:audit") == 1


def test_an_id_is_its_writers(service: RunningService, disk: Disk) -> None:
    assert post(service, audit("shared id")).status_code == 200
    other = disk.new_key()
    before = disk.size()
    assert (
        post(service, audit("shared id", audit_action="READ"), Authorization=f"Bearer {other.key}").status_code == 200
    )
    assert disk.size() == before + 1


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [None, "", 7])
def test_a_record_without_a_mandatory_attribute_refuses_the_whole_batch(
    name: str, value: str | int | None, service: RunningService, disk: Disk
) -> None:
    request = audit("complete", "not complete")
    attributes = record_of(request, 1).attributes
    pair = next(pair for pair in attributes if pair.key == name)
    if value is None:
        attributes.remove(pair)
    elif isinstance(value, int):
        pair.value.int_value = value
    else:
        pair.value.string_value = value
    before = disk.size()
    body = request.SerializeToString()
    headers = {"Content-Type": PROTOBUF, "x-api-key": disk.new_key().key}
    response = service.client.post("/v1/audit", content=body, headers=headers)
    assert response.status_code == 400
    status = Status.FromString(response.content)
    named = BadRequest()
    assert next(detail for detail in status.details if detail.Is(BadRequest.DESCRIPTOR)).Unpack(named)
    assert [one.field for one in named.field_violations] == ["resourceLogs[0].scopeLogs[0].logRecords[1]"]
    assert name in named.field_violations[0].description
    assert [leaf["kind"] for leaf in disk.leaves(before) if leaf["kind"] not in ("key", "refusal")] == []


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.ClearField("time_unix_nano"),
        lambda record: record.ClearField("event_name"),
        lambda record: record.attributes.add(key="audit.outcome").value.__setattr__("string_value", "perhaps"),
        lambda record: record.attributes.add(key="audit.actor.type").value.__setattr__("string_value", "robot"),
        lambda record: record.attributes.add(key="audit.record.id").value.__setattr__("string_value", "x" * 257),
        lambda record: setattr(record, "trace_id", b"short"),
    ],
    ids=["no timestamp", "no event name", "outcome", "actor type", "long id", "trace id"],
)
def test_a_record_that_is_not_as_the_draft_has_it_refuses_the_whole_batch(
    change: Any, service: RunningService, disk: Disk
) -> None:
    request = audit("as it should be", "as it should not")
    change(record_of(request, 1))
    before = disk.size()
    headers = {"Content-Type": PROTOBUF, "x-api-key": disk.new_key().key}
    response = service.client.post("/v1/audit", content=request.SerializeToString(), headers=headers)
    assert response.status_code == 400
    assert [leaf["kind"] for leaf in disk.leaves(before) if leaf["kind"] not in ("key", "refusal")] == []


def test_the_answer_never_has_a_partial_success(service: RunningService) -> None:
    headers = {"Content-Type": PROTOBUF, **service.headers()}
    response = service.client.post("/v1/audit", content=audit("no partial").SerializeToString(), headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == PROTOBUF
    assert not ExportLogsServiceResponse.FromString(response.content).HasField("partial_success")
    assert service.client.post("/v1/audit", content=b"", headers=headers).status_code == 200


def test_an_audit_record_comes_back_as_it_was_sent(service: RunningService) -> None:
    request = audit("comes back", audit_integrity_value="c2lnbmF0dXJl", audit_sequence_prev_hash="e3b0c442")
    seq = post(service, request).json()["record_status_map"]["comes back"]["seq"]
    back = service.client.get(f"/api/v1/records/main/{seq}/otlp", headers=service.headers("reviewer"))
    assert back.status_code == 200, back.text
    assert back.json() == json.loads(otlp_json(request))


@pytest.mark.parametrize("role", ["reviewer", "auditor", "administrator"])
def test_another_role_may_not_send_audit_records(role: str, service: RunningService) -> None:
    assert post(service, audit("forbidden"), **service.headers(role)).status_code == 403


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (1.0, "1"), (-1.5, "-1.5"), (0.1, "0.1"), (1e21, "1e+21"),
        (1e20, "100000000000000000000"),
        (123456789012345680000.0, "123456789012345680000"), (1e-6, "0.000001"), (1e-7, "1e-7"), (1.5e-7, "1.5e-7"),
        (5e-324, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"),
        (333333333.33333329, "333333333.3333333"),
        (4.5, "4.5"), (0.002, "0.002"), (1e30, "1e+30"), (9007199254740992.0, "9007199254740992"),
        (1e16, "10000000000000000"),
    ],
)  # fmt: skip
def test_numbers_are_printed_as_rfc_8785_has_them(number: float, text: str) -> None:
    assert number_text(number) == text
    assert float(text) == number


def test_json_is_printed_as_rfc_8785_has_it() -> None:
    """The example of RFC 8785, section 3.2.3, and the sorting by UTF-16 code units."""
    assert canonical_json({"b": [1.0, True, None], "a": '€$\u000f\nA\'B"\\\\"/'}) == (
        '{"a":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/","b":[1,true,null]}'.encode()
    )
    keys = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
    assert list(json.loads(canonical_json(keys)).values()) == [2, 4, 6, 7, 1, 5, 3]
