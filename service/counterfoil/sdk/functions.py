"""`@counterfoil.decision(...)` for functions of every kind: sync, async, generator, async generator, methods.

    @counterfoil.decision("routing", risk="low")
    def route(ticket: str) -> str:
        return "billing" if "invoice" in ticket else "general"

Each call is a decision. Its inputs are the arguments by name (without `self`, `cls`). A function that never chooses has
chosen what it returns: `output`, and `outcome` too where it is a token. Inside, `counterfoil.current_decision()` is the
decision, also between the steps of a generator, and only there. A generator's decision lasts until it is exhausted or
closed; what it yields is not recorded.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from counterfoil.core.rules import is_token
from counterfoil.sdk import context

if TYPE_CHECKING:
    from counterfoil.sdk.decisions import Decision

F = TypeVar("F", bound=Callable[..., Any])
Make = Callable[[object], "Decision"]


def decorate(function: F, make: Make, takes_inputs: bool) -> F:
    """The function with a decision around each call."""
    if isinstance(function, classmethod | staticmethod):
        return cast("F", type(function)(decorate(function.__func__, make, takes_inputs)))
    names = _signature(function) if takes_inputs else None

    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Decision:
        block = make(_inputs(names, args, kwargs))
        block.begin()
        return block

    if inspect.isasyncgenfunction(function):
        return cast("F", _async_generator(function, begin))
    if inspect.iscoroutinefunction(function):
        return cast("F", _async(function, begin))
    if inspect.isgeneratorfunction(function):
        return cast("F", _generator(function, begin))
    return cast("F", _sync(function, begin))


Begin = Callable[[tuple[Any, ...], dict[str, Any]], "Decision"]


def _sync(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    @wraps(function)
    def decide(*args: Any, **kwargs: Any) -> Any:
        block = begin(args, kwargs)
        token = context.decision.set(block)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            block.end(error)
            raise
        finally:
            context.leave(context.decision, token)
        _returned(block, result)
        block.wait()
        return result

    return decide


def _async(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    @wraps(function)
    async def decide(*args: Any, **kwargs: Any) -> Any:
        block = begin(args, kwargs)
        token = context.decision.set(block)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            block.end(error)
            raise
        finally:
            context.leave(context.decision, token)
        _returned(block, result)
        await block.wait_async()
        return result

    return decide


def _generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    @wraps(function)
    def decide(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        block = begin(args, kwargs)
        try:
            result = yield from _Steps(block, function(*args, **kwargs))
        except BaseException as error:
            block.end(error)
            raise
        block.end(None)
        block.wait()
        return result

    return decide


class _Steps(Generator[Any, Any, Any]):
    """A generator whose steps run with the decision as the current one; between them the caller's own is."""

    def __init__(self, block: Decision, inner: Generator[Any, Any, Any]) -> None:
        self._block = block
        self._inner = inner

    def send(self, value: Any) -> Any:
        token = context.decision.set(self._block)
        try:
            return self._inner.send(value)
        finally:
            context.leave(context.decision, token)

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: object = None,
        trace: TracebackType | None = None,
    ) -> Any:
        error = kind if isinstance(kind, BaseException) else cast("BaseException", value or kind())
        token = context.decision.set(self._block)
        try:
            return self._inner.throw(error if trace is None else error.with_traceback(trace))
        finally:
            context.leave(context.decision, token)

    def close(self) -> None:
        token = context.decision.set(self._block)
        try:
            self._inner.close()
        finally:
            context.leave(context.decision, token)


def _async_generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    @wraps(function)
    async def decide(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        block = begin(args, kwargs)
        inner: AsyncGenerator[Any, Any] = function(*args, **kwargs)
        step: Awaitable[Any] = inner.asend(None)
        try:
            while True:
                try:
                    item = await _within(block, step)
                except StopAsyncIteration:
                    break
                try:
                    sent = yield item
                except GeneratorExit:
                    await _within(block, inner.aclose())
                    raise
                except BaseException as error:  # noqa: BLE001 - whatever is thrown in belongs to the inner generator
                    step = inner.athrow(error)
                else:
                    step = inner.asend(sent)
        except BaseException as error:
            block.end(error)
            raise
        block.end(None)
        await block.wait_async()

    return decide


async def _within(block: Decision, step: Awaitable[Any]) -> Any:
    token = context.decision.set(block)
    try:
        return await step
    finally:
        context.leave(context.decision, token)


def _returned(block: Decision, result: object) -> None:
    if not block.has_chosen():
        block.choose(result if is_token(result) else None, output=result)


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _inputs(signature: inspect.Signature | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    """The arguments by name; None where there are none, or where the call itself will fail."""
    if signature is None:
        return None
    try:
        named = dict(signature.bind(*args, **kwargs).arguments)
    except TypeError:
        return None
    first = next(iter(signature.parameters), "")
    if first in {"self", "cls"}:
        named.pop(first, None)
    return named or None
