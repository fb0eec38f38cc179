"""Disclosures as they were sealed, read as strictly as the verifier reads them, at a fraction of the cost.

The JSON bytes of a disclosure are hashed as they are; what orjson prints again byte for byte has no key twice and no
second spelling. What follows a salt of usual length stands on its own, so a short value that was read before (a
resource, say) is not read again. Whatever does not pass here goes to `parse_disclosure`, which has the last word.
"""

import re
from binascii import b2a_base64
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import orjson

from counterfoil.core.disclosure import MAX_VALUE_DEPTH, Disclosure, encode_disclosure, parse_disclosure
from counterfoil.core.errors import EvidenceError

MAX_KNOWN_BYTES = 1_024
MAX_KNOWN = 1_024
"""How long, and how many, are the values that a reader remembers having read: a megabyte at most."""

_SALT = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]|[A-Za-z0-9_-]{24}")
"""base64url of 16 bytes (the last letter has four zero bits) or of 18, in its one spelling."""

_starts_usually = re.compile(rb'\["[A-Za-z0-9_-]{24}"').match
_REST_AT = 27
_TO_URL = bytes.maketrans(b"+/", b"-_")
_DIGEST_CHARS = 43


class PartReader:
    """Reads the disclosures of many records, one after the other."""

    def __init__(self) -> None:
        self._known: dict[bytes, str] = {}

    def read(self, part: bytes, fields: Mapping[bytes, str]) -> tuple[str, bytes, Any]:
        """Field, salt and value of sealed JSON bytes whose digest is among `fields` (digest to name).

        The value is None where it was read before; then it is no reference to a large one. EvidenceError("disclosure").
        """
        encoded = b2a_base64(part, newline=False).translate(_TO_URL).rstrip(b"=")
        name = fields.get(b2a_base64(sha256(encoded).digest())[:_DIGEST_CHARS].translate(_TO_URL))
        if name is None:
            raise EvidenceError("disclosure", "sealed content holds a disclosure that the leaf does not commit to")
        is_short = len(part) <= MAX_KNOWN_BYTES and _starts_usually(part) is not None
        if is_short and self._known.get(part[_REST_AT:]) == name:
            return name, part[2 : _REST_AT - 1], None
        disclosure = parse_part(part)
        if disclosure.name != name:
            raise EvidenceError("disclosure", f"the disclosure of {name} carries another name")
        value = disclosure.value
        if is_short and not (type(value) is dict and "blob" in value):
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[part[_REST_AT:]] = name
        return name, disclosure.salt.encode(), value


def parse_part(part: bytes) -> Disclosure:
    """The disclosure in these JSON bytes, as strictly as `parse_disclosure` reads their base64url."""
    try:
        found = orjson.loads(part)
        if (
            type(found) is list
            and len(found) == 3
            and type(found[0]) is str
            and type(found[1]) is str
            and found[1]
            and _SALT.fullmatch(found[0])
            and part.count(b"[") + part.count(b"{") <= MAX_VALUE_DEPTH
            and orjson.dumps(found) == part
        ):
            return Disclosure(*found)
    except (ValueError, TypeError):
        pass
    return parse_disclosure(encode_disclosure(part))
