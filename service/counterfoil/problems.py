"""Errors of our own API as RFC 9457 `application/problem+json`.

Every error answer has `type`, `title`, `status`, `detail`, a stable `code` that programs may rely on, and `item`
where one thing of several is meant. One table maps the errors of `core` to HTTP, so that a room never names a status:

    InputError        the caller's input         400, or what `STATUS_OF_CODE` says for its code
    EvidenceError     stored bytes do not check  500 `evidence_damaged` (run fsck), never shown as the caller's fault
    UnsupportedError  a version we do not know   501
    Fault             our own                    500

The OTLP endpoints answer `google.rpc.Status` instead; that mapping lives with them.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from counterfoil.core.errors import CounterfoilError, EvidenceError, Fault, InputError, UnsupportedError
from counterfoil.http_status import STATUS_OF_CODE

MEDIA_TYPE = "application/problem+json"

RETRY_AFTER_S = 1

_log = logging.getLogger("counterfoil")


class Problem(Exception):
    """An answer that ends a request: HTTP status, stable code, one-line title, what to do in `detail`."""

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        *,
        detail: str | None = None,
        item: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {title}")
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.item = item
        self.headers = headers or {}


def not_found(what: str) -> Problem:
    """The same 404 for what is absent and for what belongs to another tenant, so that neither can be told apart."""
    return Problem(404, "not_found", f"{what} is not here")


def problem_response(problem: Problem) -> JSONResponse:
    """`problem` as an HTTP answer."""
    body: dict[str, Any] = {
        "type": f"urn:counterfoil:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
    }
    if problem.detail:
        body["detail"] = problem.detail
    if problem.item:
        body["item"] = problem.item
    headers = dict(problem.headers)
    if problem.status in (429, 503):
        headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    if problem.status == 401:
        headers.setdefault("WWW-Authenticate", 'Bearer realm="counterfoil"')
    return JSONResponse(body, problem.status, headers, MEDIA_TYPE)


def problem_of(error: CounterfoilError) -> Problem:
    """The one table from the errors of `core` to HTTP."""
    match error:
        case InputError():
            status = STATUS_OF_CODE.get(error.code, 400)
            return Problem(status, error.code, str(error), item=error.item)
        case EvidenceError():
            return Problem(
                500,
                "evidence_damaged",
                "what is stored does not check",
                detail=f"{error.check}: {error}. Run `counterfoil fsck` and keep the directory as it is.",
            )
        case UnsupportedError():
            return Problem(501, "unsupported_version", str(error))
        case Fault():
            code = getattr(error, "code", None)
            if isinstance(code, str):
                return Problem(STATUS_OF_CODE.get(code, 500), code, str(error))
            return Problem(500, "internal", "the service failed", detail=str(error))
        case _:
            return Problem(500, "internal", "the service failed")


def install(app: FastAPI) -> None:
    """Answer every error of `app` as a problem document."""

    @app.exception_handler(Problem)
    async def _problem(_: Request, error: Problem) -> JSONResponse:
        return problem_response(error)

    @app.exception_handler(CounterfoilError)
    async def _ours(request: Request, error: CounterfoilError) -> JSONResponse:
        problem = problem_of(error)
        if problem.status >= 500:
            _log.error("%s %s: %s", request.method, request.url.path, error)
        return problem_response(problem)

    @app.exception_handler(RequestValidationError)
    async def _validation(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        item = ".".join(str(part) for part in first["loc"])
        return problem_response(Problem(400, "invalid_request", str(first["msg"]), item=item))

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        phrase = HTTPStatus(error.status_code).phrase
        code = phrase.lower().replace(" ", "_").replace("-", "_")
        headers = dict(error.headers or {})
        return problem_response(Problem(error.status_code, code, str(error.detail or phrase), headers=headers))

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return problem_response(
            Problem(500, "internal", "the service failed", detail="The log of the service says why.")
        )
