"""Who may read what of the log: every role, every endpoint, the own log, the access log, another tenant's, scoped keys.

One table, asked of a real server with the tiles closed and opened. 404 means "not there, for you": the same answer as
for what does not exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import httpx
import pytest
from fastapi import FastAPI

from counterfoil.identity.roles import Role
from counterfoil.identity.service import Identity
from counterfoil.log.accounts import Accounts, NewCredential
from counterfoil.log.checkpoints import Checkpointer
from counterfoil.log.heads import HeadStore
from counterfoil.log.router import router
from counterfoil.log.signing import load_signer
from counterfoil.problems import install
from tests.identity.conftest import serve
from tests.log.append.making import check_every_log, make

BASE = "audit.example.com"


class Expected(NamedTuple):
    """Statuses, and what of the access log is listed."""

    tiles_main: int
    tiles_access: int
    receipts_main: int
    receipts_access: int
    listed: int
    rows: str = ""
    """"all" entries of the own tenant, or only the "own" ones."""


TABLE = {
    # who (tenant role scope)          tiles of      receipts of   the access log
    #                                  main access   main access   as a list
    "nobody": Expected(401, 401, 401, 401, 401),
    "default writer": Expected(403, 403, 404, 403, 403),
    "default reviewer": Expected(200, 403, 200, 403, 200, "own"),
    "default auditor": Expected(200, 200, 200, 200, 200, "all"),
    "default administrator": Expected(403, 403, 403, 403, 200, "all"),
    "default writer main": Expected(403, 403, 404, 404, 403),
    "default reviewer main": Expected(200, 404, 200, 404, 200, "own"),
    "default auditor main": Expected(200, 404, 200, 404, 200, "own"),
    "default administrator main": Expected(403, 403, 403, 403, 200, "own"),
    "default reviewer access": Expected(404, 403, 404, 403, 200, "own"),
    "default auditor access": Expected(404, 200, 404, 200, 200, "all"),
    "default administrator access": Expected(403, 403, 403, 403, 200, "all"),
    # Short names are looked up within the own tenant, so there the access log is their own.
    "other writer": Expected(403, 403, 404, 403, 403),
    "other reviewer": Expected(404, 404, 404, 403, 200, "own"),
    "other auditor": Expected(404, 404, 404, 200, 200, "all"),
    "other administrator": Expected(403, 403, 403, 403, 200, "all"),
    "other auditor side": Expected(404, 404, 404, 404, 200, "own"),
}
TILES = ("checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1")
RECEIPTS = ("/api/v1/records/{log}/0/proof", "/api/v1/receipts?log={log}&seq=0")


class Site(NamedTuple):
    """A server with two tenants whose logs are under checkpoints, and a credential for each row of the table."""

    app: FastAPI
    client: httpx.Client
    keys: dict[str, NewCredential]

    def get(self, path: str, who: str) -> httpx.Response:
        return self.client.get(path, headers={} if who == "nobody" else {"x-api-key": self.keys[who].key})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = make(tmp_path_factory.mktemp("who") / "audit")
    accounts = Accounts(made.logs)
    accounts.create_tenant("other")
    accounts.create_log("other", "side")
    keys = {}
    for who in TABLE:
        if who != "nobody":
            tenant, role, *scope = who.split()
            keys[who] = accounts.create_credential(tenant, Role(role), log_name=scope[0] if scope else None)
    signer_of = partial(load_signer, made.logs.keys_dir)
    checkpointer = Checkpointer(made.logs.ledger, HeadStore(made.first.directory.heads), signer_of, made.clock)
    assert checkpointer.run_all() == {}
    app = FastAPI()
    install(app)
    app.include_router(router)
    app.state.identity = Identity(made.logs.ledger, made.clock)
    app.state.logs = made.logs
    with serve(app) as client:
        yield Site(app, client, keys)
    made.logs.close()
    check_every_log(made.path)


@pytest.fixture(params=[False, True], ids=["tiles closed", "tiles open"])
def opened(site: Site, request: pytest.FixtureRequest) -> Iterator[bool]:
    site.app.state.open_tiles = request.param
    yield request.param
    site.app.state.open_tiles = False


@pytest.mark.parametrize("who", TABLE)
@pytest.mark.parametrize("what", TILES)
def test_checkpoints_and_tiles(site: Site, opened: bool, who: str, what: str) -> None:
    main = site.get(f"/logs/{BASE}/default/main/{what}", who)
    assert main.status_code == (200 if opened else TABLE[who].tiles_main)
    access = site.get(f"/logs/{BASE}/default/access/{what}", who)
    hidden = opened and who == "nobody"  # open to anyone are the logs of interactions only
    assert access.status_code == (404 if hidden else TABLE[who].tiles_access)
    if access.status_code == 200:
        assert access.headers["cache-control"].startswith("private")
    elif hidden:
        nowhere = site.get(f"/logs/{BASE}/nobody/access/{what}", who)
        assert (nowhere.status_code, nowhere.json()["title"]) == (404, access.json()["title"])


@pytest.mark.parametrize("who", TABLE)
@pytest.mark.parametrize("path", RECEIPTS)
def test_receipts(site: Site, opened: bool, who: str, path: str) -> None:
    main = site.get(path.format(log="main"), who)
    assert main.status_code == TABLE[who].receipts_main
    access = site.get(path.format(log="access"), who)
    assert access.status_code == TABLE[who].receipts_access
    if access.status_code == 200:
        assert f"{BASE}/{who.split()[0]}/access" in access.text


@pytest.mark.parametrize("who", TABLE)
def test_the_access_log_as_a_list(site: Site, opened: bool, who: str) -> None:
    for tenant in ("default", "other"):  # so that there are entries of others in both
        assert site.get("/api/v1/access", f"{tenant} auditor").status_code == 200
    first = site.get("/api/v1/access", who)
    assert first.status_code == TABLE[who].listed
    if not TABLE[who].rows:
        return
    items = site.get("/api/v1/access?limit=500", who).json()["items"]
    writers = {item["leaf"].get("writer") for item in items}
    assert {item["leaf"]["log"] for item in items} == {f"{BASE}/{who.split()[0]}/access"}
    assert site.keys[who].id in writers
    if TABLE[who].rows == "own":
        assert writers == {site.keys[who].id}
    else:
        assert items[-1]["leaf"]["kind"] == "genesis"


def test_a_key_that_is_wrong_opens_no_access_log_where_tiles_are_open(site: Site) -> None:
    site.app.state.open_tiles = True
    for key, status in (("cf_aaaaaaaaaaaaaaaa_" + "A" * 43, 401), ("nonsense", 401)):
        path = f"/logs/{BASE}/default/access/tile/entries/000.p/1"
        assert site.client.get(path, headers={"x-api-key": key}).status_code == status
    site.app.state.open_tiles = False
