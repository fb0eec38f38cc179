"""The integrity hash of an audit receipt: SHA-256 over a record as JSON in the form of RFC 8785 (JCS), in hex.

The draft says "the canonical serialization of the AuditRecord" and not which JSON. Taken here is OTLP/JSON of the log
record alone, without resource and scope: ids in hex, 64-bit integers as decimal strings, enumerations as integers,
bytes as base64, fields without a value left out, attributes in their order. A producer that prints the same record so
computes the same hash.

    {"attributes":[{"key":"audit.record.id","value":{"stringValue":"a1b2"}},…],"eventName":"user.login.success",…}

Standards: RFC 8785, section 3.2; OTLP 1.11, "JSON Protobuf Encoding".
"""

from __future__ import annotations

import json
from base64 import b64decode
from hashlib import sha256
from typing import Any

from google.protobuf.json_format import MessageToDict

_IDS = ("traceId", "spanId")


def integrity_hash(record: Any) -> str:
    """The hash of a LogRecord message."""
    value = MessageToDict(record, use_integers_for_enums=True)
    for name in _IDS:
        if name in value:
            value[name] = b64decode(value[name]).hex()
    return sha256(canonical_json(value)).hexdigest()


def canonical_json(value: Any) -> bytes:
    """A JSON value in the form of RFC 8785; integers are below 2^53, as OTLP/JSON prints them."""
    return _print(value).encode("utf-8", "surrogatepass")


def _print(value: Any) -> str:
    if isinstance(value, dict):
        members = sorted(value.items(), key=lambda member: member[0].encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{_text(key)}:{_print(inner)}" for key, inner in members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_print, value)) + "]"
    if isinstance(value, float):
        return number_text(value)
    return _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def number_text(number: float) -> str:
    """A finite number as ECMAScript prints it (RFC 8785, 3.2.2.3): the shortest digits, exponents from 1e21 on."""
    if not number:
        return "0"
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    leading = len(whole + fraction) - len(digits)
    point = len(whole) - leading + int(exponent or 0)
    digits = digits.rstrip("0")
    sign = "-" if number < 0 else ""
    if 0 < point <= 21:
        shown = digits.ljust(point, "0")
        return sign + (shown if len(digits) <= point else f"{digits[:point]}.{digits[point:]}")
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{point - 1:+d}"
