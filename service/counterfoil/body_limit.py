"""A limit on the body of every request outside the OTLP paths, which have finer ones of their own (`ingest.limits`).

The framework reads a JSON body before it asks who sent it. Without this, anybody could make the service hold any amount
of memory. The rule: a declared length over the limit is refused before a byte is read; a streamed body is counted and
cut off at the limit. The answer is 413 `too_large` as problem+json, and the connection closes, so that what the caller
still sends is not taken.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from counterfoil.problems import Problem, problem_response

MAX_API_BODY_BYTES = 4 * 1024 * 1024
"""Room for the largest export request: 100,000 record numbers of 16 digits (1.8 MB) and `since` of 1 MiB."""


class BodyLimit:
    """ASGI middleware: no body over `limit` bytes reaches `app`, but for the paths of `exempt`."""

    def __init__(self, app: ASGIApp, *, exempt: Collection[str], limit: int = MAX_API_BODY_BYTES) -> None:
        self._app = app
        self._exempt = frozenset(exempt)
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._exempt:
            await self._app(scope, receive, send)
            return
        if _declared_bytes(scope) > self._limit:
            await self._refuse(scope, receive, send)
            return
        seen = 0
        answering = refused = False

        async def counted() -> Message:
            """The next part of the body; once it is over the limit the caller is told and the app sees it leave."""
            nonlocal seen, refused
            if refused:
                return {"type": "http.disconnect"}
            message = await receive()
            seen += len(message.get("body", b""))
            if seen <= self._limit:
                return message
            refused = True
            if not answering:
                await self._refuse(scope, receive, send)
            return {"type": "http.disconnect"}

        async def unless_refused(message: Message) -> None:
            """Send what the app says, unless the caller has been answered."""
            nonlocal answering
            if not refused or answering:
                answering = True
                await send(message)

        await self._app(scope, counted, unless_refused)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = Problem(
            413,
            "too_large",
            "the body of this request is too large",
            detail=f"At most {self._limit} bytes are taken here.",
            headers={"Connection": "close"},
        )
        await problem_response(problem)(scope, receive, send)


def _declared_bytes(scope: Scope) -> int:
    """Content-Length, 0 where none is given; the server has refused what is no number."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
