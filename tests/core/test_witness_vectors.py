"""What a witness decides, on the published add-checkpoint sequence (torchwood, sunlight): the notes and the proofs.

The HTTP side is elsewhere; here each body is judged by core in the order that C2SP tlog-witness gives.
"""

import json
from pathlib import Path

from counterfoil.core.checkpoint import open_checkpoint
from counterfoil.core.encoding import decode_base64, parse_decimal
from counterfoil.core.errors import EvidenceError
from counterfoil.core.merkle import check_consistency
from counterfoil.core.note import parse_vkey

VECTOR = json.loads((Path(__file__).parents[1] / "data" / "vectors" / "witness_add_checkpoint.json").read_text())
LOG = parse_vkey(VECTOR["log_vkey"])


def judge(body: str, size: int, root: bytes) -> tuple[int, int, bytes]:
    """(status, size, root) after a request to a witness that has cosigned `size` and `root`."""
    head, _, note = body.partition("\n\n")
    old_line, *lines = head.split("\n")
    old = parse_decimal(old_line.removeprefix("old "))
    proof = [decode_base64(line) for line in lines]
    if note.split("\n")[0] != LOG.name:
        return 404, size, root
    try:
        checkpoint, _ = open_checkpoint(note.encode(), LOG.name, [LOG])
    except EvidenceError:
        # The published bad signature also has spare base64 bits set: strictly read it is malformed before it is wrong.
        return 403, size, root
    if old > checkpoint.size:
        return 400, size, root
    if old != size:
        return 409, size, root
    try:
        if old:
            check_consistency(old, root, checkpoint.size, checkpoint.root, proof)
        elif proof:
            raise EvidenceError("consistency_proof", "nothing is proved from size 0")
    except EvidenceError:
        return 422, size, root
    return 200, checkpoint.size, checkpoint.root


def test_the_published_sequence_of_requests_has_its_statuses() -> None:
    size, root = 0, b""
    for step in VECTOR["steps"]:
        status, size, root = judge(step["body"], size, root)
        assert (step["name"], status) == (step["name"], step["status"])
    assert size == 5
