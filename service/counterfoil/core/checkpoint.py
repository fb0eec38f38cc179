"""C2SP tlog-checkpoint: the signed statement "the log `origin` has `size` entries and this root".

    example.com/behind-the-sofa
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
    [extension lines, not empty; we never write any]

as the text of a signed note. The key name of the log is its origin. An empty log has the root SHA-256("").
Checks: ``checkpoint`` (form), ``checkpoint_origin``, ``checkpoint_signature``, and those of `note`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from counterfoil.core.encoding import decode_base64, encode_base64, parse_decimal
from counterfoil.core.errors import EvidenceError, InputError
from counterfoil.core.merkle import EMPTY_ROOT, HASH_SIZE, MAX_TREE_SIZE
from counterfoil.core.note import ED25519, MLDSA44_COSIGNATURE, Note, Signer, VerifierKey, open_note, sign

MAX_EXTENSIONS = 16
_LOG_ALGORITHMS = (ED25519, MLDSA44_COSIGNATURE)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The size and root (32 bytes) of the log called `origin`."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lines = (self.origin, *self.extensions)
        if (
            len(self.root) != HASH_SIZE
            or not 0 <= self.size <= MAX_TREE_SIZE
            or not all(line and "\n" not in line for line in lines)
            or len(self.extensions) > MAX_EXTENSIONS
        ):
            raise InputError("bad_checkpoint", "a checkpoint has an origin, a size, a root of 32 bytes and full lines")

    def text(self) -> str:
        """The note text."""
        return "".join(f"{line}\n" for line in (self.origin, self.size, encode_base64(self.root), *self.extensions))


def parse_checkpoint(text: str) -> Checkpoint:
    """The checkpoint of a note text."""
    origin, *lines = text.split("\n")
    if len(lines) < 3 or lines.pop():
        raise EvidenceError("checkpoint", "fewer than three lines, or no newline at the end")
    try:
        checkpoint = Checkpoint(origin, parse_decimal(lines[0]), decode_base64(lines[1]), tuple(lines[2:]))
    except (InputError, EvidenceError) as error:
        raise EvidenceError("checkpoint", error.message) from None
    if not checkpoint.size and checkpoint.root != EMPTY_ROOT:
        raise EvidenceError("checkpoint", "size 0 with a root that is not the empty tree's")
    return checkpoint


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> bytes:
    """The checkpoint as a note signed by the log."""
    return sign(checkpoint.text(), [signer])


def open_checkpoint(note: bytes, origin: str, keys: Sequence[VerifierKey]) -> tuple[Checkpoint, Note]:
    """The checkpoint of the log called `origin`, signed by that log's key among `keys`; the note names cosigners."""
    opened = open_note(note, keys)
    checkpoint = parse_checkpoint(opened.text)
    if checkpoint.origin != origin:
        raise EvidenceError("checkpoint_origin", f"of the log {checkpoint.origin!r}, not {origin!r}")
    # SPEC: tlog-checkpoint - the origin is the log's key name. A witness alone never vouches for a log.
    if not any(key.name == origin and key.algorithm in _LOG_ALGORITHMS for key in opened.keys):
        raise EvidenceError("checkpoint_signature", f"no key of the log {origin!r} signed it")
    return checkpoint, opened
