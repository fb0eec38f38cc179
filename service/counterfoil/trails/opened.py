"""Content fields for the index: their values and nothing else, at the speed of the index.

What a reader of a record is shown comes with the state of every field (log/contents.py). Rules want the values of two
or three fields of very many records, so here a field that nobody asked for is passed over unread, and one that is
erased, missing or not what the leaf commits to is simply not there.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection

from counterfoil.core.disclosure import digest_of, encode_disclosure
from counterfoil.core.errors import EvidenceError
from counterfoil.log.contents import read_sealed
from counterfoil.log.keystore import Keystore
from counterfoil.log.seal import unseal


def read_fields(
    connection: Connection,
    keystore: Keystore,
    log_id: int,
    origin: str,
    rows: Sequence[tuple[int, dict[str, Any]]],
    names_of: Callable[[Mapping[str, Any]], Container[str]],
) -> dict[int, dict[str, Any]]:
    """Values of the fields that `names_of` a leaf names, by `seq`; large values (blobs) are left out."""
    committed = {seq: leaf["content"] for seq, leaf in rows}
    wanted = {seq: names_of(leaf) for seq, leaf in rows}
    sealed = read_sealed(connection, log_id, list(committed))
    keys = keystore.open_keys(log_id, {key_id for found in sealed.values() for key_id, _ in found})
    answer: dict[int, dict[str, Any]] = {}
    for seq, digests in committed.items():
        values = answer[seq] = {}
        names = wanted[seq]
        for key_id, data in sealed.get(seq, ()):
            if (key := keys.get(key_id)) is None:
                continue
            try:
                disclosures = unseal(key, origin, digests, data)
            except EvidenceError:
                continue  # fsck says so
            for disclosure in disclosures:
                # `["salt","name",value]`, as our own printer writes it; the name has no escapes.
                name = disclosure.split(b'"', 4)[3].decode("ascii", "replace")
                if name in names and digest_of(encode_disclosure(disclosure)) == digests.get(name):
                    value = orjson.loads(disclosure)[2]
                    if not (isinstance(value, dict) and set(value) == {"blob"}):
                        values[name] = value
    return answer
