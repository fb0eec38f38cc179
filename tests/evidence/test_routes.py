"""The export routes of a running service: anonymous, wrong role, another tenant, invalid, valid, repeated."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.service.running import RunningService

PATH = "/api/v1/exports"
ASKED = {"log": "main", "purpose": "complaint 2026-113"}
JOB_ROUTES = ["/api/v1/exports/{id}", "/api/v1/exports/{id}/bundle"]


def ask(service: RunningService, role: str = "auditor", *, key: str | None = None, **given: Any) -> httpx.Response:
    """POST an export."""
    headers = service.headers(role) | ({} if key is None else {"Idempotency-Key": key})
    return service.client.post(PATH, json={**ASKED, **given}, headers=headers)


def finished(service: RunningService, export_id: str) -> dict[str, Any]:
    """The job once nothing more will happen to it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        job: dict[str, Any] = service.client.get(f"{PATH}/{export_id}", headers=service.headers("auditor")).json()
        if job["status"] in ("released", "failed"):
            return job
        time.sleep(0.05)
    raise AssertionError(f"the export did not end: {job}")


@pytest.fixture(scope="module")
def released(service: RunningService) -> dict[str, Any]:
    """An export that was released."""
    job = finished(service, ask(service).json()["id"])
    assert job["status"] == "released", job
    return job


@pytest.mark.parametrize(("method", "path"), [("POST", PATH), ("GET", PATH), *(("GET", path) for path in JOB_ROUTES)])
def test_without_a_key_nothing_is_answered(
    service: RunningService, released: dict[str, Any], method: str, path: str
) -> None:
    answer = service.client.request(method, path.format(id=released["id"]), json=ASKED if method == "POST" else None)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert "WWW-Authenticate" in answer.headers


@pytest.mark.parametrize("role", ["writer", "administrator"])
@pytest.mark.parametrize(("method", "path"), [("POST", PATH), ("GET", PATH), *(("GET", path) for path in JOB_ROUTES)])
def test_a_role_that_may_not_export_is_refused_everywhere(
    service: RunningService, released: dict[str, Any], role: str, method: str, path: str
) -> None:
    body = ASKED if method == "POST" else None
    answer = service.client.request(method, path.format(id=released["id"]), json=body, headers=service.headers(role))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize("path", JOB_ROUTES)
def test_another_tenants_export_is_as_absent_as_one_that_never_was(
    service: RunningService, released: dict[str, Any], path: str
) -> None:
    stranger = service.headers("auditor", other=True)
    theirs = service.client.get(path.format(id=released["id"]), headers=stranger)
    nobodys = service.client.get(path.format(id="exp_" + "0" * 32), headers=stranger)
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.json() == nobodys.json()


def test_another_tenants_log_cannot_be_exported(service: RunningService) -> None:
    answer = service.client.post(PATH, json={**ASKED, "log": "main"}, headers=service.headers("auditor", other=True))
    assert (answer.status_code, answer.json()["code"], answer.json()["item"]) == (404, "not_found", "log")


def test_another_tenants_exports_are_not_listed(service: RunningService, released: dict[str, Any]) -> None:
    assert service.client.get(PATH, headers=service.headers("auditor", other=True)).json()["items"] == []
    mine = service.client.get(PATH, headers=service.headers("reviewer")).json()["items"]
    assert released["id"] in [job["id"] for job in mine]


@pytest.mark.parametrize(
    ("given", "code", "item"),
    [
        ({"filter": {"q": "refund"}}, "not_a_leaf_filter", "q"),
        ({"filter": {"nonsense": "1"}}, "unknown_filter", "nonsense"),
        ({"filter": {"kind": "nonsense"}}, "bad_filter_value", "kind"),
        ({"filter": {"from": "yesterday"}}, "bad_filter_value", "from"),
        ({"form": "heap"}, "invalid_request", "body.form"),
        ({"form": "selection"}, "empty_selection", "seqs"),
        ({"seqs": [1]}, "bad_form", "seqs"),
        ({"form": "selection", "seqs": [-1]}, "invalid_request", "body.seqs.0"),
        ({"purpose": ""}, "invalid_request", "body.purpose"),
        ({"purpose": "   "}, "bad_purpose", "purpose"),
        ({"surprise": 1}, "invalid_request", "body.surprise"),
        ({"since": "nonsense"}, "bad_since", "since"),
        ({"redactions": [{"field": "output", "reason": "r"}]}, "invalid_request", "body.redactions.0.ground"),
    ],
)
def test_a_request_that_cannot_be_answered_names_the_item(
    service: RunningService, given: dict[str, Any], code: str, item: str
) -> None:
    answer = ask(service, **given)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["item"]) == (code, item)


def test_a_body_that_is_no_json_is_refused(service: RunningService) -> None:
    answer = service.client.post(PATH, content=b"{", headers=service.headers("auditor"))
    assert answer.status_code == 400


def test_an_export_is_accepted_built_verified_and_fetched(service: RunningService, tmp_path: Path) -> None:
    answer = ask(service, "reviewer", filter={"kind": ["genesis", "key", "export"]})
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"{PATH}/{answer.json()['id']}"
    job = finished(service, answer.json()["id"])
    assert job["status"] == "released", job
    fetched = service.client.get(job["bundle"], headers=service.headers("auditor"))
    digest = hashlib.sha256(fetched.content).hexdigest()
    assert fetched.status_code == 200
    assert fetched.headers["etag"] == f'"{digest}"'
    assert fetched.headers["content-disposition"].startswith('attachment; filename="counterfoil-main-')
    assert fetched.headers["content-type"] == "application/zip"
    assert (job["digest"], job["size"]) == (digest, len(fetched.content))
    bundle, policy = tmp_path / "bundle.zip", tmp_path / "policy.toml"
    bundle.write_bytes(fetched.content)
    programs = Path(sys.executable).parent
    shown = subprocess.run(
        [programs / "counterfoil", "policy", "show", "--data", service.data], capture_output=True, check=True
    )
    policy.write_bytes(shown.stdout)
    done = subprocess.run(
        [programs / "counterfoil-verify", bundle, "--policy", policy], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_bundle_that_is_not_released_cannot_be_fetched(service: RunningService) -> None:
    job = ask(service, form="selection", seqs=[10**9]).json()
    assert finished(service, job["id"])["status"] == "failed"
    answer = service.client.get(f"{PATH}/{job['id']}/bundle", headers=service.headers("auditor"))
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_a_repeated_post_gives_the_same_job_and_another_body_a_conflict(service: RunningService) -> None:
    first, again = ask(service, key="k-1"), ask(service, key="k-1")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    other = ask(service, key="k-1", purpose="something else")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    assert ask(service).json()["id"] != first.json()["id"]


def test_a_list_is_paged(service: RunningService, released: dict[str, Any]) -> None:
    ask(service)
    headers = service.headers("auditor")
    page = service.client.get(PATH, params={"limit": 1}, headers=headers).json()
    following = service.client.get(PATH, params={"limit": 1, "cursor": page["next"]}, headers=headers).json()
    assert page["items"][0]["id"] != following["items"][0]["id"]
    for bad in ({"limit": 0}, {"limit": 201}, {"cursor": "nonsense!"}):
        assert service.client.get(PATH, params=bad, headers=headers).status_code == 400


def test_a_selection_by_full_text_comes_from_the_index(service: RunningService) -> None:
    job = finished(service, ask(service, form="selection", filter={"q": "nothing-has-this-word"}).json()["id"])
    assert (job["status"], job["records"]) == ("released", 0)
