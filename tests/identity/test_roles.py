"""The table of roles is exactly the one that was agreed, and nobody may do what two roles should."""

from __future__ import annotations

import pytest

from counterfoil.identity.principal import Principal
from counterfoil.identity.roles import ROLE_PERMISSIONS, Permission, Role, may

AGREED = {
    Role.WRITER: "append read_own_receipts",
    Role.REVIEWER: "read_facts read_own_receipts read_content export read_own_access counts",
    Role.AUDITOR: "read_facts read_own_receipts read_content export read_access read_own_access counts",
    Role.ADMINISTRATOR: "configure read_access read_own_access counts",
}


@pytest.mark.parametrize("role", Role)
def test_a_role_may_do_what_was_agreed_and_nothing_else(role: Role) -> None:
    assert {permission for permission in Permission if may(role, permission)} == set(AGREED[role].split())


def test_every_role_is_in_the_table() -> None:
    assert set(ROLE_PERMISSIONS) == set(Role)


@pytest.mark.parametrize("role", Role)
def test_no_role_both_configures_or_appends_and_reads_content(role: Role) -> None:
    assert not (may(role, Permission.READ_CONTENT) and may(role, Permission.CONFIGURE))
    assert not (may(role, Permission.READ_CONTENT) and may(role, Permission.APPEND))


def test_a_principal_sees_its_tenant_and_within_it_its_scope() -> None:
    whole = Principal(1, "a", "k", Role.AUDITOR, None, "")
    scoped = Principal(1, "a", "k", Role.AUDITOR, 7, "")
    assert [whole.may_see(1, 7), whole.may_see(1, 8), whole.may_see(2, 7)] == [True, True, False]
    assert [scoped.may_see(1, 7), scoped.may_see(1, 8), scoped.may_see(2, 7)] == [True, False, False]
