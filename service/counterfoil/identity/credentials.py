"""Keys: a random secret, shown once, kept as a hash.

    cf_<credential id>_<secret>      cf_kdvqpzmrwbtxhsea_n5m0vH…(43 characters)

The id is 16 letters (so that it is a token that may stand in a leaf), the secret 32 random bytes as base64url without
padding. Kept is SHA-256 of the secret: with 256 random bits nothing is gained by a slow hash. Comparison takes the same
time whatever differs, and an unknown id costs the same work as a wrong secret.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import bindparam, select, update

from counterfoil.core.encoding import encode_base64url
from counterfoil.identity.principal import Principal
from counterfoil.identity.roles import Role
from counterfoil.identity.tables import credentials, tenants
from counterfoil.store.database import Database
from counterfoil.store.errors import StorageError

PREFIX = "cf"
SECRET_BYTES = 32
ID_CHARS = 16
LAST_USED_EVERY_US = 60_000_000
"""`last_used` is written at most once a minute for each credential."""

_KEY = re.compile(r"cf_([a-z]{16})_([A-Za-z0-9_-]{43})")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_NOBODY = bytes(32)


class NewSecret(NamedTuple):
    """A key to be shown once: its id, the whole key, and the hash that is kept."""

    credential_id: str
    key: str
    secret_hash: bytes


def new_secret(random_bytes: Callable[[int], bytes] = os.urandom) -> NewSecret:
    """Draw a key."""
    number = int.from_bytes(random_bytes(ID_CHARS), "big")
    letters = []
    for _ in range(ID_CHARS):
        number, letter = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[letter])
    credential_id = "".join(letters)
    secret = encode_base64url(random_bytes(SECRET_BYTES))
    return NewSecret(credential_id, f"{PREFIX}_{credential_id}_{secret}", hash_secret(secret))


def hash_secret(secret: str) -> bytes:
    """What is kept of a secret."""
    return sha256(secret.encode("ascii")).digest()


def authenticate(database: Database, key: str, now_us: int) -> Principal | None:
    """Who holds `key`, or None: unknown, wrong, revoked or expired are not told apart.

    One indexed read each time, so a revocation counts from the moment it is committed, in every process.
    """
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    credential_id, secret = match.groups()
    with database.read() as connection:
        row = connection.execute(_FIND, {"credential": credential_id}).one_or_none()
    kept = row.secret_hash if row is not None else _NOBODY
    right = hmac.compare_digest(kept, hash_secret(secret))
    if row is None or not right:
        return None
    if row.revoked_us is not None or (row.expires_us is not None and row.expires_us <= now_us):
        return None
    if row.last_used_us is None or now_us - row.last_used_us >= LAST_USED_EVERY_US:
        _touch(database, credential_id, now_us)
    return Principal(row.tenant_id, row.tenant, credential_id, Role(row.role), row.log_id, row.name)


def _touch(database: Database, credential_id: str, now_us: int) -> None:
    """Note when a key was last used. It is a convenience: if the store is busy, the request goes on without it."""
    try:
        with database.try_write() as connection:
            connection.execute(update(credentials).where(credentials.c.id == credential_id).values(last_used_us=now_us))
    except StorageError:
        return


_FIND = (
    select(
        credentials.c.tenant_id,
        tenants.c.name.label("tenant"),
        credentials.c.log_id,
        credentials.c.role,
        credentials.c.name,
        credentials.c.secret_hash,
        credentials.c.expires_us,
        credentials.c.revoked_us,
        credentials.c.last_used_us,
    )
    .join(tenants, tenants.c.id == credentials.c.tenant_id)
    .where(credentials.c.id == bindparam("credential"))
)
