"""A real directory with two tenants and a key for every role, behind the administration routes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from counterfoil.identity.permissions import (
    CanAppend,
    CanConfigure,
    CanExport,
    CanReadAccess,
    CanReadContent,
    CanReadCounts,
    CanReadFacts,
    CanReadOwnAccess,
    CanReadReceipts,
    CurrentPrincipal,
)
from counterfoil.identity.roles import Role
from counterfoil.identity.router import router
from counterfoil.identity.service import Identity
from counterfoil.log.accounts import Accounts, NewCredential
from counterfoil.log.configuration import Configuration
from counterfoil.problems import install
from tests.log.append.making import Made, check_every_log, make


@dataclass(slots=True)
class Site:
    """The application, the directory behind it, and keys by (tenant, role)."""

    made: Made
    accounts: Accounts
    client: httpx.Client
    keys: dict[tuple[str, Role], NewCredential]

    def headers(self, role: Role, tenant: str = "default") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[tenant, role].key}"}


def build_app(made: Made, accounts: Accounts) -> FastAPI:
    app = FastAPI()
    install(app)
    app.include_router(router)
    app.state.identity = Identity(made.logs.ledger, made.clock)
    app.state.logs = made.logs
    app.state.accounts = accounts
    app.state.configuration = Configuration(made.logs)

    @app.get("/append")
    def append(principal: CanAppend) -> str:
        return principal.role

    @app.get("/read_facts")
    def read_facts(principal: CanReadFacts) -> str:
        return principal.role

    @app.get("/read_content")
    def read_content(principal: CanReadContent) -> str:
        return principal.role

    @app.get("/export")
    def export(principal: CanExport) -> str:
        return principal.role

    @app.get("/configure")
    def configure(principal: CanConfigure) -> str:
        return principal.role

    @app.get("/read_access")
    def read_access(principal: CanReadAccess) -> str:
        return principal.role

    @app.get("/read_own_access")
    def read_own_access(principal: CanReadOwnAccess) -> str:
        return principal.role

    @app.get("/read_own_receipts")
    def read_own_receipts(principal: CanReadReceipts) -> str:
        return principal.role

    @app.get("/counts")
    def counts(principal: CanReadCounts) -> str:
        return principal.role

    @app.get("/whoami")
    def whoami(principal: CurrentPrincipal) -> str:
        return f"{principal.tenant}/{principal.role}"

    return app


@contextmanager
def serve(app: FastAPI) -> Iterator[httpx.Client]:
    """A real server on a free port of loopback, in a thread, and a client of it."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client
    server.should_exit = True
    thread.join(30)


@contextmanager
def build_site(path: Path) -> Iterator[Site]:
    """The tenants `default` and `other`, each with a key for every role."""
    made = make(path)
    accounts = Accounts(made.logs)
    accounts.create_tenant("other")
    accounts.create_log("other", "side")
    keys = {
        (tenant, role): accounts.create_credential(tenant, role, name=f"{tenant} {role}")
        for tenant in ("default", "other")
        for role in Role
    }
    with serve(build_app(made, accounts)) as client:
        yield Site(made, accounts, client, keys)
    made.logs.close()
    check_every_log(made.path)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site of one's own."""
    with build_site(tmp_path / "audit") as built:
        yield built


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for the tests of a module that change nothing."""
    with build_site(tmp_path_factory.mktemp("shared") / "audit") as built:
        yield built
