"""The attestation: an in-toto Statement v1 over every file of the bag, in a DSSE v1 envelope.

    PAE = "DSSEv1" SP len(type) SP type SP len(payload) SP payload          (lengths in ASCII decimal)

The service signs PAE with its *bundle signing key*, a key of its own that signs nothing else (verifier key name
`<base origin>/bundles`). It says what it is: attested by the service. `keyid` is a hint and decides nothing; which keys
count is for the auditor's policy.
"""

from __future__ import annotations

from typing import Any

from counterfoil.core.encoding import encode_base64
from counterfoil.core.note import NoteSigner
from counterfoil.evidence.canonical import to_json

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:counterfoil:bundle:1"
ATTESTED_BY = "the service"


def format_statement(digests: dict[str, str], predicate: dict[str, Any]) -> bytes:
    """The Statement whose subjects are the files of `digests` (path to SHA-256 in hex), sorted by name."""
    subject = [{"digest": {"sha256": digests[name]}, "name": name} for name in sorted(digests)]
    return to_json(
        {"_type": STATEMENT_TYPE, "predicate": predicate, "predicateType": PREDICATE_TYPE, "subject": subject}
    )


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """What DSSE signs."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign_statement(statement: bytes, signer: NoteSigner) -> bytes:
    """The DSSE envelope of a Statement, signed with Ed25519."""
    key = signer.verifier_key
    signature = signer.private.sign(pre_authentication_encoding(PAYLOAD_TYPE, statement))
    return to_json(
        {
            "payload": encode_base64(statement),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"keyid": f"{key.name}+{key.key_id.hex()}", "sig": encode_base64(signature)}],
        }
    )
