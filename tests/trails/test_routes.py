"""Every route of the room: anonymous, wrong role, other tenant, invalid, valid, repeated; and what it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from counterfoil import problems
from counterfoil.core.encoding import decode_base64, decode_base64url
from counterfoil.core.merkle import leaf_hash
from counterfoil.core.record import parse_record
from counterfoil.identity.roles import Role
from counterfoil.identity.service import Identity
from counterfoil.log.accounts import Accounts
from counterfoil.log.checkpoints import Checkpointer
from counterfoil.log.heads import HeadStore
from counterfoil.log.records import head, read_leaves
from counterfoil.log.signing import load_signer
from counterfoil.mapping.decode import decode_traces
from counterfoil.store.database import open_index
from counterfoil.trails.projector import Projector
from counterfoil.trails.router import router
from counterfoil.trails.service import Trails
from tests.trails.site import AGENT_SPANS, Site, event, make_site


@dataclass(slots=True)
class Served:
    """The routes over a site, with keys of two tenants."""

    site: Site
    client: TestClient
    keys: dict[str, str]

    def get(self, path: str, role: str | None = "reviewer", **parameters: Any) -> Any:
        headers = {} if role is None else {"Authorization": f"Bearer {self.keys[role]}"}
        return self.client.get(path, params=parameters, headers=headers)

    def accesses(self) -> list[dict[str, Any]]:
        """The access records of the tenant, oldest first."""
        log = self.site.logs.access_log(self.site.log.tenant_id)
        with self.site.logs.ledger.read() as ledger:
            leaves = [json.loads(leaf) for _, leaf in read_leaves(ledger, log.id, 0, head(ledger, log.id).size)]
        return [leaf for leaf in leaves if leaf["kind"] == "access"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    site = make_site(tmp_path_factory.mktemp("routes") / "audit")
    accounts = Accounts(site.logs)
    accounts.create_tenant("other")
    accounts.create_log("other", "side")
    keys = {role.value: accounts.create_credential("default", role).key for role in Role}
    keys["stranger"] = accounts.create_credential("other", Role.REVIEWER).key
    accounts.create_log("default", "second")
    keys["scoped"] = accounts.create_credential("default", Role.REVIEWER, log_name="second").key
    site.send_file("pydantic_ai_v5_tool_handoff_retry")
    site.send(
        [
            event(
                1,
                "decision",
                conversation="case/7",
                trace=1,
                own={"outcome": "deny"},
                fields={"rationale": "Bought 41 days ago", "inputs": {"days": {"intValue": "41"}}},
            )
        ]
    )
    app = FastAPI()
    problems.install(app)
    app.include_router(router)
    app.state.identity = Identity(site.logs.ledger, site.clock)
    app.state.trails = site.trails
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Served(site, client, keys)
    site.close()


def decision_seq(served: Served) -> int:
    return int(served.get("/api/v1/records", kind="decision").json()["items"][0]["seq"])


ROUTES = [
    "/api/v1/records",
    "/api/v1/records/main/3",
    "/api/v1/records/main/3/otlp",
    "/api/v1/interactions",
    "/api/v1/interactions/conv-77",
]


@pytest.mark.parametrize("path", ROUTES)
def test_without_a_key_nothing_is_answered(served: Served, path: str) -> None:
    answer = served.get(path, None)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "unauthenticated"
    wrong = served.client.get(path, headers={"x-api-key": "cf_wrong_key"})
    assert wrong.status_code == 401


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("role", ["writer", "administrator"])
def test_roles_without_the_permission_are_refused(served: Served, path: str, role: str) -> None:
    before = len(served.accesses())
    answer = served.get(path, role)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert len(served.accesses()) == before


@pytest.mark.parametrize("path", ROUTES[1:3] + ROUTES[4:])
def test_what_is_anothers_is_answered_like_what_is_absent(served: Served, path: str) -> None:
    theirs = served.get(path, "stranger")
    absent = served.get(path.replace("main", "nowhere").replace("conv-77", "nobody"), "reviewer")
    assert theirs.status_code == absent.status_code == 404
    shown = {key: value for key, value in theirs.json().items() if key != "title"}
    assert shown == {key: value for key, value in absent.json().items() if key != "title"}


def test_another_tenant_finds_none_of_our_records(served: Served) -> None:
    for path in ("/api/v1/records", "/api/v1/interactions"):
        answer = served.get(path, "stranger", limit=500).json()
        assert {entry["log"] for entry in answer["as_of"]} == {"side"}
        assert "main" not in {item["log"] for item in answer["items"]}
    trace_id = served.get("/api/v1/records", kind="agent_run").json()["items"][0]["leaf"]["trace_id"]
    assert served.get("/api/v1/records", "stranger", trace_id=trace_id).json()["items"] == []
    assert served.get(f"/api/v1/interactions/{trace_id}", "stranger").status_code == 404
    assert served.get("/api/v1/records", "stranger", log="main").status_code == 404
    assert served.get("/api/v1/records", "stranger", log=served.site.log.origin).status_code == 404


def test_a_key_for_one_log_sees_that_log_alone(served: Served) -> None:
    answer = served.get("/api/v1/records", "scoped").json()
    assert {entry["log"] for entry in answer["as_of"]} == {"second"}
    assert served.get("/api/v1/records/main/3", "scoped").status_code == 404
    assert served.get("/api/v1/interactions/conv-77", "scoped").status_code == 404


def test_the_access_log_is_not_a_log_of_records(served: Served) -> None:
    assert served.get("/api/v1/records/access/0").status_code == 404
    assert served.get("/api/v1/records", log="access").status_code == 404


@pytest.mark.parametrize(
    ("path", "parameters", "status", "code", "item"),
    [
        ("/api/v1/records", {"kind": "invented"}, 400, "bad_filter_value", "kind"),
        ("/api/v1/records", {"mood": "good"}, 400, "unknown_filter", "mood"),
        ("/api/v1/records", {"q": '"open'}, 400, "bad_query", "q"),
        ("/api/v1/records", {"q": ""}, 400, "bad_query", "q"),
        ("/api/v1/records", {"cursor": "zzz"}, 400, "bad_cursor", "cursor"),
        ("/api/v1/records", {"limit": "1000000"}, 400, "bad_filter_value", "limit"),
        ("/api/v1/records/main/x", {}, 400, "invalid_request", "path.seq"),
        ("/api/v1/records/main/-1", {}, 404, "not_found", "record"),
        ("/api/v1/records/main/99999999999999999999999", {}, 404, "not_found", "record"),
        ("/api/v1/records/main/9999", {}, 404, "not_found", "record"),
        ("/api/v1/records/main/9999/otlp", {}, 404, "not_found", "record"),
        ("/api/v1/records/main/0/otlp", {}, 400, "not_restorable", None),
        ("/api/v1/interactions", {"mood": "good"}, 400, "unknown_filter", "mood"),
        ("/api/v1/interactions/nobody", {}, 404, "not_found", "interaction"),
        ("/api/v1/interactions/conv-77", {"limit": "0"}, 400, "invalid_request", "query.limit"),
        ("/api/v1/interactions/conv-77", {"cursor": "zzz"}, 400, "bad_cursor", "cursor"),
        ("/api/v1/interactions/conv-77", {"mood": "good"}, 400, "unknown_filter", "mood"),
    ],
)
def test_bad_input_is_named(
    served: Served, path: str, parameters: dict[str, str], status: int, code: str, item: str | None
) -> None:
    answer = served.get(path, **parameters)
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem.get("item")) == (status, code, item)


def test_search_answers_facts_with_as_of_and_is_recorded(served: Served) -> None:
    first = served.get("/api/v1/records", q="triage_agent", limit=2)
    assert first.status_code == 200
    body = first.json()
    assert len(body["items"]) == 2
    size = body["as_of"][0]["tree_size"]
    assert body["as_of"][0] == {"log": "main", "tree_size": size}
    for item in body["items"]:
        assert set(item) == {"log", "seq", "leaf", "superseded_by", "derived"}
        assert item["leaf"]["seq"] == item["seq"]
    assert "jane@example.com" not in first.text
    again = served.get("/api/v1/records", q="triage_agent", limit=2)
    assert again.json() == body
    following = served.get("/api/v1/records", q="triage_agent", limit=2, cursor=body["next"]).json()
    assert following["items"][0]["seq"] < body["items"][-1]["seq"]
    last = served.accesses()[-1]
    assert last["access"] == {"action": "search", "object": "records", "count": 2}
    assert "query" in last["content"]
    assert last["writer"]


def test_one_filter_may_be_given_several_times(served: Served) -> None:
    answer = served.client.get(
        "/api/v1/records?kind=decision&kind=tool_call", headers={"x-api-key": served.keys["auditor"]}
    )
    assert {item["leaf"]["kind"] for item in answer.json()["items"]} == {"decision", "tool_call"}


def test_a_record_shows_its_bytes_its_place_and_every_field_with_its_state(served: Served) -> None:
    seq = decision_seq(served)
    before = len(served.accesses())
    body = served.get(f"/api/v1/records/main/{seq}").json()
    data = decode_base64(body["leaf_bytes"])
    assert parse_record(data) == body["leaf"]
    assert decode_base64(body["leaf_hash"]) == leaf_hash(data)
    assert (body["origin"], body["position"]) == (body["leaf"]["log"], "not_yet_under_a_checkpoint")
    assert set(body["content"]) == set(body["leaf"]["content"]) == {"rationale", "inputs"}
    rationale = body["content"]["rationale"]
    assert (rationale["state"], rationale["value"]) == ("DISCLOSED", "Bought 41 days ago")
    assert json.loads(decode_base64url(rationale["disclosure"]))[1:] == ["rationale", "Bought 41 days ago"]
    assert served.get(f"/api/v1/records/main/{seq}").json() == body
    read = [leaf["access"] for leaf in served.accesses()[before:]]
    assert read == [{"action": "read_content", "object": f"main/{seq}", "count": 1}] * 2


def test_a_record_under_a_checkpoint_says_so(served: Served) -> None:
    site = served.site
    checkpointer = Checkpointer(
        site.logs.ledger,
        HeadStore(site.directory.heads),
        lambda origin: load_signer(site.directory.keys, origin),
        site.clock,
    )
    checkpoint = checkpointer.run_once(site.log.id)
    assert checkpoint is not None
    body = served.get("/api/v1/records/main/1").json()
    assert (body["position"], body["checkpoint_size"]) == ("signed", checkpoint.size)


def test_a_record_that_cannot_be_read_by_the_rules_is_never_shown_as_one(served: Served) -> None:
    site = served.site
    site.send([event(900, "notice", conversation="damaged")])
    seq = served.get("/api/v1/records", interaction="damaged").json()["items"][0]["seq"]
    with site.attack("ledger") as ledger:
        triggers = ledger.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            ledger.execute(f"DROP TRIGGER {name}")
        query = (site.log.id, seq)
        stored = ledger.execute("SELECT leaf FROM records WHERE log_id = ? AND seq = ?", query).fetchone()[0]
        ledger.execute(
            "UPDATE records SET leaf = ? WHERE log_id = ? AND seq = ?",
            (stored.replace(b'"kind":"notice"', b'"kind":"mottos"'), *query),
        )
    answer = served.get(f"/api/v1/records/main/{seq}")
    assert (answer.status_code, answer.json()["code"]) == (500, "evidence_damaged")
    with site.attack("ledger") as ledger:
        ledger.execute("UPDATE records SET leaf = ? WHERE log_id = ? AND seq = ?", (stored, *query))
        for _, sql in triggers:
            ledger.execute(sql)
    assert served.get(f"/api/v1/records/main/{seq}").status_code == 200


def spans_of(body: bytes) -> dict[tuple[str, str], Any]:
    """Each span of a request as a request of its own, by trace and span id."""
    request = ExportTraceServiceRequest.FromString(body)
    found = {}
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                one = ExportTraceServiceRequest()
                outer = one.resource_spans.add()
                outer.CopyFrom(resource)
                del outer.scope_spans[:]
                inner = outer.scope_spans.add()
                inner.CopyFrom(scope)
                del inner.spans[:]
                inner.spans.add().CopyFrom(span)
                found[span.trace_id.hex(), span.span_id.hex()] = one
    return found


def test_otlp_gives_back_what_came_in_from_any_part_of_the_item(served: Served) -> None:
    body = (AGENT_SPANS / "pydantic_ai_v5_tool_handoff_retry.bin").read_bytes()
    sent = spans_of(body)
    seen = set()
    for item in served.get("/api/v1/records", limit=500).json()["items"]:
        key = (item["leaf"].get("trace_id"), item["leaf"].get("span_id"))
        if key not in sent:
            continue
        answer = served.get(f"/api/v1/records/main/{item['seq']}/otlp")
        assert answer.status_code == 200, answer.text
        decoded = decode_traces(answer.content, "application/json")
        (group,) = decoded.groups
        assert MessageToDict(group.items[0]) == MessageToDict(sent[key].resource_spans[0].scope_spans[0].spans[0])
        seen.add(key)
    assert seen == set(sent)
    assert served.accesses()[-1]["access"]["purpose"] == "otlp"


def test_interactions_are_listed_and_recorded(served: Served) -> None:
    body = served.get("/api/v1/interactions", agent="triage_agent").json()
    (item,) = body["items"]
    assert (item["id"], item["derived"]) == ("conv-77", False)
    assert body["as_of"][0]["log"] == "main"
    assert served.get("/api/v1/interactions", agent="triage_agent").json() == body
    assert served.accesses()[-1]["access"] == {"action": "search", "object": "interactions", "count": 1}


def test_a_trail_is_told_and_recorded(served: Served) -> None:
    body = served.get("/api/v1/interactions/conv-77").json()
    assert body["interaction"]["id"] == "conv-77"
    assert body["total"] == len([step for step in body["steps"] if step["basis"] == "reported"])
    derived = [step for step in body["steps"] if step["basis"] == "derived"]
    assert [step["rule"] for step in derived if step["kind"] == "fallback"] == ["transfer_after_failure"]
    topics = {topic["topic"]: topic["basis"] for topic in body["topics"]}
    assert (topics["agents"], topics["handoffs"], topics["oversight"]) == ("reported", "derived", "absent")
    assert body["interaction"]["log"] == "main"
    assert served.get("/api/v1/interactions/conv-77").json() == body
    access = served.accesses()[-1]["access"]
    assert access == {
        "action": "read_content",
        "object": "interaction/conv-77",
        "count": len(body["steps"]),
        "purpose": "trail",
    }


def test_an_interaction_id_may_hold_a_slash(served: Served) -> None:
    body = served.get("/api/v1/interactions/case/7").json()
    assert body["interaction"]["id"] == "case/7"
    assert body["steps"][0]["why"]["rationale"] == "Bought 41 days ago"


def test_nothing_is_shown_where_the_access_record_cannot_be_written(tmp_path: Path) -> None:
    site = make_site(tmp_path / "audit")
    site.send([event(1, "decision", conversation="c", fields={"rationale": "words"})])
    principal = site.principal()
    site.logs.close()
    for read in (
        lambda: site.trails.search(principal, []),
        lambda: site.trails.record(principal, "main", 1),
        lambda: site.trails.interactions(principal, []),
        lambda: site.trails.trail(principal, "c"),
    ):
        with pytest.raises(Exception, match="stopping"):
            read()
    site.close()


def test_without_an_index_the_caller_is_told_to_come_back(served: Served, tmp_path: Path) -> None:
    site = served.site
    empty = open_index(f"sqlite:///{tmp_path / 'index.db'}")
    app: Any = served.client.app
    app.state.trails = Trails(site.logs, replace(site.stores, index=empty))
    try:
        answer = served.get("/api/v1/records")
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
        assert answer.headers["Retry-After"]
        assert "reindex" in answer.json()["title"]
        Projector(site.logs.ledger, site.logs.keystore, empty).run_once()
        assert served.get("/api/v1/records").status_code == 200
    finally:
        app.state.trails = site.trails
        empty.dispose()


def test_every_parameter_and_field_is_documented(served: Served) -> None:
    app: Any = served.client.app
    document = app.openapi()
    search = document["paths"]["/api/v1/records"]["get"]
    names = {parameter["name"] for parameter in search["parameters"]}
    assert {"kind", "agent", "from", "to", "q", "derived", "started_from", "limit", "cursor", "order"} <= names
    assert {"200", "400", "401", "403"} <= set(search["responses"])
    assert {"RecordList", "RecordOut", "TrailOut", "StepOut", "InteractionList"} <= set(
        document["components"]["schemas"]
    )
