"""The room as others see it: every read is checked against the principal and recorded before it is answered.

The order is always: what may this principal see, read it, write the access record and wait until it is on disk, then
return. If the access record cannot be written, nothing is shown (threat 19).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from counterfoil.core.errors import InputError
from counterfoil.core.rules import is_token
from counterfoil.core.state import ContentState
from counterfoil.identity.principal import Principal
from counterfoil.identity.roles import Permission
from counterfoil.log.access import record_access
from counterfoil.log.batch import LogInfo
from counterfoil.log.logs import Logs
from counterfoil.trails.interactions import Listed, list_interactions, parse_interaction_query
from counterfoil.trails.prepare import check_version
from counterfoil.trails.query import Page, parse_query
from counterfoil.trails.record import Record, not_here, read_record, restore_otlp
from counterfoil.trails.search import Results, search
from counterfoil.trails.stores import ReadableLog, Stores, readable_logs
from counterfoil.trails.trail import FIRST_PAGE, Trail, read_trail

MAX_SEQ = 2**53 - 1

Pairs = Iterable[tuple[str, str]]
"""A query string's names and values."""


class Trails:
    """Search, records, interactions and trails, for one principal at a time. Safe to share between threads."""

    def __init__(self, logs: Logs, stores: Stores) -> None:
        self._logs = logs
        self._stores = stores
        self._has_index = False

    def search(self, principal: Principal, parameters: Pairs) -> Results:
        """One page of records that match (facts only)."""
        query = parse_query(parameters)
        results = search(self._stores, self._readable(principal), query)
        record_access(self._logs, principal, "search", "records", len(results.items), query=query.text())
        return results

    def record(self, principal: Principal, log_name: str, seq: int) -> Record:
        """One record; its content where the role may read it."""
        log = self._log(principal, log_name, seq)
        with_content = principal.may(Permission.READ_CONTENT)
        record = read_record(self._stores, log, seq, with_content=with_content)
        opened = any(content.state is ContentState.DISCLOSED for content in record.content.values())
        action = "read_content" if opened else "read_facts"
        record_access(self._logs, principal, action, f"{log.name}/{seq}", 1)
        return record

    def otlp(self, principal: Principal, log_name: str, seq: int) -> dict[str, Any]:
        """The OTLP/JSON request that a record came from."""
        log = self._log(principal, log_name, seq)
        request = restore_otlp(self._stores, log, seq)
        record_access(self._logs, principal, "read_content", f"{log.name}/{seq}", 1, purpose="otlp")
        return request

    def interactions(self, principal: Principal, parameters: Pairs) -> Listed:
        """One page of interactions (facts only)."""
        query = parse_interaction_query(parameters)
        listed = list_interactions(self._stores, self._readable(principal), query)
        record_access(self._logs, principal, "search", "interactions", len(listed.items), query=query.text())
        return listed

    def trail(self, principal: Principal, identifier: str, page: Page = FIRST_PAGE) -> Trail:
        """The trail of one interaction, by its id, the raw identifier behind a pseudonym, or a trace id."""
        with_content = principal.may(Permission.READ_CONTENT)
        trail = read_trail(self._stores, self._readable(principal), identifier, page, with_content=with_content)
        action = "read_content" if trail.content_opened else "read_facts"
        found = trail.interaction.id
        raw = None if is_token(identifier) else identifier
        record_access(self._logs, principal, action, f"interaction/{found}"[:128], len(trail.steps), "trail", raw)
        return trail

    def _check_index(self) -> None:
        """Raise OtherIndexVersion (503) until there is an index that this software can read."""
        if not self._has_index:
            check_version(self._stores.index)
            self._has_index = True

    def _readable(self, principal: Principal) -> list[ReadableLog]:
        self._check_index()
        with self._stores.ledger.read() as ledger:
            return readable_logs(ledger, principal.tenant_id, principal.log_id)

    def _log(self, principal: Principal, name: str, seq: int) -> LogInfo:
        """The log of interactions with this short name, if the principal may see it."""
        self._check_index()
        if not 0 <= seq <= MAX_SEQ:
            raise not_here()
        log = self._logs.by_name(principal.tenant_id, name)
        if log is None or log.purpose != "interactions" or not principal.may_see(log.tenant_id, log.id):
            raise InputError("not_found", f"log {name[:64]!r} is not here", item="log")
        return log
