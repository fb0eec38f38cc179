"""A reader of C2SP tlog-tiles that shares no code with us: standard library, `cryptography`, and the specifications.

It fetches the checkpoint, verifies its Ed25519 signature with the vkey, fetches every tile and entry bundle that a tree
of that size has, hashes the entries, recomputes every tile of every level, and the root.
"""

import base64
import hashlib
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Fetch = Callable[[str], bytes]


def number(n: int) -> str:
    text = f"{n % 1000:03d}"
    while n >= 1000:
        n //= 1000
        text = f"x{n % 1000:03d}/{text}"
    return text


def root(hashes: list[bytes]) -> bytes:
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return hashlib.sha256(b"\x01" + root(hashes[:split]) + root(hashes[split:])).digest()


def verified_checkpoint(note: bytes, vkey: str) -> tuple[int, bytes]:
    name, key_id, key = vkey.split("+", 2)
    public = base64.b64decode(key)
    assert public[0] == 1
    assert hashlib.sha256(name.encode() + b"\n" + public).digest()[:4].hex() == key_id
    text, _, lines = note.decode().rpartition("\n\n")
    text += "\n"
    for line in lines.splitlines():
        dash, signer, data = line.split(" ")
        blob = base64.b64decode(data)
        if dash == "\u2014" and signer == name and blob[:4].hex() == key_id:
            Ed25519PublicKey.from_public_bytes(public[1:]).verify(blob[4:], text.encode())
            break
    else:
        raise AssertionError("not signed by the log")
    origin, size, encoded = text.splitlines()[:3]
    assert origin == name
    return int(size), base64.b64decode(encoded)


def read_log(fetch: Fetch, vkey: str) -> list[bytes]:
    """Return every entry of the log, having recomputed everything that leads to its signed root."""
    size, signed_root = verified_checkpoint(fetch("checkpoint"), vkey)
    entries: list[bytes] = []
    for n in range(-(-size // 256)):
        width = min(256, size - 256 * n)
        data = fetch(f"tile/entries/{number(n)}" + (f".p/{width}" if width < 256 else ""))
        at = 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 2], "big")
            entries.append(data[at + 2 : at + 2 + length])
            at += 2 + length
        assert at == len(data)
    assert len(entries) == size
    hashes = leaves = [hashlib.sha256(b"\x00" + entry).digest() for entry in entries]
    level = 0
    while hashes:
        for n in range(-(-len(hashes) // 256)):
            wanted = hashes[256 * n : 256 * n + 256]
            path = f"tile/{level}/{number(n)}" + (f".p/{len(wanted)}" if len(wanted) < 256 else "")
            assert fetch(path) == b"".join(wanted), path
        hashes = [root(hashes[256 * n : 256 * n + 256]) for n in range(len(hashes) // 256)]
        level += 1
    assert root(leaves) == signed_root
    return entries
