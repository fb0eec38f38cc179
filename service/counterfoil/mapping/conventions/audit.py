"""The draft OpenTelemetry audit signal (`POST /v1/audit`; apeirora/opentelemetry-specification, branch `auditing`, OTEP
0267, June 2026): a log record whose `audit.*` attributes say who did what to what, and how it ended.

An approval or refusal is oversight, unless a service or the system itself gave it; every other record is an operation.
Who acted is a pseudonym in an oversight, and content elsewhere. The target is content, since it may be a person; what
an oversight is of is said by `counterfoil.oversight.of`.
"""

from __future__ import annotations

from typing import Final

from counterfoil.mapping.conventions.rows import KindRow, Row

KINDS: Final = (
    KindRow("audit.actor.type", dict.fromkeys(("service", "system"), "operation")),
    KindRow("audit.action", dict.fromkeys(("APPROVE", "REJECT"), "oversight")),
)

ROWS: Final = (
    Row("audit.action", "oversight.verdict", ("oversight",), values={"approve": "approve", "reject": "reject"}),
    Row("audit.actor.id", "oversight.person", ("oversight",)),
    Row("audit.outcome", "status", values={"success": "ok", "failure": "error"}),
    Row("audit.action", "name", ("operation",)),
)
