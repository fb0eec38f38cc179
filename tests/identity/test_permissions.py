"""Every permission against every role, and every way of not having a key."""

from __future__ import annotations

import pytest

from counterfoil.identity.roles import Permission, Role, may
from tests.identity.conftest import Site


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("permission", Permission)
def test_a_route_lets_through_exactly_the_roles_that_may(shared: Site, role: Role, permission: Permission) -> None:
    answer = shared.client.get(f"/{permission}", headers=shared.headers(role))
    if may(role, permission):
        assert (answer.status_code, answer.json()) == (200, role)
    else:
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "forbidden"
        assert role in answer.json()["title"]


@pytest.mark.parametrize("permission", Permission)
def test_without_a_key_no_route_answers(shared: Site, permission: Permission) -> None:
    answer = shared.client.get(f"/{permission}")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "unauthenticated"


def test_the_key_may_come_in_either_header(shared: Site) -> None:
    key = shared.keys["default", Role.WRITER].key
    for headers in (
        {"Authorization": f"Bearer {key}"},
        {"authorization": f"bearer {key}"},
        {"x-api-key": key},
        {"x-api-key": key, "Authorization": f"Bearer {key}"},
    ):
        assert shared.client.get("/whoami", headers=headers).json() == "default/writer"


def test_a_key_in_the_url_or_in_another_scheme_or_two_different_keys_are_no_key(shared: Site) -> None:
    key = shared.keys["default", Role.WRITER].key
    other = shared.keys["other", Role.WRITER].key
    for headers, query in (
        ({}, f"?key={key}&api_key={key}&x-api-key={key}&access_token={key}"),
        ({"Authorization": f"Basic {key}"}, ""),
        ({"Authorization": key}, ""),
        ({"Authorization": "Bearer"}, ""),
        ({"Authorization": f"Bearer {key}", "x-api-key": other}, ""),
        ({"x-api-key": key * 10}, ""),
        ({"x-api-key": "cf_aaaaaaaaaaaaaaaa_" + "A" * 43}, ""),
    ):
        answer = shared.client.get(f"/whoami{query}", headers=headers)
        assert answer.status_code == 401
        assert key not in answer.text


def test_the_answer_to_a_revoked_an_expired_and_an_unknown_key_is_the_same(site: Site) -> None:
    revoked = site.keys["default", Role.REVIEWER]
    site.accounts.revoke_credential("default", revoked.id)
    expired = site.accounts.create_credential("default", Role.AUDITOR, expires_us=site.made.clock.at_us + 1)
    site.made.clock.at_us += 1
    bodies = {
        site.client.get("/whoami", headers={"x-api-key": key}).text
        for key in (revoked.key, expired.key, "cf_aaaaaaaaaaaaaaaa_" + "A" * 43)
    }
    assert len(bodies) == 1
