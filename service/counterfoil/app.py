"""The application: every room's router over one set of services. The only place that knows all of them.

create_app(services, settings)    a FastAPI application
api_document()                    its OpenAPI document, without any store
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Lifespan

from counterfoil import __version__, health, problems
from counterfoil.body_limit import BodyLimit
from counterfoil.composition import Services
from counterfoil.documents import PAGE_HEADERS, documents_page
from counterfoil.evidence.router import router as evidence_router
from counterfoil.identity.permissions import known_principal
from counterfoil.identity.router import router as identity_router
from counterfoil.ingest.endpoint import router as ingest_router
from counterfoil.ingest.signal import Signal
from counterfoil.log.router import router as log_router
from counterfoil.settings import Settings
from counterfoil.trails.completeness.router import router as completeness_router
from counterfoil.trails.router import router as trails_router

DESCRIPTION = (
    "The audit-ready record of what AI agents decide. Send OTLP to `/v1/traces` and `/v1/logs`; read under `/api/v1`; "
    "check under `/logs`. Errors are `application/problem+json` (RFC 9457) with a stable `code`, on the OTLP paths "
    "`google.rpc.Status`. Keys go in `Authorization: Bearer KEY` or `x-api-key: KEY`."
)
OTLP_PATHS = frozenset(f"/v1/{signal.value}" for signal in Signal)
ROUTERS = (ingest_router, log_router, trails_router, completeness_router, evidence_router, identity_router)


def create_app(services: Services, settings: Settings, *, background_alive: Callable[[], bool]) -> FastAPI:
    """The application over `services`; `background_alive` tells readiness whether checkpoints and index are kept."""
    ingest, evidence = services.ingest(settings.limits, settings.ingest_threads), services.evidence()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        evidence.start()
        yield
        # Nothing is accepted any more: finish what is under way, then the writers end with the services.
        await to_thread.run_sync(ingest.close)
        await to_thread.run_sync(evidence.close)

    app = _bare_app(lifespan)
    app.state.identity = services.identity
    app.state.accounts = services.accounts
    app.state.configuration = services.configuration
    app.state.logs = services.logs
    app.state.ingest = ingest
    app.state.trails = services.trails
    app.state.completeness = services.completeness
    app.state.evidence = evidence
    app.state.open_tiles = settings.open_tiles

    @app.get("/healthz", tags=["health"], summary="The process answers")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"], summary="Ready, or why not; with warnings in both cases")
    def readyz(request: Request) -> JSONResponse:
        state = health.readiness(services, background_alive())
        return JSONResponse(state.shown_to(known_principal(request)), 200 if state.ready else 503)

    return app


def api_document() -> dict[str, Any]:
    """The OpenAPI document; the same for every deployment."""
    app = _bare_app()
    document: dict[str, Any] = app.openapi()
    return document


def _bare_app(lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    app = FastAPI(
        lifespan=lifespan,
        title="Counterfoil",
        version=__version__,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,
        redirect_slashes=False,
        redoc_url=None,
    )
    problems.install(app)
    app.add_middleware(BodyLimit, exempt=OTLP_PATHS)
    for router in ROUTERS:
        app.include_router(router)

    @app.get("/docs", include_in_schema=False)
    def docs(request: Request) -> HTMLResponse:
        return HTMLResponse(documents_page(request.app.openapi()), headers=PAGE_HEADERS)

    @app.get("/docs/style.css", include_in_schema=False)
    def style() -> Response:
        return Response(files("counterfoil.pages").joinpath("documents.css").read_bytes(), media_type="text/css")

    return app
