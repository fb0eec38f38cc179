"""Strict text encodings: every value has exactly one spelling, and every other spelling is refused.

The rule: parse, print again, compare. (`int()` takes ``1_000``; `b64decode(validate=True)` takes several spellings of
one byte.) Bytes inside, text at the edge.

- base64: RFC 4648 section 4, padded. base64url: RFC 4648 section 5, without padding. Hex: lower case.
- decimal: ASCII digits, ``0`` or no leading zero, at most 2^63-1 (C2SP conventions).
- time: RFC 3339, UTC with ``Z``; exactly six fraction digits (ours) or nine (a producer's). No leap seconds.
- JSON: RFC 8785 (JCS), restricted (RECORD 1): objects, arrays, strings, booleans and integers within +-(2^53-1); no
  floating point, no null, no empty string, array or object, keys ASCII. On this domain JCS is what any sorting JSON
  printer writes: keys in code point order, no spaces, UTF-8, control characters as ``\\b \\t \\n \\f \\r \\u00xx``.

Everything that decodes or parses raises EvidenceError("encoding", ...).
"""

import base64
import binascii
import json
import re
from datetime import date
from functools import lru_cache
from typing import Any, NoReturn

from counterfoil.core.errors import EvidenceError, InputError

MAX_DECIMAL = 2**63 - 1
MAX_JSON_INTEGER = 2**53 - 1
MAX_JSON_DEPTH = 64
MAX_TIME_US = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z, in microseconds since the epoch."""
MAX_TIME_NS = 2**64 - 1
_LAST_TIME_NS = "2554-07-21T23:34:33.709551615Z"

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_DATE_AND_TIME = r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])"
_TIME_US = re.compile(_DATE_AND_TIME + r"\.([0-9]{6})Z")
_TIME_NS = re.compile(_DATE_AND_TIME + r"\.([0-9]{9})Z")


def _refuse(message: str) -> NoReturn:
    raise EvidenceError("encoding", message)


def encode_base64(data: bytes) -> str:
    """RFC 4648 section 4, padded."""
    return base64.b64encode(data).decode("ascii")


def decode_base64(text: str) -> bytes:
    """The bytes of padded base64 (RFC 4648 section 4); any other spelling of them is refused."""
    try:
        data = binascii.a2b_base64(text)
    except ValueError:
        _refuse("not base64 (RFC 4648 section 4, padded)")
    if binascii.b2a_base64(data, newline=False).decode("ascii") != text:
        _refuse("not base64 in its one spelling (RFC 4648 section 4, padded)")
    return data


def encode_base64url(data: bytes) -> str:
    """RFC 4648 section 5, without padding."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=").decode("ascii")


def decode_base64url(text: str) -> bytes:
    """The bytes of base64url without padding (RFC 4648 section 5); any other spelling of them is refused."""
    try:
        data = binascii.a2b_base64(text.encode("ascii").translate(_FROM_URL) + b"=" * (-len(text) % 4))
    except ValueError:
        _refuse("not base64url (RFC 4648 section 5, no padding)")
    if encode_base64url(data) != text:
        _refuse("not base64url in its one spelling (RFC 4648 section 5, no padding)")
    return data


def decode_hex(text: str, size: int) -> bytes:
    """Exactly `size` bytes of lower-case hex."""
    try:
        data = binascii.unhexlify(text)
    except ValueError:
        _refuse(f"not {size} bytes of lower-case hex")
    if len(data) != size or data.hex() != text:
        _refuse(f"not {size} bytes of lower-case hex")
    return data


def parse_decimal(text: str) -> int:
    """An ASCII decimal: "0" or no leading zero, at most 2^63-1."""
    if _DECIMAL.fullmatch(text) is None or (value := int(text)) > MAX_DECIMAL:
        _refuse("not an ASCII decimal from 0 to 2^63-1 without leading zeros")
    return value


@lru_cache(maxsize=4096)
def _days(day: str) -> int:
    """Days since the epoch of a date from 1970 on, YYYY-MM-DD; ValueError when the calendar has no such day."""
    days = date(int(day[:4]), int(day[5:7]), int(day[8:10])).toordinal() - _EPOCH_DAY
    if days < 0:
        raise ValueError(day)
    return days


@lru_cache(maxsize=4096)
def _day_text(days: int) -> str:
    return date.fromordinal(_EPOCH_DAY + days).isoformat()


def _seconds(match: re.Match[str]) -> int:
    day, hour, minute, second = match.group(1, 2, 3, 4)
    try:
        days = _days(day)
    except ValueError:
        _refuse("not a day of the calendar from 1970 on")
    return days * 86_400 + int(hour) * 3_600 + int(minute) * 60 + int(second)


def _time_text(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    return f"{_day_text(days)}T{hours:02}:{rest // 60:02}:{rest % 60:02}"


def format_time_us(us: int) -> str:
    """Microseconds since the epoch (0 to the year 9999) as RFC 3339 with exactly six fraction digits."""
    if not 0 <= us <= MAX_TIME_US:
        raise InputError("time_out_of_range", "a time in microseconds must lie from 1970 to 9999")
    seconds, fraction = divmod(us, 1_000_000)
    return f"{_time_text(seconds)}.{fraction:06}Z"


def parse_time_us(text: str) -> int:
    """Microseconds since the epoch, from RFC 3339 UTC with exactly six fraction digits."""
    match = _TIME_US.fullmatch(text)
    if match is None:
        _refuse("not an RFC 3339 time in UTC with Z and exactly six fraction digits")
    return _seconds(match) * 1_000_000 + int(match.group(5))


def format_time_ns(ns: int) -> str:
    """Nanoseconds since the epoch (0 to 2^64-1) as RFC 3339 with exactly nine fraction digits."""
    if not 0 <= ns <= MAX_TIME_NS:
        raise InputError("time_out_of_range", "a time in nanoseconds must lie from 0 to 2^64-1")
    seconds, fraction = divmod(ns, 1_000_000_000)
    return f"{_time_text(seconds)}.{fraction:09}Z"


def parse_time_ns(text: str) -> int:
    """Nanoseconds since the epoch (at most 2^64-1), from RFC 3339 UTC with exactly nine fraction digits."""
    match = _TIME_NS.fullmatch(text)
    if match is None:
        _refuse("not an RFC 3339 time in UTC with Z and exactly nine fraction digits")
    ns = _seconds(match) * 1_000_000_000 + int(match.group(5))
    if ns > MAX_TIME_NS:
        _refuse("a time in nanoseconds beyond 2^64-1")
    return ns


def _is_day(day: str) -> bool:
    try:
        return _days(day) >= 0
    except ValueError:
        return False


def is_time_us(text: str) -> bool:
    """Whether `parse_time_us` takes the text; several times faster, for `record`."""
    match = _TIME_US.fullmatch(text)
    return match is not None and _is_day(match[1])


def is_time_ns(text: str) -> bool:
    """Whether `parse_time_ns` takes the text; several times faster, for `record`."""
    match = _TIME_NS.fullmatch(text)
    return match is not None and text <= _LAST_TIME_NS and _is_day(match[1])


def _refuse_number(literal: str) -> NoReturn:
    _refuse(f"JSON number {literal[:32]} is not an integer")


_print = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_read = json.JSONDecoder(parse_float=_refuse_number, parse_constant=_refuse_number).raw_decode


def load_canonical(data: bytes, *, limit: int) -> Any:
    """The value of JSON bytes that print again as themselves, so without duplicate keys, floats or other spellings.

    The caller still checks what the value holds (`parse_json` does so in general, `record` by its table): this alone
    lets null and empty values through.
    """
    if len(data) > limit:
        _refuse(f"JSON of {len(data)} bytes is over the limit of {limit}")
    try:
        text = data.decode("utf-8")
        value, end = _read(text)
        again = _print(value)
    except UnicodeDecodeError:
        _refuse("not UTF-8")
    except RecursionError:
        _refuse("JSON nested too deeply")
    except ValueError:
        _refuse("not JSON")
    # SPEC: RECORD 1 - the stored bytes are the canonical form: one spelling, sorted keys, no key twice.
    # (A lone surrogate, written as an escape, prints as itself and so differs from the UTF-8 text it came from.)
    if end != len(text) or again != text:
        _refuse("JSON is not in canonical form (RFC 8785), or has a key twice")
    return value


def _fault(value: object, depth: int) -> str | None:
    """Why `value` lies outside the restricted domain of RECORD 1, or None."""
    kind = type(value)
    if kind is str:
        return None if value else "an empty string"
    if kind is bool:
        return None
    if isinstance(value, int) and kind is int:
        return None if -MAX_JSON_INTEGER <= value <= MAX_JSON_INTEGER else "an integer beyond 2^53-1"
    if isinstance(value, dict):
        children: list[Any] = list(value.values())
        if not all(isinstance(key, str) and key.isascii() for key in value):
            return "a key that is not ASCII text"
    elif isinstance(value, list):
        children = value
    else:
        return "null" if value is None else f"a value of type {kind.__name__}"
    if not children:
        return "an empty array or object"
    if depth < 1:
        return "nesting over the limit"
    return next((fault for child in children if (fault := _fault(child, depth - 1)) is not None), None)


def print_canonical(value: Any) -> bytes:
    """Canonical JSON of a value that the caller knows to lie in the restricted domain (`record` by its table)."""
    try:
        return _print(value).encode("utf-8")
    except UnicodeEncodeError:
        raise InputError("not_canonical_json", "canonical JSON cannot hold a lone surrogate") from None


def format_json(value: Any) -> bytes:
    """RFC 8785 bytes of a value in the restricted domain; InputError "not_canonical_json" for any other value.

    >>> format_json({"b": [1, True], "a": "\\u20ac"}).decode()
    '{"a":"€","b":[1,true]}'
    """
    if (fault := _fault(value, MAX_JSON_DEPTH)) is not None:
        raise InputError("not_canonical_json", f"canonical JSON cannot hold {fault}")
    return print_canonical(value)


def parse_json(data: bytes, *, limit: int, depth: int) -> Any:
    """The value of canonical JSON bytes: at most `limit` bytes, arrays and objects at most `depth` deep."""
    value = load_canonical(data, limit=limit)
    if (fault := _fault(value, depth)) is not None:
        _refuse(f"JSON holds {fault}")
    return value
