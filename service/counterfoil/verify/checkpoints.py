"""Steps 5 and 6: the checkpoint under which everything stands, and its consistency with an earlier one.

Step 5: origin, signature of the log, quorum of witnesses; size and root as the population says. Where content states
are as of a later checkpoint, that one is opened in the same way.
Step 6: the tree has only grown since the auditor's pocket checkpoint (C2SP note, kept by the auditor), and from the
population's checkpoint to that of the states. RFC 9162 2.1.4.
"""

from dataclasses import dataclass

from counterfoil.core.checkpoint import Checkpoint, open_checkpoint
from counterfoil.core.encoding import decode_base64
from counterfoil.core.errors import EvidenceError
from counterfoil.core.merkle import check_consistency
from counterfoil.core.note import ED25519_COSIGNATURE, MAX_NOTE_BYTES, MLDSA44_COSIGNATURE
from counterfoil.verify.blame import blame, gap, reject
from counterfoil.verify.documents import check_keys, parse_object, refuse, take_hash, take_integer
from counterfoil.verify.limits import MAX_DOCUMENT_BYTES
from counterfoil.verify.population import Population
from counterfoil.verify.reader import Bundle
from counterfoil.verify.trust import Trust

CHECKPOINT = "data/checkpoint"
STATES_CHECKPOINT = "data/states_checkpoint"
CONSISTENCY = "data/consistency.json"
STATES_CONSISTENCY = "data/states_consistency.json"

_COSIGNATURES = (ED25519_COSIGNATURE, MLDSA44_COSIGNATURE)


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint that the log signed, its exact note, and who cosigned it when (seconds)."""

    note: bytes
    checkpoint: Checkpoint
    witnesses: tuple[tuple[str, int | None], ...]


def _open(note: bytes, origin: str, trust: Trust) -> Opened:
    # A log may have had several keys, and witnesses cosign several logs: keys of other logs must not get in the way.
    keys = [key for key in trust.checkpoint_keys if key.name == origin or key.algorithm in _COSIGNATURES]
    if not any(key.name == origin for key in keys):
        raise EvidenceError("checkpoint_origin", f"no key of the log {origin!r} is trusted")
    checkpoint, opened = open_checkpoint(note, origin, keys)
    trust.check_quorum(opened.keys)
    witnesses = [(each.key.name, each.timestamp) for each in opened.verified if each.key.name != origin]
    return Opened(note, checkpoint, tuple(witnesses))


def check_checkpoints(bundle: Bundle, population: Population, trust: Trust) -> tuple[Opened, Opened]:
    """Step 5. The population's checkpoint, and that of the states (the same one, mostly)."""
    with blame(5, CHECKPOINT):
        opened = _open(bundle.read(CHECKPOINT, MAX_NOTE_BYTES), population.origin, trust)
        if (opened.checkpoint.size, opened.checkpoint.root) != (population.tree_size, population.root):
            raise EvidenceError("checkpoint", "of another size or root than population.json")
    if population.states_size == population.tree_size:
        for name in (STATES_CHECKPOINT, STATES_CONSISTENCY):
            if name in bundle.files:
                raise reject(5, name, "states_as_of", "there is a second checkpoint, but states_as_of is the first")
        return opened, opened
    with blame(5, STATES_CHECKPOINT):
        states = _open(bundle.read(STATES_CHECKPOINT, MAX_NOTE_BYTES), population.origin, trust)
        if (states.checkpoint.size, states.checkpoint.root) != (population.states_size, population.states_root):
            raise EvidenceError("checkpoint", "of another size or root than states_as_of")
    return opened, states


def _read_consistency(bundle: Bundle, name: str) -> tuple[int, bytes, list[bytes]]:
    """Old size and root as claimed, and the proof."""
    value = parse_object(bundle.read(name, MAX_DOCUMENT_BYTES))
    check_keys(value, {"old_root", "old_size", "proof"}, set(), "")
    proof = value["proof"]
    if not isinstance(proof, list) or not all(isinstance(each, str) for each in proof):
        raise refuse("proof must be an array of base64")
    return take_integer(value, "old_size"), take_hash(value, "old_root"), [decode_base64(each) for each in proof]


def _check_growth(bundle: Bundle, name: str, old: Checkpoint, new: Checkpoint) -> None:
    """The file proves that `new` grew from `old`."""
    with blame(6, name):
        old_size, _, proof = _read_consistency(bundle, name)
        if old_size != old.size:
            raise gap(6, name, "consistency", f"proves growth from size {old_size}, not from {old.size}")
        check_consistency(old.size, old.root, new.size, new.root, proof)


def check_growth(bundle: Bundle, opened: Opened, states: Opened, since: bytes | None, trust: Trust) -> str | None:
    """Step 6. What was shown, or None where there was nothing to show it against."""
    new = opened.checkpoint
    if states is not opened:
        _check_growth(bundle, STATES_CONSISTENCY, new, states.checkpoint)
    if since is None:
        if CONSISTENCY in bundle.files:  # nobody vouches for the old root here, but a wrong proof is wrong
            with blame(6, CONSISTENCY):
                old_size, old_root, proof = _read_consistency(bundle, CONSISTENCY)
                check_consistency(old_size, old_root, new.size, new.root, proof)
        return None
    with blame(6, "(--since)"):
        old = _open(since, new.origin, Trust(trust.is_policy, trust.checkpoint_keys, (), 1)).checkpoint
    if old.size > new.size:
        raise gap(6, CHECKPOINT, "consistency", f"older than the earlier checkpoint given: {new.size} < {old.size}")
    if old.size == new.size:
        if old.root != new.root:
            message = f"the log signed two different trees of {new.size} leaves: this is a split view"
            raise reject(6, CHECKPOINT, "consistency_root", message)
    elif old.size:
        if CONSISTENCY not in bundle.files:
            raise gap(6, CONSISTENCY, "consistency", f"missing: no proof from size {old.size} to {new.size}")
        _check_growth(bundle, CONSISTENCY, old, new)
    return f"the log only grew from {old.size} to {new.size} leaves"
