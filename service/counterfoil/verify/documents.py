"""Strict JSON of a bundle's documents: no duplicate keys, no floating point, bounded size and depth, objects outside.

Documents are not hashed through their values, so they need not be canonical; what two readers could take differently is
refused all the same. NDJSON lines that are evidence are canonical: they must print again as themselves.
Check: ``document``.
"""

import json
from typing import Any, NoReturn

from counterfoil.core.encoding import MAX_JSON_INTEGER, decode_base64
from counterfoil.core.errors import EvidenceError
from counterfoil.core.merkle import HASH_SIZE
from counterfoil.verify.limits import MAX_DOCUMENT_DEPTH


def refuse(message: str) -> EvidenceError:
    """The error of a document that is not as it must be."""
    return EvidenceError("document", message)


def _refuse_number(literal: str) -> NoReturn:
    raise refuse(f"the number {literal[:32]} is not an integer")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise refuse("a key stands there twice")
    return found


_read = json.JSONDecoder(parse_float=_refuse_number, parse_constant=_refuse_number, object_pairs_hook=_unique).decode
_print = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def _check_depth(value: object, depth: int) -> None:
    if depth < 0:
        raise refuse(f"nested deeper than {MAX_DOCUMENT_DEPTH}")
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        _check_depth(child, depth - 1)


def parse_object(data: bytes) -> dict[str, Any]:
    """The JSON object of a document's bytes."""
    try:
        text = data.decode("utf-8")
        value = _read(text)
        # As many opening brackets as levels are needed to be too deep; most documents have fewer, and are not walked.
        if text.count("[") + text.count("{") > MAX_DOCUMENT_DEPTH:
            _check_depth(value, MAX_DOCUMENT_DEPTH)
    except (ValueError, RecursionError):  # also integers of more digits than Python reads
        raise refuse("not JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise refuse("not a JSON object")
    return value


def parse_line(line: bytes, keys: frozenset[str]) -> dict[str, Any]:
    """The object of an NDJSON line with exactly these keys, printed canonically."""
    value = parse_object(line)
    if value.keys() != keys:
        raise refuse(f"a line has other keys than {', '.join(sorted(keys))}")
    try:
        again = _print(value).encode()
    except UnicodeEncodeError:
        raise refuse("a line holds a lone surrogate") from None
    if again != line:
        raise refuse("a line is not canonical JSON (sorted keys, no spaces)")
    return value


def check_keys(value: dict[str, Any], required: set[str], optional: set[str], where: str) -> None:
    """`value` has the required keys and at most the optional ones besides."""
    if missing := required - value.keys():
        raise refuse(f"{where}{min(missing)} is missing")
    if unknown := value.keys() - required - optional:
        raise refuse(f"{where}{min(unknown)[:64]!r} is not known")


def take_text(value: dict[str, Any], key: str) -> str:
    """A string that is not empty."""
    found = value.get(key)
    if not isinstance(found, str) or not found:
        raise refuse(f"{key} must be text")
    return found


def take_integer(value: dict[str, Any], key: str) -> int:
    """An integer from 0 to 2^53-1."""
    found = value.get(key)
    if type(found) is not int or not 0 <= found <= MAX_JSON_INTEGER:
        raise refuse(f"{key} must be an integer from 0 to 2^53-1")
    return found


def take_object(value: dict[str, Any], key: str) -> dict[str, Any]:
    """An object, perhaps empty."""
    found = value.get(key)
    if not isinstance(found, dict):
        raise refuse(f"{key} must be an object")
    return found


def take_hash(value: dict[str, Any], key: str) -> bytes:
    """32 bytes in base64."""
    data = decode_base64(take_text(value, key))
    if len(data) != HASH_SIZE:
        raise refuse(f"{key} must be 32 bytes in base64")
    return data
