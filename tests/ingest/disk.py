"""What is on disk, read beside the running service from the ledger and the keystore, and checked as a chain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from counterfoil.core.encoding import decode_base64
from counterfoil.core.merkle import leaf_hash
from counterfoil.core.record import parse_record
from counterfoil.core.state import ContentState
from counterfoil.identity.roles import Role
from counterfoil.log.accounts import Accounts
from counterfoil.log.batch import LogInfo
from counterfoil.log.contents import Contents
from counterfoil.log.initialise import open_logs
from counterfoil.log.logs import Logs
from counterfoil.log.records import head, read_leaves
from tests.service.running import LOG, TENANT, Key, Made

Leaf = dict[str, Any]


class Disk:
    """The stores of one service, opened by another process, as an operator's command would."""

    def __init__(self, logs: Logs) -> None:
        self.logs = logs
        self.accounts = Accounts(logs)
        self._contents = Contents(logs.ledger, logs.keystore)

    def log(self, tenant: str = TENANT, name: str = LOG) -> LogInfo:
        """A log by name."""
        found = self.logs.by_name(self.accounts.tenant_id(tenant), name)
        assert found is not None
        return found

    def size(self, log: LogInfo | None = None) -> int:
        """Records in the log (`main` if none is named)."""
        with self.logs.ledger.read() as connection:
            return head(connection, (log or self.log()).id).size

    def leaves(self, first: int = 0, log: LogInfo | None = None) -> list[Leaf]:
        """The leaves from `first` on, each parsed strictly, linked to the one before and up to the head."""
        log = log or self.log()
        with self.logs.ledger.read() as connection:
            end = head(connection, log.id)
            stored = list(read_leaves(connection, log.id, max(first - 1, 0), end.size))
        assert [seq for seq, _ in stored] == list(range(max(first - 1, 0), end.size))
        leaves = [parse_record(data) for _, data in stored]
        for (_, before), leaf in zip(stored, leaves[1:], strict=False):
            assert decode_base64(leaf["prev"]) == leaf_hash(before)
        if stored:
            assert leaf_hash(stored[-1][1]) == end.leaf_hash
        return [leaf for leaf in leaves if leaf["seq"] >= first]

    def content(self, leaf: Leaf, log: LogInfo | None = None) -> dict[str, Any]:
        """Every field of a record, all of which must be disclosed."""
        opened = self._contents.open(log or self.log(), [(leaf["seq"], leaf)])[leaf["seq"]]
        assert {field.state for field in opened.values()} <= {ContentState.DISCLOSED}
        return {name: field.value for name, field in opened.items()}

    def new_key(
        self,
        role: Role = Role.WRITER,
        *,
        tenant: str = TENANT,
        log: str | None = LOG,
        expires_us: int | None = None,
    ) -> Key:
        """A credential made beside the running service, as `counterfoil key create` does."""
        return Key(
            *self.accounts.create_credential(tenant, role, log_name=log, name="made by a test", expires_us=expires_us)
        )


@contextmanager
def open_disk(made: Made) -> Iterator[Disk]:
    """The stores of a service that may be running."""
    logs = open_logs(made.directory)
    try:
        yield Disk(logs)
    finally:
        logs.close()
