"""Receipts, C2SP tiles and the access log over real HTTP: who may have what, and what a foreign client makes of it."""

import json
import time
from collections.abc import Callable

import httpx
import pytest

from counterfoil.core.note import parse_vkey
from counterfoil.core.proof import check_proof, parse_proof
from tests.log.checkpoint.conftest import SPANS, checkpoint_size, span_id, spans, trace_id
from tests.log.checkpoint.foreign_client import read_log
from tests.service.running import LOG, Made, RunningService, start_service

SIZE = SPANS + 2
"""Genesis and key, then one record a span."""


@pytest.fixture(scope="module")
def get(filled_service: RunningService) -> Callable[..., httpx.Response]:
    def get_as(path: str, role: str | None = "auditor", *, other: bool = False, **headers: str) -> httpx.Response:
        key = {} if role is None else filled_service.headers(role, other=other)
        return filled_service.client.get(path, headers={**key, **headers})

    return get_as


def vkey_of(running: RunningService) -> str:
    logs = running.client.get("/api/v1/logs", headers=running.headers("auditor")).json()["items"]
    return str(next(log["vkey"] for log in logs if log["name"] == LOG))


Get = Callable[..., httpx.Response]


# -- a foreign client ---------------------------------------------------------------------------------------------


def test_a_foreign_client_reads_the_whole_log_and_comes_to_the_signed_root(
    filled_service: RunningService, get: Get
) -> None:
    def fetch(path: str) -> bytes:
        answer = get(f"/logs/{filled_service.made.origin}/{path}")
        assert answer.status_code == 200, path
        return answer.content

    entries = read_log(fetch, vkey_of(filled_service))
    assert len(entries) == SIZE
    assert [json.loads(entry)["seq"] for entry in entries] == list(range(SIZE))


def test_types_and_cache_headers_are_those_of_the_specification(filled_service: RunningService, get: Get) -> None:
    prefix = f"/logs/{filled_service.made.origin}"
    checkpoint = get(f"{prefix}/checkpoint")
    assert checkpoint.headers["content-type"] == "text/plain; charset=utf-8"
    assert checkpoint.headers["cache-control"] == "private, max-age=2"
    for path in ("tile/0/000", f"tile/0/001.p/{SIZE - 256}", "tile/1/000.p/1", "tile/entries/000"):
        tile = get(f"{prefix}/{path}")
        assert tile.status_code == 200, path
        assert tile.headers["content-type"] == "application/octet-stream"
        assert "immutable" in tile.headers["cache-control"]
        assert "private" in tile.headers["cache-control"], "a shared cache would hand it on"
        assert get(f"{prefix}/{path}").content == tile.content
    assert len(get(f"{prefix}/tile/0/000").content) == 8192


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/001",
        f"tile/0/001.p/{SIZE - 255}",
        "tile/0/002.p/1",
        "tile/1/000",
        "tile/1/000.p/2",
        "tile/2/000.p/1",
        "tile/entries/001",
        "tile/entries/005.p/1",
        "tile/0/0",
        "tile/00/000",
        "tile/0/x000/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/000/",
        "tile/",
        "tile/entries/",
        "tile/entries/0",
        "tile/0/999999",
        "tile/0/%2e%2e/000",
    ],
)
def test_every_other_spelling_and_whatever_no_checkpoint_covers_is_not_found(
    filled_service: RunningService, get: Get, path: str
) -> None:
    assert get(f"/logs/{filled_service.made.origin}/{path}").status_code == 404


def test_a_narrower_partial_tile_is_served_as_an_earlier_checkpoint_needed_it(
    filled_service: RunningService, get: Get
) -> None:
    prefix = f"/logs/{filled_service.made.origin}/tile/0"
    assert get(f"{prefix}/000.p/7").content == get(f"{prefix}/000").content[: 7 * 32]


def test_tiles_need_a_key_that_may_read_facts_of_that_tenant(filled_service: RunningService, get: Get) -> None:
    for path in ("checkpoint", "tile/0/000", "tile/entries/000"):
        url = f"/logs/{filled_service.made.origin}/{path}"
        assert get(url, None).status_code == 401
        assert get(url, "writer").status_code == 403
        assert get(url, "administrator").status_code == 403
        assert get(url, "auditor", other=True).status_code == 404
        assert get(url, "reviewer").status_code == 200
    assert get("/logs/no.such/log/checkpoint").status_code == 404


def test_an_operator_may_open_the_tiles_to_anyone(made_directory: Made) -> None:
    with start_service(made_directory, environment={"COUNTERFOIL_OPEN_TILES": "true"}) as running:
        deadline = time.monotonic() + 20
        while checkpoint_size(running) == 0 and time.monotonic() < deadline:
            time.sleep(0.1)
        answer = running.client.get(f"/logs/{running.made.origin}/checkpoint")
        assert answer.status_code == 200
        assert answer.headers["cache-control"].startswith("public")
        assert running.client.get(f"/logs/{running.made.origin}/tile/entries/000.p/2").status_code == 200
        assert running.client.get(f"/api/v1/records/{LOG}/0/proof").status_code == 401


# -- receipts -----------------------------------------------------------------------------------------------------


def check(running: RunningService, get: Get, seq: int, proof: str) -> None:
    """Check a receipt against the leaf from the entry bundle, with the log's key alone."""
    n, place = divmod(seq, 256)
    width = "" if (n + 1) * 256 <= SIZE else f".p/{SIZE - n * 256}"
    data = get(f"/logs/{running.made.origin}/tile/entries/{n:03d}{width}").content
    for _ in range(place):
        data = data[2 + int.from_bytes(data[:2], "big") :]
    leaf = data[2 : 2 + int.from_bytes(data[:2], "big")]
    parsed = parse_proof(proof.encode())
    assert parsed.index == seq
    check_proof(parsed, leaf, running.made.origin, [parse_vkey(vkey_of(running))])


def test_a_receipt_by_trace_and_span_checks_offline(filled_service: RunningService, get: Get) -> None:
    url = f"/api/v1/receipts?trace_id={trace_id(123)}&span_id={span_id(123)}"
    answer = get(url)
    assert answer.status_code == 200
    (item,) = answer.json()["items"]
    assert item["log"] == LOG
    check(filled_service, get, item["seq"], item["proof"])
    text = get(url, accept="text/plain")
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert text.text == item["proof"]


def test_receipts_of_a_whole_trace_come_together(filled_service: RunningService, get: Get) -> None:
    answer = get(f"/api/v1/receipts?trace_id={trace_id(123)}").json()
    assert len(answer["items"]) == 3
    for item in answer["items"]:
        check(filled_service, get, item["seq"], item["proof"])
    assert get(f"/api/v1/receipts?trace_id={trace_id(123)}", accept="text/plain").status_code == 400


def test_a_receipt_by_log_and_seq_is_the_proof_of_the_record(filled_service: RunningService, get: Get) -> None:
    (item,) = get(f"/api/v1/receipts?log={LOG}&seq=270").json()["items"]
    proof = get(f"/api/v1/records/{LOG}/270/proof")
    assert proof.status_code == 200
    assert proof.headers["content-type"] == "text/plain; charset=utf-8"
    assert proof.text == item["proof"]
    check(filled_service, get, 270, proof.text)


def test_a_writer_has_the_receipts_of_what_it_sent_and_of_nothing_else(
    filled_service: RunningService, get: Get
) -> None:
    own = get(f"/api/v1/receipts?trace_id={trace_id(5)}&span_id={span_id(5)}", "writer")
    assert own.status_code == 200
    (item,) = own.json()["items"]
    check(filled_service, get, item["seq"], item["proof"])
    assert get(f"/api/v1/records/{LOG}/{item['seq']}/proof", "writer").status_code == 200
    assert get(f"/api/v1/records/{LOG}/0/proof", "writer").status_code == 404, "the service wrote that one"
    assert get(f"/api/v1/receipts?log={LOG}&seq=0", "writer").status_code == 404


@pytest.mark.parametrize(
    ("path", "role", "other", "status"),
    [
        (f"/api/v1/records/{LOG}/5/proof", None, False, 401),
        (f"/api/v1/records/{LOG}/5/proof", "administrator", False, 403),
        (f"/api/v1/records/{LOG}/5/proof", "auditor", True, 404),
        (f"/api/v1/records/{LOG}/99999/proof", "auditor", False, 404),
        ("/api/v1/records/nothing/5/proof", "auditor", False, 404),
        (f"/api/v1/records/{LOG}/05/proof", "auditor", False, 400),
        (f"/api/v1/records/{LOG}/-1/proof", "auditor", False, 400),
        (f"/api/v1/receipts?log={LOG}&seq=5", None, False, 401),
        (f"/api/v1/receipts?log={LOG}&seq=5", "administrator", False, 403),
        (f"/api/v1/receipts?log={LOG}&seq=5", "auditor", True, 404),
        ("/api/v1/receipts", "auditor", False, 400),
        ("/api/v1/receipts?seq=5", "auditor", False, 400),
        (f"/api/v1/receipts?log={LOG}&seq=5&trace_id={'0' * 32}", "auditor", False, 400),
        ("/api/v1/receipts?trace_id=XYZ", "auditor", False, 400),
        (f"/api/v1/receipts?trace_id={'A' * 32}", "auditor", False, 400),
        (f"/api/v1/receipts?trace_id={'f' * 32}", "auditor", False, 404),
        (f"/api/v1/receipts?trace_id={1:032x}", "auditor", True, 404),
        (f"/api/v1/receipts?trace_id={1:032x}&span_id=0", "auditor", False, 400),
    ],
)
def test_what_may_not_be_had_or_was_asked_wrongly(
    get: Get, path: str, role: str | None, other: bool, status: int
) -> None:
    answer = get(path, role, other=other)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"]


def test_a_record_that_no_checkpoint_covers_yet_is_202_and_then_200(filled_service: RunningService, get: Get) -> None:
    """Asked without a pause, so the second until the next checkpoint is seen."""
    number = 10_000
    body = spans(number, number + 1)
    assert filled_service.client.post("/v1/traces", json=body, headers=filled_service.headers()).status_code == 200
    url = f"/api/v1/receipts?trace_id={trace_id(number)}&span_id={span_id(number)}"
    first = get(url, "writer")
    assert first.status_code in (200, 202)
    if first.status_code == 202:
        assert first.headers["retry-after"] == "1"
        assert len(first.json()["pending"]) == 1
        assert get(f"/api/v1/records/{LOG}/{first.json()['pending'][0]['seq']}/proof").status_code in (200, 202)
    deadline = time.monotonic() + 20
    while (answer := get(url, "writer")).status_code == 202 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert answer.status_code == 200
    assert len(answer.json()["items"]) == 1


# -- the access log -----------------------------------------------------------------------------------------------


def test_an_auditor_pages_through_the_whole_access_log_newest_first(get: Get) -> None:
    page = get("/api/v1/access?limit=3").json()
    assert [item["seq"] for item in page["items"]] == list(
        range(page["as_of"]["size"] - 1, page["as_of"]["size"] - 4, -1)
    )
    seen = [item["seq"] for item in page["items"]]
    while page["next"] is not None:
        page = get(f"/api/v1/access?limit=3&cursor={page['next']}").json()
        seen += [item["seq"] for item in page["items"]]
    assert seen == list(range(seen[0], -1, -1)), "every record once, down to genesis"


def test_looking_at_the_access_log_is_itself_in_it(get: Get) -> None:
    before = get("/api/v1/access?limit=1").json()["as_of"]["size"]
    newest = get("/api/v1/access?limit=1").json()["items"][0]
    assert newest["seq"] == before
    assert newest["leaf"]["access"]["action"] == "read_access"


def test_a_reviewer_sees_its_own_accesses_alone(filled_service: RunningService, get: Get) -> None:
    get("/api/v1/access", "reviewer")
    items = get("/api/v1/access", "reviewer").json()["items"]
    assert items
    assert {item["leaf"]["writer"] for item in items} == {filled_service.made.keys["reviewer"].id}


def test_an_administrator_sees_who_but_not_the_words(get: Get) -> None:
    items = get("/api/v1/access?limit=500", "administrator").json()["items"]
    assert any("content" in item["leaf"] for item in items)
    assert all(item["content"] is None for item in items)
    assert any(item["content"] for item in get("/api/v1/access?limit=500").json()["items"])


@pytest.mark.parametrize(
    ("query", "role", "status"),
    [("", None, 401), ("", "writer", 403), ("?limit=0", "auditor", 400), ("?cursor=x", "auditor", 400)],
)
def test_the_access_log_is_not_for_everybody(get: Get, query: str, role: str | None, status: int) -> None:
    assert get(f"/api/v1/access{query}", role).status_code == status


def test_another_tenant_has_another_access_log(filled_service: RunningService, get: Get) -> None:
    items = get("/api/v1/access?limit=500", "auditor", other=True).json()["items"]
    origins = {item["leaf"]["log"] for item in items}
    assert len(origins) == 1
    assert "/other/" in origins.pop()
