"""The policy that an operator hands to an auditor, and under which the service checks its own bundles.

It names the logs of one tenant and the key that signs bundles, in the verifier's own format. It is handed over apart
from any bundle: what a bundle says about keys is a hint and counts for nothing (THREATS 26).
"""

from __future__ import annotations

from sqlalchemy import select

from counterfoil.core.note import NoteSigner
from counterfoil.log.founding import base_origin, bundle_key_name
from counterfoil.log.logs import Logs
from counterfoil.log.signing import load_signer
from counterfoil.log.tables import deployment
from counterfoil.verify.policy import format_policy


def service_policy(logs: Logs, tenant_id: int) -> str:
    """The policy as text: every log of the tenant, the bundle signing key, no witness yet (`quorum none`)."""
    with logs.ledger.read() as connection:
        bundle_vkey = connection.execute(select(deployment.c.bundle_vkey)).scalar_one()
    return format_policy([log.vkey for log in logs.all(tenant_id)], [str(bundle_vkey)])


def bundle_signer(logs: Logs) -> NoteSigner:
    """The bundle signing key of this deployment; it signs nothing but attestations."""
    with logs.ledger.read() as connection:
        origin = base_origin(connection)
    return load_signer(logs.keys_dir, bundle_key_name(origin))
