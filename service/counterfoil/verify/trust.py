"""Whom this run believes: the auditor's policy, or (without one) the bundle's own keys, which prove nothing but
agreement with itself. `is_policy` tells them apart, and without a policy no result is better than INCOMPLETE.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from counterfoil.core.errors import EvidenceError
from counterfoil.core.note import ED25519, VerifierKey, parse_vkey
from counterfoil.core.policy import Policy
from counterfoil.verify.documents import parse_object, refuse
from counterfoil.verify.limits import MAX_DOCUMENT_BYTES
from counterfoil.verify.policy import VerifyPolicy
from counterfoil.verify.reader import Bundle

KEYS = "data/keys/keys.json"


@dataclass(frozen=True, slots=True)
class Trust:
    """Keys that may sign checkpoints (logs and witnesses) and bundles, and how many must."""

    is_policy: bool
    checkpoint_keys: tuple[VerifierKey, ...]
    signers: tuple[VerifierKey, ...]
    threshold: int
    tlog: Policy | None = None

    def check_quorum(self, verified: Sequence[VerifierKey]) -> None:
        """Enough witnesses of the policy cosigned."""
        if self.tlog is not None:
            self.tlog.check_quorum(verified)


def trust_of_policy(policy: VerifyPolicy) -> Trust:
    """What the policy trusts."""
    return Trust(True, policy.tlog.keys, policy.signers, policy.threshold, policy.tlog)


def _keys(document: dict[str, Any], name: str) -> tuple[VerifierKey, ...]:
    entries = document.get(name)
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise refuse(f"{name} must be an array of objects")
    vkeys = [each.get("vkey") for each in entries]
    keys = {parse_vkey(vkey) for vkey in vkeys if isinstance(vkey, str)}
    found = sorted((key for key in keys if key.algorithm == ED25519), key=lambda key: (key.name, key.key_id))
    if not found:
        raise EvidenceError("keys", f"names no Ed25519 key under {name!r}")
    if len({(key.name, key.key_id) for key in found}) != len(found):
        raise EvidenceError("keys", f"names two keys of one name and id under {name!r}")
    return tuple(found)


def trust_of_bundle(bundle: Bundle) -> Trust:
    """The keys that the bundle names for itself."""
    document = parse_object(bundle.read(KEYS, MAX_DOCUMENT_BYTES))
    return Trust(False, _keys(document, "log"), _keys(document, "bundles"), 1)
