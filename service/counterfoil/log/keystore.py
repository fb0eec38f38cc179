"""The keystore: data keys, pseudonyms and arrival keys, in a store apart from the ledger.

A **data key** seals the content of one interaction (one trace where none is named), of one retention class, in one
month, so that destroying it erases exactly that. It is found by a keyed hash of those (`selector`), so the keystore
alone tells nobody which interactions there were. A **pseudonym** is a random token that stands for an identifier in
leaves; it is found by a keyed hash of the identifier, and deleting the row unlinks it. An **arrival key** of the month
recognises what was received before; destroying it ends that (RECORD 8).

    wrapped key = nonce (12) || AES-256-GCM(wrapping key of the log, key, AAD "counterfoil/key/v1\\n" key id)

The rule: what `resolve` hands out is committed. A crash after it leaves keys that nothing was sealed with, which is
harmless; the opposite order would leave content that nobody can ever open.

Keys are kept in memory within a bound; `generation` in the store rises when a key is destroyed; whoever sees another
generation drops everything it remembered.
"""

from __future__ import annotations

import hmac
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, delete, select, update

from counterfoil.core.errors import Fault
from counterfoil.log.arrivalkeys import ArrivalKey, ArrivalKeyring
from counterfoil.log.masterkey import KEY_BYTES, derive
from counterfoil.log.tables import data_keys, keystore_state, pseudonyms, subject_keys
from counterfoil.log.wrapping import NONCE_BYTES, unwrap, wrap
from counterfoil.store.bulk import insert_rows, select_each
from counterfoil.store.database import Database
from counterfoil.store.errors import Refused

KEY_ID_BYTES = 16
PSEUDONYM_LETTERS = 26
MAX_REMEMBERED = 20_000
"""Data keys, and pseudonyms, kept in memory: about 10 MB."""

DEFAULT_RETENTION = "default"
_LETTERS = bytes(97 + number % 26 for number in range(256))
_UNEVEN = bytes(range(234, 256))
_KEY_AAD = b"counterfoil/key/v1\n"
_PROBE = b"counterfoil keystore"


class Selector(NamedTuple):
    """What a data key belongs to. `group` is "interaction", "trace", "batch" or "service"; `name` which one."""

    group: str
    name: bytes
    month: int
    retention: str = DEFAULT_RETENTION


class DataKey(NamedTuple):
    """A data key: 16 bytes of id and 32 bytes of AES-256 key."""

    key_id: bytes
    key: bytes


class Resolved(NamedTuple):
    """Keys and pseudonyms of one batch, all committed."""

    keys: dict[Selector, DataKey]
    tokens: dict[str, str]


class Keystore:
    """The keystore of one deployment. Safe to share between threads and processes."""

    def __init__(
        self, database: Database, master_key: bytes, random_bytes: Callable[[int], bytes] = os.urandom
    ) -> None:
        if len(master_key) != KEY_BYTES:
            raise Fault(f"a master key has {KEY_BYTES} bytes")
        self._database = database
        self._random = random_bytes
        self._derived = lru_cache(maxsize=4096)(lambda purpose, log_id: derive(master_key, purpose, log_id))
        self._lock = threading.Lock()
        self._generation = -1
        self._keys: OrderedDict[tuple[int, Selector], DataKey] = OrderedDict()
        self._tokens: OrderedDict[tuple[int, str], str] = OrderedDict()
        self._links: OrderedDict[tuple[int, str, bytes], None] = OrderedDict()
        self._arrivals = ArrivalKeyring(database, self._derived("arrivals", 0), random_bytes)

    def initialise(self) -> None:
        """Write the one row of state into a new keystore."""
        nonce = self._random(NONCE_BYTES)
        probe = nonce + AESGCM(self._derived("probe", 0)).encrypt(nonce, _PROBE, None)
        with self._database.write() as connection:
            connection.execute(keystore_state.insert().values(id=1, generation=0, probe=probe))

    def close(self) -> None:
        """Let go of the store."""
        self._database.dispose()

    def check(self) -> None:
        """Return if this keystore belongs to this master key; else a Fault."""
        with self._database.read() as connection:
            probe = connection.execute(select(keystore_state.c.probe)).scalar_one_or_none()
        if probe is None:
            raise Fault("the keystore is empty: restore it, or create a directory with `counterfoil init`")
        try:
            AESGCM(self._derived("probe", 0)).decrypt(probe[:NONCE_BYTES], probe[NONCE_BYTES:], None)
        except InvalidTag:
            raise Fault("the master key is not the one that this keystore was made with") from None

    # -- writing ------------------------------------------------------------------------------------------------

    def resolve(
        self,
        log_id: int,
        selectors: Iterable[Selector],
        identifiers: Collection[str] = (),
        links: Collection[tuple[str, Selector]] = (),
    ) -> Resolved:
        """The data key of every selector and the pseudonym of every identifier, created where new; all committed.

        `links` are (identifier of a subject, selector): which keys hold content about whom.
        """
        keys: dict[Selector, DataKey] = {}
        tokens: dict[str, str] = {}
        with self._lock:
            for selector in selectors:
                if (known := self._keys.get((log_id, selector))) is not None:
                    keys[selector] = known
                else:
                    keys.setdefault(selector, _NO_KEY)
            for identifier in identifiers:
                tokens[identifier] = self._tokens.get((log_id, identifier), "")
            generation = self._generation
        with self._database.read() as connection:
            snapshot = self._generation_of(connection)
            if snapshot != generation:
                # A key was destroyed (or nothing was read yet): believe nothing that was remembered.
                self._forget()
                keys = dict.fromkeys(keys, _NO_KEY)
                tokens = dict.fromkeys(tokens, "")
            self._find(connection, log_id, keys, tokens)
            new_links = self._unknown_links(connection, log_id, keys, tokens, links)
        if new_links or _NO_KEY in keys.values() or "" in tokens.values():
            try:
                self._create(log_id, keys, tokens, new_links)
            except Refused:
                # Somebody else made the same row between our look and our insert: look again, holding the write lock.
                self._create(log_id, keys, tokens, links, look_again=True)
        self._remember(snapshot, log_id, keys, tokens, links)
        return Resolved(keys, tokens)

    def _create(
        self,
        log_id: int,
        keys: dict[Selector, DataKey],
        tokens: dict[str, str],
        links: Collection[tuple[str, Selector]],
        *,
        look_again: bool = False,
    ) -> None:
        """Create what is missing, and the links, in one transaction: all of it or nothing (`Refused`)."""
        all_keys, all_tokens = dict(keys), dict(tokens)
        with self._database.write() as connection:
            if look_again:
                self._find(connection, log_id, all_keys, all_tokens)
                links = self._unknown_links(connection, log_id, all_keys, all_tokens, links)
            self._insert_keys(connection, log_id, all_keys)
            self._insert_tokens(connection, log_id, all_tokens)
            rows = {(log_id, all_tokens[identifier], all_keys[selector].key_id) for identifier, selector in links}
            insert_rows(connection, subject_keys, ("log_id", "subject", "key_id"), sorted(rows))
        # A crash here leaves keys and pseudonyms that nothing uses yet: the next request finds them.
        keys.update(all_keys)
        tokens.update(all_tokens)

    def _find(self, connection: Connection, log_id: int, keys: dict[Selector, DataKey], tokens: dict[str, str]) -> None:
        missing = [selector for selector, key in keys.items() if key is _NO_KEY]
        if missing:
            secret = self._derived("selector", log_id)
            wanted = [(_selector_hash(secret, selector),) for selector in missing]
            rows = select_each(connection, data_keys, ("selector",), ("key_id", "wrapped"), wanted)
            cipher = AESGCM(self._derived("wrap", log_id))
            for selector, row in zip(missing, rows, strict=True):
                if row is not None:
                    keys[selector] = DataKey(row[0], unwrap(cipher, row[1], _KEY_AAD + row[0]))
        unnamed = [identifier for identifier, token in tokens.items() if not token]
        if unnamed:
            secret = self._derived("pseudonym", log_id)
            hashes = [(log_id, _identifier_hash(secret, identifier)) for identifier in unnamed]
            rows = select_each(connection, pseudonyms, ("log_id", "hash"), ("token",), hashes)
            for identifier, row in zip(unnamed, rows, strict=True):
                if row is not None:
                    tokens[identifier] = row[0]

    def _insert_keys(self, connection: Connection, log_id: int, keys: dict[Selector, DataKey]) -> None:
        missing = [selector for selector, key in keys.items() if key is _NO_KEY]
        if not missing:
            return
        secret, cipher = self._derived("selector", log_id), AESGCM(self._derived("wrap", log_id))
        size = KEY_ID_BYTES + KEY_BYTES + NONCE_BYTES
        pool = self._random(size * len(missing))
        rows = []
        for number, selector in enumerate(missing):
            part = pool[number * size : (number + 1) * size]
            key_id, key = part[:KEY_ID_BYTES], part[KEY_ID_BYTES : KEY_ID_BYTES + KEY_BYTES]
            wrapped = wrap(cipher, key, _KEY_AAD + key_id, part[-NONCE_BYTES:])
            rows.append((key_id, log_id, _selector_hash(secret, selector), selector.month, wrapped))
            keys[selector] = DataKey(key_id, key)
        insert_rows(connection, data_keys, ("key_id", "log_id", "selector", "month", "wrapped"), rows)

    def _insert_tokens(self, connection: Connection, log_id: int, tokens: dict[str, str]) -> None:
        missing = [identifier for identifier, token in tokens.items() if not token]
        secret = self._derived("pseudonym", log_id)
        rows = []
        for identifier in missing:
            tokens[identifier] = new_pseudonym(self._random)
            rows.append((log_id, _identifier_hash(secret, identifier), tokens[identifier]))
        insert_rows(connection, pseudonyms, ("log_id", "hash", "token"), rows)

    def _unknown_links(
        self,
        connection: Connection,
        log_id: int,
        keys: dict[Selector, DataKey],
        tokens: dict[str, str],
        links: Collection[tuple[str, Selector]],
    ) -> list[tuple[str, Selector]]:
        """The links that are not in the store; a link of something that is new itself is not looked for."""
        new: list[tuple[str, Selector]] = []
        wanted: list[tuple[str, Selector]] = []
        for identifier, selector in links:
            key, token = keys[selector], tokens[identifier]
            if key is _NO_KEY or not token:
                new.append((identifier, selector))
            elif (log_id, identifier, key.key_id) not in self._links:
                wanted.append((identifier, selector))
        rows = [(log_id, tokens[identifier], keys[selector].key_id) for identifier, selector in wanted]
        found = select_each(connection, subject_keys, ("log_id", "subject", "key_id"), ("key_id",), rows)
        return new + [link for link, known in zip(wanted, found, strict=True) if known is None]

    def _remember(
        self,
        generation: int,
        log_id: int,
        keys: dict[Selector, DataKey],
        tokens: dict[str, str],
        links: Collection[tuple[str, Selector]],
    ) -> None:
        """Keep what was read at `generation`, unless something was destroyed since: it must not come back."""
        with self._lock:
            if self._generation != generation:
                return
            for selector, key in keys.items():
                if selector.group != "batch":  # never asked for again
                    _keep(self._keys, (log_id, selector), key)
            for identifier, token in tokens.items():
                _keep(self._tokens, (log_id, identifier), token)
            for identifier, selector in links:
                _keep(self._links, (log_id, identifier, keys[selector].key_id), None)

    # -- reading ------------------------------------------------------------------------------------------------

    def open_keys(self, log_id: int, key_ids: Iterable[bytes]) -> dict[bytes, bytes]:
        """The keys that still exist among `key_ids`. A key that was destroyed, or never was, is left out."""
        wanted = sorted(set(key_ids))
        if not wanted:
            return {}
        with self._database.read() as connection:
            columns = ("log_id", "wrapped")
            rows = select_each(connection, data_keys, ("key_id",), columns, [(key_id,) for key_id in wanted])
        cipher = AESGCM(self._derived("wrap", log_id))
        return {
            key_id: unwrap(cipher, row[1], _KEY_AAD + key_id)
            for key_id, row in zip(wanted, rows, strict=True)
            if row is not None and row[0] == log_id
        }

    def open_key(self, log_id: int, key_id: bytes) -> bytes | None:
        """One key, or None where it was destroyed."""
        return self.open_keys(log_id, (key_id,)).get(key_id)

    def pseudonym(self, log_id: int, identifier: str) -> str:
        """The pseudonym of an identifier in this log, created if it has none."""
        return self.resolve(log_id, (), (identifier,)).tokens[identifier]

    def find_pseudonym(self, log_id: int, identifier: str) -> str | None:
        """The pseudonym of an identifier in this log, or None: looking somebody up creates nothing."""
        key = _identifier_hash(self._derived("pseudonym", log_id), identifier)
        with self._database.read() as connection:
            row = select_each(connection, pseudonyms, ("log_id", "hash"), ("token",), [(log_id, key)])[0]
        return None if row is None else str(row[0])

    def keys_of_subject(self, log_id: int, subject: str) -> list[bytes]:
        """Ids of the keys that hold content about a subject (its pseudonym)."""
        query = select(subject_keys.c.key_id).where(subject_keys.c.log_id == log_id, subject_keys.c.subject == subject)
        with self._database.read() as connection:
            return list(connection.execute(query.order_by(subject_keys.c.key_id)).scalars())

    # -- arrival keys -------------------------------------------------------------------------------------------

    def arrival_keys(self, month: int, now_us: int) -> tuple[ArrivalKey, ...]:
        """The key of `month` (created if new, committed) and those of earlier months whose window still lasts."""
        return self._arrivals.keys(month, now_us)

    def destroy_arrival_keys(self, now_us: int) -> list[int]:
        """Destroy the arrival keys whose retry window has ended; their months. For the janitor, once a day."""
        return self._arrivals.destroy(now_us)

    # -- destroying ---------------------------------------------------------------------------------------------

    def destroy_keys(self, key_ids: Collection[bytes]) -> int:
        """Destroy data keys; how many there were. What they sealed can never be read again."""
        with self._database.write() as connection:
            gone = 0
            for key_id in key_ids:
                gone += connection.execute(delete(data_keys).where(data_keys.c.key_id == key_id)).rowcount
                connection.execute(delete(subject_keys).where(subject_keys.c.key_id == key_id))
            _raise_generation(connection)
        self._forget()
        self._database.scrub()
        return gone

    def forget_pseudonym(self, log_id: int, identifier: str) -> bool:
        """Delete the row that links an identifier to its token; the token stays in the leaves and says nothing."""
        key = _identifier_hash(self._derived("pseudonym", log_id), identifier)
        query = delete(pseudonyms).where(pseudonyms.c.log_id == log_id, pseudonyms.c.hash == key)
        with self._database.write() as connection:
            gone = connection.execute(query).rowcount
            _raise_generation(connection)
        self._forget()
        self._database.scrub()
        return bool(gone)

    def _generation_of(self, connection: Connection) -> int:
        found = connection.execute(_GENERATION).scalar_one_or_none()
        if found is None:
            raise Fault("the keystore is empty: restore it, or create a directory with `counterfoil init`")
        with self._lock:
            if self._generation == -1:
                self._generation = found
        return int(found)

    def _forget(self) -> None:
        with self._database.read() as connection:
            generation = int(connection.execute(_GENERATION).scalar_one())
        with self._lock:
            self._generation = generation
            self._keys.clear()
            self._tokens.clear()
            self._links.clear()


_NO_KEY = DataKey(b"", b"")
_GENERATION = select(keystore_state.c.generation)


def new_pseudonym(random_bytes: Callable[[int], bytes] = os.urandom) -> str:
    """A random token of letters, 122 bits: it never has a run of digits, so it is always a token (RECORD 1)."""
    letters = b""
    while len(letters) < PSEUDONYM_LETTERS:
        # 234 is the greatest multiple of 26 within a byte: bytes above it would make some letters likelier.
        letters += random_bytes(2 * PSEUDONYM_LETTERS).translate(_LETTERS, _UNEVEN)
    return "p_" + letters[:PSEUDONYM_LETTERS].decode("ascii")


def _raise_generation(connection: Connection) -> None:
    connection.execute(update(keystore_state).values(generation=keystore_state.c.generation + 1))


def _selector_hash(secret: bytes, selector: Selector) -> bytes:
    parts = (selector.group.encode(), selector.name, b"%d" % selector.month, selector.retention.encode())
    return hmac.digest(secret, _prefixed(parts), "sha256")


def _identifier_hash(secret: bytes, identifier: str) -> bytes:
    return hmac.digest(secret, identifier.encode("utf-8", "surrogatepass"), "sha256")


def _prefixed(parts: Sequence[bytes]) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _keep(cache: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > MAX_REMEMBERED:
        cache.popitem(last=False)
