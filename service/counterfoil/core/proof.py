"""C2SP tlog-proof: a receipt that proves offline that a leaf is in a log (file ending ``.tlog-proof``).

    c2sp.org/tlog-proof@v1
    extra <base64>                 optional, not authenticated: we never trust or write it
    index 73894
    <base64 of each hash of the inclusion proof, leaf's sibling first>

    <checkpoint, verbatim, with every signature>

Checking: checkpoint signed by the log (and by whom else is for a `policy` to judge), then inclusion of the leaf.
Checks: ``proof`` (form), and those of `checkpoint` and `merkle`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from counterfoil.core.checkpoint import Checkpoint, open_checkpoint
from counterfoil.core.encoding import decode_base64, encode_base64, parse_decimal
from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.core.merkle import HASH_SIZE, check_inclusion, leaf_hash
from counterfoil.core.note import MAX_NOTE_BYTES, VerifierKey

PROOF_HEADER = "c2sp.org/tlog-proof@v1"
MAX_PROOF_HASHES = 63
MAX_EXTRA_BYTES = 65_536
MAX_PROOF_BYTES = MAX_NOTE_BYTES + 2 * MAX_EXTRA_BYTES


@dataclass(frozen=True, slots=True)
class TlogProof:
    """The inclusion proof of leaf `index`, with the checkpoint's note that it leads to."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None


def format_proof(proof: TlogProof) -> bytes:
    """The file's bytes."""
    if (
        any(len(value) != HASH_SIZE for value in proof.hashes)
        or len(proof.hashes) > MAX_PROOF_HASHES
        or proof.index < 0
        or (proof.extra is not None and not 0 < len(proof.extra) <= MAX_EXTRA_BYTES)
    ):
        raise InputError("bad_proof", f"a proof has an index and at most {MAX_PROOF_HASHES} hashes of 32 bytes")
    extra = [] if proof.extra is None else [f"extra {encode_base64(proof.extra)}"]
    lines = [PROOF_HEADER, *extra, f"index {proof.index}", *map(encode_base64, proof.hashes), "", ""]
    return "\n".join(lines).encode() + proof.checkpoint


def parse_proof(data: bytes) -> TlogProof:
    """The proof of a file's bytes; the checkpoint is not opened yet."""
    if len(data) > MAX_PROOF_BYTES:
        raise EvidenceError("proof", f"{len(data)} bytes are over the limit of {MAX_PROOF_BYTES}")
    head, _, checkpoint = data.partition(b"\n\n")
    try:
        header, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise EvidenceError("proof", "not ASCII before the checkpoint") from None
    if header != PROOF_HEADER or not checkpoint:
        raise EvidenceError("proof", f"not {PROOF_HEADER} with a checkpoint")
    try:
        extra = decode_base64(lines.pop(0)[6:]) if lines and lines[0].startswith("extra ") else None
        if not lines or not lines[0].startswith("index "):
            raise EvidenceError("proof", "no index line")
        index = parse_decimal(lines[0][6:])
        hashes = tuple(map(decode_base64, lines[1 : MAX_PROOF_HASHES + 2]))
        proof = TlogProof(index, hashes, checkpoint, extra)
        format_proof(proof)
    except (InputError, EvidenceError) as error:
        raise EvidenceError("proof", error.message) from None
    return proof


def check_proof(proof: TlogProof, leaf: bytes, origin: str, keys: Sequence[VerifierKey]) -> Checkpoint:
    """The checkpoint of the log `origin`, signed by its key among `keys`, in whose tree `leaf` is."""
    checkpoint, _ = open_checkpoint(proof.checkpoint, origin, keys)
    check_inclusion(leaf_hash(leaf), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    return checkpoint
