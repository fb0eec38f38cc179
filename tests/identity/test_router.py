"""Administration: anonymous, wrong role, other tenant, invalid, valid, repeated."""

from __future__ import annotations

import pytest

from counterfoil.identity.roles import Role
from tests.identity.conftest import Site
from tests.log.append.making import leaves

ADMIN = Role.ADMINISTRATOR
ROUTES = [
    ("GET", "/api/v1/keys", None),
    ("POST", "/api/v1/keys", {"role": "writer"}),
    ("POST", "/api/v1/keys/aaaaaaaaaaaaaaaa/revocation", {}),
    ("GET", "/api/v1/logs", None),
    ("POST", "/api/v1/logs", {"name": "more"}),
    ("GET", "/api/v1/tenants", None),
    ("GET", "/api/v1/logs/main/configuration", None),
    ("POST", "/api/v1/logs/main/configuration", {"heartbeat_s": 30}),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_no_route_answers_without_a_key(shared: Site, method: str, path: str, body: object) -> None:
    assert shared.client.request(method, path, json=body).status_code == 401


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
@pytest.mark.parametrize("role", [Role.WRITER, Role.REVIEWER, Role.AUDITOR])
def test_only_administrators_change_anything(shared: Site, role: Role, method: str, path: str, body: object) -> None:
    answer = shared.client.request(method, path, json=body, headers=shared.headers(role))
    reads_logs = method == "GET" and path.startswith("/api/v1/logs") and role is not Role.WRITER
    assert answer.status_code == (200 if reads_logs else 403)


def test_a_key_is_made_shown_once_listed_and_revoked(site: Site) -> None:
    headers = site.headers(ADMIN)
    wanted = {"role": "writer", "log": "main", "name": "refunds", "expires_at": "2027-01-31T00:00:00+01:00"}
    made = site.client.post("/api/v1/keys", json=wanted, headers=headers)
    assert made.status_code == 201
    body = made.json()
    assert body["expires_at"] == "2027-01-30T23:00:00.000000Z"
    assert site.client.get("/whoami", headers={"x-api-key": body["key"]}).json() == "default/writer"
    listed = site.client.get("/api/v1/keys", headers=headers).json()["items"]
    row = next(one for one in listed if one["id"] == body["id"])
    assert (row["role"], row["log"], row["name"]) == ("writer", "main", "refunds")
    assert row["last_used_at"] is not None
    assert "key" not in row
    assert "secret" not in str(listed)
    path = f"/api/v1/keys/{body['id']}/revocation"
    gone = site.client.post(path, json={"reason": "lost"}, headers=headers)
    assert gone.status_code == 204
    assert site.client.get("/whoami", headers={"x-api-key": body["key"]}).status_code == 401
    assert site.client.post(path, headers=headers).status_code == 204
    mine = [leaf for leaf in leaves(site.made.path, 1) if leaf.get("key", {}).get("credential") == body["id"]]
    assert [leaf["key"]["event"] for leaf in mine] == ["create", "revoke"]
    assert {leaf["writer"] for leaf in mine} == {site.keys["default", ADMIN].id}


def test_an_administrator_sees_and_ends_the_keys_of_its_own_tenant_only(site: Site) -> None:
    headers = site.headers(ADMIN)
    theirs = site.keys["other", Role.WRITER]
    listed = {one["id"] for one in site.client.get("/api/v1/keys", headers=headers).json()["items"]}
    assert theirs.id not in listed
    answer = site.client.post(f"/api/v1/keys/{theirs.id}/revocation", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert site.client.get("/whoami", headers={"x-api-key": theirs.key}).status_code == 200
    answer = site.client.post("/api/v1/keys", json={"role": "auditor", "log": "side"}, headers=headers)
    assert (answer.status_code, answer.json()["item"]) == (404, "log")


def test_keys_are_listed_in_pages(site: Site) -> None:
    headers = site.headers(ADMIN)
    seen: list[str] = []
    cursor = ""
    while True:
        page = site.client.get(f"/api/v1/keys?limit=2{cursor}", headers=headers).json()
        seen += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert len(seen) == len(set(seen)) == 5


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_request"),
        ({"role": "god"}, "invalid_request"),
        ({"role": "writer", "surprise": 1}, "invalid_request"),
        ({"role": "writer", "name": "x" * 201}, "invalid_request"),
        ({"role": "writer", "name": "a\u0007b"}, "bad_name"),
        ({"role": "writer", "log": "nothing"}, "not_found"),
        ({"role": "writer", "log": "access"}, "bad_log"),
        ({"role": "writer", "expires_at": "tomorrow"}, "bad_expiry"),
        ({"role": "writer", "expires_at": "2027-01-31T00:00:00"}, "bad_expiry"),
        ({"role": "writer", "expires_at": "2020-01-31T00:00:00Z"}, "bad_expiry"),
    ],
)
def test_a_key_that_cannot_be_made_is_refused_with_a_reason(shared: Site, body: object, code: str) -> None:
    before = len(leaves(shared.made.path, 1))
    answer = shared.client.post("/api/v1/keys", json=body, headers=shared.headers(ADMIN))
    assert answer.status_code in (400, 404)
    assert answer.json()["code"] == code
    assert len(leaves(shared.made.path, 1)) == before


@pytest.mark.parametrize("cursor", ["x", "AAAA", "MTIz", "%F0%9F", "a" * 201])
def test_a_cursor_of_another_list_is_refused(shared: Site, cursor: str) -> None:
    answer = shared.client.get(f"/api/v1/keys?cursor={cursor}", headers=shared.headers(ADMIN))
    assert answer.status_code == 400


def test_a_log_is_made_and_listed_and_not_made_twice(site: Site) -> None:
    headers = site.headers(ADMIN)
    wanted = {"name": "eu", "region": "eu-central-1", "fulltext_fields": ["rationale"]}
    made = site.client.post("/api/v1/logs", json=wanted, headers=headers)
    assert made.status_code == 201
    assert made.json()["origin"] == "audit.example.com/default/eu"
    listed = site.client.get("/api/v1/logs", headers=site.headers(Role.AUDITOR)).json()["items"]
    assert [one["name"] for one in listed] == ["access", "main", "eu"]
    assert listed[-1] == made.json()
    again = site.client.post("/api/v1/logs", json=wanted, headers=headers)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    theirs = site.client.get("/api/v1/logs", headers=site.headers(Role.AUDITOR, "other")).json()["items"]
    assert [one["origin"] for one in theirs] == ["audit.example.com/other/access", "audit.example.com/other/side"]


@pytest.mark.parametrize("body", [{"name": ""}, {"name": "A B"}, {"name": "x", "region": "a b"}, {"name": "access"}])
def test_a_log_that_cannot_be_made_is_refused(shared: Site, body: object) -> None:
    answer = shared.client.post("/api/v1/logs", json=body, headers=shared.headers(ADMIN))
    assert answer.status_code in (400, 409)


def test_a_key_for_one_log_administers_that_log_only(site: Site) -> None:
    scoped = site.accounts.create_credential("default", ADMIN, log_name="main")
    headers = {"x-api-key": scoped.key}
    own = site.client.post("/api/v1/keys", json={"role": "writer", "log": "main"}, headers=headers)
    assert own.status_code == 201
    for body in ({"role": "writer"}, {"role": "auditor", "log": "access"}):
        assert site.client.post("/api/v1/keys", json=body, headers=headers).status_code == 403
    assert site.client.post("/api/v1/logs", json={"name": "more"}, headers=headers).status_code == 403
    listed = site.client.get("/api/v1/keys", headers=headers).json()["items"]
    assert {one["log"] for one in listed} == {"main"}
    wide = site.keys["default", Role.WRITER]
    for number in range(2 * 512):  # more keys than one list holds: the one to end lies beyond it
        site.accounts.create_credential("default", Role.WRITER, log_name="main", name=f"filler {number}")
    own = site.client.post("/api/v1/keys", json={"role": "writer", "log": "main"}, headers=headers)
    assert site.client.post(f"/api/v1/keys/{wide.id}/revocation", headers=headers).status_code == 404
    assert site.client.post(f"/api/v1/keys/{own.json()['id']}/revocation", headers=headers).status_code == 204
    assert [one["name"] for one in site.client.get("/api/v1/logs", headers=headers).json()["items"]] == ["main"]


@pytest.mark.parametrize("body", [{"reason": "x" * 1_001}, {"reason": ""}, {"reason": 7}, {"surprise": 1}, []])
def test_a_revocation_with_a_bad_body_ends_nothing(shared: Site, body: object) -> None:
    key = shared.keys["default", Role.REVIEWER]
    answer = shared.client.post(f"/api/v1/keys/{key.id}/revocation", json=body, headers=shared.headers(ADMIN))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert shared.client.get("/whoami", headers={"x-api-key": key.key}).status_code == 200


def test_a_reason_in_the_url_is_not_taken(shared: Site) -> None:
    key = shared.keys["default", Role.REVIEWER]
    answer = shared.client.delete(f"/api/v1/keys/{key.id}?reason=lost", headers=shared.headers(ADMIN))
    assert answer.status_code == 404
    assert shared.client.get("/whoami", headers={"x-api-key": key.key}).status_code == 200


def test_the_tenant_shown_is_the_keys_own(shared: Site) -> None:
    answer = shared.client.get("/api/v1/tenants", headers=shared.headers(ADMIN, "other"))
    assert answer.json() == {"items": [{"name": "other"}]}


CONFIGURATION = "/api/v1/logs/main/configuration"


def test_the_cadence_of_a_log_is_set_and_shown(site: Site) -> None:
    headers = site.headers(ADMIN)
    shown = site.client.get(CONFIGURATION, headers=headers).json()
    assert shown == {"heartbeat_s": 60, "seq": None, "recorded_at": None}
    done = site.client.post(CONFIGURATION, json={"heartbeat_s": 30}, headers=headers)
    assert done.status_code == 201
    assert done.json()["heartbeat_s"] == 30
    assert site.client.get(CONFIGURATION, headers=headers).json() == done.json()
    mine = leaves(site.made.path, site.made.log.id)[done.json()["seq"]]
    assert (mine["kind"], mine["writer"]) == ("configuration", site.keys["default", ADMIN].id)


def test_a_repeated_configuration_with_its_idempotency_key_is_one_record(site: Site) -> None:
    headers = {**site.headers(ADMIN), "Idempotency-Key": "c-1"}
    first = site.client.post(CONFIGURATION, json={"heartbeat_s": 30}, headers=headers)
    again = site.client.post(CONFIGURATION, json={"heartbeat_s": 30}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    other = site.client.post(CONFIGURATION, json={"heartbeat_s": 31}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


@pytest.mark.parametrize(
    "body", [{}, {"heartbeat_s": 0}, {"heartbeat_s": 86_401}, {"heartbeat_s": "30"}, {"heartbeat_s": 30, "more": 1}]
)
def test_a_configuration_that_is_none_is_refused(shared: Site, body: object) -> None:
    answer = shared.client.post(CONFIGURATION, json=body, headers=shared.headers(ADMIN))
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert shared.client.get(CONFIGURATION, headers=shared.headers(ADMIN)).json()["seq"] is None


def test_an_administrator_configures_the_logs_of_its_own_tenant_and_scope_only(site: Site) -> None:
    headers = site.headers(ADMIN)
    for path in ("/api/v1/logs/side/configuration", "/api/v1/logs/nowhere/configuration"):
        for answer in (
            site.client.get(path, headers=headers),
            site.client.post(path, json={"heartbeat_s": 30}, headers=headers),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    access = site.client.post("/api/v1/logs/access/configuration", json={"heartbeat_s": 30}, headers=headers)
    assert (access.status_code, access.json()["code"]) == (400, "bad_log")
    site.accounts.create_log("default", "second")
    scoped = site.accounts.create_credential("default", ADMIN, log_name="second")
    answer = site.client.post(CONFIGURATION, json={"heartbeat_s": 30}, headers={"x-api-key": scoped.key})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
