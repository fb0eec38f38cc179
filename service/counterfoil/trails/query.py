"""Questions to the index: what a query string says, and where its next page begins.

Leaf filters are those of `core.filter`, word for word, so that a search selects what a population will select. Beside
them stand what only the index can answer (`q`, `derived`, `started_from`, `started_to`) and how to page (`limit`,
`cursor`, `order`).

A cursor names the last record that was looked at: (time, log, seq). It is opaque to clients, carries no secret and is
parsed strictly; it says where to go on, not what to look for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from counterfoil.core.encoding import decode_base64url, encode_base64url, parse_decimal, parse_time_us
from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.core.filter import Filter, parse_filter
from counterfoil.trails.derive.conclusion import RULES_BY_NAME
from counterfoil.trails.fulltext import parse_words

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
MAX_CURSOR_CHARS = 128

Order = Literal["newest", "oldest"]


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last record looked at. `log_id` and `seq` break ties of `us`, the time that the page is ordered by."""

    us: int
    log_id: int
    seq: int

    def text(self) -> str:
        """The opaque form."""
        return encode_base64url(f"{self.us}.{self.log_id}.{self.seq}".encode())


@dataclass(frozen=True, slots=True)
class Page:
    """How much, from where, in which order."""

    limit: int = DEFAULT_LIMIT
    cursor: Cursor | None = None
    order: Order = "newest"


FIRST_PAGE = Page()


@dataclass(frozen=True, slots=True)
class Query:
    """A search: the leaf filter, and what the index alone can answer."""

    filter: Filter
    page: Page = FIRST_PAGE
    q: str | None = None
    derived: bool = False
    started_from_us: int | None = None
    started_to_us: int | None = None
    rules: tuple[str, ...] = ()
    """Names of rules; asks for what they concluded, so `derived` is meant."""

    def text(self) -> str:
        """What was asked, for the access log."""
        own = {
            "q": self.q,
            "derived": "true" if self.derived else None,
            "rule": ",".join(self.rules) or None,
            "started_from_us": self.started_from_us,
            "started_to_us": self.started_to_us,
        }
        parts = [self.filter.text(), *(f"{name}={value}" for name, value in own.items() if value is not None)]
        return "&".join(part for part in parts if part)


def parse_query(parameters: Iterable[tuple[str, str]]) -> Query:
    """The query of a query string's (name, value) pairs. InputError names the parameter at fault."""
    leaf: dict[str, list[str]] = {}
    single: dict[str, str] = {}
    rules: list[str] = []
    for name, value in parameters:
        if name == "rule":
            rules.append(_rule(value))
        elif name in _SINGLE:
            if name in single:
                raise InputError("bad_filter_value", f"{name} is given twice", item=name)
            single[name] = value
        else:
            leaf.setdefault(name, []).append(value)
    q = single.get("q")
    if q is not None:
        parse_words(q)
    return Query(
        parse_filter(leaf),
        parse_page(single.get("limit"), single.get("cursor"), single.get("order")),
        q,
        parse_flag("derived", single.get("derived")) or bool(rules),
        _time("started_from", single.get("started_from")),
        _time("started_to", single.get("started_to")),
        tuple(dict.fromkeys(rules)),
    )


def _rule(name: str) -> str:
    found = RULES_BY_NAME.get(name)
    if found is None or not found.indexed:
        raise InputError("bad_filter_value", f"rule: the index knows no rule {name[:64]!r}", item="rule")
    return name


_SINGLE = frozenset(("q", "derived", "started_from", "started_to", "limit", "cursor", "order"))


def parse_page(limit: str | None, cursor: str | None, order: str | None = None) -> Page:
    """Paging as the query string says it."""
    if order not in (None, "newest", "oldest"):
        raise InputError("bad_filter_value", "order is newest or oldest", item="order")
    return Page(
        parse_limit(limit),
        None if cursor is None else parse_cursor(cursor),
        "oldest" if order == "oldest" else "newest",
    )


def parse_limit(text: str | None, *, default: int = DEFAULT_LIMIT, most: int = MAX_LIMIT) -> int:
    """A page size."""
    if text is None:
        return default
    try:
        limit = parse_decimal(text)
    except EvidenceError:
        limit = 0
    if not 1 <= limit <= most:
        raise InputError("bad_filter_value", f"limit is a number from 1 to {most}", item="limit")
    return limit


def parse_flag(name: str, text: str | None) -> bool:
    """A yes or no."""
    if text not in (None, "true", "false"):
        raise InputError("bad_filter_value", f"{name} is true or false", item=name)
    return text == "true"


def parse_cursor(text: str) -> Cursor:
    """A cursor as an answer gave it; anything else is refused."""
    try:
        if len(text) > MAX_CURSOR_CHARS:
            raise EvidenceError("encoding", "too long")
        us, log_id, seq = (parse_decimal(part) for part in decode_base64url(text).decode("ascii").split("."))
    except (EvidenceError, ValueError):
        raise InputError("bad_cursor", "cursor: give back `next` as it was", item="cursor") from None
    return Cursor(us, log_id, seq)


def _time(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    return parse_time(name, text)


def parse_time(name: str, text: str) -> int:
    """A time, RFC 3339 with up to six fraction digits, in microseconds."""
    try:
        return parse_time_us(parse_filter({"from": text}).parsed()["from"][0])
    except InputError as error:
        raise InputError(error.code, error.message.replace("filter from", f"filter {name}"), item=name) from None
