"""A record at the end of a log whose writer was careless: the tests say how."""

import json
from hashlib import sha256

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from counterfoil.core.disclosure import digest_of, encode_disclosure, format_disclosure, new_salt
from counterfoil.core.encoding import parse_time_us
from counterfoil.core.merkle import leaf_hash
from counterfoil.log.seal import content_aad, seal
from tests.attacks.store import Store, relink


def reseal_with_one_salt(store: Store) -> int:
    """Append a record whose two fields share a salt, sealed and chained by the rules; return its `seq`."""
    size = store.size()
    last = store.leaf(size - 1)
    salt = new_salt()
    parts = [format_disclosure(salt, name, "word") for name in ("inputs", "rationale")]
    leaf = json.loads(last)
    leaf |= {"source": "api", "kind": "decision", "decision": {"id": "d1"}}
    leaf["content"] = {
        name: digest_of(encode_disclosure(part)) for name, part in zip(("inputs", "rationale"), parts, strict=True)
    }
    for key in ("mapping", "producer", "fallback"):
        leaf.pop(key, None)
    (data,) = relink([json.dumps(leaf).encode()], size, leaf_hash(last))
    with store.attack() as ledger:
        key_id = ledger.execute("SELECT key_id FROM contents WHERE log_id = ? LIMIT 1", (store.log.id,)).fetchone()[0]
        key = store.keystore.open_key(store.log.id, key_id)
        assert key is not None
        sealed = seal(AESGCM(key), bytes(12), content_aad(store.log.origin, leaf["content"]), parts)
        ledger.execute("INSERT INTO records (log_id, seq, leaf) VALUES (?, ?, ?)", (store.log.id, size, data))
        ledger.execute("INSERT INTO contents VALUES (?, ?, ?, ?)", (store.log.id, size, key_id, sealed))
        row = (size + 1, sha256(b"\x00" + data).digest(), parse_time_us(leaf["recorded_at"]), store.log.id)
        ledger.execute("UPDATE heads SET size = ?, leaf_hash = ?, recorded_us = ? WHERE log_id = ?", row)
    return size
